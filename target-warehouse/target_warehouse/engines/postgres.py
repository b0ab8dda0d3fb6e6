"""The PostgreSQL engine.

Connection, TLS, SSH tunnel and the mapping of JSON schemas to column types are meltanolabs-target-postgres' own
connector, so an existing warehouse of that target carries on. Rows travel by ADBC, in one transaction per batch: the
keys go to a temporary table, the rows they name are deleted, and a binary COPY writes the batch straight into its
table, each row once. A batch that COPY cannot take as it is goes to a temporary table as a whole, to be merged.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager.dbapi
import adbc_driver_postgresql.dbapi
import paramiko
import pyarrow as pa
import sqlalchemy
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from target_warehouse import statements
from target_warehouse.engines.postgres_connector import WarehouseConnector
from target_warehouse.engines.postgres_copy import as_stored
from target_warehouse.engines.postgres_errors import first_line, primary_message, refusal
from target_warehouse.engines.postgres_tables import NAME_BYTES, Existing, existing_table, prepare, widen
from target_warehouse.engines.protocol import Counts, TableChange
from target_warehouse.engines.sql import SqlTransaction, marks_deleted
from target_warehouse.engines.tables import stored_as
from target_warehouse.engines.types import TEXT
from target_warehouse.errors import AgainError, ConnectionFailedError
from target_warehouse.statements import chosen_rows, identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from target_warehouse.columns import Table

# ADBC takes SIGINT for itself while a call is under way: it cancels the statement, or, if that had just ended, nothing
# happens at all and Python never hears of the signal. Called plainly, its functions leave signals to the target.
adbc_driver_manager.dbapi._blocking_call = (  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
    lambda call, args, kwargs, _cancel: call(*args, **kwargs)  # type: ignore[assignment]
)

_COPY_ROWS = 8192  # small record batches let encoding here and writing there overlap
_STAGE = "target_warehouse_stage"
_UNIQUE_VIOLATION = "23505"
#: Types that ADBC brings as they are.
_ARROW_TYPES = (
    *("smallint", "integer", "bigint", "double", "real", "boolean"),
    *("text", "character", "date", "timestamp", "bytea"),
)
_MANY_ROWS = 1_000  # fewer are looked up by key in no time
_WIDER_TYPES = {"number": "numeric", "text": "text"}
_DDL_LOCK = 7_346_120_551  # an arbitrary key: two runs must not create the same table at once
_RUN_LOCK = 734_612_056  # another one: with the first 32 bits of its id, a run that is alive


class PostgresEngine:
    """An open PostgreSQL database."""

    stores_nul = False
    most_name_bytes: int | None = NAME_BYTES
    ignores_case = False
    reads_chunks = True
    is_alive = (
        "left(run_id, 8) IN (SELECT lpad(to_hex(CAST(l.objid AS bigint)), 8, '0') FROM pg_catalog.pg_locks AS l "  # noqa: S608
        "JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = current_database() "
        f"WHERE l.locktype = 'advisory' AND l.classid = {_RUN_LOCK} AND l.objsubid = 2)"
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        try:
            self._connector = WarehouseConnector(dict(config))
        except (OSError, ValueError, paramiko.SSHException, sqlalchemy.exc.ArgumentError) as error:
            msg = f"The connection to PostgreSQL cannot be prepared: {first_line(error)}."
            raise ConnectionFailedError(msg) from error
        url = make_url(self._connector.sqlalchemy_url)
        self._where = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self._engine = self._connector.create_engine()
        self._lock_timeout = max(round(config["lock_timeout_seconds"] * 1000), 1)  # to PostgreSQL 0 is for ever
        try:
            with self._engine.connect():
                pass
            # Not as a URL: libpq reads spaces and plus signs in one differently, and repeats what it cannot read.
            _, parameters = self._engine.dialect.create_connect_args(url)
            parameters.pop("context", None)  # psycopg's own
            self._connection = _connected(make_conninfo(**parameters), self._lock_timeout)
        except (sqlalchemy.exc.DBAPIError, adbc_driver_manager.Error) as error:
            self._engine.dispose()
            self._connector.clean_up()
            cause = getattr(error, "orig", None) or error
            msg = (
                f"PostgreSQL at {self._where} cannot be reached or refuses the login: {first_line(cause)}. "
                "Check host, port, user, password and database."
            )
            raise ConnectionFailedError(msg) from error
        self._tables: dict[tuple[str | None, str], Existing] = {}

    def hold(self, run_id: str) -> None:
        """Take a lock that nobody waits for; PostgreSQL lets go of it with the session, whatever ends that."""
        try:
            with self._connection.cursor() as cursor:
                first = int.from_bytes(bytes.fromhex(run_id[:8]), signed=True)
                cursor.execute(f"SELECT pg_advisory_lock_shared({_RUN_LOCK}, {first})")
            self._connection.commit()
        except adbc_driver_manager.Error as error:
            raise refusal(f"PostgreSQL at {self._where}", error.sqlstate, primary_message(error)) from error

    def prepare(self, table: Table) -> Table:
        """Create the table as target-postgres does, or extend and widen it; see the protocol."""
        with self._definition(f"the table {table.name} cannot be prepared") as connection:
            table, existing = prepare(table, self._connector, connection)
        return self._as_it_is(table, existing)

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Change the columns' types in place; see the protocol."""
        with self._definition(f"columns of the table {table.name} cannot become wider") as connection:
            for name, kind in kinds.items():
                column = table.by_property[name]
                widen(table, column.name, column.stored, _WIDER_TYPES[kind], connection)
            existing = existing_table(connection, table.schema, table.name)
        return self._as_it_is(table, existing)

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """A transaction; see the protocol."""
        try:
            with self._connection.cursor() as cursor:
                yield PostgresTransaction(cursor, self._tables)
            self._connection.commit()
        except adbc_driver_manager.Error as error:
            self._roll_back()
            msg = f"PostgreSQL at {self._where}: a batch cannot be written"
            raise refusal(msg, error.sqlstate, primary_message(error)) from error
        except BaseException:
            self._roll_back()
            raise

    def table_exists(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table."""
        return bool(self.column_types(schema, name))

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""
        with self._engine.connect() as connection:
            return list(sqlalchemy.inspect(connection).get_table_names(schema))

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table and their types; see the protocol."""
        with self._engine.connect() as connection:
            return existing_table(connection, schema, name).types

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The primary key."""
        with self._engine.connect() as connection:
            return sorted(existing_table(connection, schema, name).key)

    def comparable(self, column: str, kind: str, *, as_text: bool) -> str:
        """The expression that a column is compared by; see the protocol."""
        if as_text and kind.startswith("timestamp"):
            return f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"
        if as_text and kind.startswith("numeric"):
            return f"CAST(trim_scale({column}) AS text)"
        is_exact = kind.startswith((*_ARROW_TYPES, "numeric", "jsonb")) and not as_text
        return column if is_exact else f"CAST({column} AS text)"

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
        types = self.column_types(schema, name)
        chosen = ", ".join(f"{_exact(identifier(column), types[column])} AS {identifier(column)}" for column in columns)
        where = chosen_rows(live_only=live_only, ids=ids)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SELECT {chosen} FROM {identifier(schema, name)}{where}")  # noqa: S608 - quoted
                yield cursor.fetch_record_batch()
        except adbc_driver_manager.Error as error:
            self._roll_back()
            msg = f"PostgreSQL at {self._where}: the table {name} cannot be read"
            raise refusal(msg, error.sqlstate, primary_message(error)) from error

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(sql)]
        except sqlalchemy.exc.DBAPIError as error:
            sqlstate = getattr(error.orig, "sqlstate", None)
            msg = f"PostgreSQL at {self._where}: a query failed"
            raise refusal(msg, sqlstate, first_line(error.orig)) from error

    def changes(self) -> list[TableChange] | None:
        """None: what is done here is done."""
        return None

    def tidy(self) -> None:
        """Nothing to do: PostgreSQL looks after dead rows by itself."""

    def close(self) -> None:
        """Close the connections and the tunnel."""
        self._connection.close()
        self._engine.dispose()
        self._connector.clean_up()

    @contextmanager
    def _definition(self, what: str) -> Iterator[sqlalchemy.Connection]:
        """A transaction that changes tables; one run at a time."""
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {self._lock_timeout}")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_DDL_LOCK})")
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            sqlstate = getattr(error.orig, "sqlstate", None)
            raise refusal(f"PostgreSQL at {self._where}: {what}", sqlstate, first_line(error.orig)) from error

    def _as_it_is(self, table: Table, existing: Existing) -> Table:
        self._tables[table.schema, table.name] = existing
        return stored_as(table, existing.types)

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except adbc_driver_manager.Error:
            return  # the connection is gone, and its transaction with it


class PostgresTransaction(SqlTransaction):
    """The writes of one transaction in PostgreSQL."""

    def __init__(
        self, cursor: adbc_driver_postgresql.dbapi.Cursor, tables: Mapping[tuple[str | None, str], Existing]
    ) -> None:
        self._cursor = cursor
        self._tables = tables

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row; see the protocol."""
        self._cursor.execute(f"LOCK TABLE {self.table_name(table)} IN ROW EXCLUSIVE MODE")  # as an INSERT does
        exact = self._as_stored(table, rows) if self._is_as_prepared(table) else None
        if exact is None:
            return super().append(table, rows)
        self._copy(table, exact)
        return Counts(inserted=rows.num_rows)

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        self.lock(table)
        exact = self._as_stored(table, rows) if self.can_replace(table, rows.schema.names) else None
        if exact is None or marks_deleted(rows):
            return super().upsert(table, rows)
        target, keys = self.table_name(table), table.key_names
        existing = self._tables[table.schema, table.name]
        if existing.has_only_new_keys is None:
            is_unique = existing.key == frozenset(keys)  # a table of the user's own need not be
            existing.has_only_new_keys = is_unique and self.count(statements.count_any(target)) == 0
        if existing.has_only_new_keys and rows.num_rows >= _MANY_ROWS:
            self._copy_new(table, exact)
            return Counts(inserted=rows.num_rows)
        with self.staged(exact.select(keys)) as stage, self.by_key(table):
            values = {key: f"s.{identifier(key)}" for key in keys}
            matched = self.execute(statements.delete_matching(target, stage, keys, values))
        existing.has_only_new_keys &= matched == 0
        self._copy(table, exact)
        return Counts(inserted=max(rows.num_rows - matched, 0), updated=matched)

    def _copy_new(self, table: Table, rows: pa.Table) -> None:
        """Copy rows whose keys are thought to be new, as all of this run were so far."""
        try:
            self._copy(table, rows)
        except adbc_driver_manager.Error as error:
            if error.sqlstate != _UNIQUE_VIOLATION:
                raise
            self._tables[table.schema, table.name].has_only_new_keys = False
            msg = f"The keys of a batch were thought to be new in the table {table.name}, and are not."
            raise AgainError(msg) from error  # ADBC cannot go on from a savepoint

    def _copy(self, table: Table, rows: pa.Table) -> None:
        reader = rows.to_reader(max_chunksize=_COPY_ROWS)
        self._cursor.adbc_ingest(table.name, reader, mode="append", db_schema_name=table.schema)

    def _as_stored(self, table: Table, rows: pa.Table) -> pa.Table | None:
        """The rows in the very types of their columns, as a binary COPY needs them; None if it cannot be."""
        existing = self._tables[table.schema, table.name].types
        columns = [as_stored(rows[name], existing[name]) for name in rows.schema.names]
        if any(column is None for column in columns):
            return None
        return pa.table(columns, names=rows.schema.names)

    def table_name(self, table: Table) -> str:
        """Schema and table."""
        return identifier(table.schema, table.name)

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """A temporary table, filled by binary COPY."""
        reader = rows.to_reader(max_chunksize=_COPY_ROWS)
        self._cursor.adbc_ingest(_STAGE, reader, mode="create", temporary=True)
        yield identifier("pg_temp", _STAGE)
        self._cursor.execute(f"DROP TABLE {identifier('pg_temp', _STAGE)}")

    def values(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """Explicit casts where PostgreSQL would not convert text by itself, and arrays from their JSON text."""
        existing = self._tables[table.schema, table.name].types
        return {field.name: _value(f"s.{identifier(field.name)}", field.type, existing[field.name]) for field in schema}

    def execute(self, sql: str) -> int:
        """Run a statement; gives the number of rows it touched."""
        self._cursor.execute(sql)
        return int(self._cursor.rowcount)

    def count(self, sql: str) -> int:
        """The single number of the answer."""
        self._cursor.execute(sql)
        row = self._cursor.fetchone()
        return int(row[0]) if row else 0

    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether the batch has every column, and nothing else hangs on the table's rows."""
        existing = self._tables[table.schema, table.name]
        is_complete = set(columns).issuperset(existing.types)
        return is_complete and not existing.has_dependents and self._is_as_prepared(table)

    def lock(self, table: Table) -> None:
        """Readers go on; a second writer waits until this transaction ends, instead of failing on a key."""
        self._cursor.execute(f"LOCK TABLE {self.table_name(table)} IN SHARE ROW EXCLUSIVE MODE")

    def _is_as_prepared(self, table: Table) -> bool:
        """Whether no other run has added columns, or changed their types, since; asked under the table's lock.

        A binary COPY into a column of another type is refused at best: at worst PostgreSQL takes the bytes for
        another value.
        """
        name = self.table_name(table).replace("'", "''")
        self._cursor.execute(
            "SELECT CAST(attname AS text), format_type(atttypid, atttypmod) FROM pg_attribute "  # noqa: S608 - quoted
            f"WHERE attrelid = CAST('{name}' AS regclass) AND attnum > 0 AND NOT attisdropped"
        )
        return dict(self._cursor.fetchall()) == self._tables[table.schema, table.name].types

    @contextmanager
    def by_key(self, table: Table) -> Iterator[None]:
        """Look rows up in the key's index, so that a batch costs the same however large the table is."""
        has_index = self._tables[table.schema, table.name].key == frozenset(table.key_names)
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = off")
        yield
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = on")


def _connected(conninfo: str, lock_timeout: int) -> adbc_driver_postgresql.dbapi.Connection:
    """An open connection whose session does not depend on the server's settings."""
    connection = adbc_driver_postgresql.dbapi.connect(conninfo)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute("SET DateStyle = 'ISO, YMD'")
            cursor.execute(f"SET lock_timeout = {lock_timeout}")
        connection.commit()
    except adbc_driver_manager.Error:
        connection.close()
        raise
    return connection


def _exact(column: str, kind: str) -> str:
    """The expression by which a column arrives as Arrow without loss."""
    if kind.startswith("numeric"):
        return f"CAST(trim_scale({column}) AS text)"
    return column if kind.startswith(_ARROW_TYPES) else f"CAST({column} AS text)"


def _value(staged: str, arrow: pa.DataType, column: str) -> str:
    """The expression that turns a staged value into the type of its column."""
    if column.endswith("[]"):
        element = column.removesuffix("[]")
        unpack = "jsonb_array_elements" if element in ("jsonb", "json") else "jsonb_array_elements_text"
        items = f"SELECT CAST(i.v AS {element}) FROM {unpack}(CAST({staged} AS jsonb)) AS i(v)"  # noqa: S608 - catalog type
        return f"CASE WHEN {staged} IS NOT NULL THEN ARRAY({items}) END"
    if column == "bytea":
        return f"decode({staged}, 'hex')"
    is_text = column.startswith(TEXT)
    if pa.types.is_decimal(arrow) and column == "numeric":
        return f"trim_scale({staged})"
    if arrow == pa.string() and not is_text:
        return f"CAST({staged} AS {column})"
    if arrow != pa.string() and is_text:
        return f"CAST({staged} AS text)"
    return staged
