"""The writes of a batch, and how to write a batch that contains a record the database refuses.

A write is an Arrow table of rows to append, upsert or remove. Each key occurs once in all writes of a batch, except
that rows which were deleted and came again are removed by the first write. So writes are applied in their order.
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
    """Rows to write in one way. `table` has the properties that the rows may change."""

    way: Literal["append", "upsert", "remove"]
    rows: pa.Table
    table: Table
    is_of_later_rows: bool = False  # whether another write has the same keys again

    def apply(self, transaction: Transaction) -> Counts:
        """Write the rows."""
        write = {"append": transaction.append, "upsert": transaction.upsert, "remove": transaction.remove}[self.way]
        return write(self.table, self.rows)


def write_in_parts(
    records: Sequence[Record],
    refused: RefusedDataError,
    write: Callable[[Sequence[Record]], None],
    reject: Callable[[Record, str], None],
) -> None:
    """Write every record of a refused batch that the database accepts, and reject the others.

    The records are split in halves, in their order, before they are reduced to one row for each key: otherwise a
    refused record would take the other records of its key with it.

    Raises:
        RefusedDataError: the database refuses more than a hundred records, or there are no records to blame.
    """
    if not records:
        raise refused
    refusals, parts = 0, [records]
    while parts:
        part = parts.pop()
        error = refused if part is records else _refusal(write, part)
        if error is None:
            continue
        if len(part) > 1:
            middle = len(part) // 2
            parts += part[middle:], part[:middle]
            continue
        refusals += 1
        if refusals > _MOST_REFUSALS:
            raise error
        reject(part[0], error.reason)


def _refusal(write: Callable[[Sequence[Record]], None], records: Sequence[Record]) -> RefusedDataError | None:
    """Write the records; return the error if the database refuses them."""
    try:
        write(records)
    except RefusedDataError as error:
        return error
    return None
