"""Streams through the fast and the slow path, and the tables they make, without what depends on the clock.

The slow path is forced by a target without a fast path.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from target_warehouse.errors import StreamsRefusedError
from target_warehouse.singer.target import TargetWarehouse
from tests.target.singer_streams import NEXT_RUN

if TYPE_CHECKING:
    from conftest import Warehouse

#: Metadata that depends on the clock.
CLOCK = ("_sdc_received_at", "_sdc_batched_at", "_sdc_sequence", "_sdc_sync_started_at")
CLOCK_IN_JSON = re.compile(r',\s*"(?:' + "|".join(CLOCK) + r')":[^,}]*')
#: The other counts depend on where batches end, if a key occurs twice.
HISTORY = ("stream", "rows_read", "bytes", "rejected", "status")


class SlowTarget(TargetWarehouse):
    """A target that loads every record by the slow path."""

    has_fast_path = False


def load(kind: type[TargetWarehouse], text: str, url: str, schema: str, **config: Any) -> None:
    for run in text.split(NEXT_RUN):
        target = kind(config={"warehouse": url, "default_target_schema": schema, "max_rejected": 1000, **config})
        with suppress(StreamsRefusedError):
            target.run(io.StringIO(run, newline=""))


def contents(warehouse: Warehouse, schema: str) -> dict[str, list[dict[str, Any]]]:
    """Every table of a schema, without columns that depend on the clock."""
    names = warehouse.query(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'")
    found = {}
    for name in sorted(str(row["table_name"]) for row in names):
        rows = warehouse.rows(f"{schema}.{name}", metadata=True)
        if name == "_load_history":
            rows = [{column: row[column] for column in HISTORY} for row in rows]
        dropped = (*CLOCK, "run_id", "rejected_at", *(["_sdc_deleted_at"] if name == "_load_history" else []))
        rows = [{key: value for key, value in row.items() if key not in dropped} for row in rows]
        found[name] = sorted((_activated(row) for row in rows), key=str)
    for row in found.get("_rejected_records", ()):
        row["record"] = CLOCK_IN_JSON.sub("", row["record"])
    return found


def _activated(row: dict[str, Any]) -> dict[str, Any]:
    """The row with "now" for the time at which ACTIVATE_VERSION marked it."""
    mark = row.get("_sdc_deleted_at")
    return {**row, "_sdc_deleted_at": "now"} if isinstance(mark, str) and mark > "2026-09" else row
