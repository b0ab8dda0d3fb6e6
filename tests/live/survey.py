"""What the open points are asked about: the first records of a few object types, looked at once and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.object_types import STANDARD_TYPES, ObjectType, resolve
from tap_hubspot_dw.reading.association_pairs import Pair, pairs
from tests.live.asking import Asking, Reply

_MOST_CUSTOM = 2
_EDGES_OF = 50  # ids a pair


@dataclass(frozen=True)
class Edges:
    """What one pair's batch read gave for the first ids of its first side."""

    pair: Pair
    results: list[dict[str, Any]]


class Survey:
    """The portal's first records. Each look costs a request, the first time."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self._pages: dict[str, Reply] = {}
        self._archived: dict[str, Reply] = {}

    @cached_property
    def schemas(self) -> Reply:
        """The portal's custom objects; a portal without them may refuse."""
        return self.asking.get("schemas", {})

    @cached_property
    def kinds(self) -> list[ObjectType]:
        """Contacts, appointments, deals and the first custom objects, whether the portal has them or not."""
        custom = [
            ObjectType(f"custom object {number}", str(each["objectTypeId"]), has_pipelines=None, rank=100)
            for number, each in enumerate(self.schemas.results[:_MOST_CUSTOM], 1)
        ]
        return [*(STANDARD_TYPES[name] for name in ("contacts", "appointments", "deals")), *custom]

    def kind_called(self, name: str) -> ObjectType | None:
        """Return the object type of that name, as the tap finds it; None where the portal has none."""
        try:
            return resolve(name, {}, self.schemas.results)
        except SettingsError:
            return None

    def page(self, kind: ObjectType) -> Reply:
        """Return the first page of a type's list, ids only."""
        if kind.type_id not in self._pages:
            parts = {"type": kind.type_id}
            self._pages[kind.type_id] = self.asking.get("list", parts, limit="100", properties="hs_object_id")
        return self._pages[kind.type_id]

    def ids(self, kind: ObjectType) -> list[int]:
        """Return the first ids of a type."""
        return [int(each["id"]) for each in self.page(kind).results]

    def archived(self, kind: ObjectType) -> Reply:
        """Return a page of one of a type's archived records."""
        if kind.type_id not in self._archived:
            parts = {"type": kind.type_id}
            self._archived[kind.type_id] = self.asking.get(
                "list", parts, limit="1", archived="true", properties="hs_object_id"
            )
        return self._archived[kind.type_id]

    def readable(self, *, least: int = 0) -> list[ObjectType]:
        """Return the types that can be listed and have so many records."""
        return [kind for kind in self.kinds if self.page(kind).is_good and len(self.ids(kind)) >= least]

    @cached_property
    def edges(self) -> list[Edges]:
        """The associations of the first ids, of each pair that HubSpot knows, as far as both sides have records."""
        return list(self._edges())

    def _edges(self) -> Iterator[Edges]:
        for pair in pairs(self.readable(least=1), None):
            if pair.from_type == pair.to_type:
                continue
            parts = {"type": pair.from_type.type_id, "to": pair.to_type.type_id}
            inputs = [{"id": str(each)} for each in self.ids(pair.from_type)[:_EDGES_OF]]
            reply = self.asking.post("associations", parts, {"inputs": inputs})
            if reply.is_good:
                yield Edges(pair, reply.results)
