"""Arrow columns in the very types of PostgreSQL's columns, which a binary COPY writes as they are.

COPY converts nothing: eight bytes are not an `integer`. What has no exact twin here (arrays, `real`, `numeric` with a
precision, text of a fixed width) is staged and cast by the server instead.
"""

from __future__ import annotations

import re

import pyarrow as pa

_TWINS = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "text": pa.string(),
    "date": pa.date32(),
    "time without time zone": pa.time64("us"),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us"),
    "json": pa.string(),
    "jsonb": pa.json_(),
}
_TEXT_UP_TO = re.compile(r"character varying(\(\d+\))?")


def as_stored(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray | None:
    """The values as a column of this type takes them; None if it takes none as they are."""
    if column == "numeric":
        return values if pa.types.is_decimal(values.type) else None
    twin = pa.string() if _TEXT_UP_TO.fullmatch(column) else _TWINS.get(column)
    if twin is None or values.type == twin:
        return values if twin is not None else None
    if twin == pa.json_() and values.type == pa.string():
        return pa.chunked_array([pa.ExtensionArray.from_storage(twin, chunk) for chunk in values.chunks], twin)
    if values.type == pa.int64() and pa.types.is_integer(twin):
        try:
            return values.cast(twin)
        except pa.ArrowInvalid:  # too large: the server says so when it casts, and which record is to blame is found
            return None
    return None
