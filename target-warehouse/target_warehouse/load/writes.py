"""The writes of a batch, and how to write a batch that contains a value the database refuses.

A write is an Arrow table of rows to append, upsert or remove, with the records they came from. Each key occurs once in
all writes of a batch, except that rows which were deleted and came again are removed by the first write. So writes are
applied in their order, and slices of one write in any order.
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

#: With more refusals in one batch, the fault is not in single records; finding each costs about twenty transactions.
_MOST_REFUSALS = 100


@dataclass(frozen=True)
class Write:
    """Rows to write in one way; row `i` was made of `records[i]`.

    A write of the fast path has no records, because it is never split.
    """

    way: Literal["append", "upsert", "remove"]
    rows: pa.Table
    records: Sequence[Record]

    def apply(self, transaction: Transaction, table: Table) -> Counts:
        """Write the rows."""
        write = {"append": transaction.append, "upsert": transaction.upsert, "remove": transaction.remove}[self.way]
        return write(table, self.rows)

    def halves(self) -> tuple[Write, Write]:
        """The first and the second half; the first may be empty."""
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
    """Write every record that the database accepts, by splitting refused writes in halves; reject the others.

    Raises:
        RefusedDataError: the database refuses more than a hundred records, or there are no records to blame.
    """
    left = list(reversed(writes))  # in order: if the database treats two keys as equal, the last record must win
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
