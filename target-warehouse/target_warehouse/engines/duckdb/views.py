"""Views and comments in a DuckDB file. DuckDB binds a view when it is read, so a view survives changes of its table.

Views name tables by schema only, so they work under any name that the file is attached by.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import duckdb

from target_warehouse.engines.changed_keys import is_of_a_target
from target_warehouse.engines.prepared_table import is_to_make, report_made, report_not_made
from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.table import changed_comments
from target_warehouse.tables.views import views_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_warehouse.tables.table import Table

#: By (schema, table): the comments of the columns by name, and the table's own comment under None.
Comments = dict[tuple[str, str], dict[str | None, str | None]]


def make_views(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str, views_schema: str) -> None:
    """Create or replace the views that are not up to date; see the protocol."""
    tables: dict[str, dict[str, str]] = {}
    for table, column, column_type in connection.execute(
        "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() c JOIN duckdb_tables() t "
        "USING (database_name, schema_name, table_name) WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "ORDER BY c.table_name, c.column_index",
        [catalog, schema],
    ).fetchall():
        tables.setdefault(table, {})[column] = column_type
    existing = dict(
        connection.execute(
            "SELECT lower(view_name), coalesce(comment, '') FROM duckdb_views() WHERE database_name = ? AND "
            "lower(schema_name) = lower(?) UNION ALL SELECT lower(table_name), '' FROM duckdb_tables() "
            "WHERE database_name = ? AND lower(schema_name) = lower(?)",
            [catalog, views_schema, catalog, views_schema],
        ).fetchall()
    )
    made = []
    for view in views_of(schema, tables, _keys(connection, catalog, schema, tables)):
        if not is_to_make(view, existing.get(view.name.lower()), views_schema):
            continue
        name = identifier(views_schema, view.name)
        connection.execute(f"USE {identifier(catalog)}")
        connection.execute("BEGIN")
        try:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(views_schema)}")
            connection.execute(f"CREATE OR REPLACE VIEW {name} AS {view.select()}")
            connection.execute(f"COMMENT ON VIEW {name} IS {literal(view.comment)}")
            connection.execute("COMMIT")
        except duckdb.Error as error:
            with suppress(duckdb.Error):  # DuckDB has already ended a transaction whose COMMIT failed.
                connection.execute("ROLLBACK")
            report_not_made(view, views_schema, str(error).splitlines()[0].rstrip("."))
            continue
        made.append(view)
    report_made(made, views_schema)


def _keys(
    connection: duckdb.DuckDBPyConnection, catalog: str, schema: str, tables: Mapping[str, Mapping[str, str]]
) -> dict[str, list[frozenset[str]]]:
    """The unique keys of the tables. The NOT NULL columns of a table that a target loaded are its key."""
    keys: dict[str, list[frozenset[str]]] = {}
    for name, constraint, columns in connection.execute(
        "SELECT table_name, constraint_type, constraint_column_names FROM duckdb_constraints() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') "
        "UNION ALL SELECT table_name, 'NOT NULL', list(column_name) FROM duckdb_columns() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND NOT is_nullable GROUP BY table_name",
        [catalog, schema, catalog, schema],
    ).fetchall():
        if constraint != "NOT NULL" or is_of_a_target(tables.get(name, {})):
            keys.setdefault(name, []).append(frozenset(columns))
    return keys


#: From this many comments on they are checkpointed: DuckDB replays each from its log when the file is attached again,
#: and takes as long for it as for the comment itself (4 ms in a table of 3,000 columns).
_MANY_COMMENTS = 500


def comment_on(connection: duckdb.DuckDBPyConnection, catalog: str, table: Table, known: Comments) -> None:
    """Write the schema's titles and descriptions as comments of the table and its columns, where they changed.

    The first call fills the empty `known` with all comments in the file: reading the catalog takes as long for one
    table as for all, and no other process writes while the file is attached.
    """
    if not changed_comments(table, {}):
        return
    place = (table.schema or "main", table.name)
    if not known:
        rows = connection.execute(
            "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() WHERE database_name = $1 "
            "UNION ALL SELECT schema_name, table_name, NULL, comment FROM duckdb_tables() WHERE database_name = $1",
            [catalog],
        ).fetchall()
        for schema, name, column, comment in rows:
            known.setdefault((schema, name), {})[column] = comment
    comments = known.setdefault(place, {})
    changed = changed_comments(table, comments)
    if not changed:
        return
    connection.execute("BEGIN")
    try:
        for column, text in changed.items():
            target = "TABLE" if column is None else "COLUMN"
            connection.execute(f"COMMENT ON {target} {identifier(catalog, *place, column)} IS {literal(text)}")
        connection.execute("COMMIT")
        if len(changed) >= _MANY_COMMENTS:
            connection.execute(f"CHECKPOINT {identifier(catalog)}")
    except duckdb.Error:
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
    comments |= changed
