"""How a batch is written to a DuckDB table: delete the rows with its keys, then insert a scan of its Arrow table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.sql_transaction import SqlTransaction, differing, marks_deleted

if TYPE_CHECKING:
    import pyarrow as pa

    from target_warehouse.engines.duckdb.access import DuckDBAccess
    from target_warehouse.tables.table import Table


class DuckDBTransaction(SqlTransaction):
    """The writes of one transaction in DuckDB, and how much of them are new rows."""

    def __init__(self, access: DuckDBAccess) -> None:
        super().__init__(access)
        self.rows_appended = self.bytes_appended = 0

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row; see the protocol."""
        counts = super().append(table, rows)
        self.rows_appended += counts.inserted
        self.bytes_appended += rows.nbytes
        return counts

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        if marks_deleted(table, rows) or not self._access.can_replace(table, rows.schema.names):
            return super().upsert(table, rows)
        # A scan of an Arrow table converts all its columns, so the delete gets only the key columns.
        unchanged = None
        if self._access.is_compared(table, rows):
            with self._access.staged(rows) as stage:
                unchanged = self.count_unchanged(table, rows, stage, {})
        matched = self.remove(table, rows.select(table.key_names)).deleted
        self.append(table, rows)
        return Counts(max(rows.num_rows - matched, 0), matched, changed=differing(matched, unchanged))
