"""When a DuckDB file is to be compacted: its row groups merged, without the rows that were overwritten or deleted.

DuckDB would do some of it at every checkpoint; each merge reads and writes up to 122,880 rows again, of 250 columns in
four seconds and 300 MB. So it is done at the end of a run only, and only when one of these is so:

* more of the rows that the file holds are dead than alive. A row group without a live row costs nothing: it is
  dropped at the next checkpoint;
* the directories of the row groups have become a good part of the file: many small runs leave many small groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

#: Dead rows, and blocks of directories, that are not worth a merge.
_FEW_ROWS, _FEW_BLOCKS = 20_000, 16
_MOST_DIRECTORIES = 1 / 16
_PIECES = 64  # of a block: directories are written in these


def is_due(connection: duckdb.DuckDBPyConnection, catalog: str, tables: Iterable[tuple[str | None, str]]) -> bool:
    """Whether the file attached by this name is to be compacted, judged by these tables, each a schema and a name."""
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
    """The rows of a table that the file holds, dead ones among them."""
    return _number(
        connection,
        "SELECT estimated_size FROM duckdb_tables() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND table_name = ?",
        [catalog, schema or "main", name],
    )


def _number(connection: duckdb.DuckDBPyConnection, sql: str, values: list[str] | None = None) -> int:
    row = connection.execute(sql, values).fetchone()
    return int(row[0] or 0) if row else 0
