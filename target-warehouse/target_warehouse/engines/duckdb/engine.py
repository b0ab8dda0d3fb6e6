"""The DuckDB engine: one file, one writer.

Files are created in the storage format of DuckDB 1.5, so that tools with an older DuckDB than ours open them. Tables
have no primary key: DuckDB's key index is kept in memory, slows loading, and does not allow a key to be deleted and
inserted in one transaction. The merge keeps keys unique, and a file has a single writer. While a writer has the file
open, no other process can even read it: opening waits for `lock_timeout_seconds`, then fails.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from target_warehouse.engines.duckdb import tables
from target_warehouse.engines.duckdb.attach import CATALOG
from target_warehouse.engines.duckdb.catalog import columns_of, tables_of
from target_warehouse.engines.duckdb.columns import exact
from target_warehouse.engines.duckdb.dialect import DuckDBDialect
from target_warehouse.engines.duckdb.file import DuckDBFile
from target_warehouse.engines.duckdb.views import comment_on, make_views
from target_warehouse.engines.prepared_table import stored_as
from target_warehouse.tables.fitted_names import fit_table
from target_warehouse.tables.statements import chosen_rows, identifier
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.engines.protocol import TableChange, Transaction
    from target_warehouse.tables.table import Table


class DuckDBEngine:
    """An open DuckDB file."""

    dialect = DuckDBDialect()
    least_chunk = 2_048  # the number of rows that DuckDB processes at a time
    alive_condition = "false"  # a file has at most one writer: while this process has it open, no other run is alive

    def __init__(self, path: str, lock_timeout_seconds: float, *, read_only: bool = False) -> None:
        self._file = DuckDBFile(path, lock_timeout_seconds, read_only=read_only)

    def announce_run(self, run_id: str) -> None:
        """Do nothing: no other process can open the file."""

    def place(self, schema: str | None, name: str) -> tuple[str, str]:
        """Schema and table in lower case; see the protocol."""
        fitted_name = fit_table(name, self.table_names(schema), most_bytes=None, ignores_case=True)
        return (schema or "main").lower(), fitted_name.lower()

    def prepare(self, table: Table) -> Table:
        """Create the table, add its missing columns, widen its narrow ones; see the protocol."""
        with self._file.errors(f"the table {table.name} cannot be prepared"):
            table = tables.prepare(table, self._file, self.table_names(table.schema))
            comment_on(self._file.connection, CATALOG, table, self._file.comments)
            return self._as_stored(table)

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Change the columns' types in place; see the protocol."""
        with self._file.errors(f"columns of the table {table.name} cannot become wider"):
            tables.widen(table, self._file, kinds)
            return self._as_stored(table)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction; see the protocol."""
        return self._file.transaction()

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""
        return tables_of(self._file.connection, CATALOG, schema)

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table and their types; see the protocol."""
        return columns_of(self._file.connection, CATALOG, schema, name)

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The primary key, or else the NOT NULL columns, which are the key in the tables of this target."""
        return tables.key_names(self._file, schema, name)

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
        with self._file.errors(f"the table {name} cannot be read"):
            yield self._file.connection.sql(
                f"SELECT {chosen} FROM {identifier(CATALOG, schema or 'main', name)}{where}"  # noqa: S608
            ).to_arrow_reader()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT; unqualified schema names refer to the file."""
        connection = self._file.connection
        with self._file.errors("a query failed"):
            connection.execute(f"USE {identifier(CATALOG)}")
            try:
                return connection.execute(sql).fetchall()
            finally:  # the file cannot be detached while it is the current database
                connection.execute("USE memory")

    def planned_changes(self) -> list[TableChange] | None:
        """Return None: this is no dry run."""
        return None

    def make_views(self, schema: str, views_schema: str) -> None:
        """Create views of live rows; see the protocol."""
        if views_schema:
            make_views(self._file.connection, CATALOG, schema, views_schema)

    def tidy_up(self) -> None:
        """Compact the file if most of its rows are dead, or if its row groups are small."""
        self._file.compact()

    def close(self) -> None:
        """Close the file; after an I/O error without a checkpoint."""
        self._file.close()

    def _as_stored(self, table: Table) -> Table:
        types = self._file.types[table.schema, table.name] = self.column_types(table.schema, table.name)
        return stored_as(table, types)
