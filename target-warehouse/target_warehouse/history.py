"""The table `_load_history`: one row for each run and stream.

A stream's row is written in the same transaction as its rows, with the status `running`, so its counts are those of
what is really there even if the run is killed; the end of the run makes it `success` or `failed`.
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
from dataclasses import dataclass, field
from typing import Any

from target_warehouse.columns import Table, table_of
from target_warehouse.engines.protocol import Counts
from target_warehouse.values import storable

TABLE_NAME = "_load_history"
KEYS = ("run_id", "stream")

_TEXT = {"type": ["string", "null"]}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_COUNT = {"type": ["integer", "null"]}
_NUMBER = {"type": ["number", "null"]}
SCHEMA = {
    "properties": {
        "run_id": _TEXT,
        "stream": _TEXT,
        "table_schema": _TEXT,
        "table_name": _TEXT,
        "started_at": _TIME,
        "finished_at": _TIME,
        "rows_read": _COUNT,
        "inserted": _COUNT,
        "updated": _COUNT,
        "deleted": _COUNT,
        "rejected": _COUNT,
        "seconds": _NUMBER,
        "rows_per_second": _NUMBER,
        "bytes": _COUNT,
        "peak_memory_mb": _NUMBER,
        "status": _TEXT,
        "error": _TEXT,
    }
}


def history_table(default_schema: str) -> Table:
    """The table itself, in the default schema."""
    return table_of(TABLE_NAME, SCHEMA, KEYS, default_schema=default_schema, interpret_encoding=False)


@dataclass
class StreamRun:
    """What one run did to one stream so far. `size` is bytes of input lines."""

    stream: str
    table: Table
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    rows_read: int = 0
    size: int = 0
    rejected: int = 0
    first_reason: str = ""
    counts: Counts = field(default_factory=Counts)
    #: Whether the rows of earlier runs are gone, as the load method `overwrite` wants.
    is_cleared: bool = False

    def reject(self, reason: str) -> None:
        """A record was rejected."""
        self.rejected += 1
        self.first_reason = self.first_reason or reason

    def row(self, run_id: str, status: str, counts: Counts, *, error: str | None = None) -> dict[str, Any]:
        """The stream's row as a record of `SCHEMA`; `counts` may be ahead of what is committed."""
        now = dt.datetime.now(dt.UTC)
        seconds = round((now - self.started_at).total_seconds(), 3)
        return {
            "run_id": run_id,
            "stream": storable(self.stream),
            "table_schema": self.table.schema,
            "table_name": self.table.name,
            "started_at": self.started_at,
            "finished_at": now,
            "rows_read": self.rows_read,
            "inserted": counts.inserted,
            "updated": counts.updated,
            "deleted": counts.deleted,
            "rejected": self.rejected,
            "seconds": seconds,
            "rows_per_second": round(self.rows_read / seconds, 1) if seconds else None,
            "bytes": self.size,
            "peak_memory_mb": peak_memory_mb(),
            "status": status,
            "error": storable(error) if error else None,
        }


def peak_memory_mb() -> float:
    """This process' largest resident size so far, in megabytes of 2**20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux, bytes on macOS
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
