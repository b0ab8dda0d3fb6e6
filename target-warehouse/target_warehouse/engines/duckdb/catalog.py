"""The names of tables in a DuckDB file, and what the catalog of an attached file says about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from target_warehouse.engines.duckdb.attach import CATALOG
from target_warehouse.errors import LoadError
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_warehouse.tables.table import Table


def finds_in(connection: duckdb.DuckDBPyConnection) -> Callable[[str], bool]:
    """A function that says whether a SELECT returns a row."""
    return lambda sql: connection.execute(sql).fetchone() is not None


def table_name(table: Table) -> str:
    """The table's full, quoted name."""
    return identifier(CATALOG, table.schema or "main", table.name)


def tables_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None) -> list[str]:
    """The tables of a schema of an attached file."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND lower(schema_name) = lower(?)",
        [catalog, schema or "main"],
    ).fetchall()
    return [row[0] for row in rows]


def columns_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> dict[str, str]:
    """The columns of a table of an attached file, in order, and their types; empty if there is no table.

    `duckdb_columns()` would list the columns of every table of every database, which takes ten times as long.
    """
    quoted_name = identifier(catalog, schema or "main", name)
    try:
        rows = connection.execute("SELECT name, type FROM pragma_table_info(?) ORDER BY cid", [quoted_name]).fetchall()
    except duckdb.CatalogException:
        return {}
    return dict(rows)


def constraints_of(
    connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str
) -> list[tuple[str, str]]:
    """The constraints of a table of an attached file, each as (type, column)."""
    return connection.execute(
        "SELECT constraint_type, unnest(constraint_column_names) FROM duckdb_constraints() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND lower(table_name) = lower(?)",
        [catalog, schema or "main", name],
    ).fetchall()


def generated_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> list[str]:
    """The generated columns of a table."""
    if " GENERATED ALWAYS AS" not in definition_of(connection, catalog, schema, name):
        return []
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?) AND is_generated",
        [catalog, schema or "main", name],
    ).fetchall()
    return [row[0] for row in rows]


def definition_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> str:
    """The CREATE TABLE statement of a table, as DuckDB writes it; empty if there is no table."""
    row = connection.execute(
        "SELECT sql FROM duckdb_tables() WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?)",
        [catalog, schema or "main", name],
    ).fetchone()
    return str(row[0]) if row else ""


def check_no_view(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> None:
    """Check that no view has this name.

    Raises:
        LoadError: a view has it.
    """
    view = connection.execute(
        "SELECT 1 FROM duckdb_views() WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "AND lower(view_name) = lower(?)",
        [catalog, schema or "main", name],
    ).fetchone()
    if view:
        msg = (
            f"The table {name} of the DuckDB file cannot be created because {name} is a view: rename the view, or give "
            "the stream another name in the setting stream_maps."
        )
        raise LoadError(msg)
