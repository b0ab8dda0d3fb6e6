"""When to compact a DuckDB file, that is, to merge its row groups without overwritten and deleted rows.

By default DuckDB does some of this at every checkpoint. A merge rewrites up to 122,880 rows, which takes four seconds
and 300 MB at 250 columns. So a file is compacted at the end of a run only, and only if one of these is true:

* the file holds more dead rows than live rows (a row group without live rows costs nothing: the next checkpoint drops
  it);
* the directories of the row groups take a large share of the file, because many small runs leave many small groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

#: Numbers of dead rows and of directory blocks up to which a merge is not worth it.
_FEW_ROWS, _FEW_BLOCKS = 20_000, 16
_MOST_DIRECTORIES = 1 / 16
_PIECES = 64  # per block: DuckDB writes directories in pieces of this size


def is_due(connection: duckdb.DuckDBPyConnection, catalog: str, tables: Iterable[tuple[str | None, str]]) -> bool:
    """Whether to compact the file of this name; judged by these tables, each (schema, name)."""
    stored = alive = 0
    for schema, name in tables:
        stored += stored_rows(connection, catalog, schema, name)
        alive += _number(connection, f"SELECT count(*) FROM {identifier(catalog, schema or 'main', name)}")  # noqa: S608
    if stored - alive > max(alive, _FEW_ROWS):
        return True
    pieces = _number(connection, "SELECT sum(total_blocks - free_blocks) FROM pragma_metadata_info(?)", [catalog])
    used = _number(connection, "SELECT used_blocks FROM pragma_database_size() WHERE database_name = ?", [catalog])
    return pieces / _PIECES > max(used * _MOST_DIRECTORIES, _FEW_BLOCKS)


def stored_rows(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> int:
    """The number of rows of a table in the file, dead rows included."""
    return _number(
        connection,
        "SELECT estimated_size FROM duckdb_tables() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND table_name = ?",
        [catalog, schema or "main", name],
    )


def _number(connection: duckdb.DuckDBPyConnection, sql: str, values: list[str] | None = None) -> int:
    row = connection.execute(sql, values).fetchone()
    return int(row[0] or 0) if row else 0
