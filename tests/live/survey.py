"""The records for the questions: the first ones of a few object types, read once and cached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.object_types import STANDARD_TYPES, ObjectType, resolve
from tap_hubspot_dw.reading.association_pairs import Pair, pairs
from tests.live.api_client import ApiClient, Reply

_MAX_CUSTOM = 2
_IDS_PER_PAIR = 50


@dataclass(frozen=True)
class Edges:
    """The batch read of one pair for the first ids of its first type."""

    pair: Pair
    results: list[dict[str, Any]]


class Survey:
    """The portal's first records; every method sends its request only once."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self._pages: dict[str, Reply] = {}
        self._archived: dict[str, Reply] = {}

    @cached_property
    def schemas(self) -> Reply:
        """The portal's custom objects; a portal without them may refuse."""
        return self.client.get("schemas", {})

    @cached_property
    def object_types(self) -> list[ObjectType]:
        """Contacts, appointments, deals and the first custom objects, even if the portal does not have them."""
        custom = [
            ObjectType(f"custom object {number}", str(schema["objectTypeId"]), has_pipelines=None, rank=100)
            for number, schema in enumerate(self.schemas.results[:_MAX_CUSTOM], 1)
        ]
        return [*(STANDARD_TYPES[name] for name in ("contacts", "appointments", "deals")), *custom]

    def object_type_called(self, name: str) -> ObjectType | None:
        """Return the object type of that name as the tap resolves it, None if the portal does not have it."""
        try:
            return resolve(name, {}, self.schemas.results)
        except SettingsError:
            return None

    def page(self, object_type: ObjectType) -> Reply:
        """Return the first page of a type's list, ids only."""
        if object_type.type_id not in self._pages:
            parts = {"type": object_type.type_id}
            self._pages[object_type.type_id] = self.client.get("list", parts, limit="100", properties="hs_object_id")
        return self._pages[object_type.type_id]

    def ids(self, object_type: ObjectType) -> list[int]:
        """Return the first ids of a type."""
        return [int(record["id"]) for record in self.page(object_type).results]

    def archived(self, object_type: ObjectType) -> Reply:
        """Return a page with one archived record of a type."""
        if object_type.type_id not in self._archived:
            parts = {"type": object_type.type_id}
            self._archived[object_type.type_id] = self.client.get(
                "list", parts, limit="1", archived="true", properties="hs_object_id"
            )
        return self._archived[object_type.type_id]

    def readable(self, *, least: int = 0) -> list[ObjectType]:
        """Return the types that can be listed and have at least this number of records."""
        return [
            object_type
            for object_type in self.object_types
            if self.page(object_type).is_good and len(self.ids(object_type)) >= least
        ]

    @cached_property
    def edges(self) -> list[Edges]:
        """The associations of the first ids of every pair whose types both have records."""
        return list(self._edges())

    def _edges(self) -> Iterator[Edges]:
        for pair in pairs(self.readable(least=1), None):
            if pair.from_type == pair.to_type:
                continue
            parts = {"type": pair.from_type.type_id, "to": pair.to_type.type_id}
            inputs = [{"id": str(id_)} for id_ in self.ids(pair.from_type)[:_IDS_PER_PAIR]]
            reply = self.client.post("associations", parts, {"inputs": inputs})
            if reply.is_good:
                yield Edges(pair, reply.results)
