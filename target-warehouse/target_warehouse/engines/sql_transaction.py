"""A transaction in SQL, the same for every engine that has UPDATE … FROM and DELETE … USING.

A batch is staged, then merged in one of two ways. *Replace* deletes the rows whose key is in the batch and inserts
the batch; it writes each row once and is by far the faster way. *Overlay* updates the columns of the batch and inserts
the missing rows; it is for batches without some of the table's columns, whose values must stay, and for tables with
triggers or foreign keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

from target_warehouse.engines.protocol import Counts
from target_warehouse.engines.suppressed_writes import Merge
from target_warehouse.tables import statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.engines.suppressed_writes import SuppressedWrites
    from target_warehouse.tables.table import Table


METADATA = "_sdc_"
#: The most values of a batch that are compared with the table: comparing them takes a second, loading them several.
MOST_COMPARED = 1_000_000


def marks_deleted(table: Table, rows: pa.Table) -> bool:
    """Whether some of the rows are marked as deleted."""
    return table.mark in rows.schema.names and rows[table.mark].null_count < rows.num_rows


def differing(updated: int, same: int | None) -> int | None:
    """How many overwritten rows have new values; None if it is not known how many stayed the same."""
    if not updated:
        return 0
    return None if same is None else max(updated - same, 0)


class SqlTransaction(ABC):
    """The writes of a transaction, in terms of a staged relation and statements that count rows."""

    #: The clause that lets an INSERT write identity columns.
    overriding = ""
    #: Whether rows are compared after they are joined, rather than by a condition of the join: see `count_same`.
    joins_first = False

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row."""
        with self.staged(rows) as stage:
            self.examine(table, stage, rows)
            values = self.values(table, rows.schema)
            sql = statements.insert_all(self.table_name(table), stage, values, self.overriding)
            inserted = self.execute(sql)
            if not table.keys and (suppressed := self.suppressed(table)):
                suppressed.check_appended(inserted, rows.num_rows)
            return Counts(inserted=inserted)

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by key; see the protocol."""
        self.lock(table)
        target, keys = self.table_name(table), table.key_names
        values = self.values(table, rows.schema)
        with self.staged(rows) as stage:
            self.examine(table, stage, rows)
            kept = self.kept(table, rows, stage, values)
            same = self.same(table, rows, stage, kept)
            deleted = 0
            if table.mark and marks_deleted(table, rows):
                deleted = self.count(statements.count_newly_deleted(target, stage, keys, values, table.mark))
            if not kept and self.can_replace(table, rows.schema.names):
                with self.by_key(table):
                    matched = self.delete_batch(table, stage, values)
                self.execute(statements.insert_all(target, stage, values, self.overriding))
                inserted = max(rows.num_rows - matched, 0)
            else:
                with self.by_key(table):
                    matched, inserted = self._overlay(table, stage, values, kept, rows)
        return Counts(inserted, (overwritten := max(matched - deleted, 0)), deleted, differing(overwritten, same))

    def _overlay(
        self, table: Table, stage: str, values: Mapping[str, str], kept: Mapping[str, str], rows: pa.Table
    ) -> tuple[int, int]:
        """Update the rows whose keys are in the batch and insert the others; returns the numbers of both."""
        target, keys, updated_values = self.table_name(table), table.key_names, {**values, **kept}
        update = statements.update_matching(target, stage, keys, updated_values)
        insert = statements.insert_missing(target, stage, keys, values, self.overriding)
        suppressed = self.suppressed(table)
        if suppressed is None:
            return self.execute(update), self.execute(insert)
        compared = [self.compared(table, name, new) for name, new in updated_values.items() if name not in keys]
        merge = Merge(target, stage, keys, values, compared, rows.num_rows)
        updated = self.execute(update)
        missing = suppressed.check_updated(merge, updated)
        inserted = self.execute(insert)
        suppressed.check_inserted(merge, inserted, missing)
        return updated, inserted

    def suppressed(self, table: Table) -> SuppressedWrites | None:  # noqa: ARG002 - an engine looks at the table
        """The checks for writes that are left out without an error; None if the table cannot do that."""
        return None

    def compares(self, table: Table, rows: pa.Table) -> bool:  # noqa: ARG002 - an engine may look at the table
        """Whether comparing the batch with the rows that it overwrites is cheap."""
        return int(rows.num_rows) * len(rows.schema.names) <= MOST_COMPARED

    def kept(self, table: Table, rows: pa.Table, stage: str, values: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 - see below
        """The columns whose old value an update must keep a part of, with the expressions over `t` and `s` for it.

        Most tables have none. `values` converts the staged rows to the columns' types.
        """
        return {}

    def same(self, table: Table, rows: pa.Table, stage: str, kept: Mapping[str, str]) -> int | None:
        """How many rows of the table already have the values of the staged batch, metadata ignored.

        None if there are too many values to compare.
        """
        if not self.compares(table, rows):
            return None
        values = self.values(table, rows.schema)
        metadata = (c.name for c in table.columns if c.property.startswith(METADATA) and not c.members)
        own = {*metadata} - {table.mark}
        new = {name: value for name, value in {**values, **kept}.items() if name not in {*own, *table.key_names}}
        compared = [self.compared(table, name, value) for name, value in new.items()]
        sql = statements.count_same(
            self.table_name(table), stage, table.key_names, values, compared, joins_first=self.joins_first
        )
        with self.by_key(table):
            return self.count(sql)

    def compared(self, table: Table, name: str, new: str) -> tuple[str, str]:  # noqa: ARG002 - by its type
        """The expressions by which a column's value is compared with a new one."""
        return f"t.{statements.identifier(name)}", new

    def put(self, table: Table, row: pa.Table) -> None:
        """Replace the one row with this key; see the protocol."""
        (values,) = row.to_pylist()
        target, types = self.table_name(table), self.types(table)
        self.execute(statements.delete_row(target, table.key_names, types), [values[key] for key in table.key_names])
        self.execute(statements.insert_row(target, values, types), list(values.values()))

    def remove(self, table: Table, rows: pa.Table) -> Counts:
        """Delete the rows with these keys."""
        self.lock(table)
        values = self.values(table, rows.schema)
        with self.staged(rows) as stage, self.by_key(table):
            self.examine(table, stage, rows)
            return Counts(deleted=self.delete_batch(table, stage, values))

    def delete_batch(self, table: Table, stage: str, values: Mapping[str, str]) -> int:
        """Delete the rows whose keys are in the batch; returns their number."""
        target, keys = self.table_name(table), table.key_names
        deleted = self.execute(statements.delete_matching(target, stage, keys, values))
        if suppressed := self.suppressed(table):
            suppressed.check_deleted(target, statements.in_batch(stage, keys, values), deleted)
        return deleted

    def clear(self, table: Table) -> Counts:
        """Delete every row."""
        self.lock(table)
        deleted = self.execute(statements.delete_all(self.table_name(table)))
        if suppressed := self.suppressed(table):
            suppressed.check_deleted(self.table_name(table), "true", deleted)
        return Counts(deleted=deleted)

    def activate_version(
        self, table: Table, version: int, *, hard_delete: bool, scope: pa.Table | None = None
    ) -> Counts:
        """Delete or mark older versions; see the protocol."""
        self.lock(table)
        outdated = partial(
            statements.outdated, self.table_name(table), version, table.version_columns, hard_delete=hard_delete
        )
        if scope is None:
            return self._delete_outdated(table, outdated(), hard_delete=hard_delete)
        with self.staged(scope) as stage:
            where = outdated(stage=stage, scope=self.values(table, scope.schema))
            return self._delete_outdated(table, where, hard_delete=hard_delete)

    def _delete_outdated(self, table: Table, where: str, *, hard_delete: bool) -> Counts:
        target, (_, mark) = self.table_name(table), table.version_columns
        sql = statements.delete_where(target, where) if hard_delete else statements.mark_where(target, mark, where)
        deleted = self.execute(sql)
        if suppressed := self.suppressed(table):
            suppressed.check_deleted(target, where, deleted)
        return Counts(deleted=deleted)

    def has_newer(self, table: Table, version: int, *, scope: pa.Table | None = None) -> bool:
        """Whether there are rows of newer versions; see the protocol."""
        name, column = self.table_name(table), table.version_columns[0]
        if scope is None:
            return self.count(statements.count_newer(name, version, column)) > 0
        with self.staged(scope) as stage:
            values = self.values(table, scope.schema)
            return self.count(statements.count_newer(name, version, column, stage=stage, scope=values)) > 0

    def mark_interrupted(self, history: Table, alive_condition: str, error: str) -> None:
        """Mark the rows of runs that died; see the protocol."""
        self.lock(history)
        self.execute(statements.mark_interrupted(self.table_name(history), alive_condition, error))

    @abstractmethod
    def table_name(self, table: Table) -> str:
        """The table's full, quoted name."""

    @abstractmethod
    def staged(self, rows: pa.Table) -> AbstractContextManager[str]:
        """Make the rows a relation for the length of the block; yields its quoted name."""

    @abstractmethod
    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Refuse staged rows with a value that the table's columns would change.

        Raises:
            RefusedDataError: there is such a value.
        """

    @abstractmethod
    def values(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """For each staged column, the expression over `s` that converts it to the type of the table's column."""

    @abstractmethod
    def types(self, table: Table) -> Mapping[str, str]:
        """The types of the table's columns, as the database names them."""

    @abstractmethod
    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; returns the number of rows it affected."""

    @abstractmethod
    def count(self, sql: str) -> int:
        """The number that a SELECT of one value returns."""

    @abstractmethod
    def can_replace(self, table: Table, columns: list[str]) -> bool:
        """Whether deleting and inserting rows with these columns loses nothing."""

    @abstractmethod
    def lock(self, table: Table) -> None:
        """Keep other writers of this table out until the transaction ends."""

    @abstractmethod
    def by_key(self, table: Table) -> AbstractContextManager[None]:
        """Make the statements of the block find rows by the index of the key, if there is one."""
