"""Making blocks of records: as lines where possible, as dictionaries where the SDK has to see each record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from singer_sdk.mapper import SameRecordTransform

from tap_hubspot_dw.records.record_forms import AnyRecord
from tap_hubspot_dw.singer.events import Block, record_lines

if TYPE_CHECKING:
    from tap_hubspot_dw.singer.streams.base import HubSpotStream


class BlockMaker:
    """Makes the blocks of one reading of a stream. Thread-safe."""

    def __init__(self, stream: HubSpotStream, now: Callable[[], datetime]) -> None:
        self._name = stream.name
        self._now = now
        self._dropped = stream.unselected()
        self._is_plain = (
            [type(stream_map) for stream_map in stream.stream_maps] == [SameRecordTransform]
            and not stream.stream_maps[0].flattening_enabled
            and not stream.in_batches
            and stream.ABORT_AT_RECORD_COUNT is None
            and stream.run.settings.max_records is None
        )

    @property
    def are_lines_final(self) -> bool:
        """Whether records are written as they were made: with every column, and without stream maps or the SDK."""
        return self._is_plain and not self._dropped

    def block(
        self,
        records: Sequence[AnyRecord],
        version: int | None = None,
        *,
        deletes: int = 0,
        repeated: int = 0,
        invalid: Iterable[str] = (),
    ) -> Block:
        """Return these records as a block of a version."""
        at, total = self._now(), len(records)
        counts = (at, version, total, deletes, repeated, Counter(invalid))
        if self.are_lines_final:
            return Block(*counts, (), record_lines(self._name, records, version, at))
        dicts = [record if isinstance(record, dict) else record.as_dict() for record in records]
        if not self._is_plain:
            return Block(*counts, dicts, ())
        for name in self._dropped:
            for record in dicts:
                record.pop(name, None)
        return Block(*counts, (), record_lines(self._name, dicts, version, at))
