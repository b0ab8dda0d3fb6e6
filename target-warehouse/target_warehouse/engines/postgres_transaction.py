"""How a batch gets into a PostgreSQL table.

The keys go to a temporary table, the rows they name are deleted, and a binary COPY writes the batch straight into its
table, each row once. A batch that COPY cannot take as it is goes to a temporary table as a whole, to be merged.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import adbc_driver_manager
import pyarrow as pa

from target_warehouse import statements
from target_warehouse.engines.postgres_copy import as_stored, in_order
from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.sql import SqlTransaction, marks_deleted
from target_warehouse.engines.types import TEXT
from target_warehouse.errors import AgainError
from target_warehouse.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import adbc_driver_postgresql.dbapi

    from target_warehouse.columns import Table
    from target_warehouse.engines.postgres_tables import Existing

_COPY_ROWS = 8192  # small record batches let encoding here and writing there overlap
_STAGE = "target_warehouse_stage"
_UNIQUE_VIOLATION = "23505"
_MANY_ROWS = 1_000  # fewer are looked up by key in no time
_NARROW_BYTES = 1_000  # a longer row takes longer to be moved to its place than the database loses without it


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
        with self.staged(keyed) as stage, self.by_key(table):
            values = {key: f"CAST(s.{identifier(key)} AS {existing.types[key]})" for key in keys}  # JSON is no JSONB
            matched = self.execute(statements.delete_matching(target, stage, keys, values))
        existing.has_only_new_keys &= matched == 0
        self._copy(table, exact)
        return Counts(inserted=max(rows.num_rows - matched, 0), updated=matched)

    def clear(self, table: Table) -> Counts:
        """Delete every row."""
        counts = super().clear(table)
        self._tables[table.schema, table.name].has_only_new_keys = self._is_unique(table)
        return counts

    def _is_unique(self, table: Table) -> bool:
        """Whether the key is the table's own; that of a table which somebody else made need not be."""
        return self._tables[table.schema, table.name].key == frozenset(table.key_names)

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
        existing = self.types(table)
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
        existing = self.types(table)
        return {field.name: _value(f"s.{identifier(field.name)}", field.type, existing[field.name]) for field in schema}

    def types(self, table: Table) -> Mapping[str, str]:
        """As the engine found them."""
        return self._tables[table.schema, table.name].types

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; gives the number of rows it touched."""
        self._cursor.execute(sql, parameters or None)
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
        has_index = self._is_unique(table)
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = off")
        yield
        for setting in ("enable_hashjoin", "enable_mergejoin"):
            if has_index:
                self._cursor.execute(f"SET LOCAL {setting} = on")


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
