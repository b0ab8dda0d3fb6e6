"""How a batch is written to a DuckDB table: delete the rows with its keys, then insert a scan of its Arrow table."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from target_warehouse.engines.duckdb.file import CATALOG
from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.sql_transaction import SqlTransaction, differing, marks_deleted
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import duckdb
    import pyarrow as pa

    from target_warehouse.tables.table import Table

STAGE = "stage"
_MOST_READ = 50_000_000  # values of a table, as of 200,000 rows and 250 columns: reading them takes 0.2 s


class DuckDBTransaction(SqlTransaction):
    """The writes of one transaction in DuckDB."""

    joins_first = True

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, types: dict[tuple[str | None, str], dict[str, str]]
    ) -> None:
        self._connection = connection
        self._types = types
        self.rows_appended = self.bytes_appended = 0

    def table_name(self, table: Table) -> str:
        """The table's full name, with the attached file."""
        return identifier(CATALOG, table.schema or "main", table.name)

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """Register the Arrow table, which DuckDB scans in place."""
        self._connection.register(STAGE, rows)
        yield identifier(STAGE)
        self._connection.unregister(STAGE)

    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Do nothing: values that DuckDB would round are rejected earlier."""

    def values(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """Casts to the column's type; hexadecimal text becomes bytes."""
        types = self.types(table)
        return {
            name: f"unhex(s.{identifier(name)})"
            if types[name] == "BLOB"
            else f"CAST(s.{identifier(name)} AS {types[name]})"
            for name in schema.names
        }

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row; see the protocol."""
        counts = super().append(table, rows)
        self.rows_appended += counts.inserted
        self.bytes_appended += rows.nbytes
        return counts

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        if marks_deleted(table, rows) or not self.can_replace(table, rows.schema.names):
            return super().upsert(table, rows)
        # A scan of an Arrow table converts all its columns, so the delete gets only the key columns.
        same = None
        if self.compares(table, rows):
            with self.staged(rows) as stage:
                same = self.same(table, rows, stage, {})
        matched = self.remove(table, rows.select(table.key_names)).deleted
        self.append(table, rows)
        return Counts(max(rows.num_rows - matched, 0), matched, changed=differing(matched, same))

    def compares(self, table: Table, rows: pa.Table) -> bool:
        """Whether comparing is cheap, which it is not for a large table: DuckDB reads whole columns."""
        where = "database_name = ? AND schema_name = ? AND table_name = ?"
        sql = f"SELECT coalesce(max(estimated_size), 0) FROM duckdb_tables() WHERE {where}"  # noqa: S608 - no value
        size = self.count(sql, [CATALOG, table.schema or "main", table.name])
        return super().compares(table, rows) and size * len(rows.schema.names) <= _MOST_READ

    def types(self, table: Table) -> Mapping[str, str]:
        """The types, as the engine read them."""
        return self._types[table.schema, table.name]

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; DuckDB returns the number of rows."""
        return self.count(sql, parameters)

    def count(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """The number that a SELECT of one value returns."""
        rows = self._connection.execute(sql, parameters).fetchall()  # all rows, or DuckDB accepts no other statement
        return int(rows[0][0]) if rows else 0

    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether the batch has every column of the table."""
        return set(columns).issuperset(self.types(table))

    def lock(self, table: Table) -> None:
        """Do nothing: the file has a single writer."""

    def by_key(self, table: Table) -> AbstractContextManager[None]:  # noqa: ARG002 - there is no index to use
        """Do nothing: DuckDB is fastest with a hash join over the columns."""
        return nullcontext()
