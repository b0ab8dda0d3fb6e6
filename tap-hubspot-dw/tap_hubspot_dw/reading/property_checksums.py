"""The properties that were read, with their types, as a set of checksums in a stream's state.

The set has the checksum of each name, and of each name with its type if that is not text. A mark shows that types are
in it: states of an older release have only names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from zlib import crc32

TYPES = ("number", "boolean", "date", "date-time")
_HAS_TYPES = crc32(b"\0")


def of(types: Mapping[str, str]) -> set[int]:
    """The set for these properties and their types; text is an empty type."""
    names = {_sum(name) for name in types}
    return {*names, *(_sum(name, kind) for name, kind in types.items() if kind), _HAS_TYPES}


def knows(sums: Collection[int], name: str) -> bool:
    """Whether the property was read."""
    return _sum(name) in sums


def retyped(sums: Collection[int], types: Mapping[str, str]) -> list[str]:
    """The properties that were read with another type."""
    if _HAS_TYPES not in sums:
        return []
    return [
        name
        for name, kind in types.items()
        if knows(sums, name) and {each for each in TYPES if _sum(name, each) in sums} != ({kind} if kind else set())
    ]


def _sum(name: str, kind: str = "") -> int:
    return crc32(f"{name}\0{kind}".encode() if kind else name.encode())
