"""Records that are JSON as soon as their reply is read: the fast way from HubSpot to RECORD lines.

`_pages`, in C, reads a reply and writes each object's record, to the byte what `records` and the encoder would make
of it. A value that is not plain is converted here; a
reply that is not plain, and every reply where `_pages` was not compiled, takes the other way. Nobody else needs to
know: only what is asked of a record besides its JSON is at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.records.converters import Converter, Memo, to_boolean, to_date, to_date_time, to_number
from tap_hubspot_dw.records.schemas import Column

try:
    from tap_hubspot_dw.records import _pages
except ImportError:  # there was no compiler when the tap was installed
    _pages = None  # type: ignore[assignment]

IS_COMPILED = _pages is not None
_TEXT, _INVALID = 0, 5  # as `_pages` numbers kinds of columns; the others are these
_COLUMN_TYPES: dict[Converter, int] = {to_number: 1, to_boolean: 2, to_date: 3, to_date_time: 4}
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class WrittenRecord(msgspec.Struct):
    """A full record as JSON, and what else is asked of it."""

    id: str
    created_at: str | None
    updated_at: str | None
    invalid_properties: dict[str, str] | None
    merged: str | None  # the text of `hs_merged_object_ids`
    json: msgspec.Raw

    def as_dict(self) -> dict[str, Any]:
        """Return the record as Singer has it."""
        return _decoder.decode(self.json)


def written_record(record: dict[str, Any]) -> WrittenRecord:
    """Return a full record as it is written."""
    return WrittenRecord(
        id=record["id"],
        created_at=record["created_at"],
        updated_at=record["updated_at"],
        invalid_properties=record["invalid_properties"],
        merged=None,
        json=msgspec.Raw(_encoder.encode(record)),
    )


def writer(names: Sequence[str], columns: Sequence[Column], merged: int) -> Callable[[bytes], Reply | None] | None:
    """Return what gives a reply whose objects' `properties` are written records; None for one that is not plain.

    `names` are the wanted properties, `merged` the number of the one that names merged objects. None if there is no
    such writer.
    """
    keys = [_encoder.encode(name) for name in [*names, *(column.name for column in columns)]]
    if not IS_COMPILED or any(b"\\" in key for key in keys):
        return None
    memos = {column_type: Memo(partial(_encoded, convert)) for convert, column_type in _COLUMN_TYPES.items()}

    def convert(column_type: int, value: Any) -> bytes:
        return _encoder.encode(value) if column_type in {_TEXT, _INVALID} else memos[column_type][value]

    places = {name: place for place, name in enumerate(names)}
    reader = _pages.reader(
        tuple(key[1:-1] for key in keys[: len(names)]),
        tuple(
            (
                places[column.property_name],
                _COLUMN_TYPES[column.convert] if column.convert else _TEXT,
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
    found = _pages.read(reader, content)
    if found is None:
        return None
    objects, first, last = found
    reply = shapes.envelope(content[:first] + b"[]" + content[last:])
    reply["results"] = [
        {
            "id": id_,
            "updatedAt": raw_updated_at,
            "archivedAt": archived_at,
            "properties": WrittenRecord(id_, created_at, updated_at, invalid, merged, msgspec.Raw(json)),
        }
        for id_, created_at, updated_at, invalid, merged, json, raw_updated_at, archived_at in objects
    ]
    shapes.check_objects(reply["results"])
    return reply
