"""The properties that a stream asks for, and how replies with objects are decoded for it.

A reply is decoded straight into the texts of the wanted properties, in their order: with hundreds of properties
that is half the work of decoding it as it stands, and picking the values from dictionaries is spared too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NotRequired, TypedDict

import msgspec
from msgspec.structs import astuple

from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.records.compiled_records import WrittenRecord, writer
from tap_hubspot_dw.records.schemas import Column, are_plain

_ID = re.compile(r"[1-9]\d{0,29}", re.ASCII)
MERGED_IDS = "hs_merged_object_ids"


class PageDecoder:
    """The names of properties, sorted; `decode` gives each object's `properties` as a tuple of their texts."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted({*names, "hs_object_id", MERGED_IDS}))
        self._decoder = _decoder_of(self.names) if are_plain(self.names) else None
        self._merged = self.names.index(MERGED_IDS)
        self._written: Callable[[bytes], Reply | None] | None = None

    def write(self, columns: Sequence[Column]) -> None:
        """Let `decode` give written records of these columns instead, where it can."""
        self._written = writer(self.names, columns, self._merged)

    def decode(self, content: bytes) -> Reply:
        """Return a reply; a value that is no text, which HubSpot promises it is, becomes its JSON text.

        Raises:
            UnreadableReplyError: it is not JSON, or of another shape.
        """
        if self._written and (written := self._written(content)) is not None:
            return written
        reply: Reply | None = None
        if self._decoder:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                reply = self._decoder.decode(content)
        if reply is None:
            reply = shapes.objects(content)
            for each in reply["results"]:
                each["properties"] = self._texts(each["properties"])
        else:
            for each in reply["results"]:
                each["properties"] = astuple(each["properties"])
        shapes.check_objects(reply["results"])
        return reply

    def merged_ids(self, values: tuple[str | None, ...] | WrittenRecord) -> list[str]:
        """Return the ids of the objects that were merged into the one with these values, each once.

        What is no id of HubSpot's, which are numbers, names nobody.
        """
        text = values.merged if isinstance(values, WrittenRecord) else values[self._merged]
        if not text:
            return []
        return list(dict.fromkeys(each for each in map(str.strip, text.split(";")) if _ID.fullmatch(each)))

    def _texts(self, properties: Mapping[str, Any]) -> tuple[str | None, ...]:
        found = map(properties.get, self.names)
        return tuple(each if each is None or isinstance(each, str) else json.dumps(each) for each in found)


def _decoder_of(names: Sequence[str]) -> msgspec.json.Decoder[Any]:
    fields = [f"p{number}" for number in range(len(names))]  # a property's name need not be one in Python
    values = msgspec.defstruct(
        "Properties",
        [(field, str | None, None) for field in fields],
        rename=dict(zip(fields, names, strict=True)),
        gc=False,
    )
    return msgspec.json.Decoder(_reply_of(values))


_list_type: Any = list
_typed_dict: Any = TypedDict  # made at run time: no type checker knows what a portal's properties are called


def _reply_of(values: type) -> Any:
    """Return the type of a reply: what the tap reads of it, the properties in `values`."""
    fields = dict.fromkeys(("createdAt", "updatedAt", "archivedAt"), NotRequired[Any])
    fields |= {"archived": NotRequired[bool | None], "url": NotRequired[str | None]}
    each: Any = _typed_dict("each", {"id": str, **fields, "properties": values})
    return _typed_dict("reply", {**shapes.AROUND, "results": _list_type[each]})


IDS_ONLY = PageDecoder([])
