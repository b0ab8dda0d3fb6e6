"""One open DuckDB file: its transactions, its memory and its errors.

While loading, DuckDB gets little memory. Memory that it keeps beyond its limit is released by detaching the file
and attaching it again; a batch that needs more is rolled back and retried with more.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from target_warehouse.engines.duckdb.access import STAGE, DuckDBAccess
from target_warehouse.engines.duckdb.attach import (
    CATALOG,
    MEMORY_MB,
    NO_WAL,
    REMEDY,
    WAL_LIMIT,
    attach,
    lacks_memory,
    open_file,
    reason_without_value,
)
from target_warehouse.engines.duckdb.catalog import columns_of
from target_warehouse.engines.duckdb.compaction import is_due, stored_rows
from target_warehouse.engines.duckdb.transaction import DuckDBTransaction
from target_warehouse.errors import LoadError, RefusedDataError, RetryTransactionError, WarehouseError
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_warehouse.engines.duckdb.views import Comments

logger = logging.getLogger("target-warehouse")
#: A batch of this many rows, or of this many bytes in Arrow, is written straight into the file, not through the log.
#: This many rows compress as well as a row group of DuckDB's default size. A higher limit in bytes would compress
#: better, but load a quarter slower.
_DIRECT_WRITE_ROWS = 20_000
_DIRECT_WRITE_BYTES = 12_000_000
#: For every column of every row group that it has written, DuckDB keeps a kilobyte or more in memory, beyond its limit,
#: until the file is detached. So the file is detached and attached again after commits of this many columns, which is
#: some ten megabytes.
_MOST_COLUMNS_COMMITTED = 20_000
#: Bytes for each row of the table that DuckDB needs until the commit, if every block of 2,048 rows has a deleted row.
_BYTES_OF_A_MARK = 11
#: Megabytes needed besides. With less, a batch of narrow rows fails; with more, DuckDB keeps the file
#: in memory.
_MEMORY_BESIDE_MARKS = 18

_ABOUT_DATA = (duckdb.DataError, duckdb.IntegrityError, duckdb.ConversionException)
_ABOUT_FILE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


class DuckDBFile:
    """An open file, and what this process knows of the tables that it has prepared.

    `types` are their columns' types, which must be the same after the file was detached, and `comments` their comments.
    """

    def __init__(self, path: str, lock_timeout_seconds: float, *, read_only: bool) -> None:
        self.connection = open_file(path, lock_timeout_seconds, read_only=read_only)
        self.types: dict[tuple[str | None, str], dict[str, str]] = {}
        self.comments: Comments = {}
        self._path = path
        self._identity = _identity(path)
        self._lock_timeout_seconds = lock_timeout_seconds
        self._memory_mb: int | None = MEMORY_MB  # None: no limit of ours
        self._is_faulty = False
        self._columns_committed = 0  # since the file was attached
        self._wal_limit = WAL_LIMIT

    @contextmanager
    def transaction(self) -> Iterator[DuckDBTransaction]:
        """A transaction; see the protocol of an engine."""
        if self._columns_committed >= _MOST_COLUMNS_COMMITTED and not self._has_log():
            with self.errors("it cannot be attached again"):
                self._attach_again()
        with self.errors("a batch cannot be written"), self._enough_memory():
            self.connection.execute("BEGIN")
            try:
                transaction = DuckDBTransaction(DuckDBAccess(self.connection, self.types))
                yield transaction
                self._choose_wal_limit(transaction.rows_appended, transaction.bytes_appended)
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):  # DuckDB has already ended one whose COMMIT failed
                    self.connection.execute("ROLLBACK")
                self.connection.unregister(STAGE)  # only now: a failed transaction accepts no statement
                raise
        # Counts the columns of the widest table, because the table that was written is not known here.
        self._columns_committed += max(map(len, self.types.values()), default=0)
        self._check_in_place()

    @contextmanager
    def all_memory(self) -> Iterator[None]:
        """Let DuckDB use the memory that it wants; the limit is restored after the block, unless the block raises."""
        self.connection.execute("RESET memory_limit")
        yield
        self._limit_memory()

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Turn DuckDB's errors into this target's; `what` says what failed.

        Raises:
            RefusedDataError: a record is to blame.
            LoadError: anything else; after an error of the file or the machine the file is closed as it is.
        """
        try:
            yield
        except duckdb.Error as error:
            # Conversion and constraint errors quote values; only errors about the file or the machine are passed on.
            is_about_data = isinstance(error, _ABOUT_DATA)
            reason = reason_without_value(error) if is_about_data else str(error).splitlines()[0].rstrip(".")
            msg = f"DuckDB file {self._path}: {what}: {reason}. Nothing of this batch was kept."
            if is_about_data:
                raise RefusedDataError(msg, f"DuckDB refuses one of its values ({reason})") from error
            if isinstance(error, _ABOUT_FILE):
                self._is_faulty = True
                msg = f"{msg} {REMEDY}"
            raise LoadError(msg) from error

    def compact(self) -> None:
        """Compact the file if most of its rows are dead, or if its row groups are small."""
        if self._is_faulty or not self.types:
            return
        try:
            if is_due(self.connection, CATALOG, self.types):
                self.connection.execute("RESET max_vacuum_tasks")
                self._checkpoint()
        except (duckdb.Error, WarehouseError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            logger.warning("DuckDB file %s: it cannot be compacted: %s. Nothing is lost.", self._path, reason)

    def close(self) -> None:
        """Close the file; after an I/O error without a checkpoint."""
        with suppress(duckdb.Error):
            if self._is_faulty:
                self.connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        self.connection.close()

    def _choose_wal_limit(self, rows: int, size: int) -> None:
        """Set the limit of the log so that a commit that fills a row group goes straight into the file."""
        limit = NO_WAL if rows >= _DIRECT_WRITE_ROWS or size >= _DIRECT_WRITE_BYTES else WAL_LIMIT
        if limit != self._wal_limit:
            self.connection.execute(f"SET checkpoint_threshold = '{limit}'")
            self._wal_limit = limit

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
            if not lacks_memory(error):
                raise
            self.connection.execute("RESET memory_limit")  # attaching the file replays its log
            self._attach_again()  # even without a retry: load history must still be written
            if self._memory_mb is None:
                raise
            msg = f"DuckDB file {self._path}: a batch needs more memory than {self._memory_mb} MB."
            marked = max((stored_rows(self.connection, CATALOG, *place) for place in self.types), default=0)
            needed = _MEMORY_BESIDE_MARKS + marked * _BYTES_OF_A_MARK // 1_000_000
            self._memory_mb = needed if needed > self._memory_mb else None
            self._limit_memory()
            raise RetryTransactionError(msg) from error

    def _limit_memory(self) -> None:
        if self._memory_mb is not None:
            self.connection.execute(f"SET memory_limit = '{self._memory_mb}MB'")

    def _attach_again(self) -> None:
        """Detach and attach the file, to discard what DuckDB has in memory since the last commit.

        After an append that ran out of memory the first columns are longer than the others, even after a rollback:
        later rows would get values of other rows (observed, 2.0.0). Nothing may be uncommitted.

        Raises:
            ConnectionFailedError: another process opened the file in between, and still has it open.
            LoadError: another process replaced the file, or opened it and changed our tables.
        """
        self.connection.execute("USE memory")
        self.connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        self.connection.execute(f"DETACH {identifier(CATALOG)}")
        self.connection.execute("PRAGMA enable_checkpoint_on_shutdown")
        self._is_faulty = True  # until the file is attached there is nothing to write to or compact
        self._check_in_place()
        attach(self.connection, self._path, CATALOG, self._lock_timeout_seconds, read_only=False)
        self._is_faulty = False
        self._columns_committed = 0
        self.comments.clear()
        if any(columns_of(self.connection, CATALOG, *place) != types for place, types in self.types.items()):
            msg = f"DuckDB file {self._path}: another process changed its tables during the load. Run again."
            raise LoadError(msg)

    def _check_in_place(self) -> None:
        """Check that the path still leads to the open file.

        Raises:
            LoadError: another program moved, removed or replaced it; what this run commits is not at the path.
        """
        if _identity(self._path) != self._identity:
            self._is_faulty = True
            msg = (
                f"DuckDB file {self._path}: another program moved, removed or replaced it during the load, so the rows "
                "of this run are not there: run again with --full-refresh."
            )
            raise LoadError(msg)

    def _has_log(self) -> bool:
        """Whether the log holds commits that are not yet in the file; attaching the file would replay them."""
        log = Path(f"{self._path}.wal")
        return log.exists() and log.stat().st_size > 0

    def _checkpoint(self) -> None:
        checkpoint = f"CHECKPOINT {identifier(CATALOG)}"
        try:
            self.connection.execute(checkpoint)
        except duckdb.Error as error:
            if not lacks_memory(error):
                raise
            self.connection.execute("RESET memory_limit")
            self._attach_again()
            self.connection.execute(checkpoint)


def _identity(path: str) -> tuple[int, int] | None:
    """What distinguishes the file at this path from others; None if there is none."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
