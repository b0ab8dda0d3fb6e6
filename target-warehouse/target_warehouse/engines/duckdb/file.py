"""Opening DuckDB files, with a sentence for whatever is in the way, and looking into their catalogs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import duckdb

from target_warehouse.errors import ConnectionFailedError, LoadError
from target_warehouse.tables.statements import identifier

STORAGE_VERSION = "v1.5.0"
#: The name under which the file is attached; users never see it. A schema of this name could not be told from it.
CATALOG = "target_warehouse_file"
_RETRY_SECONDS = 0.2
#: What DuckDB may keep in memory, in megabytes; by default it takes most of the machine's. What needs more, gets more.
MEMORY = 96
#: How long the log may become before it is worked into the file. What is only in the log is in memory as well,
#: uncompressed, and goes to temporary files where there is no room; a shorter log makes row groups too small for
#: compression. The batch that makes it longer is not written to it at all.
LOG = "48MB"
NO_LOG = "1KB"
#: Rows in a row group at most, half of what is usual. A batch of so many is written to the file as it is inserted, and
#: not a second time when it is committed (observed, 2.0.0); one of 28 MB has more of them if they are narrow.
ROW_GROUP = 61_440
WHILE_LOADING = {
    "memory_limit": f"'{MEMORY}MB'",
    "checkpoint_threshold": f"'{LOG}'",
    # Every thread costs memory, and DuckDB inserts batches of our size in half the time with one.
    "threads": "1",
    # Working the log in would merge row groups too: each is read and written again, at 250 columns for 300 MB more.
    "max_vacuum_tasks": "0",
}
_WHILE_READING = {"memory_limit": "'1GB'"}  # reports and comparisons; what needs more goes to temporary files

_CONSTRAINT = re.compile(r"NOT NULL constraint failed: \S+|CHECK constraint failed on table .*")
#: What to do about a file that cannot be read or written.
REMEDY = (
    "Make room if the disk is full; if the file is damaged, restore a backup or name another file in the setting "
    "warehouse."
)


def open_file(path: str, lock_timeout_seconds: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """A connection with the file attached as `CATALOG`, and DuckDB set up for loading or for reading.

    Raises:
        ConnectionFailedError: it cannot be opened.
    """
    file = Path(path)
    if read_only and not file.exists():
        msg = f"There is no DuckDB file {path}: run the pipeline first, or correct the setting warehouse."
        raise ConnectionFailedError(msg)
    if not read_only:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"The folder of the DuckDB file {path} cannot be made: {error.strerror}."
            raise ConnectionFailedError(msg) from error
    connection = duckdb.connect()
    attach(connection, str(file), CATALOG, lock_timeout_seconds, read_only=read_only)
    connection.execute("SET TimeZone = 'UTC'")
    for setting, value in (_WHILE_READING if read_only else WHILE_LOADING).items():
        connection.execute(f"SET {setting} = {value}")
    return connection


def attach(
    connection: duckdb.DuckDBPyConnection, path: str, catalog: str, lock_timeout_seconds: float, *, read_only: bool
) -> None:
    """Attach a file by this name, waiting for a process that has it open.

    Raises:
        ConnectionFailedError: it cannot be opened; the connection is closed.
    """
    options = "READ_ONLY"
    if not read_only:
        options = f"ROW_GROUP_SIZE {ROW_GROUP}"
        if not Path(path).exists():  # an existing file keeps its format, which may be newer
            options += f", STORAGE_VERSION '{STORAGE_VERSION}'"
    literal = path.replace("'", "''")
    deadline = time.monotonic() + lock_timeout_seconds
    while True:
        try:
            connection.execute(f"ATTACH '{literal}' AS {identifier(catalog)} ({options})")
        except duckdb.Error as error:
            is_locked = "lock" in str(error).lower() and "conflicting" in str(error).lower()
            if is_locked and time.monotonic() < deadline:
                time.sleep(_RETRY_SECONDS)
                continue
            connection.close()
            raise ConnectionFailedError(_why_not(path, error, is_locked=is_locked)) from error
        return


def tables_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None) -> list[str]:
    """The tables of a schema of an attached file."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND lower(schema_name) = lower(?)",
        [catalog, schema or "main"],
    ).fetchall()
    return [row[0] for row in rows]


def columns_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> dict[str, str]:
    """The columns of a table of an attached file, in order, and their types."""
    rows = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND table_name = ? ORDER BY column_index",
        [catalog, schema or "main", name],
    ).fetchall()
    return dict(rows)


def constraints_of(
    connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str
) -> list[tuple[str, str]]:
    """The kinds of constraints of a table of an attached file, each with a column that it is about."""
    return connection.execute(
        "SELECT constraint_type, unnest(constraint_column_names) FROM duckdb_constraints() "
        "WHERE database_name = ? AND lower(schema_name) = lower(?) AND table_name = ?",
        [catalog, schema or "main", name],
    ).fetchall()


def generated_of(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> list[str]:
    """The columns of a table that DuckDB computes."""
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "AND table_name = ? AND is_generated",
        [catalog, schema or "main", name],
    ).fetchall()
    return [row[0] for row in rows]


def check_no_view(connection: duckdb.DuckDBPyConnection, catalog: str, schema: str | None, name: str) -> None:
    """Check that no view has this name.

    Raises:
        LoadError: one has.
    """
    found = connection.execute(
        "SELECT 1 FROM duckdb_views() WHERE database_name = ? AND lower(schema_name) = lower(?) "
        "AND lower(view_name) = lower(?)",
        [catalog, schema or "main", name],
    ).fetchone()
    if found:
        msg = (
            f"The table {name} of the DuckDB file cannot be made, as {name} is a view: rename it, or give the stream "
            "another name by the setting stream_maps."
        )
        raise LoadError(msg)


def told_of_data(error: duckdb.Error) -> str:
    """What an error about a value says without the value: the constraint, or its kind alone."""
    text = str(error).splitlines()[0]
    constraint = _CONSTRAINT.search(text)
    return constraint[0] if constraint else type(error).__name__


def _why_not(path: str, error: duckdb.Error, *, is_locked: bool) -> str:
    if is_locked:
        return (
            f"The DuckDB file {path} is locked by another process: while one process has it open for writing no "
            "other can read or write it. Close that process (a database browser, another run) and run again."
        )
    if "not a valid DuckDB" in str(error):
        return f"The file {path} is not a DuckDB database: name another file in the setting warehouse."
    if "Permission denied" in str(error):
        return (
            f"The DuckDB file {path} may not be opened by this user: give it the right to read and write the file and "
            "its folder, or name another file in the setting warehouse."
        )
    return f"The DuckDB file {path} cannot be opened: {str(error).splitlines()[0].rstrip('.')}. {REMEDY}"
