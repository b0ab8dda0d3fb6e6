"""A set of ids as a short text, for the state: a few bytes an id instead of a number of twelve digits."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable


def pack(ids: Iterable[int]) -> str:
    """Return a text of positive ids: each one's distance from the one below, seven bits a byte, compressed."""
    raw = bytearray()
    below = 0
    for each in sorted(ids):
        distance, below = each - below, each
        while distance > 127:
            raw.append(distance & 127 | 128)
            distance >>= 7
        raw.append(distance)
    return base64.b64encode(zlib.compress(bytes(raw), 9)).decode()


def unpack(text: str) -> set[int]:
    """Return the ids that `pack` made the text of.

    Raises:
        ValueError: it did not.
    """
    try:
        raw = zlib.decompress(base64.b64decode(text))
    except (ValueError, zlib.error) as error:
        raise ValueError("a set of ids is damaged") from error
    ids: set[int] = set()
    below = distance = shift = 0
    for byte in raw:
        distance |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            below += distance
            ids.add(below)
            distance = shift = 0
    return ids
