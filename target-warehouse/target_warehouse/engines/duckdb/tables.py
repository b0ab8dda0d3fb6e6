"""How a table of a DuckDB file is created, extended, widened and given another key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from target_warehouse.engines.changed_keys import check_spellings, has_another_key, is_of_a_target, may_be_null
from target_warehouse.engines.duckdb import columns
from target_warehouse.engines.duckdb.attach import CATALOG
from target_warehouse.engines.duckdb.catalog import (
    check_no_view,
    columns_of,
    constraints_of,
    finds_in,
    generated_of,
    table_name,
)
from target_warehouse.engines.duckdb.columns import COLUMN_TYPES
from target_warehouse.engines.prepared_table import check_schema, named
from target_warehouse.errors import LoadError
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from target_warehouse.engines.duckdb.file import DuckDBFile
    from target_warehouse.tables.table import Table


def prepare(table: Table, file: DuckDBFile, names: Collection[str]) -> Table:
    """Create the table, add its missing columns, widen its narrow ones; returns it with the names that it has.

    `names` are the tables of its schema.

    Raises:
        LoadError: the existing table or one of its rows prevents this; the message says what to do.
    """
    connection = file.connection
    any_row = finds_in(connection)
    check_schema(table, None)
    if table.schema:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(CATALOG, table.schema)}")
    table = named(
        table,
        names,
        lambda schema, name: columns_of(connection, CATALOG, schema, name),
        most_bytes=None,
        ignores_case=True,
        barred=lambda name: generated_of(connection, CATALOG, table.schema, name),
    )
    check_no_view(connection, CATALOG, table.schema, table.name)
    existing, name = columns_of(connection, CATALOG, table.schema, table.name), table_name(table)
    known = _known_key(table, file, existing)
    is_rekeyed = has_another_key(table, name, existing, known, any_row)
    check_spellings(table, name, existing, any_row, "regexp_matches({text}, {pattern})")
    columns.check_collations(connection, CATALOG, table)
    wanted_types = {column.name: COLUMN_TYPES[column.kind] for column in table.columns}
    if not existing:
        definitions = [
            f"{identifier(column)} {wanted}" + (" NOT NULL" if column in table.key_names else "")
            for column, wanted in wanted_types.items()
        ]
        connection.execute(f"CREATE TABLE {name} ({', '.join(definitions)})")
    for column, wanted in wanted_types.items():
        if existing and column not in existing:
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {identifier(column)} {wanted}")
        elif existing and existing[column] != wanted:
            _alter(table, file, column, existing[column], wanted)
    if is_rekeyed and is_of_a_target(existing) and not _has_primary_key(table, file):
        _change_key(table, file, known)
    columns.check_objects(connection, name, table)
    return table


def widen(table: Table, file: DuckDBFile, kinds: Mapping[str, str]) -> None:
    """Change the types of the columns of these properties; see the protocol."""
    for name, kind in kinds.items():
        column = table.by_property[name]
        existing = columns_of(file.connection, CATALOG, table.schema, table.name)[column.name]
        _alter(table, file, column.name, existing, COLUMN_TYPES[kind], is_needed=True)


def key_names(file: DuckDBFile, schema: str | None, name: str) -> list[str]:
    """The primary key, or else the NOT NULL columns, which are the key in the tables of this target."""
    constraints = constraints_of(file.connection, CATALOG, schema, name)
    primary = [column for constraint, column in constraints if constraint == "PRIMARY KEY"]
    return primary or [column for constraint, column in constraints if constraint == "NOT NULL"]


def _known_key(table: Table, file: DuckDBFile, types: Mapping[str, str]) -> list[str]:
    """The primary key, or in a target's table the NOT NULL columns, which are the key in our tables."""
    if is_of_a_target(types) or _has_primary_key(table, file):
        return key_names(file, table.schema, table.name)
    return []


def _has_primary_key(table: Table, file: DuckDBFile) -> bool:
    constraints = constraints_of(file.connection, CATALOG, table.schema, table.name)
    return any(constraint == "PRIMARY KEY" for constraint, _ in constraints)


def _change_key(table: Table, file: DuckDBFile, known: Sequence[str]) -> None:
    """Make the columns of the key NOT NULL, and no others.

    DuckDB cannot do that if the table has an index. If the table had no known key, the error is ignored, and every run
    checks the key again.
    """
    alter = f"ALTER TABLE {table_name(table)} ALTER COLUMN"
    try:
        for column in may_be_null(table, known):
            file.connection.execute(f"{alter} {identifier(column)} DROP NOT NULL")
        for column in table.key_names:
            file.connection.execute(f"{alter} {identifier(column)} SET NOT NULL")
    except duckdb.DependencyException as error:
        if known:
            msg = (
                f"The key of the table {table.name} changes, and DuckDB cannot change the columns of a table that "
                "has an index: drop its indexes, run, and create them again."
            )
            raise LoadError(msg) from error


def _alter(table: Table, file: DuckDBFile, column: str, existing: str, wanted: str, *, is_needed: bool = False) -> None:
    with file.all_memory():
        columns.alter(file.connection, table_name(table), table, (column, existing), wanted, is_needed=is_needed)
