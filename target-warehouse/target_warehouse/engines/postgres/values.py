"""The expressions by which staged values become those of their columns, and those that would not stay what they are.

PostgreSQL converts by itself where nothing is lost; what is written here is the rest. A type that is not ours reads
every value as text, as it would what a user types, and without the length or exactness of the column: a cast to those
cuts and rounds, an assignment refuses what is too long, but rounds as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from target_warehouse.engines.postgres.types import are_alike, element, is_number, is_ours, is_text, plain
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from target_warehouse.engines.postgres.tables import Existing

_STAGED = (
    (pa.types.is_integer, "bigint"),
    (pa.types.is_decimal, "numeric"),
    (pa.types.is_floating, "double precision"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time without time zone"),
    (pa.types.is_timestamp, "timestamp without time zone"),
)


#: Types, as a text is read by them, that a cast to fewer digits or letters rounds or cuts.
_CUT = ("interval", '"bit"', "bit varying")


def value(column: str, arrow: pa.DataType, existing: Existing) -> str:
    """The value of this column of the relation `s` in the type of the table's column."""
    staged, kind, base = f"s.{identifier(column)}", existing.types[column], existing.bases[column]
    if base.endswith("[]"):
        inner = element(base)
        unpack = "jsonb_array_elements" if inner in ("jsonb", "json") else "jsonb_array_elements_text"
        items = f"SELECT CAST(i.v AS {inner}) FROM {unpack}(CAST({staged} AS jsonb)) AS i(v)"  # noqa: S608 - catalog type
        return f"CASE WHEN {staged} IS NOT NULL THEN ARRAY({items}) END"
    if base == "bytea":
        return f"decode({staged}, 'hex')"
    if kind != base or not is_ours(kind):
        text = f"trim_scale({staged})" if pa.types.is_decimal(arrow) else staged
        return f"CAST({text if arrow == pa.string() else f'CAST({text} AS text)'} AS {existing.inputs[column]})"
    if pa.types.is_decimal(arrow) and kind == "numeric":
        return f"trim_scale({staged})"
    if arrow == pa.string() and not is_text(kind):
        return f"CAST({staged} AS {kind})"
    if arrow != pa.string() and is_text(kind):
        return f"CAST({staged} AS text)"
    return staged


def is_odd(column: str, existing: Existing) -> bool:
    """Whether the column can refuse or round what its stream's schema allows."""
    kind, base = existing.types[column], existing.bases[column]
    return kind != base or not is_ours(kind) or (plain(kind) == "numeric" and kind != "numeric")


def changed(column: str, arrow: pa.DataType, existing: Existing) -> str | None:
    """The condition that an odd column would keep another value than this one of `s`; None where it never does."""
    staged, kind, base = f"s.{identifier(column)}", existing.types[column], existing.bases[column]
    stored = f"CAST({value(column, arrow, existing)} AS {kind})"
    if arrow == pa.string():
        if is_number(base):
            return f"CAST({stored} AS numeric) <> CAST({staged} AS numeric)"
        read = existing.inputs[column]
        is_cut = kind != read and (is_text(read) or read in _CUT)
        return f"{stored} <> CAST({staged} AS {read})" if is_cut else None
    sent = next((name for is_kind, name in _STAGED if is_kind(arrow)), "")
    if not are_alike(base, sent):
        return None
    return f"CAST({stored} AS {'numeric' if is_number(base) else sent}) <> {staged}"
