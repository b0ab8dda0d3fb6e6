"""The forms of a record: a dictionary, an object with a field per column, or JSON.

Delete records, and the records of all streams but those of objects, are dictionaries. A full record is a `FullRecord`
on the slow path and a `WrittenRecord` on the fast path; both have the few fields that other code needs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import astuple

Record = dict[str, Any]

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class FullRecord(msgspec.Struct):
    """A full record: the tap's own columns. Each `RecordMaker` makes a subclass that adds the columns of properties.

    Dictionaries with hundreds of columns would cost 50 % more instructions per record, decoding included.
    """

    id: str
    created_at: str | None
    updated_at: str | None
    archived: bool
    archived_at: None
    merged_into_id: None
    url: str | None
    invalid_properties: dict[str, str] | None
    _sdc_deleted_at: None

    def as_dict(self) -> Record:
        """Return the record as a dictionary, with the names and order of its JSON."""
        return dict(zip(self.__struct_encode_fields__, astuple(self), strict=True))


class WrittenRecord(msgspec.Struct):
    """A full record as JSON, and the fields of it that other code needs."""

    id: str
    created_at: str | None
    updated_at: str | None
    invalid_properties: dict[str, str] | None
    json: msgspec.Raw

    def as_dict(self) -> Record:
        """Return the record as a dictionary."""
        return _decoder.decode(self.json)


AnyRecord = Record | FullRecord | WrittenRecord


def written_record(record: Record) -> WrittenRecord:
    """Return a full record in its written form."""
    return WrittenRecord(
        id=record["id"],
        created_at=record["created_at"],
        updated_at=record["updated_at"],
        invalid_properties=record["invalid_properties"],
        json=msgspec.Raw(_encoder.encode(record)),
    )
