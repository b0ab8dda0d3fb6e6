"""How a batch is written to a PostgreSQL table.

Its keys go to a temporary table, the rows with these keys are deleted, and a binary COPY writes the batch straight into
its table, each row once. A batch that COPY cannot write as it is goes to a temporary table as a whole and is merged.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import psycopg
import pyarrow as pa

from target_warehouse.engines.postgres.copy import as_stored, in_order
from target_warehouse.engines.postgres.errors import refusal
from target_warehouse.engines.postgres.overflow import JSON_TYPES, merged, unsent
from target_warehouse.engines.postgres.values import changed, may_change, value
from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.sql_transaction import SqlTransaction, differing, marks_deleted
from target_warehouse.engines.suppressed_writes import SuppressedWrites
from target_warehouse.errors import RefusedDataError, RetryTransactionError
from target_warehouse.tables import statements
from target_warehouse.tables.places import too_exact
from target_warehouse.tables.statements import identifier
from target_warehouse.tables.table import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import adbc_driver_postgresql.dbapi

    from target_warehouse.engines.postgres.tables import Existing
    from target_warehouse.tables.table import Table

_COPY_ROWS = 8192  # small record batches let encoding in this process and writing in the server overlap
_STAGE = "target_warehouse_stage"
_WITHOUT_EQUALITY = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})
_UNIQUE_VIOLATION = "23505"
_MANY_ROWS = 1_000  # for smaller batches the lookup by key takes no measurable time
_NARROW_BYTES = 1_000  # sorting longer rows takes longer than the database saves by it


class PostgresTransaction(SqlTransaction):
    """The writes of one transaction in PostgreSQL."""

    overriding = " OVERRIDING SYSTEM VALUE"

    def __init__(
        self, cursor: adbc_driver_postgresql.dbapi.Cursor, tables: Mapping[tuple[str | None, str], Existing]
    ) -> None:
        self._cursor = cursor
        self._tables = tables

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row; see the protocol."""
        _check_places(table, rows)
        self._cursor.execute(f"LOCK TABLE {self.table_name(table)} IN ROW EXCLUSIVE MODE")  # as an INSERT does
        existing = self._tables[table.schema, table.name]  # a COPY does not return the number of rows, and skips rules
        may_copy = not (existing.may_suppress and existing.has_dependents) and self._is_as_prepared(table)
        exact = self._as_stored(table, rows) if may_copy else None
        if exact is None:
            return super().append(table, rows)
        self._copy(table, exact)
        return Counts(inserted=rows.num_rows)

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        _check_places(table, rows)
        self.lock(table)
        exact = self._as_stored(table, rows) if self.can_replace(table, rows.schema.names) else None
        if exact is None or marks_deleted(table, rows):
            return super().upsert(table, rows)
        target, keys = self.table_name(table), table.key_names
        existing = self._tables[table.schema, table.name]
        if existing.has_only_new_keys is None:
            existing.has_only_new_keys = self._is_unique(table) and self.count(statements.count_any(target, keys)) == 0
        if existing.has_only_new_keys and rows.num_rows >= _MANY_ROWS:
            self._copy_new(table, exact)
            return Counts(inserted=rows.num_rows)
        keyed = exact.select(keys)
        if rows.num_rows >= _MANY_ROWS:
            if exact.nbytes <= _NARROW_BYTES * rows.num_rows:
                exact = in_order(exact, keys)
            keyed = in_order(exact.select(keys), keys)
        same, compares = None, self.compares(table, rows)
        with self.staged(rows if compares else keyed) as stage:
            values = {key: f"CAST(s.{identifier(key)} AS {existing.types[key]})" for key in keys}  # JSON is no JSONB
            is_merged = bool(self.kept(table, rows, stage, values))
            if compares and not is_merged:
                same = self.same(table, rows, stage, {})
            with self.by_key(table):
                matched = 0 if is_merged else self.delete_batch(table, stage, values)
        if is_merged:
            return super().upsert(table, rows)
        existing.has_only_new_keys &= matched == 0
        self._copy(table, exact)
        return Counts(max(rows.num_rows - matched, 0), matched, changed=differing(matched, same))

    def suppressed(self, table: Table) -> SuppressedWrites | None:
        """The checks for a table with a trigger, a rule or row level security; see the base class."""
        existing = self._tables[table.schema, table.name]
        if not existing.may_suppress:
            return None
        return SuppressedWrites(table.name, self.count, may_redirect=existing.has_children)

    def kept(self, table: Table, rows: pa.Table, stage: str, values: Mapping[str, str]) -> dict[str, str]:
        """The overflow column, if a row of the batch has members there that the batch does not have."""
        column_type = self.types(table).get(OVERFLOW)
        if OVERFLOW not in rows.schema.names or column_type not in JSON_TYPES:
            return {}
        sql = statements.count_having(self.table_name(table), stage, table.key_names, values, unsent(table))
        with self.by_key(table):
            found = self.count(sql)
        new = value(OVERFLOW, rows.schema.field(OVERFLOW).type, self._tables[table.schema, table.name])
        return {OVERFLOW: merged(table, new, column_type)} if found else {}

    def compared(self, table: Table, name: str, new: str) -> tuple[str, str]:
        """Compare as text where the column's type has no equality."""
        column, element = f"t.{identifier(name)}", self.types(table)[name].removesuffix("[]")
        if element in _WITHOUT_EQUALITY:
            return f"CAST({column} AS text)", f"CAST({new} AS text)"
        return column, new

    def clear(self, table: Table) -> Counts:
        """Delete every row."""
        counts = super().clear(table)
        self._tables[table.schema, table.name].has_only_new_keys = self._is_unique(table)
        return counts

    def _is_unique(self, table: Table) -> bool:
        """Whether the stream's key is the table's primary key; in a table of another program it may not be."""
        return self._tables[table.schema, table.name].key == frozenset(table.key_names)

    def _copy_new(self, table: Table, rows: pa.Table) -> None:
        """Copy rows on the assumption that their keys are new, as all keys of this run were so far."""
        try:
            self._copy(table, rows)
        except adbc_driver_manager.Error as error:
            if error.sqlstate != _UNIQUE_VIOLATION:
                raise
            self._tables[table.schema, table.name].has_only_new_keys = False
            msg = f"The keys of a batch were expected to be new in the table {table.name}, but are not."
            raise RetryTransactionError(msg) from error  # ADBC cannot continue from a savepoint

    def _copy(self, table: Table, rows: pa.Table) -> None:
        reader = rows.to_reader(max_chunksize=_COPY_ROWS)
        self._cursor.adbc_ingest(table.name, reader, mode="append", db_schema_name=table.schema)

    def _as_stored(self, table: Table, rows: pa.Table) -> pa.Table | None:
        """The rows in the exact types of their columns, as a binary COPY needs them; None if that is impossible."""
        existing = self.types(table)
        columns = [as_stored(rows[name], existing[name]) for name in rows.schema.names]
        if any(column is None for column in columns):
            return None
        return pa.table(columns, names=rows.schema.names)

    def table_name(self, table: Table) -> str:
        """The quoted schema and table."""
        return identifier(table.schema, table.name)

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """Fill a temporary table by binary COPY."""
        reader = rows.to_reader(max_chunksize=_COPY_ROWS)
        self._cursor.adbc_ingest(_STAGE, reader, mode="create", temporary=True)
        yield identifier("pg_temp", _STAGE)
        self._cursor.execute(f"DROP TABLE {identifier('pg_temp', _STAGE)}")

    def values(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """Casts where PostgreSQL would not convert text implicitly; arrays are built from their JSON text."""
        existing = self._tables[table.schema, table.name]
        return {field.name: value(field.name, field.type, existing) for field in schema}

    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Let the server check columns whose types are not ours, or that round; see the base class.

        For a batch of one row, and so for every rejected record, the error names the column.
        """
        existing = self._tables[table.schema, table.name]
        for field in rows.schema:
            if not may_change(field.name, existing):
                continue
            column_type, condition = existing.types[field.name], changed(field.name, field.type, existing)
            reason = (
                f"its property {_property(table, field.name)} does not fit its column, of type {column_type}, unchanged"
            )
            try:
                if rows.num_rows == 1:
                    read = value(field.name, field.type, existing)
                    self.count(f"SELECT count(CAST({read} AS {column_type})) FROM {stage} AS s")  # noqa: S608 - quoted
                if condition and self.count(f"SELECT count(*) FROM {stage} AS s WHERE {condition}"):  # noqa: S608
                    raise RefusedDataError(f"The column {field.name} would round a value.", reason)
            except (adbc_driver_manager.Error, psycopg.Error) as error:
                if rows.num_rows == 1 and isinstance(refusal("", error), RefusedDataError):
                    raise RefusedDataError(f"The column {field.name} refuses a value.", reason) from error
                raise

    def types(self, table: Table) -> Mapping[str, str]:
        """The types, as the engine read them."""
        return self._tables[table.schema, table.name].types

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; returns the number of rows it affected."""
        self._cursor.execute(sql, parameters or None)
        return int(self._cursor.rowcount)

    def count(self, sql: str) -> int:
        """The number that a SELECT of one value returns."""
        self._cursor.execute(sql)
        row = self._cursor.fetchone()
        return int(row[0]) if row else 0

    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether the batch has every column, and no trigger or foreign key depends on the table's rows."""
        existing = self._tables[table.schema, table.name]
        is_complete = set(columns).issuperset(existing.types)
        return is_complete and not existing.has_dependents and self._is_as_prepared(table)

    def lock(self, table: Table) -> None:
        """Make a second writer wait until this transaction ends, instead of failing on a key; readers continue."""
        self._cursor.execute(f"LOCK TABLE {self.table_name(table)} IN SHARE ROW EXCLUSIVE MODE")

    def _is_as_prepared(self, table: Table) -> bool:
        """Whether the table still has the columns and types it was prepared with; read under the table's lock.

        PostgreSQL refuses a binary COPY into a column of another type at best; at worst it stores a wrong value.
        """
        name = self.table_name(table).replace("'", "''")
        self._cursor.execute(
            "SELECT CAST(attname AS text), format_type(atttypid, atttypmod) FROM pg_attribute "  # noqa: S608 - quoted
            f"WHERE attrelid = CAST('{name}' AS regclass) AND attnum > 0 AND NOT attisdropped"
        )
        return dict(self._cursor.fetchall()) == self._tables[table.schema, table.name].types

    @contextmanager
    def by_key(self, table: Table) -> Iterator[None]:
        """Look rows up in the key's index, so that a batch takes the same time however large the table is."""
        has_index = self._is_unique(table)
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = off")
        yield
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = on")


def _check_places(table: Table, rows: pa.Table) -> None:
    """Refuse times whose seconds a column would round; the column is then widened, and the batch retried by record."""
    for column in too_exact(rows, table.columns):
        reason = f"its property {column.property} has more digits of a second than its column keeps"
        raise RefusedDataError(f"The column {column.name} of the table {table.name} rounds seconds.", reason)


def _property(table: Table, name: str) -> str:
    return next((column.property for column in table.columns if column.name == name), name)
