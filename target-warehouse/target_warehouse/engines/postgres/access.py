"""Access to the tables of a PostgreSQL database inside one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import psycopg
import pyarrow as pa

from target_warehouse.engines.postgres.catalog import read_again, warn_of_hidden_rows
from target_warehouse.engines.postgres.copy import as_stored
from target_warehouse.engines.postgres.errors import is_about_a_value
from target_warehouse.engines.postgres.overflow import JSON_TYPES, merged, unsent
from target_warehouse.engines.postgres.types import WITHOUT_EQUALITY
from target_warehouse.engines.postgres.values import changed, may_change, value
from target_warehouse.engines.sql_access import SqlAccess
from target_warehouse.engines.suppressed_writes import SuppressedWrites
from target_warehouse.errors import RefusedDataError
from target_warehouse.tables import statements
from target_warehouse.tables.statements import identifier
from target_warehouse.tables.table import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import adbc_driver_postgresql.dbapi

    from target_warehouse.engines.postgres.catalog import ExistingTable
    from target_warehouse.tables.table import Table

COPY_ROWS = 8192  # small record batches let encoding in this process and writing in the server overlap
STAGE = "target_warehouse_stage"


class PostgresAccess(SqlAccess):
    """Access by the cursor of a transaction."""

    overriding = " OVERRIDING SYSTEM VALUE"

    def __init__(
        self, cursor: adbc_driver_postgresql.dbapi.Cursor, tables: dict[tuple[str | None, str], ExistingTable]
    ) -> None:
        self.cursor = cursor
        self._tables = tables

    def existing(self, table: Table) -> ExistingTable:
        """The table as it was when the last batch locked it."""
        return self._tables[table.schema, table.name]

    def table_name(self, table: Table) -> str:
        """The quoted schema and table."""
        return identifier(table.schema, table.name)

    def types(self, table: Table) -> Mapping[str, str]:
        """The types, as the engine read them."""
        return self.existing(table).types

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """Fill a temporary table by binary COPY."""
        reader = rows.to_reader(max_chunksize=COPY_ROWS)
        self.cursor.adbc_ingest(STAGE, reader, mode="create", temporary=True)
        yield identifier("pg_temp", STAGE)
        self.cursor.execute(f"DROP TABLE {identifier('pg_temp', STAGE)}")

    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Let the server check columns whose types are not ours, or that round; see the base class.

        The error names the column.
        """
        existing = self.existing(table)
        for field in rows.schema:
            if not may_change(field.name, existing):
                continue
            column_type, condition = existing.types[field.name], changed(field.name, field.type, existing)
            reason = (
                f"its property {_property(table, field.name)} does not fit its column, of type {column_type}, unchanged"
            )
            try:
                read = value(field.name, field.type, existing)
                self.count(f"SELECT count(CAST({read} AS {column_type})) FROM {stage} AS s")  # noqa: S608 - quoted
                if condition and self.count(f"SELECT count(*) FROM {stage} AS s WHERE {condition}"):  # noqa: S608
                    raise RefusedDataError(f"The column {field.name} would round a value.", reason)
            except (adbc_driver_manager.Error, psycopg.Error) as error:
                if is_about_a_value(error):
                    raise RefusedDataError(f"The column {field.name} refuses a value.", reason) from error
                raise

    def conversions(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """Casts where PostgreSQL would not convert text implicitly; arrays are built from their JSON text."""
        existing = self.existing(table)
        return {field.name: value(field.name, field.type, existing) for field in schema}

    def in_exact_types(self, table: Table, rows: pa.Table) -> pa.Table | None:
        """The rows in the exact types of their columns, as a binary COPY needs them; None if that is impossible."""
        existing = self.types(table)
        columns = [as_stored(rows[name], existing[name]) for name in rows.schema.names]
        if any(column is None for column in columns):
            return None
        return pa.table(columns, names=rows.schema.names)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; returns the number of rows it affected."""
        self.cursor.execute(sql, parameters or None)
        return int(self.cursor.rowcount)

    def count(self, sql: str) -> int:
        """The number that a SELECT of one value returns."""
        self.cursor.execute(sql)
        row = self.cursor.fetchone()
        return int(row[0]) if row else 0

    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether the batch has every column, and the table no triggers, foreign keys or child tables, and its columns.

        A row of a table that inherits from this one would move into this one, without its other columns.
        """
        existing = self.existing(table)
        is_complete = set(columns).issuperset(existing.types)
        return is_complete and not (existing.has_dependents or existing.has_children)

    def lock(self, table: Table, mode: str = "SHARE ROW EXCLUSIVE") -> None:
        """Make a second writer wait until this transaction ends, instead of failing on a key; readers continue.

        Another session may have changed the table since the last batch; from now on it cannot.
        """
        name = self.table_name(table)
        self.cursor.execute(f"LOCK TABLE {name} IN {mode} MODE")
        existing = self.existing(table)
        now = self._tables[table.schema, table.name] = read_again(self.cursor, name, existing)
        if now.has_row_security and not existing.has_row_security:
            warn_of_hidden_rows(table.name)

    @contextmanager
    def by_key(self, table: Table) -> Iterator[None]:
        """Look rows up in the key's index, so that a batch takes the same time however large the table is."""
        has_index = self.is_unique(table)
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self.cursor.execute(f"SET LOCAL {setting} = off")
        yield
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self.cursor.execute(f"SET LOCAL {setting} = on")

    def suppressed(self, table: Table) -> SuppressedWrites | None:
        """The checks for a table with a trigger, a rule or row level security; see the base class."""
        existing = self.existing(table)
        if not existing.may_suppress:
            return None
        return SuppressedWrites(table.name, self.count, may_redirect=existing.has_children)

    def kept(self, table: Table, rows: pa.Table, stage: str, values: Mapping[str, str]) -> dict[str, str]:
        """The overflow column, if a row to be updated has properties there that the batch does not send."""
        column_type = self.types(table).get(OVERFLOW)
        if OVERFLOW not in rows.schema.names or column_type not in JSON_TYPES:
            return {}
        sql = statements.count_having(self.table_name(table), stage, table.key_names, values, unsent(table))
        with self.by_key(table):
            found = self.count(sql)
        new = value(OVERFLOW, rows.schema.field(OVERFLOW).type, self.existing(table))
        return {OVERFLOW: merged(table, new, column_type)} if found else {}

    def has_loose_keys(self, table: Table) -> bool:
        """Whether a key column has a type or a collation by which differently written values may be equal."""
        return not self.existing(table).loose.isdisjoint(table.key_names)

    def compared(self, table: Table, name: str, new: str) -> tuple[str, str]:
        """Compare as text where the column's type has no equality."""
        column, element = f"t.{identifier(name)}", self.types(table)[name].removesuffix("[]")
        if element in WITHOUT_EQUALITY:
            return f"CAST({column} AS text)", f"CAST({new} AS text)"
        return column, new

    def is_unique(self, table: Table) -> bool:
        """Whether the stream's key is the table's primary key; in a table of another program it may not be."""
        return self.existing(table).key == frozenset(table.key_names)


def _property(table: Table, name: str) -> str:
    return next((column.property for column in table.columns if column.name == name), name)
