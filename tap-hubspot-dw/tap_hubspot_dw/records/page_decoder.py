"""The properties that a stream reads, and the decoding of replies with objects.

A reply is decoded directly into the texts of the wanted properties, in their order. With hundreds of properties that
is half the work of decoding it to dictionaries, before the values are picked from them.
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
    """Decodes replies for sorted property names; each object's `properties` becomes a tuple of their texts."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted({*names, "hs_object_id", MERGED_IDS}))
        self._decoder = _decoder_of(self.names) if are_plain(self.names) else None
        self._merged = self.names.index(MERGED_IDS)
        self._written: Callable[[bytes], Reply | None] | None = None

    def write(self, columns: Sequence[Column]) -> None:
        """Make `decode` return written records of these columns instead, where the fast path can."""
        self._written = writer(self.names, columns, self._merged)

    def decode(self, content: bytes) -> Reply:
        """Return a reply; a value that is not text, contrary to HubSpot's promise, becomes its JSON text.

        Raises:
            UnreadableReplyError: the reply is not JSON, or has another shape.
        """
        if self._written and (written := self._written(content)) is not None:
            return written
        reply: Reply | None = None
        if self._decoder:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                reply = self._decoder.decode(content)
        if reply is None:
            reply = shapes.objects(content)
            for result in reply["results"]:
                result["properties"] = self._texts(result["properties"])
        else:
            for result in reply["results"]:
                result["properties"] = astuple(result["properties"])
        shapes.check_objects(reply["results"])
        return reply

    def merged_ids(self, values: tuple[str | None, ...] | WrittenRecord) -> list[str]:
        """Return the distinct ids of the objects that were merged into the one with these values.

        Texts that are not ids of HubSpot's, which are numbers, are ignored.
        """
        text = values.merged if isinstance(values, WrittenRecord) else values[self._merged]
        if not text:
            return []
        return list(dict.fromkeys(id_ for id_ in map(str.strip, text.split(";")) if _ID.fullmatch(id_)))

    def _texts(self, properties: Mapping[str, Any]) -> tuple[str | None, ...]:
        values = map(properties.get, self.names)
        return tuple(value if value is None or isinstance(value, str) else json.dumps(value) for value in values)


def _decoder_of(names: Sequence[str]) -> msgspec.json.Decoder[Any]:
    fields = [f"p{number}" for number in range(len(names))]  # a property's name need not be a Python identifier
    values = msgspec.defstruct(
        "Properties",
        [(field, str | None, None) for field in fields],
        rename=dict(zip(fields, names, strict=True)),
        gc=False,
    )
    return msgspec.json.Decoder(_reply_of(values))


_list_type: Any = list
_typed_dict: Any = TypedDict  # made at run time: no type checker knows a portal's properties


def _reply_of(values: type) -> Any:
    """Return the type of a reply with the fields that the tap reads; `values` is the type of the properties."""
    fields = dict.fromkeys(("createdAt", "updatedAt", "archivedAt"), NotRequired[Any])
    fields |= {"archived": NotRequired[bool | None], "url": NotRequired[str | None]}
    result: Any = _typed_dict("result", {"id": str, **fields, "properties": values})
    return _typed_dict("reply", {**shapes.AROUND, "results": _list_type[result]})


IDS_ONLY = PageDecoder([])
