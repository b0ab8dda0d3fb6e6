"""The overflow column, a JSONB column with the properties that have no column of their own, as members by name.

PostgreSQL allows 1,600 columns, and rows whose values, long texts aside, fit a page of 8 kB. A table that has an
overflow column gets no other columns: a property that was once a member stays one, so its values are in one place.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from target_warehouse.decode.converters import storable, without_nul
from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.table import DELETED_AT, METADATA, OVERFLOW, Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

_MOST_COLUMNS = 1_600
#: A page of 8,192 bytes, less its header, the row's header and one bit for each of 1,600 columns.
_ROW_BYTES = 7_900
#: Bytes in a row; the target sends integers as 8 bytes, and numbers of 20 digits and UUIDs as text.
_WIDTHS = {"smallint": 8, "integer": 8, "bigint": 8, "numeric": 22, "date": 4, "boolean": 1, "uuid": 37}
_TIME_BYTES, _TEXT_BYTES = 8, 2  # a long text is stored outside the row, so every text counts as short
#: The types of an overflow column; another program's column of its name may have another one.
JSON_TYPES = ("jsonb", "json")
_OVERFLOW_SCHEMA = {"type": ["object", "null"]}


def with_overflow(table: Table, wanted: Mapping[str, str], existing: Mapping[str, str], used_places: int) -> Table:
    """The table with the columns that PostgreSQL allows; other properties become members of one JSON column.

    `wanted` are the types of the columns, `existing` those of the columns that the table has, and `used_places` counts
    all that it ever had, because PostgreSQL counts dropped ones too.
    """
    first = [column for column in table.columns if column.name in existing or column.property in table.keys]
    names = {column.name for column in first}
    rest = [column for column in table.columns if column.name not in names]
    rest.sort(key=lambda column: not column.name.startswith("_sdc_"))  # our own columns must be columns
    # One place is reserved for the overflow column; tables that are already full can have neither it nor new columns.
    places = _MOST_COLUMNS - 1 - max(used_places, len(first)) + (OVERFLOW in existing)
    used = 0
    for sql_type in existing.values() or (wanted[column.name] for column in first):
        used = _end(used, sql_type)
    kept, over = set(names), []
    for column in rest:
        end = _end(used, wanted[column.name])
        is_closed = existing.get(OVERFLOW) in JSON_TYPES and column.property not in (DELETED_AT, *METADATA)
        if is_closed or places < 1 or end > _ROW_BYTES:
            over.append(column)
        else:
            kept.add(column.name)
            places, used = places - 1, end
    if not over:
        return table
    logger.warning(
        "Table %s: %d of the stream's %d properties, from %s to %s, are in its column %s, a JSON object, because "
        "PostgreSQL allows 1,600 columns and rows of 8 kB.",
        table.name,
        len(over),
        len(table.columns),
        storable(over[0].property),
        storable(over[-1].property),
        OVERFLOW,
    )
    overflow = Column(
        OVERFLOW,
        "json",
        is_nullable=True,
        is_required=False,
        schema=_OVERFLOW_SCHEMA,
        members=tuple(column.property for column in over),
    )
    return replace(table, columns=(*(column for column in table.columns if column.name in kept), overflow))


def _end(start: int, sql_type: str) -> int:
    """The offset in the row at which a value ends that begins at or after `start`, aligned to its width of 4 or 8."""
    width = _TIME_BYTES if sql_type.startswith("time") else _WIDTHS.get(sql_type, _TEXT_BYTES)
    return (-(-start // width) * width if width in (4, 8) else start) + width


def unsent(table: Table) -> str:
    """The expression for the members, in a row of `t`, of properties that this table does not have; null if none.

    A former member can have a column of its own by now, if the user or an earlier release made it. Its name is only
    looked up if it is ASCII, because the database's encoding may lack it.
    """
    names = {name: None for column in table.columns for name in column.members}
    names |= {column.property: None for column in table.columns if not column.members and column.property.isascii()}
    sent = json.dumps(without_nul(names))
    return (
        f"(SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(CAST(t.{identifier(OVERFLOW)} AS jsonb)) AS m "  # noqa: S608
        f"WHERE NOT CAST({literal(sent)} AS jsonb) ? m.key)"
    )


def merged(table: Table, new: str, column_type: str) -> str:
    """The expression for the members that a row of `t` keeps and those in `new`; null if there are none."""
    both = f"coalesce({unsent(table)}, '{{}}') || coalesce(CAST({new} AS jsonb), '{{}}')"
    return f"CAST(nullif({both}, '{{}}') AS {column_type})"
