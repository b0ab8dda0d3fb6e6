"""A full pass: every live object, then what changed and was archived meanwhile; an interrupted one is continued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tap_hubspot_dw.errors import RequestError
from tap_hubspot_dw.reading.change_window import Window
from tap_hubspot_dw.reading.property_checksums import checksums_of
from tap_hubspot_dw.reading.stream_state import FullPass, StreamState
from tap_hubspot_dw.run.run import CLOCK_TOLERANCE
from tap_hubspot_dw.singer.events import Activation, Block, Checkpoint, Event
from tap_hubspot_dw.singer.streams.archive import ArchiveSweep
from tap_hubspot_dw.singer.streams.change_reader import ChangeReader
from tap_hubspot_dw.singer.streams.live_reader import LiveReader
from tap_hubspot_dw.singer.streams.object_source import ObjectSource
from tap_hubspot_dw.timestamps import format_timestamp


class FullPassReader:
    """Reads a full pass of one object type; `checkpoint` makes the event that saves a state."""

    def __init__(self, source: ObjectSource, checkpoint: Callable[[StreamState], Checkpoint]) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._live = LiveReader(source, source.done.hubspot_total)
        self._changes = ChangeReader(source)

    def read(self, state: StreamState) -> Iterator[Event]:
        """Yield every live object; continue an interrupted pass where it stopped.

        The changes since the pass began are read too: a record merged away after its page was read would stay live.
        """
        source, done = self._source, self._source.done
        done.mode = "full"
        last_bookmark = state.bookmark
        is_continued = state.full_pass is not None
        full_pass = state.begin_full_pass(source.run.started_at)
        done.until, done.expected = full_pass.started_at, done.hubspot_total
        source.version = full_pass.version
        if is_continued:
            full_pass = state.full_pass = self._continued(full_pass)
        else:
            source.id_feed.begin(None)
        if not full_pass.ranges:  # otherwise earlier records may lack properties that were chosen since
            state.properties = checksums_of(source.decoder.names, source.decoder.types)
        yield self._checkpoint(state)
        for event in self._live.everything(full_pass, state.records):
            if isinstance(event, Block):
                yield event
                continue
            if not event.ranges:
                state.properties = checksums_of(source.decoder.names, source.decoder.types)
            state.full_pass = event
            yield self._checkpoint(state)
        yield from self._changed_meanwhile(state, full_pass, is_continued=is_continued)
        began = min(last_bookmark or full_pass.started_at, full_pass.started_at)
        yield from ArchiveSweep(source).since(state, began - 2 * CLOCK_TOLERANCE)
        source.id_feed.end(complete=True)
        yield Activation(full_pass.version)
        state.end_full_pass()
        state.records = self._live.records
        yield self._checkpoint(state)

    def _continued(self, full_pass: FullPass) -> FullPass:
        """Return the part of an earlier run's pass that can be kept, and log its progress."""
        source, done = self._source, self._source.done
        source.id_feed.end(complete=False)  # it lacks the ids that earlier runs read
        if not source.portal.descriptions.is_searchable(source.object_type):  # no changes since the earlier run
            full_pass = replace(full_pass, ranges=())
        full_pass = self._live.trusted(full_pass)
        done.before = sum(span.records for span in full_pass.ranges)
        if done.before:
            source.logger.info(
                "%s: continuing the full pass that began at %s: %s%s records were read before.",
                source.name,
                format_timestamp(full_pass.started_at),
                f"{done.before:,}",
                f" of {done.expected:,}" if done.expected else "",
            )
        return full_pass

    def _changed_meanwhile(self, state: StreamState, full_pass: FullPass, *, is_continued: bool) -> Iterator[Block]:
        """Yield the changes since a full pass began, and advance the bookmark.

        A continued pass must get all changes, as earlier runs read its finished ranges. For any other pass a failed
        search is acceptable, so that a type that cannot be searched can still be read in full.
        """
        source = self._source
        state.bookmark = full_pass.started_at
        window = Window(full_pass.started_at - 2 * CLOCK_TOLERANCE)
        if is_continued:
            state.properties = checksums_of(source.decoder.names, source.decoder.types)
            yield from self._changes.checked(window)
            state.bookmark = source.run.started_at
        elif source.portal.descriptions.is_searchable(source.object_type):
            try:
                yield from self._changes.modified(window)
            except RequestError as error:
                source.logger.warning("%s: the next run reads the changes made during this one: %s", source.name, error)
