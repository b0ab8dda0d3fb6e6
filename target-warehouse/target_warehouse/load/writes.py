"""The writes that a batch comes to, and how to write a batch of which the database refuses a value.

A part is rows of one way of writing, as an Arrow table, beside the records they came from. No key is in two parts
or twice in one, so parts and pieces of them can be written in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from target_warehouse.errors import RefusedDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from target_warehouse.engines.protocol import Counts, Transaction
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.tables.table import Table

#: More refusals in one batch are no matter of single records; finding each costs some twenty transactions.
_MOST_REFUSALS = 100


@dataclass(frozen=True)
class Write:
    """Rows that are written in one way; row `i` was made of `records[i]`.

    A batch of the fast line, which is never cut, has no records here.
    """

    way: Literal["append", "upsert", "remove"]
    rows: pa.Table
    records: Sequence[Record]

    def apply(self, transaction: Transaction, table: Table) -> Counts:
        """Write the rows."""
        write = {"append": transaction.append, "upsert": transaction.upsert, "remove": transaction.remove}[self.way]
        return write(table, self.rows)

    def halves(self) -> tuple[Write, Write]:
        """The first rows and the others; the first half may be empty."""
        middle = len(self.records) // 2
        return (
            Write(self.way, self.rows.slice(0, middle), self.records[:middle]),
            Write(self.way, self.rows.slice(middle), self.records[middle:]),
        )


def write_in_halves(
    writes: Sequence[Write],
    refused: RefusedDataError,
    commit: Callable[[Write], None],
    reject: Callable[[Record, str], None],
) -> None:
    """Write every record that the database takes, by halving what it refuses; reject the others.

    Raises:
        RefusedDataError: the database refuses more than a hundred of them, or the fault is not in them.
    """
    left = list(reversed(writes))  # in their order: the database may take two keys for one, and the last one counts
    if not left:
        raise refused
    refusals = 0
    while left:
        write = left.pop()
        try:
            commit(write)
        except RefusedDataError as error:
            if len(write.records) > 1:
                left += reversed(write.halves())
                continue
            refusals += 1
            if refusals > _MOST_REFUSALS:
                raise
            reject(write.records[0], error.reason)
