"""The PostgreSQL engine.

Connection, TLS, SSH tunnel and the mapping of JSON schemas to column types are meltanolabs-target-postgres' own
connector, so an existing warehouse of that target carries on. Rows travel by ADBC: a binary COPY into a temporary
table, then one merge, in one transaction per batch.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import paramiko
import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import make_url
from target_postgres.connector import PostgresConnector

from target_warehouse.engines.sql import SqlTransaction
from target_warehouse.engines.types import holds
from target_warehouse.errors import ConnectionFailedError, LoadError, SchemaChangeError
from target_warehouse.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from target_warehouse.columns import Table

_NAME_BYTES = 63  # PostgreSQL's NAMEDATALEN - 1: a longer name would be cut silently
_COPY_ROWS = 8192  # small record batches let encoding here and writing there overlap
#: From this many columns on, rows are kept in line up to a page: by default PostgreSQL moves or compresses dozens
#: of small values of every row above 2 kB, which made loading 250 columns three times slower.
_WIDE_TABLE_COLUMNS = 50
_WIDE_TABLE_TOAST = 8160
_STAGE = "target_warehouse_stage"
_DDL_LOCK = 7_346_120_551  # an arbitrary key: two runs must not create the same table at once

#: Classes of SQLSTATE whose messages speak of the server, not of values.
_SPEAKABLE = ("08", "0A", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")


class WarehouseConnector(PostgresConnector):  # type: ignore[misc]  # it has no type marker
    """target-postgres' connector, which also takes the setting `warehouse` as its URL."""

    def get_sqlalchemy_url(self, config: Mapping[str, Any]) -> str:
        """The URL of `warehouse`, with the ssl settings applied, or target-postgres' own."""
        if config["warehouse"]:
            url = make_url(config["warehouse"]).set(drivername="postgresql+psycopg")
            url = url.update_query_dict(self.get_sqlalchemy_query(config))
        else:
            url = make_url(super().get_sqlalchemy_url(config))
        return str(url.render_as_string(hide_password=False))


class PostgresEngine:
    """An open PostgreSQL database."""

    #: Numbers travel as text, because NUMERIC holds more digits than any Arrow decimal.
    number_type = pa.string()

    def __init__(self, config: Mapping[str, Any]) -> None:
        try:
            self._connector = WarehouseConnector(dict(config))
        except (OSError, ValueError, paramiko.SSHException, sqlalchemy.exc.ArgumentError) as error:
            msg = f"The connection to PostgreSQL cannot be prepared: {_first_line(error)}."
            raise ConnectionFailedError(msg) from error
        url = make_url(self._connector.sqlalchemy_url)
        self._where = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        self._engine = self._connector.create_engine()
        try:
            with self._engine.connect():
                pass
            libpq_url = url.set(drivername="postgresql").render_as_string(hide_password=False)
            self._connection = adbc_driver_postgresql.dbapi.connect(libpq_url)
        except (sqlalchemy.exc.DBAPIError, adbc_driver_manager.Error) as error:
            cause = getattr(error, "orig", None) or error
            msg = (
                f"PostgreSQL at {self._where} cannot be reached or refuses the login: {_first_line(cause)}. "
                "Check host, port, user, password and database."
            )
            raise ConnectionFailedError(msg) from error
        with self._connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
        self._connection.commit()
        self._tables: dict[tuple[str | None, str], _Existing] = {}

    def prepare(self, table: Table) -> None:
        """Create the table as target-postgres does, or add its missing columns; see the protocol."""
        _check_names(table)
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_DDL_LOCK})")
                self._tables[table.schema, table.name] = self._prepare(table, connection)
        except sqlalchemy.exc.DBAPIError as error:
            sqlstate = getattr(error.orig, "sqlstate", None)
            msg = f"PostgreSQL at {self._where}: the table {table.name} cannot be prepared"
            raise LoadError(_refusal(msg, sqlstate, _first_line(error.orig))) from error

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
            raise LoadError(_refusal(msg, error.sqlstate, _primary_message(error))) from error
        except BaseException:
            self._roll_back()
            raise

    def table_exists(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table."""
        return bool(self.column_names(schema, name))

    def column_names(self, schema: str | None, name: str) -> list[str]:
        """The columns of an existing table."""
        with self._engine.connect() as connection:
            return list(_existing(connection, schema, name).types)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.exec_driver_sql(sql)]
        except sqlalchemy.exc.DBAPIError as error:
            sqlstate = getattr(error.orig, "sqlstate", None)
            msg = f"PostgreSQL at {self._where}: a query failed"
            raise LoadError(_refusal(msg, sqlstate, _first_line(error.orig))) from error

    def close(self) -> None:
        """Close the connections and the tunnel."""
        self._connection.close()
        self._engine.dispose()
        self._connector.clean_up()

    def _prepare(self, table: Table, connection: sqlalchemy.Connection) -> _Existing:
        dialect = self._engine.dialect
        sql_types = {column.name: self._connector.to_sql_type(dict(column.schema)) for column in table.columns}
        existing = _existing(connection, table.schema, table.name)
        if not existing.types:
            self._create(table, connection)
            return _existing(connection, table.schema, table.name)
        wanted = {name: sql_type.compile(dialect) for name, sql_type in sql_types.items()}
        missing = [name for name in wanted if name not in existing.types]
        for name in missing:
            where = identifier(table.schema, table.name)
            statement = f"ALTER TABLE {where} ADD COLUMN {identifier(name)} {wanted[name]}"
            connection.exec_driver_sql(statement.replace("%", "%%"), ())
        for name, kind in wanted.items():
            if name in existing.types and not holds(existing.types[name], _full_name(kind)):
                raise SchemaChangeError.of(table.schema, table.name, name, existing.types[name], kind)
        return _existing(connection, table.schema, table.name) if missing else existing

    def _create(self, table: Table, connection: sqlalchemy.Connection) -> None:
        if table.schema:
            names = connection.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars().all()
            if table.schema not in names:
                connection.execute(sqlalchemy.schema.CreateSchema(table.schema))
        self._connector.create_empty_table(
            table_name=table.name,
            meta=sqlalchemy.MetaData(schema=table.schema),
            schema={"properties": {column.name: dict(column.schema) for column in table.columns}},
            connection=connection,
            primary_keys=table.keys,
        )
        if len(table.columns) >= _WIDE_TABLE_COLUMNS:
            where = identifier(table.schema, table.name).replace("%", "%%")
            connection.exec_driver_sql(f"ALTER TABLE {where} SET (toast_tuple_target = {_WIDE_TABLE_TOAST})", ())

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except adbc_driver_manager.Error:
            return  # the connection is gone, and its transaction with it


class PostgresTransaction(SqlTransaction):
    """The writes of one transaction in PostgreSQL."""

    def __init__(
        self, cursor: adbc_driver_postgresql.dbapi.Cursor, tables: Mapping[tuple[str | None, str], _Existing]
    ) -> None:
        self._cursor = cursor
        self._tables = tables

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
        kinds = {column.name: column.kind for column in table.columns}
        return {
            field.name: _value(f"s.{identifier(field.name)}", field.type, kinds[field.name], existing[field.name])
            for field in schema
        }

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
        return not existing.has_dependents and set(columns).issuperset(existing.types)

    def lock(self, table: Table) -> None:
        """Readers go on; a second writer waits until this transaction ends, instead of failing on a key."""
        self._cursor.execute(f"LOCK TABLE {self.table_name(table)} IN SHARE ROW EXCLUSIVE MODE")

    @contextmanager
    def by_key(self, table: Table) -> Iterator[None]:
        """Look rows up in the key's index, so that a batch costs the same however large the table is."""
        has_index = self._tables[table.schema, table.name].key == frozenset(table.keys)
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = off")
        yield
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = on")


class _Existing:
    """What is known of a table in the database: column types, primary key, and whether anything hangs on it."""

    def __init__(self, types: dict[str, str], key: frozenset[str], *, has_dependents: bool) -> None:
        self.types = types
        self.key = key
        self.has_dependents = has_dependents


def _existing(connection: sqlalchemy.Connection, schema: str | None, name: str) -> _Existing:
    """The table as it is; no types when there is none."""
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod),"
            " EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary"
            "   AND a.attnum = ANY (i.indkey)),"
            " EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)"
            "   OR EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid = c.oid)"
            " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relname = :name AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')"
            "   AND c.relnamespace = (SELECT oid FROM pg_namespace"
            "     WHERE nspname = coalesce(CAST(:schema AS text), current_schema()))"
            " ORDER BY a.attnum"
        ),
        {"name": name, "schema": schema},
    ).all()
    return _Existing(
        {row[0]: row[1] for row in rows},
        frozenset(row[0] for row in rows if row[2]),
        has_dependents=any(row[3] for row in rows),
    )


def _full_name(sql_type: str) -> str:
    """SQLAlchemy's name of a type, written as PostgreSQL's format_type writes it."""
    return sql_type.lower().replace("decimal", "numeric").replace("varchar", "character varying").replace(", ", ",")


#: Column types that take the staged value as it is.
_TEXT = ("text", "character varying", "character")


def _value(staged: str, arrow: pa.DataType, kind: str, column: str) -> str:
    """The expression that turns a staged value into the type of its column."""
    if column.endswith("[]"):
        element = column.removesuffix("[]")
        unpack = "jsonb_array_elements" if element in ("jsonb", "json") else "jsonb_array_elements_text"
        items = f"SELECT CAST(e AS {element}) FROM {unpack}(CAST({staged} AS jsonb)) AS e"  # noqa: S608 - catalog type
        return f"CASE WHEN {staged} IS NOT NULL THEN ARRAY({items}) END"
    if kind == "bytes" and column == "bytea":
        return f"decode({staged}, 'hex')"
    is_text = column.startswith(_TEXT)
    if arrow == pa.string() and not is_text:
        return f"CAST({staged} AS {column})"
    if arrow != pa.string() and is_text:
        return f"CAST({staged} AS text)"
    return staged


def _check_names(table: Table) -> None:
    for name in (table.schema or "", table.name, *table.column_names):
        if len(name.encode()) > _NAME_BYTES:
            msg = (
                f"The name {name} of the stream {table.name} is longer than the {_NAME_BYTES} bytes that PostgreSQL "
                "allows. Rename it with a stream map, or deselect the property."
            )
            raise SchemaChangeError(msg)


def _refusal(what: str, sqlstate: str | None, message: str) -> str:
    """The sentence for a refused statement; messages that may quote values are not passed on."""
    if sqlstate in ("22021", "22P05"):
        return (
            f"{what}: a text value contains the character NUL, which PostgreSQL cannot store. "
            "Set sanitize_null_text_characters to true to replace it. Nothing of this batch was kept."
        )
    if sqlstate and not sqlstate.startswith(_SPEAKABLE):
        message = "a value does not fit its column or breaks a constraint"
    return f"{what}: {message.rstrip('.')} (SQLSTATE {sqlstate or 'unknown'}). Nothing of this batch was kept."


def _primary_message(error: adbc_driver_manager.Error) -> str:
    line = _first_line(error)
    return line.partition("ERROR:")[2].strip() or line


def _first_line(error: BaseException | None) -> str:
    text = str(error).strip()
    return text.splitlines()[0].strip().rstrip(".") if text else type(error).__name__
