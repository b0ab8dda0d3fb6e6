"""The properties that a stream asks for, and how replies with objects are decoded for it.

A reply is decoded straight into the texts of the wanted properties, in their order: with hundreds of properties
that is half the work of decoding it as it stands, and picking the values from dictionaries is spared too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import methodcaller
from typing import Any, TypedDict

import msgspec
from msgspec.structs import astuple

from tap_hubspot_dw.replies import Reply, decode
from tap_hubspot_dw.schemas import Column
from tap_hubspot_dw.written import WrittenRecord, writer

MERGED_IDS = "hs_merged_object_ids"


class Wanted:
    """The names of properties, sorted; `decode` gives each object's `properties` as a tuple of their texts."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted({*names, "hs_object_id", MERGED_IDS}))
        fields = [f"p{number}" for number in range(len(self.names))]  # a property's name need not be one in Python
        values = msgspec.defstruct(
            "Properties",
            [(field, str | None, None) for field in fields],
            rename=dict(zip(fields, self.names, strict=True)),
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(_reply_of(values))
        self._merged = self.names.index(MERGED_IDS)
        self._written: Callable[[bytes], Reply | None] | None = None

    def write(self, columns: Sequence[Column]) -> None:
        """Let `decode` give written records of these columns instead, where it can."""
        self._written = writer(self.names, columns, self._merged)

    def decode(self, content: bytes) -> Reply:
        """Return a reply; a value that is no text, which HubSpot promises it is, becomes its JSON text.

        Raises:
            HubSpotError: the body is not a JSON object.
        """
        if self._written and (written := self._written(content)) is not None:
            return written
        try:
            reply: Reply = self._decoder.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            reply = decode(content)
            for each in reply.get("results") or ():
                each["properties"] = self._texts(each.get("properties") or {})
            return reply
        for each in reply.get("results") or ():
            each["properties"] = astuple(each["properties"]) if "properties" in each else (None,) * len(self.names)
        return reply

    def merged_ids(self, values: tuple[str | None, ...] | WrittenRecord) -> list[str]:
        """Return the ids of the objects that were merged into the one with these values."""
        text = values.merged if isinstance(values, WrittenRecord) else values[self._merged]
        return [each for each in map(methodcaller("strip"), (text or "").split(";")) if each]

    def _texts(self, properties: Mapping[str, Any]) -> tuple[str | None, ...]:
        found = map(properties.get, self.names)
        return tuple(each if each is None or isinstance(each, str) else json.dumps(each) for each in found)


_list_type: Any = list
_typed_dict: Any = TypedDict  # made at run time: no type checker knows what a portal's properties are called


def _reply_of(values: type) -> Any:
    """Return the type of a reply: what the tap reads of it, the properties in `values`."""
    told = dict.fromkeys(("id", "createdAt", "updatedAt", "archived", "archivedAt", "url"), Any)
    each: Any = _typed_dict("each", {**told, "properties": values}, total=False)
    told = dict.fromkeys(("paging", "total", "errors"), Any)
    return _typed_dict("reply", {**told, "results": _list_type[each]}, total=False)


IDS_ONLY = Wanted([])
