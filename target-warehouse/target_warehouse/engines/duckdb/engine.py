"""The DuckDB engine: one file, one writer.

Files are created in the storage format of DuckDB 1.5, so that tools with an older DuckDB than ours open them. Tables
have no primary key: DuckDB's key index is kept in memory, slows loading, and does not allow a key to be deleted and
inserted in one transaction. The merge keeps keys unique, and a file has a single writer. While a writer has the file
open, no other process can even read it: opening waits for `lock_timeout_seconds`, then fails.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from target_warehouse.engines.changed_keys import check_spellings, has_another_key, is_of_a_target, may_be_null
from target_warehouse.engines.duckdb.columns import COLUMN_TYPES, alter, check_collations, check_objects, comparable
from target_warehouse.engines.duckdb.compaction import is_due, stored_rows
from target_warehouse.engines.duckdb.file import (
    CATALOG,
    MEMORY_MB,
    NO_WAL,
    REMEDY,
    WAL_LIMIT,
    attach,
    check_no_view,
    columns_of,
    constraints_of,
    generated_of,
    lacks_memory,
    open_file,
    reason_without_value,
    tables_of,
)
from target_warehouse.engines.duckdb.transaction import STAGE, DuckDBTransaction
from target_warehouse.engines.duckdb.views import Comments, comment_on, make_views
from target_warehouse.engines.prepared_table import check_schema, named, stored_as
from target_warehouse.engines.protocol import TableChange
from target_warehouse.errors import LoadError, RefusedDataError, RetryTransactionError, WarehouseError
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import chosen_rows, column_list, identifier
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from target_warehouse.tables.table import Table

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

#: The memory that DuckDB needs until a commit, for each row of a table in which some of every 2,048 rows are deleted.
_BYTES_OF_A_MARK = 11
#: The memory for the rest, in megabytes. With less, such a batch of narrow rows fails; with more, DuckDB keeps the file
#: in memory.
_MEMORY_BESIDE_MARKS = 18


_ABOUT_DATA = (duckdb.DataError, duckdb.IntegrityError, duckdb.ConversionException)
_ABOUT_FILE = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException)


class DuckDBEngine:
    """An open DuckDB file."""

    stores_nul = True
    stores_unicode = True
    most_name_bytes: int | None = None
    ignores_case = True
    least_chunk = 2_048  # the number of rows that DuckDB processes at a time
    alive_condition = "false"  # a file has at most one writer: while this process has it open, no other run is alive

    def __init__(self, path: str, lock_timeout_seconds: float, *, read_only: bool = False) -> None:
        self._path = path
        self._lock_timeout_seconds = lock_timeout_seconds
        self._connection = open_file(path, lock_timeout_seconds, read_only=read_only)
        self._comments: Comments = {}
        self._types: dict[tuple[str | None, str], dict[str, str]] = {}
        self._memory_mb: int | None = MEMORY_MB  # None: no limit of ours
        self._is_faulty = False
        self._columns_committed = 0  # since the file was attached
        self._wal_limit = WAL_LIMIT

    def announce_run(self, run_id: str) -> None:
        """Do nothing: no other process can open the file."""

    def lacking(self, texts: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 - as the protocol has it
        """Return no character: text is UTF-8."""
        return frozenset()

    def escaped(self, text: str) -> str:
        """Return the text unchanged: every character can be stored."""
        return text

    def unusable_columns(self, names: Iterable[str]) -> frozenset[str]:  # noqa: ARG002 - as the protocol has it
        """Return no name: DuckDB reserves none."""
        return frozenset()

    def place(self, schema: str | None, name: str) -> tuple[str, str]:
        """Schema and table in lower case; see the protocol."""
        where = fit_table(name, self.table_names(schema), most_bytes=None, ignores_case=True)
        return (schema or "main").lower(), where.lower()

    def prepare(self, table: Table) -> Table:
        """Create the table, add its missing columns, widen its narrow ones; see the protocol."""
        with self._errors(f"the table {table.name} cannot be prepared"):
            check_schema(table, None)
            if table.schema:
                self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(CATALOG, table.schema)}")
            table = named(
                table,
                self.table_names(table.schema),
                self.column_types,
                most_bytes=None,
                ignores_case=True,
                barred=lambda name: generated_of(self._connection, CATALOG, table.schema, name),
            )
            check_no_view(self._connection, CATALOG, table.schema, table.name)
            existing = self.column_types(table.schema, table.name)
            wanted_types = {column.name: COLUMN_TYPES[column.kind] for column in table.columns}
            name = self._name(table)
            known = self._known_key(table, existing)
            is_rekeyed = has_another_key(table, name, existing, known, lambda sql: bool(self.query(sql)))
            check_spellings(
                table, name, existing, lambda sql: bool(self.query(sql)), "regexp_matches({text}, {pattern})"
            )
            if not is_of_a_target(existing):
                check_collations(self._connection, CATALOG, table)
            if not existing:
                definitions = [
                    f"{identifier(column)} {wanted}" + (" NOT NULL" if column in table.key_names else "")
                    for column, wanted in wanted_types.items()
                ]
                self._connection.execute(f"CREATE TABLE {name} ({', '.join(definitions)})")
            for column, wanted in wanted_types.items():
                if existing and column not in existing:
                    self._connection.execute(f"ALTER TABLE {name} ADD COLUMN {identifier(column)} {wanted}")
                elif existing:
                    self._alter(table, column, existing[column], wanted)
            if is_rekeyed and is_of_a_target(existing) and not self._has_primary_key(table):
                self._change_key(table, known)
            comment_on(self._connection, CATALOG, table, self._comments)
            check_objects(self._connection, name, table)
            return self._as_stored(table)

    def _known_key(self, table: Table, types: Mapping[str, str]) -> list[str]:
        """The primary key, or in a target's table the NOT NULL columns, which are the key in our tables."""
        if is_of_a_target(types) or self._has_primary_key(table):
            return self.key_names(table.schema, table.name)
        return []

    def _has_primary_key(self, table: Table) -> bool:
        constraints = constraints_of(self._connection, CATALOG, table.schema, table.name)
        return any(constraint == "PRIMARY KEY" for constraint, _ in constraints)

    def _change_key(self, table: Table, known: Sequence[str]) -> None:
        """Make the columns of the key NOT NULL, and no others.

        DuckDB cannot do that if the table has an index. A key that was not known before is then checked in each run.
        """
        alter = f"ALTER TABLE {self._name(table)} ALTER COLUMN"
        try:
            for column in may_be_null(table, known):
                self._connection.execute(f"{alter} {identifier(column)} DROP NOT NULL")
            for column in table.key_names:
                self._connection.execute(f"{alter} {identifier(column)} SET NOT NULL")
        except duckdb.DependencyException as error:
            if known:
                msg = (
                    f"The key of the table {table.name} changes, and DuckDB cannot change the columns of a table that "
                    "has an index: drop its indexes, run, and create them again."
                )
                raise LoadError(msg) from error

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Change the columns' types in place; see the protocol."""
        with self._errors(f"columns of the table {table.name} cannot become wider"):
            for name, kind in kinds.items():
                column = table.by_property[name]
                existing = self.column_types(table.schema, table.name)[column.name]
                self._alter(table, column.name, existing, COLUMN_TYPES[kind], is_needed=True)
            return self._as_stored(table)

    @contextmanager
    def transaction(self) -> Iterator[DuckDBTransaction]:
        """A transaction; see the protocol."""
        if self._columns_committed >= _MOST_COLUMNS_COMMITTED and not self._has_log():
            with self._errors("it cannot be attached again"):
                self._attach_again()
        with self._errors("a batch cannot be written"), self._enough_memory():
            self._connection.execute("BEGIN")
            try:
                transaction = DuckDBTransaction(self._connection, self._types)
                yield transaction
                self._choose_wal_limit(transaction.rows_appended, transaction.bytes_appended)
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                self._connection.unregister(STAGE)  # only now: a failed transaction accepts no statement
                raise
        # Counts the columns of the widest table, because the table that was written is not known here.
        self._columns_committed += max(map(len, self._types.values()), default=0)

    def _choose_wal_limit(self, rows: int, size: int) -> None:
        """Write a commit that is large enough for its own row group straight into the file."""
        limit = NO_WAL if rows >= _DIRECT_WRITE_ROWS or size >= _DIRECT_WRITE_BYTES else WAL_LIMIT
        if limit != self._wal_limit:
            self._connection.execute(f"SET checkpoint_threshold = '{limit}'")
            self._wal_limit = limit

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
            if not lacks_memory(error):
                raise
            self._connection.execute("RESET memory_limit")  # attaching the file replays its log
            self._attach_again()  # even without a retry: load history must still be written
            if self._memory_mb is None:
                raise
            msg = f"DuckDB file {self._path}: a batch needs more memory than {self._memory_mb} MB."
            marked = max((stored_rows(self._connection, CATALOG, *place) for place in self._types), default=0)
            needed = _MEMORY_BESIDE_MARKS + marked * _BYTES_OF_A_MARK // 1_000_000
            self._memory_mb = needed if needed > self._memory_mb else None
            self._limit_memory()
            raise RetryTransactionError(msg) from error

    def _limit_memory(self) -> None:
        if self._memory_mb is not None:
            self._connection.execute(f"SET memory_limit = '{self._memory_mb}MB'")

    def _attach_again(self) -> None:
        """Detach and attach the file, so that DuckDB has it in memory as the last commit left it.

        After an append that ran out of memory the first columns are longer than the others, even after a rollback:
        later rows would get values of other rows (observed, 2.0.0). Nothing may be uncommitted.

        Raises:
            ConnectionFailedError: another process opened the file in between, and still has it open.
            LoadError: another process opened the file and changed our tables.
        """
        self._connection.execute("USE memory")
        self._connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        self._connection.execute(f"DETACH {identifier(CATALOG)}")
        self._connection.execute("PRAGMA enable_checkpoint_on_shutdown")
        self._is_faulty = True  # until the file is attached there is nothing to write to or compact
        attach(self._connection, self._path, CATALOG, self._lock_timeout_seconds, read_only=False)
        self._is_faulty = False
        self._columns_committed = 0
        self._comments.clear()
        if any(self.column_types(*place) != types for place, types in self._types.items()):
            msg = f"DuckDB file {self._path}: another process changed its tables during the load. Run again."
            raise LoadError(msg)

    def _has_log(self) -> bool:
        """Whether the log holds commits that are not yet in the file; attaching the file would replay them."""
        log = Path(f"{self._path}.wal")
        return log.exists() and log.stat().st_size > 0

    def table_exists(self, schema: str | None, name: str) -> bool:
        """Whether the table exists."""
        return bool(self.column_types(schema, name))

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The primary key, or else the NOT NULL columns, which are the key in the tables of this target."""
        constraints = constraints_of(self._connection, CATALOG, schema, name)
        primary = [column for constraint, column in constraints if constraint == "PRIMARY KEY"]
        return primary or [column for constraint, column in constraints if constraint == "NOT NULL"]

    def comparable(self, column: str, column_type: str, *, as_text: bool) -> str:
        """The expression by which a column is compared; see the protocol."""
        return comparable(column, column_type, as_text=as_text)

    @contextmanager
    def read(
        self,
        schema: str | None,
        name: str,
        columns: Sequence[str],
        *,
        live_only: bool,
        ids: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatchReader]:
        """The rows of a table; see the protocol."""
        mark = own_column(DELETED_AT, self.column_types(schema, name)) if live_only else None
        where = chosen_rows(mark=mark, ids=ids)
        with self._errors(f"the table {name} cannot be read"):
            yield self._connection.sql(
                f"SELECT {column_list(columns)} FROM {identifier(CATALOG, schema or 'main', name)}{where}"  # noqa: S608
            ).to_arrow_reader()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT; schemas without a database are the file's."""
        with self._errors("a query failed"):
            self._connection.execute(f"USE {identifier(CATALOG)}")
            try:
                return self._connection.execute(sql).fetchall()
            finally:  # the file cannot be detached while it is the current database
                self._connection.execute("USE memory")

    def close(self) -> None:
        """Close the file; after a read or write error it is left as it is."""
        with suppress(duckdb.Error):
            if self._is_faulty:
                self._connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        self._connection.close()

    def planned_changes(self) -> list[TableChange] | None:
        """Return None: this is no dry run."""
        return None

    def make_views(self, schema: str, views_schema: str) -> None:
        """Create views of live rows; see the protocol."""
        if views_schema:
            make_views(self._connection, CATALOG, schema, views_schema)

    def compact(self) -> None:
        """Compact the file if most of its rows are dead, or if its row groups are small."""
        if self._is_faulty or not self._types:
            return
        try:
            if is_due(self._connection, CATALOG, self._types):
                self._connection.execute("RESET max_vacuum_tasks")
                self._checkpoint()
        except (duckdb.Error, WarehouseError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            logger.warning("DuckDB file %s: it cannot be compacted: %s. Nothing is lost.", self._path, reason)

    def _checkpoint(self) -> None:
        checkpoint = f"CHECKPOINT {identifier(CATALOG)}"
        try:
            self._connection.execute(checkpoint)
        except duckdb.Error as error:
            if not lacks_memory(error):
                raise
            self._connection.execute("RESET memory_limit")
            self._attach_again()
            self._connection.execute(checkpoint)

    def _name(self, table: Table) -> str:
        return identifier(CATALOG, table.schema or "main", table.name)

    def _alter(self, table: Table, column: str, existing: str, wanted: str, *, is_needed: bool = False) -> None:
        self._connection.execute("RESET memory_limit")
        alter(self._connection, self._name(table), table, (column, existing), wanted, is_needed=is_needed)
        self._limit_memory()

    def _as_stored(self, table: Table) -> Table:
        types = self.column_types(table.schema, table.name)
        self._types[table.schema, table.name] = types
        return stored_as(table, types)

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""
        return tables_of(self._connection, CATALOG, schema)

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table and their types; see the protocol."""
        return columns_of(self._connection, CATALOG, schema, name)

    def _roll_back(self) -> None:
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.TransactionException:
            return  # DuckDB has already ended a transaction whose COMMIT failed

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
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
