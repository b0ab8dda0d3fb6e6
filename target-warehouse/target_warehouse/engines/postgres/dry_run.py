"""A PostgreSQL warehouse for dry runs: it only reads the real tables, and writes to temporary tables.

Each table that a stream needs is copied with all its columns, but only with the values that decide how a record is
written: keys, columns that are NOT NULL, the deletion mark and the version. Temporary tables belong to one session and
end with it, however it ends; so one session does everything, and COPY sends rows as text. No other session waits for a
lock of this one: the real tables are read once and not touched again. The role's rights on them are only looked up.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy

from target_warehouse.engines.postgres.access import STAGE, PostgresAccess
from target_warehouse.engines.postgres.catalog import NAME_BYTES, ExistingTable, existing_table
from target_warehouse.engines.postgres.engine import PostgresEngine
from target_warehouse.engines.postgres.rights import check_rights
from target_warehouse.engines.postgres.transaction import PostgresTransaction
from target_warehouse.engines.postgres.values import staged_type
from target_warehouse.engines.prepared_table import column_names
from target_warehouse.engines.protocol import TableChange, shadow_columns
from target_warehouse.errors import ConnectionFailedError
from target_warehouse.tables.statements import column_list, identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from target_warehouse.tables.table import Table


class PostgresShadow(PostgresEngine):
    """The engine on temporary tables of its own session."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        if self._server.is_pooled:
            super().close()
            msg = (
                f"A dry run needs a session of its own, but {self._server.label} is behind a connection pool: "
                "set the URL of the server itself in the setting warehouse, or run without dry_run."
            )
            raise ConnectionFailedError(msg)
        self._copies = self._server.engine.connect()
        with self._ddl_transaction("a session cannot be prepared") as session:
            session.exec_driver_sql("CREATE TEMPORARY TABLE target_warehouse_first ()")
            temporary_schema = "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()"
            self._schema = str(session.exec_driver_sql(temporary_schema).scalar_one())
        #: For each table of the warehouse, the name of its copy and its columns before the run.
        self._copied: dict[tuple[str | None, str], tuple[str, dict[str, str]]] = {}

    def prepare(self, table: Table) -> Table:
        """Copy the table, if it exists, and prepare the copy."""
        name = self._fitted(table.name)
        if (table.schema, name) not in self._copied:
            with self._ddl_transaction(f"the table {name} cannot be copied") as session:
                self._copied[table.schema, name] = self._copy(session, table, name)
        copy = super().prepare(self._inside(replace(table, name=name)))
        return self._outside(self._allowed(copy, table.schema, name), table.schema, name)

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Change the types of the copy's columns."""
        copy = super().widen(self._inside(table), kinds)
        return self._outside(self._allowed(copy, table.schema, table.name), table.schema, table.name)

    @contextmanager
    def transaction(self) -> Iterator[PostgresTransaction]:
        """A transaction on the copies."""
        try:
            with self._copies.begin():
                names = {key: (self._schema, copy) for key, (copy, _) in self._copied.items()}
                driver: Any = self._copies.connection.driver_connection
                with psycopg.RawCursor(driver) as cursor:  # parameters are $1, $2, as they are to ADBC
                    yield PostgresTransaction(ShadowAccess(cursor, self._tables, names))
        except psycopg.Error as error:
            raise self._server.refusal("a batch cannot be written", error) from error

    def planned_changes(self) -> list[TableChange]:
        """What the run would do to the tables that it prepared."""
        schemas: list[str] = list(self._copies.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars())
        changes = [
            TableChange(
                schema,
                name,
                before,
                existing_table(self._copies, self._schema, copy).types,
                is_new_schema=schema is not None and schema not in schemas,
            )
            for (schema, name), (copy, before) in self._copied.items()
        ]
        self._copies.rollback()
        return changes

    def tidy_up(self) -> None:
        """Do nothing: the tables are temporary."""

    def close(self) -> None:
        """End the session, which drops the copies."""
        with ExitStack() as closing:
            closing.callback(super().close)
            closing.callback(self._copies.close)

    @contextmanager
    def _ddl_transaction(self, what: str) -> Iterator[sqlalchemy.Connection]:
        """A transaction of the one session; no other session sees the copies, so none has to wait."""
        try:
            with self._copies.begin():
                yield self._copies
        except sqlalchemy.exc.DBAPIError as error:
            raise self._server.refusal(what, error.orig) from error

    def _copy(self, session: sqlalchemy.Connection, table: Table, name: str) -> tuple[str, dict[str, str]]:
        schema = table.schema
        copies = {copy for copy, _ in self._copied.values()}
        copy = name if name not in copies else f"{len(copies)} {name}"[:NAME_BYTES]  # of another schema
        existing = existing_table(session, schema, name)
        if existing.types:
            real, temporary = identifier(schema, name), identifier(self._schema, copy)
            like = f"CREATE TABLE {temporary} (LIKE {real} INCLUDING ALL)"
            session.exec_driver_sql(like.replace("%", "%%"), ())
            unusable = self.dialect.unusable_columns(table.by_property)
            fitted = column_names(table, existing.types, most_bytes=NAME_BYTES, ignores_case=False, unusable=unusable)
            needed = {*(fitted[key] for key in table.keys), *existing.key, *_never_null(session, real)}
            kept = column_list(shadow_columns(existing.types, needed))
            insert = f"INSERT INTO {temporary} ({kept}) OVERRIDING SYSTEM VALUE SELECT {kept} FROM {real}"  # noqa: S608
            session.exec_driver_sql(insert.replace("%", "%%"), ())
        return copy, existing.types

    def _allowed(self, copy: Table, schema: str | None, name: str) -> Table:
        """Return the copy if the role may do the same to the real table."""
        with self._ddl_transaction(f"the rights on the table {name} cannot be read") as session:
            after = self._tables[copy.schema, copy.name].types
            check_rights(session, schema, name, self._copied[schema, name][1], after)
        return copy

    def _inside(self, table: Table) -> Table:
        return replace(table, schema=self._schema, name=self._copied[table.schema, table.name][0])

    def _outside(self, table: Table, schema: str | None, name: str) -> Table:
        """The table under its name in the warehouse."""
        self._tables[schema, name] = self._tables[table.schema, table.name]
        return replace(table, schema=schema, name=name)


class ShadowAccess(PostgresAccess):
    """Access to the copies: every batch is staged by a COPY of text, and merged."""

    def __init__(
        self,
        cursor: Any,
        tables: dict[tuple[str | None, str], ExistingTable],
        names: Mapping[tuple[str | None, str], tuple[str, str]],
    ) -> None:
        super().__init__(cursor, tables)
        self._names = names

    def table_name(self, table: Table) -> str:
        """The copy's name."""
        return identifier(*self._names[table.schema, table.name])

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """A temporary table, filled by COPY."""
        stage = identifier("pg_temp", STAGE)
        columns = ", ".join(f"{identifier(field.name)} {staged_type(field.type)}" for field in rows.schema)
        self.cursor.execute(f"CREATE TEMPORARY TABLE {identifier(STAGE)} ({columns})")
        with self.cursor.copy(f"COPY {stage} FROM STDIN") as copy:
            for chunk in rows.to_batches(max_chunksize=1_000):
                for row in zip(*(column.to_pylist() for column in chunk.columns), strict=True):
                    copy.write_row(row)
        yield stage
        self.cursor.execute(f"DROP TABLE {stage}")

    def in_exact_types(self, table: Table, rows: pa.Table) -> pa.Table | None:  # noqa: ARG002 - binary COPY is ADBC's
        """Return None: there is no binary COPY."""
        return None


def _never_null(session: sqlalchemy.Connection, table: str) -> set[str]:
    columns = (
        "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) AND attnum > 0 "
        "AND attnotnull AND attgenerated = '' AND NOT attisdropped"
    )
    return set(session.execute(sqlalchemy.text(columns), {"name": table}).scalars())
