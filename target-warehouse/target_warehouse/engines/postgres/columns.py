"""How a column of a PostgreSQL table, whichever program created it, is widened to hold what a stream sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy

from target_warehouse.engines.changed_keys import check_as_json, check_as_texts
from target_warehouse.engines.postgres.catalog import finds_in
from target_warehouse.engines.postgres.types import PLAIN_ELEMENTS, element, is_text, plain, wider, without_places
from target_warehouse.engines.postgres.views import out_of_the_way
from target_warehouse.engines.prepared_table import report_wider
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from target_warehouse.engines.postgres.catalog import ExistingTable
    from target_warehouse.tables.table import Table


def widen(
    table: Table,
    column: str,
    existing: ExistingTable,
    wanted: str | None,
    connection: sqlalchemy.Connection,
    *,
    is_needed: bool = False,
) -> None:
    """Widen a column in place to hold the type `wanted` too; do nothing if it already does.

    Without `wanted`, the column is widened to keep every digit of a second. A UUID column changes only if `is_needed`:
    a value came that it does not hold.

    Raises:
        LoadError: the column is a key, and its existing rows would not match the stream's keys any more.
    """
    stored, base = existing.types[column], existing.bases[column]
    new = wider(stored, base, wanted) if wanted else without_places(stored)
    if is_needed and wanted and stored == "uuid":
        new = wanted
    if new == stored:
        return
    name, quoted_name = identifier(column), identifier(table.schema, table.name)
    if is_text(new):
        check_as_texts(table, quoted_name, column, (stored, base), _converted(name, base, new), finds_in(connection))
    elif base.endswith("[]") and plain(element(base)) not in PLAIN_ELEMENTS:
        check_as_json(table, quoted_name, column, stored, finds_in(connection))
    report_wider(table, column, stored, new)
    with out_of_the_way(connection, table.schema, table.name, column):
        collation = f" COLLATE {existing.collations[column]}" if column in existing.collations and is_text(new) else ""
        alter(table, connection, f"ALTER COLUMN {name} TYPE {new}{collation} USING {_converted(name, base, new)}")


def _converted(name: str, base: str, new: str) -> str:
    """The expression that converts a column of the type `base` to a new type exactly."""
    if base.endswith("[]") and not new.endswith("[]"):
        return f"CAST(to_jsonb({name}) AS {new})"
    text = f"CAST({name} AS text)"
    if is_text(new):
        return f"CAST({_as_text(name, base)} AS {new})"
    if base in ("real", "double precision"):
        return f"CAST({text} AS {new})"  # a direct cast rounds to 15 digits
    return f"CAST({name} AS {new})"


def _as_text(name: str, base: str) -> str:
    """The expression that converts a column to the text that the target writes."""
    text, base = f"CAST({name} AS text)", plain(base)
    if base in ("json", "jsonb"):  # strings without their quotes, and equal numbers as equal texts
        number = f"CAST(trim_scale(CAST({text} AS numeric)) AS text)"
        cases = f"WHEN 'string' THEN {name} #>> '{{}}' WHEN 'number' THEN {number}"
        return f"CASE {base}_typeof({name}) {cases} ELSE {text} END"
    if base in ("numeric", "money"):
        return f"CAST(trim_scale(CAST({name} AS numeric)) AS text)"
    if base in ("real", "double precision"):
        digits = f"CAST(trim_scale(CAST({text} AS numeric)) AS text)"
        return f"CASE WHEN {text} IN ('NaN', 'Infinity', '-Infinity') THEN {text} ELSE {digits} END"
    if base == "timestamp with time zone":
        return f"CAST({name} AT TIME ZONE 'UTC' AS text)"
    if base == "time with time zone":
        return f"regexp_replace({text}, '[+]00$', '')"
    return f"encode({name}, 'hex')" if base == "bytea" else text


def alter(table: Table, connection: sqlalchemy.Connection, change: str) -> None:
    """Run an ALTER TABLE."""
    statement = f"ALTER TABLE {identifier(table.schema, table.name)} {change}"
    connection.exec_driver_sql(statement.replace("%", "%%"), ())


def full_name(sql_type: str) -> str:
    """SQLAlchemy's name of a type as PostgreSQL's format_type writes it."""
    return sql_type.lower().replace("decimal", "numeric").replace("varchar", "character varying").replace(", ", ",")
