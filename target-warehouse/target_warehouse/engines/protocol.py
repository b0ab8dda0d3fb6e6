"""The interface of a database that can be a warehouse.

Every batch is an Arrow table. An engine prepares tables, and writes batches in transactions: all writes of one
`transaction()` block become visible together, or none of them when the block raises.
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

#: The names of the tables of load history and of rejected records.
HISTORY, REJECTS = "_load_history", "_rejected_records"


@dataclass(frozen=True)
class Counts:
    """Row counts, as the database reports them.

    inserted: rows that did not exist (a delete record with an unknown key inserts a marked row);
    updated: existing rows that were overwritten; deleted: live rows that were marked or removed;
    changed: updated rows whose values differ, metadata but the deletion mark ignored; None if they were not compared.
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
    """What a run would do to a table: its column types before (empty if the table is new) and after."""

    schema: str | None
    name: str
    before: Mapping[str, str]
    after: Mapping[str, str]
    is_new_schema: bool


def shadow_columns(types: Mapping[str, str], needed: set[str]) -> set[str]:
    """The columns that a dry run copies with values: those needed, the deletion mark, the version; at least one."""
    kept = types.keys() & {*needed, own_column(DELETED_AT, types), own_column(TABLE_VERSION, types)}
    return kept or set(list(types)[:1])


class Transaction(Protocol):
    """The writes of one transaction. Tables must be prepared first."""

    def check_keys(self, table: Table, keys: Sequence[pa.Table]) -> None:
        """Refuse a batch with two keys that differ as text but are equal in the database.

        Raises:
            RefusedDataError: two are equal, as `a` and `A` are in some collations.
        """

    def append(self, table: Table, rows: pa.Table) -> Counts:
        """Insert every row."""

    def upsert(self, table: Table, rows: pa.Table) -> Counts:
        """Insert or overwrite by the table's keys, which are unique within `rows`.

        Columns that `rows` does not have keep their values in existing rows and are null in new ones.
        """

    def put(self, table: Table, row: pa.Table) -> None:
        """Replace the row with this key, if there is one, with this row; other columns become null. Locks nothing.

        For rows that only this run writes. Much cheaper than staging a batch.
        """

    def remove(self, table: Table, rows: pa.Table) -> Counts:
        """Delete the rows with the keys in `rows`."""

    def clear(self, table: Table) -> Counts:
        """Delete every row."""

    def activate_version(
        self, table: Table, version: int, *, hard_delete: bool, scope: pa.Table | None = None
    ) -> Counts:
        """Delete or mark rows with an older version or none, unless the table has a newer version.

        `scope` holds values of some columns of the table: each of its rows selects one group of rows, and each group
        is processed separately.
        """

    def has_outdated(self, table: Table, version: int, *, hard_delete: bool) -> bool:
        """Whether `activate_version` would delete or mark rows."""

    def has_newer(self, table: Table, version: int, *, scope: pa.Table | None = None) -> bool:
        """Whether the table has rows with a newer version; with a scope, in its groups of rows."""

    def loaded_by_others(self, history: Table, run_id: str, place: tuple[str | None, str]) -> int:
        """How many rows other runs have read and changed in this table, from load history. Grows with their commits."""

    def mark_interrupted(self, history: Table, alive_condition: str, error: str) -> None:
        """Mark the `running` rows of runs that are no longer alive as interrupted, with this error."""


class Dialect(Protocol):
    """What a database accepts as names and text, and how it compares values."""

    #: Whether text may contain the character NUL.
    stores_nul: bool
    #: Whether text may contain every other character; if not, `lacking` finds the characters that it may not.
    stores_unicode: bool
    #: The longest name that the database accepts, in bytes; None if there is no limit.
    most_name_bytes: int | None
    #: Whether the database treats names that differ in case only as the same name.
    ignores_case: bool

    def lacking(self, texts: Iterable[str]) -> frozenset[str]:
        """The characters of these texts that the database's encoding does not have."""

    def escaped(self, text: str) -> str:
        """The text with JSON escapes for characters that the encoding may lack."""

    def unusable_columns(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these names that the database does not allow for a column; length and case are not checked."""

    def comparable(self, column: str, column_type: str, *, as_text: bool) -> str:
        """The expression by which a quoted column of this type is compared.

        With `as_text` it is a text that is the same for equal values of different types: `1.5`, `true`,
        `2026-01-31 08:00:00.000000`.
        """


class Engine(Protocol):
    """An open warehouse."""

    @property
    def dialect(self) -> Dialect:
        """What the database accepts as names and text."""

    #: If the chunks of a batch have fewer rows than this on average, they are merged before they are written.
    least_chunk: int
    #: A SQL condition on the column `run_id` of load history: the process of that run has the database open.
    alive_condition: str

    def announce_run(self, run_id: str) -> None:
        """Make `alive_condition` true for this run, if others can run beside it, until its engine or process ends.

        Raises:
            LoadError: the database refused.
        """

    def place(self, schema: str | None, name: str) -> tuple[str, str]:
        """Where a table of this schema and name is, or would be; two names with the same place are one table."""

    def prepare(self, table: Table) -> Table:
        """Create the schema and the table, or add the missing columns; returns the table as the database has it.

        Names that the database refuses are replaced, columns beyond its limits share one JSON column, and a column
        whose type does not hold what the stream sends is widened, in place and without loss. Each of these is logged.
        The titles and descriptions of the schema become comments, where the role may write them; comments written by
        others are kept.

        Raises:
            LoadError: the database refused.
        """

    def widen(self, table: Table, kinds: Mapping[str, str]) -> Table:
        """Make the columns of these properties hold another type too: `integer`, `number`, `json` or `text`.

        `places` makes a column keep every digit of a second, in a database whose columns can keep fewer.

        Returns the table as the database has it.

        Raises:
            LoadError: the database refused.
        """

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            LoadError: the database refused, and kept nothing of the block. The error is a `RefusedDataError` if a
                record is to blame, and a `RetryTransactionError`, at most twice for a block, if it must be retried.
            ConnectionFailedError: the warehouse had to be reopened and could not be; the block was not entered.
        """

    def table_names(self, schema: str | None) -> list[str]:
        """The tables of a schema."""

    def column_types(self, schema: str | None, name: str) -> dict[str, str]:
        """The columns of a table in order, with the database's names of their types; empty if there is no table."""

    def key_names(self, schema: str | None, name: str) -> list[str]:
        """The columns of a table's key; none if the database does not know it."""

    def read(
        self,
        schema: str | None,
        name: str,
        columns: Sequence[str],
        *,
        live_only: bool,
        ids: Sequence[str] | None = None,
    ) -> AbstractContextManager[pa.RecordBatchReader]:
        """The rows of a table; with `live_only` those not marked as deleted, with `ids` those with these `id`s.

        Values are exact: a column has the Arrow type that holds all its values, or else text. In text a number has no
        trailing zeros, and JSON is as stored.
        """

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""

    def planned_changes(self) -> list[TableChange] | None:
        """In a dry run, what the run would do to the tables it prepared, in that order; None in a real run."""

    def make_views(self, schema: str, views_schema: str) -> None:
        """Create a view of the live rows of every table of `schema` in `views_schema`; none if that is empty.

        `target_warehouse.tables.views` defines them. Views that are up to date, and objects that another program
        created, are not touched. A view that cannot be created is logged.
        """

    def tidy_up(self) -> None:
        """Make the database smaller, or later runs and queries faster; may take seconds. Everything is committed."""

    def close(self) -> None:
        """Close the database; nothing uncommitted is kept."""
