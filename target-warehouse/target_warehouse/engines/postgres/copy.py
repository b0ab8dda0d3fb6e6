"""Arrow columns in the exact types of PostgreSQL's columns, for a binary COPY, and in the order of the key.

COPY converts nothing: eight bytes are not an `integer`. Types without an exact Arrow counterpart here (arrays, `real`,
`numeric` with a precision, text of a fixed width) are staged and cast by the server instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow as pa

from target_warehouse.engines.postgres.types import without_places

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_ORDERED = (pa.types.is_integer, pa.types.is_decimal, pa.types.is_string, pa.types.is_temporal)
_TEXT_UP_TO = re.compile(r"character varying(\(\d+\))?")


def as_stored(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray | None:
    """The values in the Arrow type that COPY writes to a column of this type; None if there is none."""
    column = without_places(column)  # values that would be rounded are refused earlier
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
        except pa.ArrowInvalid:  # too large: the server refuses it when it casts, and the record is then identified
            return None
    return None


def in_order(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows in the order of the key, so that neighbours in the table and its index are looked up together.

    Rows whose first key column ascends already, or with a key that Arrow cannot compare, stay in their order.
    """
    from pyarrow import compute  # imported here: it takes some 20 ms, and most runs have no such batch

    if any(not _is_ordered(rows.schema.field(key).type) for key in keys):
        return rows
    first = rows[keys[0]].combine_chunks()
    if compute.all(compute.less(first[:-1], first[1:])).as_py():
        return rows
    return rows.sort_by([(key, "ascending") for key in keys])


def _is_ordered(data_type: pa.DataType) -> bool:
    return any(is_of(data_type) for is_of in _ORDERED)
