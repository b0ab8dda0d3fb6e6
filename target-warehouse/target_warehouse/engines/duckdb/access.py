"""Access to the tables of a DuckDB file inside one transaction."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from target_warehouse.engines.duckdb.attach import CATALOG
from target_warehouse.engines.duckdb.catalog import table_name
from target_warehouse.engines.sql_access import SqlAccess
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import duckdb
    import pyarrow as pa

    from target_warehouse.tables.table import Table

STAGE = "stage"
_MOST_READ = 50_000_000  # values of a table, for example 200,000 rows of 250 columns, which are read in 0.2 s


class DuckDBAccess(SqlAccess):
    """Access to the tables of an open file."""

    joins_first = True

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, types: dict[tuple[str | None, str], dict[str, str]]
    ) -> None:
        self._connection = connection
        self._types = types

    def table_name(self, table: Table) -> str:
        """The table's full name, with the attached file."""
        return table_name(table)

    def types(self, table: Table) -> Mapping[str, str]:
        """The types, as the engine read them."""
        return self._types[table.schema, table.name]

    @contextmanager
    def staged(self, rows: pa.Table) -> Iterator[str]:
        """Register the Arrow table, which DuckDB scans in place."""
        self._connection.register(STAGE, rows)
        yield identifier(STAGE)
        self._connection.unregister(STAGE)

    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Do nothing: values that DuckDB would round are rejected earlier."""

    def conversions(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """Casts to the column's type; hexadecimal text becomes bytes."""
        types = self.types(table)
        return {
            name: f"unhex(s.{identifier(name)})"
            if types[name] == "BLOB"
            else f"CAST(s.{identifier(name)} AS {types[name]})"
            for name in schema.names
        }

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; DuckDB returns the number of rows."""
        return self.count(sql, parameters)

    def count(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """The number that a SELECT of one value returns."""
        rows = self._connection.execute(
            sql, parameters
        ).fetchall()  # all of them, or DuckDB accepts no further statement
        return int(rows[0][0]) if rows else 0

    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether the batch has every column of the table."""
        return set(columns).issuperset(self.types(table))

    def lock(self, table: Table) -> None:
        """Do nothing: the file has a single writer."""

    def by_key(self, table: Table) -> AbstractContextManager[None]:  # noqa: ARG002 - there is no index to use
        """Do nothing: DuckDB is fastest with a hash join over the columns."""
        return nullcontext()

    def is_compared(self, table: Table, rows: pa.Table) -> bool:
        """Whether comparing is cheap, which it is not for a large table: DuckDB reads whole columns."""
        where = "database_name = ? AND schema_name = ? AND table_name = ?"
        sql = f"SELECT coalesce(max(estimated_size), 0) FROM duckdb_tables() WHERE {where}"  # noqa: S608 - no value
        size = self.count(sql, [CATALOG, table.schema or "main", table.name])
        return super().is_compared(table, rows) and size * len(rows.schema.names) <= _MOST_READ
