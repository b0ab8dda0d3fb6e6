"""How a batch gets into a DuckDB table: by a scan of its Arrow table, after the rows with its keys are deleted."""

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
_MOST_READ = 50_000_000  # values of a table: 0.2 s, of 200,000 rows and 250 columns


class DuckDBTransaction(SqlTransaction):
    """The writes of one transaction in DuckDB."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, types: dict[tuple[str | None, str], dict[str, str]]
    ) -> None:
        self._connection = connection
        self._types = types
        self.rows_appended = self.bytes_appended = 0

    def table_name(self, table: Table) -> str:
        """The table's name with the attached file's."""
        return identifier(CATALOG, table.schema or "main", table.name)

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """DuckDB scans the Arrow table where it is."""
        self._connection.register(STAGE, rows)
        yield identifier(STAGE)
        self._connection.unregister(STAGE)

    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Nothing: what DuckDB would have to round does not come here."""

    def values(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """Casts to the column's own type; hexadecimal text becomes bytes."""
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
        # A scan of an Arrow table converts all its columns, so the delete is given those of the key alone.
        same = None
        if self.compares(table, rows):
            with self.staged(rows) as stage:
                same = self.same(table, rows, stage)
        matched = self.remove(table, rows.select(table.key_names)).deleted
        self.append(table, rows)
        return Counts(max(rows.num_rows - matched, 0), matched, changed=differing(matched, same))

    def compares(self, table: Table, rows: pa.Table) -> bool:
        """Whether it is cheap, which it is not in a large table: its columns are read from end to end."""
        where = "database_name = ? AND schema_name = ? AND table_name = ?"
        sql = f"SELECT coalesce(max(estimated_size), 0) FROM duckdb_tables() WHERE {where}"  # noqa: S608 - no value
        size = self.count(sql, [CATALOG, table.schema or "main", table.name])
        return super().compares(table, rows) and size * len(rows.schema.names) <= _MOST_READ

    def types(self, table: Table) -> Mapping[str, str]:
        """As the engine found them."""
        return self._types[table.schema, table.name]

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; DuckDB answers with the number of rows."""
        return self.count(sql, parameters)

    def count(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """The single number of the answer."""
        rows = self._connection.execute(sql, parameters).fetchall()  # to the end, or DuckDB takes nothing else
        return int(rows[0][0]) if rows else 0

    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether the batch has every column of the table."""
        return set(columns).issuperset(self.types(table))

    def lock(self, table: Table) -> None:
        """Nothing to do: the file has a single writer."""

    def by_key(self, table: Table) -> AbstractContextManager[None]:  # noqa: ARG002 - there is no index to use
        """Nothing to do: a hash join over the columns is what DuckDB does best."""
        return nullcontext()
