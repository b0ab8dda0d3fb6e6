"""A batch of the fast path: record groups in the order they were read, reduced to the last row of each key.

The input lines are kept until the batch is written, because the slow path loads them if the database refuses the batch.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from target_warehouse.decode.arrow_columns import Losses
from target_warehouse.decode.group_decoder import constant_array
from target_warehouse.tables.table import BATCHED_AT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_warehouse.decode.group_decoder import Decoded
    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.tables.table import Table


class FastBatch:
    """The record groups of one batch, all decoded for this table."""

    def __init__(self, table: Table) -> None:
        self.groups: list[RecordGroup] = []
        self.losses = Losses()
        self._table = table
        self._started_at = dt.datetime.now(dt.UTC)
        self._batches: list[pa.RecordBatch] = []
        self._keys: list[Sequence[Any]] = []  # of each group
        self._distinct: set[Any] = set()
        self._count = 0

    def add(self, group: RecordGroup) -> None:
        """Append a group."""
        decoded: Decoded = group.decoded
        group.decoded = None
        self.groups.append(group)
        self.losses.update(decoded.losses)
        self._batches.append(decoded.rows)
        if self._table.keys:
            self._keys.append(decoded.keys)
            self._distinct.update(decoded.keys)
        self._count += group.rows

    def rows(self) -> pa.Table:
        """The rows to write, one chunk for each group, unique by key if the table has keys.

        The batch releases its rows, so call this once.
        """
        batches = self._batches
        if self._table.keys and len(self._distinct) < self._count:
            batches = list(self._last_ones())
        self._batches = []
        rows = pa.Table.from_batches(batches)
        column = self._table.by_property.get(BATCHED_AT)
        if column is None:
            return rows
        batched_at = constant_array(column, self._started_at, rows.num_rows)
        return rows.set_column(rows.schema.get_field_index(column.name), column.name, batched_at)

    def _last_ones(self) -> Iterator[pa.RecordBatch]:
        """The rows of each group that are the last rows of their keys."""
        last = {key: row for row, key in enumerate(chain.from_iterable(self._keys))}
        wanted = sorted(last.values())
        start = position = 0
        for batch in self._batches:
            end = bisect_left(wanted, start + batch.num_rows, position)
            if end - position < batch.num_rows:
                yield batch.take(pa.array([index - start for index in wanted[position:end]], pa.int64()))
            else:
                yield batch
            start, position = start + batch.num_rows, end
