"""The PostgreSQL engine.

Connection, TLS, SSH tunnel and the mapping of JSON schemas to column types come from meltanolabs-target-postgres'
connector, so an existing warehouse of that target keeps working. Rows are sent by ADBC, in one transaction per batch.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import paramiko
import psycopg
import sqlalchemy
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from target_warehouse.engines.postgres.comments import comment_on
from target_warehouse.engines.postgres.connector import WarehouseConnector
from target_warehouse.engines.postgres.encoding import NO_ENCODING, Encoding
from target_warehouse.engines.postgres.errors import advice_on, answer_of, first_line, refusal
from target_warehouse.engines.postgres.session import Session, make_ready
from target_warehouse.engines.postgres.tables import NAME_BYTES, Existing, existing_table, prepare, widen
from target_warehouse.engines.postgres.transaction import PostgresTransaction
from target_warehouse.engines.postgres.types import plain
from target_warehouse.engines.postgres.views import make_views
from target_warehouse.engines.prepared_table import stored_as
from target_warehouse.errors import ConnectionFailedError
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import chosen_rows, identifier
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from target_warehouse.engines.protocol import TableChange
    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

#: Types that ADBC reads without loss.
_ARROW_TYPES = (
    *("smallint", "integer", "bigint", "double precision", "real", "boolean", "text", "character", "character varying"),
    *("date", "timestamp without time zone", "timestamp with time zone", "bytea"),
)
_WIDER_TYPES = {"integer": "bigint", "number": "numeric", "json": "jsonb", "text": "text"}
_DDL_LOCK = 7_346_120_551  # an arbitrary lock key, so that two runs do not create the same table at once
#: If this setting is on, ADBC does not recognise types by name when it connects, so it is switched off by a connection
#: option. Pools refuse options, so the option is given only where it is needed.
_QUOTES_TYPES = "SELECT reset_val FROM pg_settings WHERE name = 'quote_all_identifiers'"
_RUN_LOCK = 734_612_056  # another arbitrary key; together with the first 32 bits of a run's id it marks a live run
_ALIVE_CONDITION = (
    "left(run_id, 8) IN (SELECT lpad(to_hex(CAST(l.objid AS bigint)), 8, '0') FROM pg_catalog.pg_locks AS l "  # noqa: S608
    "JOIN pg_catalog.pg_database AS d ON d.oid = l.database AND d.datname = current_database() "
    f"WHERE l.locktype = 'advisory' AND l.classid = {_RUN_LOCK} AND l.objsubid = 2)"
)
#: Behind a pool no lock shows which runs are alive; but a run rewrites its row with every commit.
_RECENT_CONDITION = "({} OR finished_at > CAST(now() AT TIME ZONE 'UTC' AS timestamp) - interval '1 day')"


class PostgresEngine:
    """An open PostgreSQL database."""

    stores_nul = False
    most_name_bytes: int | None = NAME_BYTES
    ignores_case = False
    least_chunk = 1

    def __init__(self, config: Mapping[str, Any]) -> None:
        try:
            self._connector = WarehouseConnector(dict(config))
        except (OSError, ValueError, paramiko.SSHException, sqlalchemy.exc.ArgumentError) as error:
            msg = f"The connection to PostgreSQL cannot be prepared: {first_line(error)}."
            raise ConnectionFailedError(msg) from error
        url = make_url(self._connector.sqlalchemy_url)
        self._where = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self._engine = self._connector.create_engine()
        self._lock_timeout = max(round(config["lock_timeout_seconds"] * 1000), 1)  # 0 would mean no timeout
        make_ready(self._engine, self._lock_timeout)
        try:
            # Not as a URL: libpq decodes spaces and plus signs differently, and quotes a URL that it cannot parse.
            _, parameters = self._engine.dialect.create_connect_args(url)
            parameters.pop("context", None)  # psycopg's own
            self._session, self._is_pooled = self._opened(parameters)
        except BaseException as error:
            self._engine.dispose()
            self._connector.clean_up()
            if not isinstance(error, (sqlalchemy.exc.DBAPIError, psycopg.Error, adbc_driver_manager.Error)):
                raise
            cause = answer_of(getattr(error, "orig", None) or error)
            problem = f"PostgreSQL at {self._where} cannot be reached or refuses the login: {cause.message}"
            check = "Check host, port, user, password and database, and that the server accepts more connections"
            advice = advice_on(cause.sqlstate)
            msg = f"{problem}; {advice}." if advice else f"{problem}. {check}."
            raise ConnectionFailedError(msg) from error
        self.stores_unicode = self._encoding.is_full
        self.alive_condition = _RECENT_CONDITION.format(_ALIVE_CONDITION) if self._is_pooled else _ALIVE_CONDITION
        self._tables: dict[tuple[str | None, str], Existing] = {}

    def announce_run(self, run_id: str) -> None:
        """Take a shared lock, for which nobody waits; PostgreSQL releases it when the session ends, however it ends.

        Not behind a pool, where sessions pass from client to client and the lock would stay with one of them.
        """
        if self._encoding.name == NO_ENCODING:
            logger.warning(
                "PostgreSQL at %s has a database without an encoding (SQL_ASCII); text is stored as UTF-8.", self._where
            )
        if self._is_pooled:
            logger.info(
                "PostgreSQL at %s is behind a connection pool: a run that is killed stays `running` for a day.",
                self._where,
            )
            return
        key = int.from_bytes(bytes.fromhex(run_id[:8]), signed=True)
        try:
            self._session.hold_lock(f"SELECT pg_advisory_lock_shared({_RUN_LOCK}, {key})")
        except adbc_driver_manager.Error as error:
            raise refusal(f"PostgreSQL at {self._where}: the run cannot be announced", error) from error

    def lacking(self, texts: Iterable[str]) -> frozenset[str]:
        """The characters that the server refuses to convert; see the protocol."""
        if self.stores_unicode:
            return frozenset()
        with self._reading("characters cannot be checked") as connection:
            return self._encoding.lacking(connection, texts)

    def escaped(self, text: str) -> str:
        """The text with escapes, without a query; see the protocol."""
        return self._encoding.escaped(text)

    def unusable_columns(self, names: Iterable[str]) -> frozenset[str]:
        """The names of system columns, and names that the encoding lacks; see the protocol."""
        names = list(names)
        with self._reading("names cannot be checked") as connection:
            return self._encoding.unusable_names(connection, names) | self._encoding.system_columns.intersection(names)

    def place(self, schema: str | None, name: str) -> tuple[str, str]:
        """Schema and table; see the protocol."""
        if schema is None:
            with self._engine.connect() as connection:
                schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
        unusable = self.unusable_columns([name]) - self._encoding.system_columns
        return schema, fit_table(name, (), most_bytes=NAME_BYTES, ignores_case=False, unusable=unusable)

    def prepare(self, table: Table) -> Table:
        """Create the table as target-postgres does, or extend and widen it; see the protocol."""
        with self._definition(f"the table {table.name} cannot be prepared") as connection:
            table, existing = prepare(table, self._connector, connection, self._encoding)
            comment_on(table, connection, self._encoding)
        return self._as_stored(table, existing)

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Change the columns' types in place; see the protocol."""
        with self._definition(f"columns of the table {table.name} cannot become wider") as connection:
            existing = existing_table(connection, table.schema, table.name)
            for name, kind in kinds.items():
                column = table.by_property[name]
                wanted = None if kind == "places" else _WIDER_TYPES[kind]
                widen(table, column.name, existing, wanted, connection, is_needed=True)
            existing = existing_table(connection, table.schema, table.name)
        return self._as_stored(table, existing)

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """A transaction; see the protocol."""
        try:
            with self._session.transaction() as cursor:
                yield PostgresTransaction(cursor, self._tables)
        except adbc_driver_manager.Error as error:
            raise refusal(f"PostgreSQL at {self._where}: a batch cannot be written", error) from error

    def table_exists(self, schema: str | None, name: str) -> bool:
        """Whether the table exists."""
        return bool(self.column_types(schema, name))

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""
        with self._reading("the tables cannot be listed") as connection:
            return list(sqlalchemy.inspect(connection).get_table_names(schema))

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table and their types; see the protocol."""
        with self._reading(f"the columns of the table {name} cannot be read") as connection:
            return existing_table(connection, schema, name).types

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The primary key."""
        with self._reading(f"the key of the table {name} cannot be read") as connection:
            return sorted(existing_table(connection, schema, name).key)

    def comparable(self, column: str, column_type: str, *, as_text: bool) -> str:
        """The expression by which a column is compared; see the protocol."""
        if as_text and column_type.endswith("[]"):
            return f"CAST(to_jsonb({column}) AS text)"
        if as_text and plain(column_type).startswith("timestamp "):
            return f"to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"
        if as_text and plain(column_type) == "numeric":
            return f"CAST(trim_scale({column}) AS text)"
        is_exact = plain(column_type) in (*_ARROW_TYPES, "numeric", "jsonb") and not as_text
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
        mark = own_column(DELETED_AT, types) if live_only else None
        chosen = ", ".join(f"{_exact(identifier(column), types[column])} AS {identifier(column)}" for column in columns)
        where = chosen_rows(mark=mark, ids=ids)
        try:
            with self._session.transaction() as cursor:
                cursor.execute(f"SELECT {chosen} FROM {identifier(schema, name)}{where}")  # noqa: S608 - quoted
                yield cursor.fetch_record_batch()
        except adbc_driver_manager.Error as error:
            raise refusal(f"PostgreSQL at {self._where}: the table {name} cannot be read", error) from error

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        with self._reading("a query failed") as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql.replace("%", "%%"), ())]

    def planned_changes(self) -> list[TableChange] | None:
        """Return None: this is no dry run."""
        return None

    def make_views(self, schema: str, views_schema: str) -> None:
        """Create views of live rows; see the protocol."""
        if views_schema:
            make_views(self._defining, self._engine, schema, views_schema)

    def compact(self) -> None:
        """Do nothing: PostgreSQL vacuums dead rows by itself."""

    def close(self) -> None:
        """Close the connections and the tunnel, each even if closing another fails."""
        with ExitStack() as closing:
            closing.callback(self._connector.clean_up)
            closing.callback(self._engine.dispose)
            closing.callback(self._session.close)

    @contextmanager
    def _reading(self, what: str) -> Iterator[sqlalchemy.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            raise refusal(f"PostgreSQL at {self._where}: {what}", error.orig) from error

    @contextmanager
    def _definition(self, what: str) -> Iterator[sqlalchemy.Connection]:
        """A transaction that changes tables, one run at a time."""
        try:
            with self._defining() as connection:
                yield connection
        except sqlalchemy.exc.DBAPIError as error:
            raise refusal(f"PostgreSQL at {self._where}: {what}", error.orig) from error

    @contextmanager
    def _defining(self) -> Iterator[sqlalchemy.Connection]:
        with self._engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_DDL_LOCK})")
            yield connection

    def _as_stored(self, table: Table, existing: Existing) -> Table:
        self._tables[table.schema, table.name] = existing
        return stored_as(table, {name: existing.taken_as(name) for name in existing.types})

    def _opened(self, parameters: dict[str, Any]) -> tuple[Session, bool]:
        """Return a session, and whether it goes through a connection pool such as pgbouncer.

        A pool reports invented process ids to its clients, or gives two clients the same session.
        """
        statement = "SELECT pg_backend_pid()"
        with self._engine.connect() as connection:
            pid = connection.exec_driver_sql(statement).scalar()
            driver: Any = connection.connection.driver_connection
            is_invented = driver.info.backend_pid != pid
            self._encoding = Encoding(connection, NAME_BYTES)
            if connection.exec_driver_sql(_QUOTES_TYPES).scalar() == "on":
                options = parameters.get("options", "")
                parameters = {**parameters, "options": f"{options} -c quote_all_identifiers=off"}
        session = Session(make_conninfo(**parameters), self._lock_timeout, self._where)
        try:
            with session.transaction() as cursor:
                cursor.execute(statement)
                return session, is_invented or cursor.fetchall()[0][0] == pid
        except BaseException:
            session.close()
            raise


def _exact(column: str, column_type: str) -> str:
    """The expression that reads a column into Arrow without loss."""
    if column_type.endswith("[]"):
        return f"CAST(to_jsonb({column}) AS text)"
    if plain(column_type) == "numeric":
        return f"CAST(trim_scale({column}) AS text)"
    return column if plain(column_type) in _ARROW_TYPES else f"CAST({column} AS text)"
