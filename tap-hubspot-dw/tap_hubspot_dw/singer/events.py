"""What reading a stream yields, in order, and how records become lines.

A stream is read in threads of its own; the main thread takes its events and writes. A checkpoint stands behind the
records that it covers, so state can never be ahead of what was written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from singer_sdk.contrib.msgspec import encoder
from singer_sdk.singerlib import ActivateVersionMessage

from tap_hubspot_dw.records.compiled_records import WrittenRecord
from tap_hubspot_dw.records.full_records import FullRecord, Record

_FIRST_PART = 10  # records; as many as make up the bytes of a part from then on
_PART_BYTES = 100_000
BELOW_ALL = 0  # a version that no record has


@dataclass(frozen=True)
class Block:
    """Finished records of one reply, and what there is to count about them.

    `lines` are their RECORD messages, in parts; where they have to go through the SDK one by one there are only
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
        """Return the block cut to its first records."""
        records = self.records[:most]
        deletes = sum(1 for record in records if record.get("_sdc_deleted_at"))
        return replace(self, records=records, total=len(records), deletes=deletes)


@dataclass(frozen=True)
class Checkpoint:
    """The stream's state, true once all events before it are written."""

    state: dict[str, Any]


@dataclass(frozen=True)
class Scope:
    """Rows of a stream: those with one of `values` in `columns`, which are of its key."""

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Activation:
    """Rows of versions before this one are gone from HubSpot; with a scope only those in it, others were not read."""

    version: int
    scope: Scope | None = None


@dataclass(slots=True)
class ScopedVersionMessage(ActivateVersionMessage):
    """An ACTIVATE_VERSION about the rows of a scope: our extension, which target-warehouse knows.

    Its `version` is `BELOW_ALL`, so that a target which does not know scopes has nothing to mark.
    """

    scope: dict[str, Any] = field(default_factory=dict)


Event = Block | Checkpoint | Activation


def record_lines(
    stream: str, records: Sequence[Record | FullRecord | WrittenRecord], version: int | None, extracted_at: datetime
) -> list[bytes]:
    """Return the lines that the SDK would write for these records, to the byte, in parts of some `_PART_BYTES`.

    The megabyte that a page of wide records makes, as one, leaves gaps in the memory that only grow.
    """
    shared: dict[str, Any] = {"version": version} if version is not None else {}
    shared["time_extracted"] = extracted_at
    forms = (each.json if isinstance(each, WrittenRecord) else each for each in records)
    messages = [{"type": "RECORD", "stream": stream, "record": record, **shared} for record in forms]
    parts: list[bytes] = []
    done, step = 0, _FIRST_PART
    while done < len(messages):
        parts.append(encoder.encode_lines(messages[done : done + step]))
        done += step
        step = max(step * _PART_BYTES // len(parts[-1]), 1)
    return parts
