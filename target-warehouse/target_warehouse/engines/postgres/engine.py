"""The PostgreSQL engine.

Connection, TLS, SSH tunnel and the mapping of JSON schemas to column types come from meltanolabs-target-postgres'
connector, so an existing warehouse of that target keeps working. Rows are sent by ADBC, in one transaction per batch.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import sqlalchemy

from target_warehouse.engines.postgres.access import PostgresAccess
from target_warehouse.engines.postgres.catalog import NAME_BYTES, ExistingTable, existing_table
from target_warehouse.engines.postgres.columns import widen
from target_warehouse.engines.postgres.comments import comment_on
from target_warehouse.engines.postgres.dialect import PostgresDialect, exact
from target_warehouse.engines.postgres.server import Server
from target_warehouse.engines.postgres.statistics import analyze_new
from target_warehouse.engines.postgres.tables import prepare
from target_warehouse.engines.postgres.transaction import PostgresTransaction
from target_warehouse.engines.postgres.views import make_views
from target_warehouse.engines.prepared_table import stored_as
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import chosen_rows, identifier
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.engines.protocol import TableChange
    from target_warehouse.tables.table import Table

_WIDER_TYPES = {"integer": "bigint", "number": "numeric", "json": "jsonb", "text": "text"}


class PostgresEngine:
    """An open PostgreSQL database."""

    least_chunk = 1

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._server = Server(config)
        self.dialect = PostgresDialect(self._server)
        self.alive_condition = self._server.alive_condition
        self._tables: dict[tuple[str | None, str], ExistingTable] = {}

    def announce_run(self, run_id: str) -> None:
        """Hold a shared lock until the session ends; behind a pool, do nothing."""
        self._server.announce_run(run_id)

    def place(self, schema: str | None, name: str) -> tuple[str, str]:
        """Schema and table; see the protocol."""
        if schema is None:
            with self._server.engine.connect() as connection:
                schema = str(connection.exec_driver_sql("SELECT current_schema()").scalar_one())
        return schema, self._fitted(name)

    def prepare(self, table: Table) -> Table:
        """Create the table as target-postgres does, or extend and widen it; see the protocol."""
        with self._ddl_transaction(f"the table {table.name} cannot be prepared") as connection:
            table, existing = prepare(table, self._server.connector, connection, self._server.encoding)
            comment_on(table, connection, self._server.encoding)
        return self._as_stored(table, existing)

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Change the columns' types in place; see the protocol."""
        with self._ddl_transaction(f"columns of the table {table.name} cannot become wider") as connection:
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
            with self._server.session.transaction() as cursor:
                yield PostgresTransaction(PostgresAccess(cursor, self._tables))
        except adbc_driver_manager.Error as error:
            raise self._server.refusal("a batch cannot be written", error) from error

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""
        with self._server.reading("the tables cannot be listed") as connection:
            return list(sqlalchemy.inspect(connection).get_table_names(schema))

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table and their types; see the protocol."""
        with self._server.reading(f"the columns of the table {name} cannot be read") as connection:
            return existing_table(connection, schema, name).types

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The columns of the primary key, sorted by name."""
        with self._server.reading(f"the key of the table {name} cannot be read") as connection:
            return sorted(existing_table(connection, schema, name).key)

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
        chosen = ", ".join(f"{exact(identifier(column), types[column])} AS {identifier(column)}" for column in columns)
        where = chosen_rows(mark=mark, ids=ids)
        try:
            with self._server.session.transaction() as cursor:
                cursor.execute(f"SELECT {chosen} FROM {identifier(schema, name)}{where}")  # noqa: S608 - quoted
                yield cursor.fetch_record_batch()
        except adbc_driver_manager.Error as error:
            raise self._server.refusal(f"the table {name} cannot be read", error) from error

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        with self._server.reading("a query failed") as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql.replace("%", "%%"), ())]

    def planned_changes(self) -> list[TableChange] | None:
        """Return None: this is no dry run."""
        return None

    def make_views(self, schema: str, views_schema: str) -> None:
        """Create views of live rows; see the protocol."""
        if views_schema:
            make_views(self._server.raw_ddl_transaction, self._server.engine, schema, views_schema)

    def tidy_up(self) -> None:
        """Collect statistics of new tables; PostgreSQL vacuums dead rows by itself."""
        analyze_new(self._server.engine, self._tables)

    def close(self) -> None:
        """Close the connections and the tunnel, each even if closing another fails."""
        self._server.close()

    def _ddl_transaction(self, what: str) -> AbstractContextManager[sqlalchemy.Connection]:
        """A transaction that changes tables."""
        return self._server.ddl_transaction(what)

    def _fitted(self, name: str) -> str:
        """The name under which the database stores a table of this name."""
        unusable = self.dialect.unusable_names([name])
        return fit_table(name, (), most_bytes=NAME_BYTES, ignores_case=False, unusable=unusable)

    def _as_stored(self, table: Table, existing: ExistingTable) -> Table:
        self._tables[table.schema, table.name] = existing
        return stored_as(table, {name: existing.taken_as(name) for name in existing.types})
