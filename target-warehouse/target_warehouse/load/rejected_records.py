"""The table `_rejected_records`: every record that could not be loaded, with the reason.

A rejected record is written in the same transaction as the rows of its batch, so a later STATE loses nothing: the
record can be corrected and loaded again from this table. The table is created for the first rejected record.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import MissingKeyPropertiesError

from target_warehouse.decode.converters import json_line, storable
from target_warehouse.engines.protocol import REJECTS
from target_warehouse.errors import RejectedRecordsError
from target_warehouse.tables.table import Table, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_warehouse.load.last_per_key import Record
    from target_warehouse.load.load_history import StreamLoad

TABLE_NAME = REJECTS

_TEXT = {"type": ["string", "null"]}
SCHEMA = {
    "properties": {
        "run_id": _TEXT,
        "stream": _TEXT,
        "rejected_at": {"type": ["string", "null"], "format": "date-time"},
        "reason": _TEXT,
        "record": _TEXT,
    }
}


class _NoticedError(RejectedRecordsError, MissingKeyPropertiesError):
    """A `RejectedRecordsError` that is also the SDK's error, which the SDK's tests expect for a record without key."""


def rejected_records_table(default_schema: str) -> Table:
    """The table in the default schema."""
    return table_of(TABLE_NAME, SCHEMA, (), default_schema=default_schema, interpret_encoding=False)


def rejected_row(run_id: str, stream: str, record: Record | str, reason: str) -> dict[str, Any]:
    """The row of a rejected record, or of an input line that cannot be read, as a record of `SCHEMA`."""
    return {
        "run_id": run_id,
        "stream": storable(stream),
        "rejected_at": dt.datetime.now(dt.UTC),
        "reason": storable(reason),
        "record": storable(record) if isinstance(record, str) else json_line(record),
    }


def rejection_summary(loads: Sequence[StreamLoad], schema: str | None, limit: int, *, is_kept: bool = True) -> str:
    """The message about rejected records at the end of a run: their streams, the first reason, and where they are.

    `loads` are the streams with rejected records.

    Raises:
        RejectedRecordsError: there are more rejected records than `limit`.
    """
    streams = ", ".join(f"{load.stream} {load.rejected:,}" for load in loads)
    first = f"in the stream {loads[0].stream} {loads[0].first_reason}"
    table = ".".join(part for part in (schema, TABLE_NAME) if part)
    kept = f"They are kept with their reasons in the table {table}, and everything else is loaded."
    text = (
        f"Records that could not be loaded: {streams}. The first: {storable(first)}. "
        f"{kept if is_kept else 'A dry run does not keep them.'} Correct them at the source, deselect the property in "
        f"the tap, or raise the setting max_rejected (now {limit})."
    )
    if sum(load.rejected for load in loads) > limit:
        raise _NoticedError(text)
    return text
