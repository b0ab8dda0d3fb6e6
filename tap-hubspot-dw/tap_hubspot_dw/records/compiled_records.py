"""The fast path from HubSpot's reply to RECORD lines, in C.

`_pages` parses a reply and writes each object's record as JSON, byte for byte what `full_records` and the encoder
produce. It calls back into Python for values that are not plain. Replies that are not plain, and all replies if there
is no `_pages` (see `extension`), take the slow path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.records.converters import Converter, Memo, to_boolean, to_date, to_date_time, to_number
from tap_hubspot_dw.records.extension import extension
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.record_forms import WrittenRecord
from tap_hubspot_dw.records.schemas import Column

_COLUMN_TYPES: dict[Converter, str] = {
    to_number: "NUMBER",
    to_boolean: "BOOLEAN",
    to_date: "DATE",
    to_date_time: "DATE_TIME",
}
_encoder = msgspec.json.Encoder(decimal_format="number")


def writer(names: Sequence[str], columns: Sequence[Column], merged: int) -> Callable[[bytes], Reply | None] | None:
    """Return a function that turns a reply into records encoded as JSON, or None if there is no C code for these names.

    It returns a reply with an `ObjectPage`, or None for a reply that is not plain. `names` are the properties to read,
    `merged` the index of the property that names merged objects.
    """
    keys = [_encoder.encode(name) for name in [*names, *(column.name for column in columns)]]
    if not extension or any(b"\\" in key for key in keys):
        return None
    types = {convert: getattr(extension, column_type) for convert, column_type in _COLUMN_TYPES.items()}
    memos = {column_type: Memo(partial(_encoded, convert)) for convert, column_type in types.items()}

    def convert(column_type: int, value: Any) -> bytes:
        return memos[column_type][value] if column_type in memos else _encoder.encode(value)

    places = {name: place for place, name in enumerate(names)}
    reader = extension.reader(
        tuple(key[1:-1] for key in keys[: len(names)]),
        tuple(
            (
                places[column.property_name],
                types[column.convert] if column.convert else extension.TEXT,
                b"," + key + b":",
            )
            for column, key in zip(columns, keys[len(names) :], strict=True)
        ),
        merged,
        convert,
    )
    return partial(_written, reader)


def _encoded(convert: Callable[[str], object], text: str) -> bytes:
    return _encoder.encode(convert(text))


def _written(reader: Any, content: bytes) -> Reply | None:
    page = extension.read(reader, content)
    if page is None:
        return None
    objects, first, last = page
    reply = shapes.envelope(content[:first] + b"[]" + content[last:])
    shapes.check_objects((each[0], each[-1]) for each in objects)
    reply["results"] = ObjectPage(
        [int(each[0]) for each in objects],
        [
            WrittenRecord(id_, created_at, updated_at, invalid, msgspec.Raw(json))
            for id_, created_at, updated_at, invalid, _, json, _, _ in objects
        ],
        [each[4] for each in objects],
        [each[-1] for each in objects],
        [each[-2] for each in objects],
    )
    return reply
