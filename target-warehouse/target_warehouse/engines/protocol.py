"""What a database has to offer to be a warehouse.

Arrow is the one form of a batch. An engine prepares tables, and writes batches inside transactions: everything
done in one `transaction()` block becomes visible together, or not at all when the block raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from target_warehouse.tables.table import DELETED_AT, TABLE_VERSION, own_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.tables.table import Table

#: The tables of the history of loads, and of the records that could not be loaded.
HISTORY, REJECTS = "_load_history", "_rejected_records"


@dataclass(frozen=True)
class Counts:
    """Rows as the database counted them.

    inserted: rows that did not exist (a delete record of an unknown key inserts a marked row);
    updated: existing rows that were overwritten; deleted: live rows that were marked or removed.
    changed: of the updated ones those whose values differ, metadata left out; None if that was not looked at.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    changed: int | None = 0

    def __add__(self, other: Counts) -> Counts:
        changed = None if self.changed is None or other.changed is None else self.changed + other.changed
        sums = (self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted)
        return Counts(*sums, changed)


@dataclass(frozen=True)
class TableChange:
    """What a run would do to a table: its columns' types before, none if there is no such table, and after."""

    schema: str | None
    name: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    is_new_schema: bool


def shadow_columns(types: Mapping[str, str], needed: set[str]) -> set[str]:
    """The columns whose values decide what becomes of a record; at least one, so that rows can be counted."""
    kept = types.keys() & {*needed, own_column(DELETED_AT, types), own_column(TABLE_VERSION, types)}
    return kept or set(list(types)[:1])


class Transaction(Protocol):
    """Writes of one transaction. Tables must have been prepared."""

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row."""

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by the table's keys, which are unique within `rows`.

        Columns that `rows` does not have keep their values in existing rows and are null in new ones.
        """

    def put(self, table: Table, row: pa.Table) -> None:
        """Have this one row instead of the one with its key, if any: other columns become null, other writers go on.

        It is for rows that only this run writes, and costs a fraction of what staging a batch does.
        """

    def remove(self, table: Table, rows: pa.Table) -> Counts:
        """Delete the rows with the keys in `rows`."""

    def clear(self, table: Table) -> Counts:
        """Delete every row."""

    def activate_version(
        self, table: Table, version: int, *, hard_delete: bool, scope: pa.Table | None = None
    ) -> Counts:
        """Delete or mark what is older than this version or has none, unless a newer version is there.

        With a scope, some columns of the table and values of theirs, the rows of each row of it by themselves.
        """

    def mark_interrupted(self, history: Table, is_alive: str, error: str) -> None:
        """Give the rows of the history that are `running`, of runs that are not alive, their status and this error."""


class Engine(Protocol):
    """An open warehouse."""

    #: Whether text may hold the character NUL.
    stores_nul: bool
    #: Whether text may hold every other character; where not, `lacking` says which it does not.
    stores_unicode: bool
    #: How many rows the chunks of a batch should have on average; smaller ones take longer than putting them together.
    least_chunk: int
    #: The condition, over the column `run_id` of the history, that the process of this run has the database open.
    is_alive: str

    def hold(self, run_id: str) -> None:
        """Have `is_alive` be true of this run until the engine is closed, or its process or connection has ended.

        Raises:
            LoadError: the database refused.
        """

    #: The longest name that the database takes, in bytes; None: any.
    most_name_bytes: int | None
    #: Whether names that differ in case only are one name to it.
    ignores_case: bool

    def lacking(self, texts: Iterable[str]) -> frozenset[str]:
        """The characters of these texts that the database's encoding does not have."""

    def escaped(self, text: str) -> str:
        """A text of our own with JSON's escapes for characters that the encoding is not known to have."""

    def unusable_columns(self, names: Iterable[str]) -> frozenset[str]:
        """Of these names those that no column can have, besides names that are too long or differ in case only."""

    def place(self, schema: str | None, name: str) -> tuple[str, str]:
        """Where a table of this schema and name is, or would be: two tables are one if it is the same place."""

    def prepare(self, table: Table) -> Table:
        """Create the schema and the table, or add the columns the table lacks; gives the table as it is then.

        Names that the database does not take are replaced, columns beyond what it takes are put together in one,
        and a column whose type does not hold what the stream sends becomes wider, in place and without loss.
        Each of these is logged. The titles and descriptions of the schema become comments, where the role may write
        them; what the schema says nothing about keeps its comment.

        Raises:
            LoadError: the database refused.
        """

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Have the columns of these properties hold this kind too: `integer`, `number`, `json` or `text`.

        Gives the table as it is then.

        Raises:
            LoadError: the database refused.
        """

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            LoadError: the database refused; nothing of the block was kept. It is a `RefusedDataError` if some
                record of it is to blame, and an `AgainError`, twice for a block at most, if it is to be done
                again.
            ConnectionFailedError: the warehouse had to be opened again and could not be; the block was not entered.
        """

    def table_exists(self, schema: str | None, name: str) -> bool:
        """Whether there is such a table."""

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table in order, with the database's own names of their types; none without a table."""

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The columns whose values tell the rows of a table apart; none if the database does not know."""

    def comparable(self, column: str, kind: str, *, as_text: bool) -> str:
        """The expression that a quoted column of a type is compared by, if need be as text that says its value.

        That text is the same whatever type the value has: `1.5`, `true`, `2026-01-31 08:00:00.000000`.
        """

    def read(
        self,
        schema: str | None,
        name: str,
        columns: Sequence[str],
        *,
        live_only: bool,
        ids: Sequence[str] | None = None,
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        """Every row of a table, or every one that is not marked as deleted or has one of these `id`s, exactly.

        Arrow types that hold every value of a column are used, and text otherwise: numbers by their digits, without
        zeros at the end, JSON as it is written.
        """

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""

    def changes(self) -> list[TableChange] | None:
        """In a dry run, what the run would do to the tables that it prepared, in that order; None in a real one."""

    def make_views(self, schema: str, views_schema: str) -> None:
        """Have a view of the live rows of every table of `schema` in `views_schema`, none if that is empty.

        `target_warehouse.tables.views` says what is in them. Views that are as they should be, and views that somebody
        else made, are not touched. One that cannot be made is logged.
        """

    def tidy(self) -> None:
        """Do what makes later runs cheaper and may take seconds; everything is committed."""

    def close(self) -> None:
        """Let go of the database; nothing uncommitted is kept."""
