"""The properties that a stream reads, and the decoding of replies with objects into pages of records.

A reply is decoded directly into the texts of the wanted properties, in their order. With hundreds of properties that
is half the work of decoding it to dictionaries, before the values are picked from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NotRequired, TypedDict

import msgspec
from msgspec.structs import astuple

from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.records.compiled_records import writer
from tap_hubspot_dw.records.full_records import RecordMaker, Texts
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.schemas import Column, are_plain

MERGED_IDS = "hs_merged_object_ids"


class PageDecoder:
    """Decodes replies with objects that have the properties `names`, which are sorted. Thread-safe."""

    def __init__(
        self,
        names: Iterable[str],
        columns: Sequence[Column] | None = None,
        *,
        all_in: str | None = None,
        in_c: bool = False,
    ) -> None:
        """Take the properties to request, and the columns of the records; without columns no records are made.

        `all_in` is the column of all properties as texts, if wanted. With `in_c`, records are written in C where the
        fast path can; it has no such column.
        """
        self.names = tuple(sorted({*names, "hs_object_id", MERGED_IDS}))
        #: The types of the properties that have a column of their own; text is an empty type.
        self.types = {column.property_name: column.type for column in columns or ()}
        self._decoder = _decoder_of(self.names) if are_plain(self.names) else None
        self._merged = self.names.index(MERGED_IDS)
        self._records = None if columns is None else RecordMaker(self.names, columns, all_in=all_in)
        self._written: Callable[[bytes], Reply | None] | None = None
        if in_c and columns is not None:
            self._written = writer(self.names, columns, self._merged)

    def decode(self, content: bytes) -> Reply:
        """Return a reply whose results are an `ObjectPage`.

        A value that is not text, contrary to HubSpot's promise, becomes its JSON text. Of an object that the reply has
        twice, the newest version counts.

        Raises:
            UnreadableReplyError: the reply is not JSON, or has another shape.
        """
        reply = self._written(content) if self._written else None
        if reply is None:
            reply = self._read(content)
        reply["results"] = reply["results"].newest()
        return reply

    def _read(self, content: bytes) -> Reply:
        reply: Reply | None = None
        if self._decoder:
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                reply = self._decoder.decode(content)
        if reply is None:
            reply = shapes.objects(content)
            texts = [self._texts(each["properties"]) for each in reply["results"]]
        else:
            texts = [astuple(each["properties"]) for each in reply["results"]]
        reply["results"] = self._page(reply["results"], texts)
        return reply

    def _page(self, objects: Sequence[Mapping[str, Any]], texts: Sequence[Texts]) -> ObjectPage:
        shapes.check_objects((each["id"], each.get("archivedAt")) for each in objects)
        return ObjectPage(
            [int(each["id"]) for each in objects],
            self._records(objects, texts) if self._records else (),
            [values[self._merged] for values in texts],
            [each.get("archivedAt") for each in objects],
            [each.get("updatedAt") for each in objects],
        )

    def _texts(self, properties: Mapping[str, Any]) -> Texts:
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
