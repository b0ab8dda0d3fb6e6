"""The streams of CRM objects: one class for all object types."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tap_hubspot_dw.errors import RequestError
from tap_hubspot_dw.http.rate_limits import SEARCH
from tap_hubspot_dw.hubspot.account import Account, Changes
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import UnsortedError, Window, change_window
from tap_hubspot_dw.reading.differing import MOST_TOTALS, differing_ranges
from tap_hubspot_dw.reading.id_ranges import Range, cut
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.reading.stream_state import FullPass, StreamState
from tap_hubspot_dw.records.delete_records import archived_records, merged_records
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.records.record_forms import AnyRecord, Record
from tap_hubspot_dw.records.schemas import ALL_PROPERTIES, OBJECT_COLUMNS, columns
from tap_hubspot_dw.run.run import CLOCK_TOLERANCE, Run
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.singer.events import Activation, Block, Event
from tap_hubspot_dw.singer.streams.archive import ArchiveSweep
from tap_hubspot_dw.singer.streams.base import HubSpotStream
from tap_hubspot_dw.singer.streams.full_pass import LiveReader
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp

if TYPE_CHECKING:
    from singer_sdk import Tap

_NAMED_IDS = 5  # in the warning about unknown ids


class ObjectStream(HubSpotStream):
    """The objects of one type: in full at first, then the changes, and in every run the deletions."""

    primary_keys = ("id",)
    replication_key = "updated_at"

    def __init__(self, tap: Tap, run: Run, object_type: ObjectType, schema: dict[str, Any]) -> None:
        super().__init__(tap, run, object_type.name, schema)
        self.object_type = object_type
        self._is_json = run.settings.properties_as_json

    def begin(self) -> None:
        """Get ready for `events`, and announce the feed of ids to the streams that need them."""
        super().begin()
        made_anyway = {*OBJECT_COLUMNS, ALL_PROPERTIES}  # other columns that are not selected are not requested at all
        self.dropped = [name for name in self.dropped if name in made_anyway]
        self._id_feed = self.run.id_feeds[self.name] = IdFeed()

    def ended(self) -> None:
        """End the feed, so that no stream waits for ids that will not come."""
        self._id_feed.end(complete=False)

    def read(self) -> Iterator[Event]:
        """Yield a full pass or the changes since the bookmark, then the deletions since."""
        selected = [name for name in self.schema["properties"] if self.mask[("properties", name)]]
        chosen = columns(self.schema, set(selected) - ({ALL_PROPERTIES} if self._is_json else set()))
        wanted = {column.property_name for column in chosen}
        if self._is_json:
            wanted |= {str(definition["name"]) for definition in self.run.chosen_properties(self.object_type)}
        self._decoder = PageDecoder(
            {*wanted, self.object_type.modified_property},
            chosen,
            all_in=ALL_PROPERTIES if self._is_json else None,
            in_c=self.are_lines_final and not self._is_json,
        )
        self.done.hubspot_total = self.portal.searches.count(self.object_type)
        if self.run.settings.only_ids is not None:
            yield from self._chosen(self.run.settings.only_ids.get(self.name, ()))
            return
        state = self.load_state()
        settings = self.run.settings
        since = state.bookmark or settings.start_date
        is_due = state.is_full_pass_due(settings.full_refresh, self.run.started_at)
        is_ahead = state.bookmark is not None and state.bookmark - settings.lookback > self.run.started_at
        if is_ahead:
            self.logger.warning("%s: its bookmark %s is in the future: reading everything.", self.name, state.bookmark)
        if since is None or is_due or is_ahead or self.forced_replication_method == "FULL_TABLE":
            yield from self._full_pass(state)
        else:
            yield from self._changes(state, since)

    def _chosen(self, ids: Sequence[str]) -> Iterator[Block]:
        """Yield these objects as HubSpot has them now, then the changes since the setting `reread_since`.

        An archived or merged object becomes a delete record; an object deleted for good gives only a warning.
        """
        missing = yield from self._by_ids(ids)
        self._warn_of_missing(missing, len(set(ids)))
        if self.done.hubspot_total is not None and (known := self.run.settings.known_ids.get(self.name)):
            try:
                yield from self._differing(known)
            except UnsortedError as error:
                self.logger.warning("%s: cannot find the differences: search is unsorted (%s).", self.name, error)
        if since := self.run.settings.reread_since:
            yield from (event for event in self._changes(StreamState(), since) if isinstance(event, Block))
        self.done.mode = "chosen"

    def _by_ids(self, ids: Sequence[str]) -> Generator[Block, None, set[str]]:
        """Yield these objects, live or as delete records; return the ids that HubSpot does not know."""
        asked, reported = set(ids), set[str]()
        for page in self.portal.batch_reads.by_id(self.object_type, list(dict.fromkeys(ids)), self._decoder):
            yield self._page(page.only({id_ for id_ in page.ids if str(id_) in asked - reported}))
            merged = [record for records in _merged(page).values() for record in records if record["id"] in asked]
            reported |= {*map(str, page.ids)} | {record["id"] for record in merged}
            yield self._deletes(merged)
        for page in self._archived_of(sorted(asked - reported)):
            gone = (archived_records(*archival) for archival in page.archivals())
            deletes = [record for records in gone for record in records if record["id"] in asked]
            reported |= {record["id"] for record in deletes}
            yield self._deletes(deletes)
        return asked - reported

    def _differing(self, known: Sequence[int]) -> Iterator[Block]:
        """Yield the objects that a table of these ids lacks, and a delete record for each one that HubSpot lacks.

        HubSpot's totals show where they are. An object missing from search may still exist, as the index lags, so its
        id is read again by itself.
        """
        total = self.done.hubspot_total
        spans = differing_ranges(known, total, lambda span: self.portal.searches.count(self.object_type, span))
        pages_left = MOST_TOTALS
        for span, ids in spans:
            unseen = set(ids)
            pages = self.portal.searches.changed(self.object_type, None, self._decoder, span)
            for page, _ in islice(pages, pages_left):
                pages_left -= 1
                yield self._page(page.only(set(page.ids) - unseen))
                unseen.difference_update(page.ids)
            gone = yield from self._by_ids([str(id_) for id_ in sorted(unseen)])
            at = format_timestamp(self.run.started_at)
            yield self._deletes([{"id": id_, "_sdc_deleted_at": at} for id_ in sorted(gone)])

    def _archived_of(self, ids: Sequence[str]) -> Iterator[ObjectPage]:
        """Yield the archived objects among these ids; none, with a warning, if HubSpot refuses this for the type."""
        try:
            yield from self.portal.batch_reads.by_id(self.object_type, ids, self._decoder, archived=True)
        except RequestError as error:
            if error.status not in {400, 404}:
                raise
            self.logger.warning("%s: HubSpot does not give archived records by id here (%s).", self.name, error)

    def _warn_of_missing(self, missing: Collection[str], asked: int) -> None:
        if not missing:
            return
        first = sorted(missing, key=lambda id_: (len(id_), id_))[:_NAMED_IDS]
        self.logger.warning(
            "%s: HubSpot does not know %s of the %s ids of only_ids, or has deleted them for good: %s%s.",
            self.name,
            f"{len(missing):,}",
            f"{asked:,}",
            ", ".join(first),
            ", …" if len(missing) > len(first) else "",
        )

    def _deletes(self, deletes: Sequence[Record]) -> Block:
        return self.block(deletes, deletes=len(deletes))

    def _full_pass(self, state: StreamState) -> Iterator[Event]:
        """Yield every live object; continue an interrupted pass where it stopped.

        The changes since the pass began are read too: a record merged away after its page was read would stay live.
        """
        self.done.mode = "full"
        last_bookmark = state.bookmark
        is_continued = state.full_pass is not None
        full_pass = state.begin_full_pass(self.run.started_at)
        self.done.until, self.done.expected = full_pass.started_at, self.done.hubspot_total
        self.version = full_pass.version
        reader = LiveReader(
            self.run,
            self.portal,
            self.object_type,
            self._decoder,
            self._page,
            self.logger,
            total=self.done.hubspot_total,
        )
        if is_continued:
            full_pass = state.full_pass = self._continued(full_pass, reader)
        else:
            self._id_feed.begin(None)
        if not full_pass.ranges:  # otherwise earlier records may lack properties that were chosen since
            state.properties = _checksums(self._decoder.names)
        yield self.checkpoint(state)
        for event in reader.everything(full_pass, state.records):
            if isinstance(event, Block):
                yield event
                continue
            if not event.ranges:
                state.properties = _checksums(self._decoder.names)
            state.full_pass = event
            yield self.checkpoint(state)
        yield from self._changed_meanwhile(state, full_pass, is_continued=is_continued)
        began = min(last_bookmark or full_pass.started_at, full_pass.started_at)
        yield from self._archived(state, began - 2 * CLOCK_TOLERANCE)
        self._id_feed.end(complete=True)
        yield Activation(full_pass.version)
        state.end_full_pass()
        state.records = reader.records
        yield self.checkpoint(state)

    def _continued(self, full_pass: FullPass, reader: LiveReader) -> FullPass:
        """Return the part of an earlier run's pass that can be kept, and log its progress."""
        self._id_feed.end(complete=False)  # it lacks the ids that earlier runs read
        if not self.portal.descriptions.is_searchable(
            self.object_type
        ):  # the changes since the earlier run cannot be read
            full_pass = replace(full_pass, ranges=())
        full_pass = reader.trusted(full_pass)
        self.done.before = sum(span.records for span in full_pass.ranges)
        if self.done.before:
            self.logger.info(
                "%s: continuing the full pass that began at %s: %s%s records were read before.",
                self.name,
                format_timestamp(full_pass.started_at),
                f"{self.done.before:,}",
                f" of {self.done.expected:,}" if self.done.expected else "",
            )
        return full_pass

    def _changed_meanwhile(self, state: StreamState, full_pass: FullPass, *, is_continued: bool) -> Iterator[Block]:
        """Yield the changes since a full pass began, and advance the bookmark.

        A continued pass must get all changes, as earlier runs read its finished ranges. For any other pass a failed
        search is acceptable, so that a type that cannot be searched can still be read in full.
        """
        state.bookmark = full_pass.started_at
        window = Window(full_pass.started_at - 2 * CLOCK_TOLERANCE)
        if is_continued:
            self._warn_of_late_properties(state)
            yield from self._window(window, None)
            state.bookmark = self.run.started_at
        elif self.portal.descriptions.is_searchable(self.object_type):
            try:
                yield from self._modified(window, None)
            except RequestError as error:
                self.logger.warning("%s: the next run reads the changes made during this one: %s", self.name, error)

    def _changes(self, state: StreamState, bookmark: datetime) -> Iterator[Event]:
        """Yield the objects modified since the bookmark, and those archived."""
        self.done.mode = "incremental"
        self.portal.descriptions.check_searchable(self.object_type)
        self._warn_of_late_properties(state)
        started_at = self.run.started_at
        window = change_window(bookmark, self.run.settings.lookback, started_at)
        reread_since = self.run.settings.reread_since
        if reread_since and reread_since < window.since:
            window = change_window(reread_since, timedelta(), started_at)
        self.done.since, self.done.until = window.since, started_at
        state.version = state.version or epoch_ms(started_at)
        self.version = state.version
        self._id_feed.begin(window.since)
        yield from self._window(window, bookmark)
        yield from self._archived(state, window.since)
        self._id_feed.end(complete=True)
        state.bookmark = started_at
        yield self.checkpoint(state)

    def _window(self, window: Window, bookmark: datetime | None) -> Iterator[Block]:
        """Yield the objects modified in the window, and check them against HubSpot's count.

        Objects last modified before the run began have been in the window all the time, so none of them may be missing.
        """
        changes = Changes(window.since, self.run.started_at)
        yield from self._modified(window, bookmark, changes)
        account = Account(self.portal, self.object_type, self._decoder, self.logger)
        for page in account.missed_changes(changes):
            yield self._page(page, bookmark)

    def _warn_of_late_properties(self, state: StreamState) -> None:
        """Warn of properties that this run reads for the first time.

        A property that is new in HubSpot is not among them: it comes with the records that get a value. A property
        that existed before but was not chosen does not.
        """
        definitions = self.portal.descriptions.properties(self.object_type)
        created = {str(definition["name"]): definition.get("createdAt") for definition in definitions}
        since = format_timestamp(state.bookmark) if state.bookmark and state.properties else ""
        late = [
            name
            for name in self._decoder.names
            if (created.get(name) or "") < since and not _checksums([name]) <= state.properties
        ]
        if late:
            self.logger.warning(
                "%s: these properties are read from now on, and are null in unchanged records until the next full "
                "pass: %s. Run with --full-refresh to get all values now.",
                self.name,
                shown(", ".join(late)),
            )
        state.properties = _checksums(self._decoder.names)

    def _modified(self, window: Window, bookmark: datetime | None, changes: Changes | None = None) -> Iterator[Block]:
        """Yield the objects modified in the window, by ranges of ids, or by slices of time if search is unsorted."""
        try:
            yield from self._modified_by_id(window, bookmark, changes)
        except UnsortedError as error:
            self.logger.warning(
                "%s: HubSpot's search is not sorted by id (%s): reading the window in slices of time instead.",
                self.name,
                error,
            )
            for page in self.portal.searches.changed_in_slices(self.object_type, window, self._decoder):
                yield self._page(page, bookmark, changes)

    def _modified_by_id(self, window: Window, bookmark: datetime | None, changes: Changes | None) -> Iterator[Block]:
        """Yield the objects modified in the window; if they are many, several ranges of ids at once."""
        pages = self.portal.searches.changed(self.object_type, window, self._decoder)
        first, expected = next(pages)
        if self.done.mode == "incremental":
            self.done.expected = expected
        yield self._page(first, bookmark, changes)
        if expected <= self.portal.limits.range_records or not first:
            for page, _ in pages:
                yield self._page(page, bookmark, changes)
            return
        above = first.ids[-1]

        def blocks(span: Range) -> Iterator[Block]:
            for page, _ in self.portal.searches.changed(self.object_type, window, self._decoder, span):
                yield self._page(page, bookmark, changes)

        left = expected - len(first)
        spans = cut(Range(above), self.portal.searches.boundaries(self.object_type, above, window, expected=left))
        for _, block in in_parallel(spans, blocks, self.run.settings.workers, self.run.permits[SEARCH]):
            if block is not None:
                yield block

    def _page(self, page: ObjectPage, bookmark: datetime | None = None, changes: Changes | None = None) -> Block:
        """Return a page's records and the delete records of the objects merged into them.

        Records modified before the bookmark count as repeated: the last run has read them, unless HubSpot's index
        lagged.
        """
        before = format_timestamp(bookmark) if bookmark else ""
        repeated = sum((record.updated_at or before) < before for record in page.records)
        invalid = [name for record in page.records for name in record.invalid_properties or ()]
        if changes is not None:
            for id_, record in zip(page.ids, page.records, strict=True):
                changes.add(id_, record.updated_at)
        if self.run.settings.associations:  # no other stream needs the ids; a million take eight megabytes
            self._id_feed.add(page.ids)
        merged = _merged(page)
        records: Sequence[AnyRecord] = page.records
        if merged:
            records = [each for place, record in enumerate(page.records) for each in (record, *merged.get(place, ()))]
        return self.block(records, deletes=len(records) - len(page), repeated=repeated, invalid=invalid)

    def _archived(self, state: StreamState, since: datetime) -> Iterator[Block]:
        """Yield a delete record for each object archived since a timestamp, and the objects restored meanwhile."""
        sweep = ArchiveSweep(self.portal, self.object_type, self._decoder, self._page, self._deletes, self.logger)
        return sweep.since(state, since)


def _merged(page: ObjectPage) -> dict[int, list[Record]]:
    """Return the delete records of the objects merged into others, by the place of the survivor in the page."""
    return {
        place: list(merged_records(survivor.id, merged_ids, survivor.updated_at or survivor.created_at))
        for place, merged_ids in page.merges()
        for survivor in (page.records[place],)
    }


def _checksums(names: Iterable[str]) -> set[int]:
    return {crc32(name.encode()) for name in names}
