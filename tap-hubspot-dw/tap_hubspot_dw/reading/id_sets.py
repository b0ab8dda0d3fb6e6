"""A set of ids as a short text for the state: two or three bytes an id instead of twelve digits."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable


def pack(ids: Iterable[int]) -> str:
    """Return positive ids as text: the differences of the sorted ids, seven bits a byte, compressed."""
    raw = bytearray()
    below = 0
    for id_ in sorted(ids):
        distance, below = id_ - below, id_
        while distance > 127:
            raw.append(distance & 127 | 128)
            distance >>= 7
        raw.append(distance)
    return base64.b64encode(zlib.compress(bytes(raw), 9)).decode()


def unpack(text: str) -> set[int]:
    """Return the ids in a text that `pack` made.

    Raises:
        ValueError: `pack` did not make it.
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
