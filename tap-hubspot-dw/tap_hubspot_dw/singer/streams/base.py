"""The base of all streams: what the SDK knows of a stream, and the hooks that keep it out of the state.

The SDK takes a stream's bookmark from the records it sees. Here the bookmark is the start of a run that read a window
completely, so those hooks of the SDK are disabled. `begin` makes a `StreamReading`, whose events the main loop writes.
`get_records` gives the SDK the same records, for its tests and its BATCH files.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel

from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.singer.events import Block, Checkpoint
from tap_hubspot_dw.singer.streams.stream_reading import StreamReading

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib import RecordMessage, SelectionMask

    from tap_hubspot_dw.records.record_forms import Record


class HubSpotStream(Stream):
    """A stream whose readings yield events with finished records."""

    type_id: str | None = None  # HubSpot's id of the object type, in streams of objects
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # records are converted once, in `records`

    def __init__(self, tap: Tap, run: Run, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.run = run
        self._extracted_at: datetime | None = None

    @abc.abstractmethod
    def new_reading(self) -> StreamReading:
        """Return a reading of this stream."""

    def begin(self) -> StreamReading:
        """Begin a reading, on the main thread, and add it to the run's history."""
        reading = self.new_reading()
        self.run.history.append(reading.done)
        return reading

    def unselected(self) -> list[str]:
        """Return the columns that records have although they are not selected."""
        return [name for name in self.schema["properties"] if not self.mask["properties", name]]

    def write(self, block: Block) -> None:
        """Write a block's records one by one, through the SDK."""
        for record in self._taken(block):
            self._write_record_message(record)

    @property
    def in_batches(self) -> bool:
        """Whether records are written to BATCH files."""
        return self.get_batch_config(self.config) is not None

    @property
    def mask(self) -> SelectionMask:
        """The selection; it always includes `_sdc_deleted_at`, without which a delete record would look live."""
        mask = super().mask
        if "_sdc_deleted_at" in self.schema["properties"]:
            mask["properties", "_sdc_deleted_at"] = True
        return mask

    # Reading through the SDK.

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002  the SDK's signature
        """Yield the records of a reading one by one, and keep the state.

        No version is activated: records in BATCH files have no version and may not have been written yet.
        """
        stop = self.run.stop
        reading = self.begin()
        stop.is_reading = True
        try:
            for event in reading.events():
                stop.is_reading = False
                if isinstance(event, Block):
                    reading.count(event)
                    yield from self._taken(event)
                elif isinstance(event, Checkpoint):
                    reading.keep(event)
                stop.is_reading = True
                stop.check()
        finally:
            stop.is_reading = False
        reading.log_outcome()

    # Hooks of the SDK, which must neither move bookmarks nor activate versions by itself.

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK would write them before the records, when the result is still unknown."""
        return False

    def get_replication_key_signpost(self, context: Context | None = None) -> datetime | None:  # noqa: ARG002
        """None: no value in a record can move the bookmark."""
        return None

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state alone."""

    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        """Leave the state alone."""

    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """Yield the messages of a record; `deletions` handles delete records, which are partial."""
        for message in super()._generate_record_messages(record):
            message.time_extracted = self._extracted_at
            yield message

    def _taken(self, block: Block) -> Iterator[Record]:
        """Yield a block's records for the SDK, which takes the other fields of their messages from the stream."""
        for record in block.records:
            self._stream_version, self._extracted_at = block.version, block.extracted_at
            yield record


def described(columns: Mapping[str, dict[str, Any]], description: str) -> dict[str, Any]:
    """Return the JSON schema of a stream with fixed columns."""
    return {"type": "object", "description": description, "properties": dict(columns)}
