"""A batch of the fast line: runs in the order they were read, and of each key the last row.

The lines are kept until the batch is written, because the slow line takes them if the database refuses it.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from target_warehouse.decoder import BATCHED_AT, constant_array

if TYPE_CHECKING:
    from target_warehouse.columns import Table
    from target_warehouse.decoder import Decoded
    from target_warehouse.runs import Run


class Bulk:
    """The runs of one batch, all decoded for this table."""

    def __init__(self, table: Table) -> None:
        self.runs: list[Run] = []
        self.replaced: Counter[str] = Counter()
        self._table = table
        self._started_at = dt.datetime.now(dt.UTC)
        self._parts: list[list[pa.Array]] = [[] for _ in table.columns]
        self._last: dict[Any, int] = {}  # of each key the number of its last row
        self._count = 0

    def add(self, run: Run) -> None:
        """Put a run at the end."""
        decoded: Decoded = run.decoded
        run.decoded = None
        self.runs.append(run)
        self.replaced.update(decoded.replaced)
        for parts, array in zip(self._parts, decoded.rows.columns, strict=True):
            parts.append(array)
        if self._table.keys:
            self._last.update(zip(decoded.keys, range(self._count, self._count + run.rows), strict=True))
        self._count += run.rows

    def rows(self) -> pa.Table:
        """The rows to write: unique by key, if there are keys."""
        columns = []
        for parts in self._parts:
            columns.append(pa.concat_arrays(parts))  # databases read many small chunks slowly
            parts.clear()  # so that only one column is there twice at a time
        rows = pa.table(columns, names=[column.name for column in self._table.columns])
        if self._table.keys and len(self._last) < self._count:
            rows = rows.take(pa.array(sorted(self._last.values()), pa.int64()))
        column = self._table.by_property.get(BATCHED_AT)
        if column is None:
            return rows
        batched_at = constant_array(column, self._started_at.isoformat(), rows.num_rows)
        return rows.set_column(rows.schema.get_field_index(column.name), column.name, batched_at)
