"""A transaction in SQL, the same for every engine that has UPDATE … FROM and DELETE … USING.

A batch is staged, then merged in one of two ways. *Replace* deletes the rows whose key is in the batch and inserts
the batch; it writes each row once and is by far the faster way. *Overlay* updates the columns of the batch and inserts
the missing rows; it is for batches without some of the table's columns, whose values must stay, and for tables with
triggers or foreign keys.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.suppressed_writes import Merge
from target_warehouse.errors import RefusedDataError
from target_warehouse.tables import statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_warehouse.engines.sql_access import SqlAccess
    from target_warehouse.tables.table import Table


METADATA = "_sdc_"


def marks_deleted(table: Table, rows: pa.Table) -> bool:
    """Whether some of the rows are marked as deleted."""
    return table.mark in rows.schema.names and rows[table.mark].null_count < rows.num_rows


def differing(updated: int, unchanged: int | None) -> int | None:
    """How many overwritten rows have new values; None if it is not known how many stayed the same."""
    if not updated:
        return 0
    return None if unchanged is None else max(updated - unchanged, 0)


class SqlTransaction:
    """A transaction that stages each batch and merges it with SQL."""

    def __init__(self, access: SqlAccess) -> None:
        self._access = access

    def check_keys(self, table: Table, keys: Sequence[pa.Table]) -> None:
        """Refuse keys that the database considers equal; see the protocol."""
        access = self._access
        if sum(each.num_rows for each in keys) <= 1 or not access.has_loose_keys(table):
            return
        rows = pa.concat_tables([each.select(table.key_names) for each in keys])
        with access.staged(rows) as stage:
            if access.count(statements.count_equal(stage, access.conversions(table, rows.schema))):
                msg = f"Records of one batch have keys that are equal in the table {table.name}."
                raise RefusedDataError(msg, "its key is equal to another one")

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row."""
        access = self._access
        with access.staged(rows) as stage:
            access.examine(table, stage, rows)
            values = access.conversions(table, rows.schema)
            sql = statements.insert_all(access.table_name(table), stage, values, access.overriding)
            inserted = access.execute(sql)
            if not table.keys and (suppressed := access.suppressed(table)):
                suppressed.check_appended(inserted, rows.num_rows)
            return Counts(inserted=inserted)

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        access = self._access
        access.lock(table)
        target, keys = access.table_name(table), table.key_names
        values = access.conversions(table, rows.schema)
        with access.staged(rows) as stage:
            access.examine(table, stage, rows)
            kept = access.kept(table, rows, stage, values)
            unchanged = self.count_unchanged(table, rows, stage, kept)
            deleted = 0
            if table.mark and marks_deleted(table, rows):
                deleted = access.count(statements.count_newly_deleted(target, stage, keys, values, table.mark))
            if not kept and access.can_replace(table, rows.schema.names):
                with access.by_key(table):
                    matched = self.delete_batch(table, stage, values)
                access.execute(statements.insert_all(target, stage, values, access.overriding))
                inserted = max(rows.num_rows - matched, 0)
            else:
                with access.by_key(table):
                    matched, inserted = self._overlay(table, stage, values, kept, rows)
        overwritten = max(matched - deleted, 0)
        return Counts(inserted, overwritten, deleted, differing(overwritten, unchanged))

    def _overlay(
        self, table: Table, stage: str, values: Mapping[str, str], kept: Mapping[str, str], rows: pa.Table
    ) -> tuple[int, int]:
        """Update the rows whose keys are in the batch and insert the others; returns the numbers of both."""
        access = self._access
        target, keys, updated_values = access.table_name(table), table.key_names, {**values, **kept}
        update = statements.update_matching(target, stage, keys, updated_values)
        insert = statements.insert_missing(target, stage, keys, values, access.overriding)
        suppressed = access.suppressed(table)
        if suppressed is None:
            return access.execute(update), access.execute(insert)
        compared = [access.compared(table, name, new) for name, new in updated_values.items() if name not in keys]
        merge = Merge(target, stage, keys, values, compared, rows.num_rows)
        updated = access.execute(update)
        missing = suppressed.check_updated(merge, updated)
        inserted = access.execute(insert)
        suppressed.check_inserted(merge, inserted, missing)
        return updated, inserted

    def count_unchanged(self, table: Table, rows: pa.Table, stage: str, kept: Mapping[str, str]) -> int | None:
        """How many rows of the table already have the values of the staged batch.

        Of the metadata only the deletion mark is compared. None if there are too many values to compare.
        """
        access = self._access
        if not access.is_compared(table, rows):
            return None
        values = access.conversions(table, rows.schema)
        metadata = (c.name for c in table.columns if c.property.startswith(METADATA) and not c.members)
        own = {*metadata} - {table.mark}
        new = {name: value for name, value in {**values, **kept}.items() if name not in {*own, *table.key_names}}
        compared = [access.compared(table, name, value) for name, value in new.items()]
        sql = statements.count_same(
            access.table_name(table),
            stage,
            table.key_names,
            values,
            compared,
            joins_first=access.joins_first,
        )
        with access.by_key(table):
            return access.count(sql)

    def put(self, table: Table, row: pa.Table) -> None:
        """Replace the one row with this key; see the protocol."""
        access = self._access
        (values,) = row.to_pylist()
        target, types = access.table_name(table), access.types(table)
        access.execute(statements.delete_row(target, table.key_names, types), [values[key] for key in table.key_names])
        access.execute(statements.insert_row(target, values, types), list(values.values()))

    def remove(self, table: Table, rows: pa.Table) -> Counts:
        """Delete the rows with these keys."""
        access = self._access
        access.lock(table)
        values = access.conversions(table, rows.schema)
        with access.staged(rows) as stage, access.by_key(table):
            access.examine(table, stage, rows)
            return Counts(deleted=self.delete_batch(table, stage, values))

    def delete_batch(self, table: Table, stage: str, values: Mapping[str, str]) -> int:
        """Delete the rows whose keys are in the batch; returns their number."""
        access = self._access
        target, keys = access.table_name(table), table.key_names
        deleted = access.execute(statements.delete_matching(target, stage, keys, values))
        if suppressed := access.suppressed(table):
            suppressed.check_deleted(target, statements.in_batch(stage, keys, values), deleted)
        return deleted

    def clear(self, table: Table) -> Counts:
        """Delete every row."""
        access = self._access
        access.lock(table)
        deleted = access.execute(statements.delete_all(access.table_name(table)))
        if suppressed := access.suppressed(table):
            suppressed.check_deleted(access.table_name(table), "true", deleted)
        return Counts(deleted=deleted)

    def activate_version(
        self, table: Table, version: int, *, hard_delete: bool, scope: pa.Table | None = None
    ) -> Counts:
        """Delete or mark older versions; see the protocol."""
        access = self._access
        access.lock(table)
        outdated = partial(
            statements.outdated, access.table_name(table), version, table.version_columns, hard_delete=hard_delete
        )
        if scope is None:
            return self._delete_outdated(table, outdated(), hard_delete=hard_delete)
        with access.staged(scope) as stage:
            where = outdated(stage=stage, scope=access.conversions(table, scope.schema))
            return self._delete_outdated(table, where, hard_delete=hard_delete)

    def _delete_outdated(self, table: Table, where: str, *, hard_delete: bool) -> Counts:
        access = self._access
        target, (_, mark) = access.table_name(table), table.version_columns
        sql = statements.delete_where(target, where) if hard_delete else statements.mark_where(target, mark, where)
        deleted = access.execute(sql)
        if suppressed := access.suppressed(table):
            suppressed.check_deleted(target, where, deleted)
        return Counts(deleted=deleted)

    def has_outdated(self, table: Table, version: int, *, hard_delete: bool) -> bool:
        """Whether `activate_version` would delete or mark rows; see the protocol."""
        name = self._access.table_name(table)
        where = statements.outdated(name, version, table.version_columns, hard_delete=hard_delete)
        return self._access.count(statements.count_first(name, where)) > 0

    def has_newer(self, table: Table, version: int, *, scope: pa.Table | None = None) -> bool:
        """Whether there are rows of newer versions; see the protocol."""
        access = self._access
        name, column = access.table_name(table), table.version_columns[0]
        if scope is None:
            return access.count(statements.count_newer(name, version, column)) > 0
        with access.staged(scope) as stage:
            values = access.conversions(table, scope.schema)
            return access.count(statements.count_newer(name, version, column, stage=stage, scope=values)) > 0

    def loaded_by_others(self, history: Table, run_id: str, place: tuple[str | None, str]) -> int:
        """A number that grows with the commits of other runs; see the protocol."""
        return self._access.count(statements.sum_loaded(self._access.table_name(history), run_id, place))

    def mark_interrupted(self, history: Table, alive_condition: str, error: str) -> None:
        """Mark the rows of runs that died; see the protocol."""
        access = self._access
        access.lock(history)
        access.execute(statements.mark_interrupted(access.table_name(history), alive_condition, error))
