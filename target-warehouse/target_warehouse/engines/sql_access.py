"""What a transaction in SQL needs from its database: to stage a batch, to convert its values, and to run statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from target_warehouse.tables import statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from target_warehouse.engines.suppressed_writes import SuppressedWrites
    from target_warehouse.tables.table import Table

#: The most values of a batch that are compared with the table: comparing them takes a second, loading them several.
MOST_COMPARED = 1_000_000


class SqlAccess(ABC):
    """Access to the tables inside one transaction. In expressions, `t` is the table and `s` the staged batch."""

    #: The clause that lets an INSERT write identity columns.
    overriding = ""
    #: Whether the comparison of rows is a filter after the join instead of part of its condition: see `count_same`.
    joins_first = False

    @abstractmethod
    def table_name(self, table: Table) -> str:
        """The table's full, quoted name."""

    @abstractmethod
    def types(self, table: Table) -> Mapping[str, str]:
        """The types of the table's columns, as the database names them."""

    @abstractmethod
    def staged(self, rows: pa.Table) -> AbstractContextManager[str]:
        """Make the rows a relation for the length of the block; yields its quoted name."""

    @abstractmethod
    def examine(self, table: Table, stage: str, rows: pa.Table) -> None:
        """Refuse staged values that the columns would change, for example round.

        Raises:
            RefusedDataError: there is such a value.
        """

    @abstractmethod
    def conversions(self, table: Table, schema: pa.Schema) -> dict[str, str]:
        """For each staged column, the expression over `s` that converts it to the type of the table's column."""

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

    def suppressed(self, table: Table) -> SuppressedWrites | None:  # noqa: ARG002 - an engine looks at the table
        """The checks for writes that the database skips without an error; None if that cannot happen on this table."""
        return None

    def is_compared(self, table: Table, rows: pa.Table) -> bool:  # noqa: ARG002 - an engine may look at the table
        """Whether comparing the batch with the rows that it overwrites is cheap."""
        return int(rows.num_rows) * len(rows.schema.names) <= MOST_COMPARED

    def kept(self, table: Table, rows: pa.Table, stage: str, values: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002 - see below
        """The columns whose new value must be merged with the old one, each with the expression that merges them.

        Most tables have none. `values` converts the staged rows to the columns' types.
        """
        return {}

    def has_loose_keys(self, table: Table) -> bool:  # noqa: ARG002 - an engine looks at the table
        """Whether the database may treat differently written keys as equal."""
        return False

    def compared(self, table: Table, name: str, new: str) -> tuple[str, str]:  # noqa: ARG002 - by its type
        """The expressions by which a column's value is compared with a new one."""
        return f"t.{statements.identifier(name)}", new
