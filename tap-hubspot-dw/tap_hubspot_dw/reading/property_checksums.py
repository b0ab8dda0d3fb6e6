"""The properties that were read, with their types, as a set of checksums in a stream's state.

The set has the checksum of each name, and of each name with its type if that is not text. The checksum `_HAS_TYPES`
shows that the set includes types: states of an older release have only names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from zlib import crc32

TYPES = ("number", "boolean", "date", "date-time")
_HAS_TYPES = crc32(b"\0")


def checksums_of(names: Iterable[str], types: Mapping[str, str]) -> set[int]:
    """The set for these properties, and the types of those that have a column; text is an empty type."""
    return {*map(_checksum, names), *(_checksum(name, kind) for name, kind in types.items() if kind), _HAS_TYPES}


def knows(checksums: Collection[int], name: str) -> bool:
    """Whether the property was read."""
    return _checksum(name) in checksums


def retyped(checksums: Collection[int], types: Mapping[str, str]) -> list[str]:
    """The properties that were read with another type."""
    if _HAS_TYPES not in checksums:
        return []
    before = {name: {kind for kind in TYPES if _checksum(name, kind) in checksums} for name in types}
    return [
        name for name, kind in types.items() if knows(checksums, name) and before[name] != ({kind} if kind else set())
    ]


def _checksum(name: str, kind: str = "") -> int:
    return crc32(f"{name}\0{kind}".encode() if kind else name.encode())
