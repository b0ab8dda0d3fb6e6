"""The events that reading a stream yields, and the encoding of records as lines.

A stream is read in threads of its own; the main thread takes its events and writes messages. A checkpoint follows the
records that it covers, so state is never ahead of the written records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from singer_sdk.contrib.msgspec import encoder
from singer_sdk.singerlib import ActivateVersionMessage

from tap_hubspot_dw.records.record_forms import AnyRecord, Record, WrittenRecord

_FIRST_PART = 10  # records; later parts have as many records as make up `_PART_BYTES`
_PART_BYTES = 100_000
BELOW_ALL = 0  # a version below that of any record


@dataclass(frozen=True)
class Block:
    """Finished records of one reply, and their counts.

    `lines` are their RECORD messages, in parts. If the records have to pass through the SDK one by one, there are only
    `records`.
    """

    extracted_at: datetime
    version: int | None
    total: int
    deletes: int
    repeated: int
    invalid: Counter[str]
    records: Sequence[Record]
    lines: Sequence[bytes]

    def first(self, most: int) -> Block:
        """Return the block with only its first records."""
        records = self.records[:most]
        deletes = sum(1 for record in records if record.get("_sdc_deleted_at"))
        return replace(self, records=records, total=len(records), deletes=deletes)


@dataclass(frozen=True)
class Checkpoint:
    """The stream's state, valid once all events before it are written."""

    state: dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """A part of a stream's rows: those with one of `values` in `columns`, which belong to the key."""

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Activation:
    """HubSpot no longer has rows of versions below this one; with a scope, this is known only of rows in it."""

    version: int
    scope: Scope | None = None


@dataclass(slots=True)
class ScopedVersionMessage(ActivateVersionMessage):
    """An ACTIVATE_VERSION for the rows of a scope: our extension, which target-warehouse understands.

    Its `version` is `BELOW_ALL`, so that a target without scopes marks nothing.
    """

    scope: dict[str, Any] = field(default_factory=dict)


Event = Block | Checkpoint | Activation


def record_lines(stream: str, records: Sequence[AnyRecord], version: int | None, extracted_at: datetime) -> list[bytes]:
    """Return the lines that the SDK would write for these records, byte for byte, in parts of about `_PART_BYTES`.

    A page of wide records is a megabyte; in one piece it would fragment the memory more and more.
    """
    shared: dict[str, Any] = {"version": version} if version is not None else {}
    shared["time_extracted"] = extracted_at
    forms = (record.json if isinstance(record, WrittenRecord) else record for record in records)
    messages = [{"type": "RECORD", "stream": stream, "record": record, **shared} for record in forms]
    parts: list[bytes] = []
    done, step = 0, _FIRST_PART
    while done < len(messages):
        parts.append(encoder.encode_lines(messages[done : done + step]))
        done += step
        step = max(step * _PART_BYTES // len(parts[-1]), 1)
    return parts
