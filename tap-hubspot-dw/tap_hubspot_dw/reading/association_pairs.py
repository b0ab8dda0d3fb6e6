"""Pairs of object types, and the side from which their associations are read. Pure: standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import Window


@dataclass(frozen=True)
class Pair:
    """Two object types; their associations are read from the first to the second."""

    from_type: ObjectType
    to_type: ObjectType

    @property
    def name(self) -> str:
        """The pair's name in state and log."""
        return f"{self.from_type.name}:{self.to_type.name}"


@dataclass(frozen=True)
class Group:
    """Pairs that are read together: in full, all from one object type; or one pair, its changes in a window."""

    pairs: tuple[Pair, ...]
    window: Window | None = None

    @property
    def from_type(self) -> ObjectType:
        """The object type from which all pairs are read."""
        return self.pairs[0].from_type


def pairs(object_types: Iterable[ObjectType], chosen: Iterable[tuple[str, str]] | None) -> list[Pair]:
    """Return all unordered pairs of `object_types`, or only the `chosen` ones, each from its fixed side."""
    ordered = sorted(object_types, key=lambda object_type: (object_type.rank, object_type.type_id), reverse=True)
    every = [Pair(object_type, other) for i, object_type in enumerate(ordered) for other in ordered[i:]]
    if chosen is None:
        return every
    wanted = {frozenset(names) for names in chosen}
    return [pair for pair in every if frozenset((pair.from_type.name, pair.to_type.name)) in wanted]
