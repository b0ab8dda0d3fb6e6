"""The expressions that convert staged values to the types of their columns, and that find values which would change.

PostgreSQL converts implicitly where nothing is lost; the expressions here cover the rest. A value for a type that is
not ours is cast from text, and to the type without length or precision: a cast with them truncates and rounds, while
an assignment refuses values that are too long, but rounds too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from target_warehouse.engines.postgres.types import are_alike, element, is_number, is_ours, is_text, plain
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from target_warehouse.engines.postgres.catalog import ExistingTable

_STAGED = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_floating, "double precision"),
    (pa.types.is_decimal, "numeric"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time without time zone"),
    (pa.types.is_timestamp, "timestamp without time zone"),
    (pa.types.is_binary, "bytea"),
)

#: Input types whose values a cast to fewer digits rounds, or to a shorter length truncates.
_CUT = ("interval", '"bit"', "bit varying")


def staged_type(arrow: pa.DataType) -> str:
    """The type of a staged column before it is cast, the same as ADBC creates."""
    return next((name for is_type, name in _STAGED if is_type(arrow)), "text")


def value(column: str, arrow: pa.DataType, existing: ExistingTable) -> str:
    """The expression that converts this column of the relation `s` to the type of the table's column."""
    staged, column_type, base = f"s.{identifier(column)}", existing.types[column], existing.bases[column]
    if base.endswith("[]"):
        inner = element(base)
        unpack = "jsonb_array_elements" if inner in ("jsonb", "json") else "jsonb_array_elements_text"
        items = f"SELECT CAST(i.v AS {inner}) FROM {unpack}(CAST({staged} AS jsonb)) AS i(v)"  # noqa: S608 - catalog type
        return f"CASE WHEN {staged} IS NOT NULL THEN ARRAY({items}) END"
    if base == "bytea":
        return f"decode({staged}, 'hex')"
    if column_type != base or not is_ours(column_type):
        text = f"trim_scale({staged})" if pa.types.is_decimal(arrow) else staged
        read = f"CAST({text if arrow == pa.string() else f'CAST({text} AS text)'} AS {existing.inputs[column]})"
        return f"{read} COLLATE {existing.collations[column]}" if column in existing.collations else read
    if pa.types.is_decimal(arrow) and column_type == "numeric":
        return f"trim_scale({staged})"
    if arrow == pa.string() and not is_text(column_type):
        return f"CAST({staged} AS {column_type})"
    if is_text(column_type):
        text = staged if arrow == pa.string() else f"CAST({staged} AS text)"
        return f"{text} COLLATE {existing.collations[column]}" if column in existing.collations else text
    return staged


def may_change(column: str, existing: ExistingTable) -> bool:
    """Whether the column can refuse or round values that the stream's schema allows."""
    column_type, base = existing.types[column], existing.bases[column]
    return (
        column_type != base
        or not is_ours(column_type)
        or (plain(column_type) == "numeric" and column_type != "numeric")
    )


def changed(column: str, arrow: pa.DataType, existing: ExistingTable) -> str | None:
    """The condition that a column with `may_change` would store another value than the one in `s`; None if never."""
    staged, column_type, base = f"s.{identifier(column)}", existing.types[column], existing.bases[column]
    stored = f"CAST({value(column, arrow, existing)} AS {column_type})"
    if arrow == pa.string():
        if is_number(base):
            return f"CAST({stored} AS numeric) <> CAST({staged} AS numeric)"
        read = existing.inputs[column]
        is_cut = column_type != read and (is_text(read) or read in _CUT)
        conditions = [f"{stored} <> CAST({staged} AS {read})"] if is_cut else []
        if read == "interval":  # a number is one of seconds, and rounded to microseconds
            seconds = f"extract(epoch FROM {stored}) <> CAST({staged} AS numeric)"
            conditions.append(f"CASE WHEN {staged} ~ '^[-+]?[0-9]+[.]?[0-9]*$' THEN {seconds} ELSE false END")
        if read == "oid":  # numbers beyond its range wrap around
            conditions.append(f"CAST(CAST({stored} AS bigint) AS numeric) <> CAST({staged} AS numeric)")
        return " OR ".join(conditions) or None
    sent, read = staged_type(arrow), existing.inputs[column]
    if read in _CUT and column_type != read:
        return f"{stored} <> CAST(CAST({staged} AS text) AS {read})"
    if not are_alike(base, sent):
        return None
    return f"CAST({stored} AS {'numeric' if is_number(base) else sent}) <> {staged}"
