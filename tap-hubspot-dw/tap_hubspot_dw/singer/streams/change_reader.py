"""Reading the objects that changed since a timestamp, and checking that none is missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tap_hubspot_dw.http.rate_limits import SEARCH
from tap_hubspot_dw.hubspot.account import Account, Changes
from tap_hubspot_dw.reading.change_window import UnsortedError, Window
from tap_hubspot_dw.reading.id_ranges import Range, cut
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.reading.property_checksums import checksums_of, knows
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.singer.events import Block
from tap_hubspot_dw.singer.streams.object_source import ObjectSource
from tap_hubspot_dw.timestamps import format_timestamp


class ChangeReader:
    """Reads change windows of one object type; records modified before `bookmark` count as repeated."""

    def __init__(self, source: ObjectSource, bookmark: datetime | None = None) -> None:
        self._source = source
        self._bookmark = bookmark

    def checked(self, window: Window) -> Iterator[Block]:
        """Yield the objects modified in the window, and check them against HubSpot's count.

        Objects last modified before the run began have been in the window all the time, so none of them may be missing.
        """
        source = self._source
        changes = Changes(window.since, source.run.started_at)
        yield from self.modified(window, changes)
        account = Account(source.portal, source.object_type, source.decoder, source.logger)
        for page in account.missed_changes(changes):
            yield source.to_block(page, self._bookmark)

    def modified(self, window: Window, changes: Changes | None = None) -> Iterator[Block]:
        """Yield the objects modified in the window, by ranges of ids, or by slices of time if search is unsorted."""
        source = self._source
        try:
            yield from self._by_id(window, changes)
        except UnsortedError as error:
            source.logger.warning(
                "%s: HubSpot's search is not sorted by id (%s): reading the window in slices of time instead.",
                source.name,
                error,
            )
            for page in source.portal.searches.changed_in_slices(source.object_type, window, source.decoder):
                yield source.to_block(page, self._bookmark, changes)

    def _by_id(self, window: Window, changes: Changes | None) -> Iterator[Block]:
        """Yield the objects modified in the window; if they are many, several ranges of ids at once."""
        source, searches = self._source, self._source.portal.searches
        pages = searches.changed(source.object_type, window, source.decoder)
        first, expected = next(pages)
        if source.done.mode == "incremental":
            source.done.expected = expected
        yield source.to_block(first, self._bookmark, changes)
        if expected <= source.portal.limits.range_records or not first:
            for page, _ in pages:
                yield source.to_block(page, self._bookmark, changes)
            return
        above = first.ids[-1]

        def blocks(span: Range) -> Iterator[Block]:
            for page, _ in searches.changed(source.object_type, window, source.decoder, span):
                yield source.to_block(page, self._bookmark, changes)

        left = expected - len(first)
        spans = cut(Range(above), searches.boundaries(source.object_type, above, window, expected=left))
        for _, block in in_parallel(spans, blocks, source.run.settings.workers, source.run.permits[SEARCH]):
            if block is not None:
                yield block

    def warn_of_late_properties(self, state: StreamState) -> None:
        """Warn of properties that this run reads for the first time, and add them to the state."""
        source = self._source
        if state.bookmark and (late := self.late_properties(state, state.bookmark)):
            source.logger.warning(
                "%s: these properties are read from now on; until the next full pass they are null in unchanged "
                "records, or as an earlier run left them: %s. Run with --full-refresh to get all values now.",
                source.name,
                shown(", ".join(late)),
            )
        state.properties = checksums_of(source.decoder.names, source.decoder.types)

    def late_properties(self, state: StreamState, since: datetime) -> list[str]:
        """Return the properties that this run reads and earlier ones did not, if these began at `since`.

        A property that is new in HubSpot is not among them: it comes with the records that get a value. A property
        that existed before but was not chosen does not.
        """
        source, began = self._source, format_timestamp(since)
        if not state.properties:
            return []
        definitions = source.portal.descriptions.properties(source.object_type)
        created = {str(definition["name"]): definition.get("createdAt") for definition in definitions}
        return [
            name
            for name in source.decoder.names
            if (created.get(name) or "") < began and not knows(state.properties, name)
        ]
