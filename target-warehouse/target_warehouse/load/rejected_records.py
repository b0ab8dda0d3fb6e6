"""The table `_rejected_records`: every record that could not become a row, with the reason and the record itself.

A record is kept in the same transaction as the rows of its batch, so a STATE that goes past it loses nothing: the
record can be corrected and loaded again from here. The table is made when the first record needs it.
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
    """By the SDK's error its own tests know that a record without its key was noticed."""


def rejected_records_table(default_schema: str) -> Table:
    """The table itself, in the default schema."""
    return table_of(TABLE_NAME, SCHEMA, (), default_schema=default_schema, interpret_encoding=False)


def rejected_row(run_id: str, stream: str, record: Record | str, reason: str) -> dict[str, Any]:
    """The rejected record, or the line of one that cannot be read, as a record of `SCHEMA`."""
    return {
        "run_id": run_id,
        "stream": storable(stream),
        "rejected_at": dt.datetime.now(dt.UTC),
        "reason": storable(reason),
        "record": storable(record) if isinstance(record, str) else json_line(record),
    }


def rejection_summary(loads: Sequence[StreamLoad], schema: str | None, limit: int, *, is_kept: bool = True) -> str:
    """What to tell the user at the end of a run with rejected records: of which streams, why, and where they are.

    `runs` are those that rejected some.

    Raises:
        RejectedRecordsError: there are more than the limit.
    """
    streams = ", ".join(f"{load.stream} {load.rejected:,}" for load in loads)
    first = f"in the stream {loads[0].stream} {loads[0].first_reason}"
    table = ".".join(part for part in (schema, TABLE_NAME) if part)
    kept = f"They are kept, with their reasons, in the table {table}, and everything else is loaded."
    text = (
        f"Records that could not be loaded: {streams}. The first: {storable(first)}. "
        f"{kept if is_kept else 'Nothing is kept of a dry run.'} Correct them at the source, deselect the property in "
        f"the tap, or raise the setting max_rejected (now {limit})."
    )
    if sum(load.rejected for load in loads) > limit:
        raise _NoticedError(text)
    return text
