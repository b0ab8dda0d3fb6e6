"""How a batch is written to a PostgreSQL table.

Its keys go to a temporary table, the rows with these keys are deleted, and a binary COPY writes the batch straight into
its table, each row once. A batch that COPY cannot write as it is goes to a temporary table as a whole and is merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import adbc_driver_manager

from target_warehouse.engines.postgres.access import COPY_ROWS
from target_warehouse.engines.postgres.copy import in_order
from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.sql_transaction import SqlTransaction, differing, marks_deleted
from target_warehouse.errors import RefusedDataError, RetryTransactionError
from target_warehouse.tables import statements
from target_warehouse.tables.places import too_exact
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    import pyarrow as pa

    from target_warehouse.engines.postgres.access import PostgresAccess
    from target_warehouse.tables.table import Table

_UNIQUE_VIOLATION = "23505"
_MANY_ROWS = 1_000  # for smaller batches the lookup by key takes no measurable time
_NARROW_BYTES = 1_000  # sorting longer rows takes longer than the database saves by it


class PostgresTransaction(SqlTransaction):
    """The writes of one transaction in PostgreSQL."""

    _access: PostgresAccess

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row; see the protocol."""
        access = self._access
        _check_places(table, rows)
        access.lock(table, "ROW EXCLUSIVE")  # as an INSERT does
        existing = access.existing(table)  # a COPY does not return the number of rows, and skips rules
        may_copy = not (existing.may_suppress and existing.has_dependents)
        exact = access.in_exact_types(table, rows) if may_copy else None
        if exact is None:
            return super().append(table, rows)
        self._copy(table, exact)
        return Counts(inserted=rows.num_rows)

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        access = self._access
        _check_places(table, rows)
        access.lock(table)
        exact = access.in_exact_types(table, rows) if access.can_replace(table, rows.schema.names) else None
        if exact is None or marks_deleted(table, rows):
            return super().upsert(table, rows)
        target, keys = access.table_name(table), table.key_names
        existing = access.existing(table)
        if existing.has_only_new_keys is None:
            existing.has_only_new_keys = (
                access.is_unique(table) and access.count(statements.count_any(target, keys)) == 0
            )
        if existing.has_only_new_keys and rows.num_rows >= _MANY_ROWS:
            self._copy_new(table, exact)
            return Counts(inserted=rows.num_rows)
        keyed = exact.select(keys)
        if rows.num_rows >= _MANY_ROWS:
            if exact.nbytes <= _NARROW_BYTES * rows.num_rows:
                exact = in_order(exact, keys)
            keyed = in_order(exact.select(keys), keys)
        unchanged, is_compared = None, access.is_compared(table, rows)
        with access.staged(rows if is_compared else keyed) as stage:
            values = {key: f"CAST(s.{identifier(key)} AS {existing.types[key]})" for key in keys}  # JSON is no JSONB
            is_merged = bool(access.kept(table, rows, stage, values))
            if is_compared and not is_merged:
                unchanged = self.count_unchanged(table, rows, stage, {})
            with access.by_key(table):
                matched = 0 if is_merged else self.delete_batch(table, stage, values)
        if is_merged:
            return super().upsert(table, rows)
        existing.has_only_new_keys &= matched == 0
        self._copy(table, exact)
        return Counts(max(rows.num_rows - matched, 0), matched, changed=differing(matched, unchanged))

    def clear(self, table: Table) -> Counts:
        """Delete every row."""
        counts = super().clear(table)
        self._access.existing(table).has_only_new_keys = self._access.is_unique(table)
        return counts

    def _copy_new(self, table: Table, rows: pa.Table) -> None:
        """Copy rows on the assumption that their keys are new, as all keys of this run were so far."""
        try:
            self._copy(table, rows)
        except adbc_driver_manager.Error as error:
            if error.sqlstate != _UNIQUE_VIOLATION:
                raise
            self._access.existing(table).has_only_new_keys = False
            msg = f"The keys of a batch were expected to be new in the table {table.name}, but are not."
            raise RetryTransactionError(msg) from error  # ADBC cannot continue from a savepoint

    def _copy(self, table: Table, rows: pa.Table) -> None:
        reader = rows.to_reader(max_chunksize=COPY_ROWS)
        self._access.cursor.adbc_ingest(table.name, reader, mode="append", db_schema_name=table.schema)


def _check_places(table: Table, rows: pa.Table) -> None:
    """Refuse times whose seconds a column would round; the column is then widened, and the batch retried by record."""
    for column in too_exact(rows, table.columns):
        reason = f"its property {column.property} has more digits of a second than its column keeps"
        raise RefusedDataError(f"The column {column.name} of the table {table.name} rounds seconds.", reason)
