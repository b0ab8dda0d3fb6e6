"""Open DuckDB files, with a clear error when that fails."""

from __future__ import annotations

import re
import time
from pathlib import Path

import duckdb

from target_warehouse.errors import ConnectionFailedError
from target_warehouse.tables.statements import identifier

STORAGE_VERSION = "v1.5.0"
#: The name under which the file is attached; users never see it. A schema of the same name would be ambiguous.
CATALOG = "target_warehouse_file"
_RETRY_SECONDS = 0.2
#: DuckDB's memory limit in megabytes; by default it takes most of the machine's memory. A batch that fails for lack of
#: memory is retried with a higher limit.
MEMORY_MB = 96
#: The size at which DuckDB checkpoints the write-ahead log (WAL) into the file. Data that is only in the log is also in
#: memory, uncompressed, or in temporary files. A smaller limit makes row groups too small to compress well. The batch
#: that exceeds the limit goes straight into the file.
WAL_LIMIT = "48MB"
#: A limit that every batch exceeds.
NO_WAL = "1KB"
#: The most rows in a row group, half of DuckDB's default. A batch of a full row group is written to the file as it is
#: inserted, and not again when it is committed (observed, 2.0.0). A batch of 28 MB of narrow rows is larger than that.
ROW_GROUP = 61_440
WHILE_LOADING = {
    "memory_limit": f"'{MEMORY_MB}MB'",
    "checkpoint_threshold": f"'{WAL_LIMIT}'",
    # Every thread costs memory, and one thread inserts batches of our size in half the time.
    "threads": "1",
    # A checkpoint would also merge row groups, rewriting each, which takes 300 MB more at 250 columns.
    "max_vacuum_tasks": "0",
}
_WHILE_READING = {"memory_limit": "'1GB'"}  # for reports and comparisons; DuckDB spills the rest to temporary files

_CONSTRAINT = re.compile(r"NOT NULL constraint failed: \S+|CHECK constraint failed on table .*")
#: Advice for a file that cannot be read or written.
REMEDY = (
    "Make room if the disk is full; if the file is damaged, restore a backup or name another file in the setting "
    "warehouse."
)
#: The error of a commit that has no room to checkpoint the log into the file; nothing of it is kept (observed).
_CHECKPOINT_FAILED = "Checkpoint failed"


def open_file(path: str, lock_timeout_seconds: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Return a connection with the file attached as `CATALOG`, and DuckDB set up for loading or for reading.

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
            msg = f"The folder of the DuckDB file {path} cannot be created: {error.strerror}."
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
    """Attach a file under this name; wait while another process has it open.

    Raises:
        ConnectionFailedError: it cannot be opened; the connection is closed.
    """
    options = "READ_ONLY"
    if not read_only:
        options = f"ROW_GROUP_SIZE {ROW_GROUP}"
        if not Path(path).exists():  # an existing file keeps its storage version, which may be newer
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


def lacks_memory(error: duckdb.Error) -> bool:
    """Whether DuckDB needs more memory than its limit; a checkpoint that lacks it only says that it failed."""
    text = str(error)
    is_named = "increasing the memory limit" in text.lower() or _CHECKPOINT_FAILED in text
    return is_named or isinstance(error, duckdb.OutOfMemoryException)


def reason_without_value(error: duckdb.Error) -> str:
    """The reason for an error about a value, without the value: the constraint, or the class of the error."""
    text = str(error).splitlines()[0]
    constraint = _CONSTRAINT.search(text)
    return constraint[0] if constraint else type(error).__name__


def _why_not(path: str, error: duckdb.Error, *, is_locked: bool) -> str:
    if is_locked:
        return (
            f"The DuckDB file {path} is locked by another process: while one process has it open for writing, no "
            "other can read or write it. Close that process (a database browser, another run) and run again."
        )
    if "not a valid DuckDB" in str(error):
        return f"The file {path} is not a DuckDB database: set another file in the setting warehouse."
    if "Permission denied" in str(error):
        return (
            f"The DuckDB file {path} may not be opened by this user: grant the user read and write access to the file "
            "and its folder, or set another file in the setting warehouse."
        )
    return f"The DuckDB file {path} cannot be opened: {str(error).splitlines()[0].rstrip('.')}. {REMEDY}"
