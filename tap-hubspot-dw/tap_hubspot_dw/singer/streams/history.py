"""The stream `sync_history`: a record for each stream that the run read, written last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tap_hubspot_dw.records.record_forms import Record
from tap_hubspot_dw.records.schemas import DATE_TIME, INTEGER, KEY, NUMBER, OBJECT, TEXT
from tap_hubspot_dw.run.failed_starts import take
from tap_hubspot_dw.run.run import FAILED, Run
from tap_hubspot_dw.singer.events import Event
from tap_hubspot_dw.singer.streams.base import HubSpotStream, described
from tap_hubspot_dw.singer.streams.stream_reading import StreamReading

if TYPE_CHECKING:
    from singer_sdk import Tap

SCHEMA = described(
    {
        "run_id": KEY,
        "stream": KEY,
        "mode": TEXT,
        "window_since": DATE_TIME,
        "window_until": DATE_TIME,
        "started_at": DATE_TIME,
        "finished_at": DATE_TIME,
        "records": INTEGER,
        "deletes": INTEGER,
        "repeated": INTEGER,
        "invalid_values": INTEGER,
        "invalid_properties": OBJECT,
        "requests": INTEGER,
        "retries": INTEGER,
        "throttled_seconds": NUMBER,
        "hubspot_total": INTEGER,
        "pairs": OBJECT,
        "status": TEXT,
        "error": TEXT,
        "bytes_received": INTEGER,
        "bytes_written": INTEGER,
        "peak_memory_mb": NUMBER,
        "daily_limit": INTEGER,
        "daily_remaining": INTEGER,
        "configuration": TEXT,
    },
    "What each run read from HubSpot: a row for each run and stream.",
)


class HistoryStream(HubSpotStream):
    """The history of this run's streams; records of earlier runs stay in the warehouse."""

    primary_keys = ("run_id", "stream")

    def __init__(self, tap: Tap, run: Run) -> None:
        super().__init__(tap, run, "sync_history", SCHEMA)

    def new_reading(self) -> StreamReading:
        """Return a reading of the history."""
        return HistoryReading(self)


class HistoryReading(StreamReading):
    """Reads nothing from HubSpot."""

    def read(self) -> Iterator[Event]:
        """Yield a record for every other stream of this run."""
        self.done.mode = "append"
        history = [self.run.record_of(done) for done in self.run.history if done is not self.done]
        history += self._failed_starts()
        known = self.stream.stream_maps[0].raw_schema["properties"]  # a catalog of an older release has fewer columns
        yield self.blocks.block(
            [{name: value for name, value in record.items() if name in known} for record in history]
        )

    def _failed_starts(self) -> list[Record]:
        """Return records of earlier runs that could not start: one for each object in this run's settings."""
        if self.run.settings.only_ids is not None:
            return []
        try:
            notes = take(os.environ)
        except OSError as error:
            self.logger.warning("The notes of runs that could not start cannot be read: %s.", error.strerror)
            return []
        return [
            {
                "run_id": note["run_id"],
                "stream": name,
                "started_at": note["began_at"],
                "finished_at": note["ended_at"],
                "status": FAILED,
                "error": f"The run could not start: {note['error']}",
            }
            for note in notes
            for name in self.run.settings.objects
        ]
