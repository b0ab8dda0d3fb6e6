"""CRM objects: one class for every object type."""

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
from tap_hubspot_dw.hubspot.portal import HubSpotObject, Page
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import UnsortedError, Window, change_window
from tap_hubspot_dw.reading.differing import MOST_TOTALS, differing_ranges
from tap_hubspot_dw.reading.id_ranges import RANGE_RECORDS, Range, cut
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.reading.stream_state import FullPass, StreamState
from tap_hubspot_dw.records.compiled_records import WrittenRecord
from tap_hubspot_dw.records.full_records import FullRecord, Record, RecordMaker, archived_records, merged_records
from tap_hubspot_dw.records.page_decoder import PageDecoder
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

_NAMED_IDS = 5  # of those that were not found


class ObjectStream(HubSpotStream):
    """The objects of one type: in full at first, afterwards what changed, and every time what was deleted."""

    primary_keys = ("id",)
    replication_key = "updated_at"

    def __init__(self, tap: Tap, run: Run, object_type: ObjectType, schema: dict[str, Any]) -> None:
        super().__init__(tap, run, object_type.name, schema)
        self.object_type = object_type
        self._is_json = run.settings.properties_as_json

    def begin(self) -> None:
        """Promise the ids that will be read to the streams that need them."""
        super().begin()
        made_anyway = {*OBJECT_COLUMNS, ALL_PROPERTIES}  # HubSpot is not asked for what else is not selected
        self.dropped = [name for name in self.dropped if name in made_anyway]
        self._id_feed = self.run.id_feeds[self.name] = IdFeed()

    def ended(self) -> None:
        """Let nobody wait for ids that do not come."""
        self._id_feed.end(complete=False)

    def read(self) -> Iterator[Event]:
        """Yield a full pass or the changes since the bookmark, then what was archived since."""
        selected = [name for name in self.schema["properties"] if self.mask[("properties", name)]]
        chosen = columns(self.schema, set(selected) - ({ALL_PROPERTIES} if self._is_json else set()))
        wanted = {column.property_name for column in chosen}
        if self._is_json:
            wanted |= {str(each["name"]) for each in self.run.chosen_properties(self.object_type)}
        self._decoder = PageDecoder({*wanted, self.object_type.modified_property})
        if self.are_lines_final and not self._is_json:
            self._decoder.write(chosen)
        self._records = RecordMaker(chosen, self._decoder, all_in=ALL_PROPERTIES if self._is_json else None)
        self.done.hubspot_total = self.portal.count(self.object_type)
        if self.run.settings.only_ids is not None:
            yield from self._chosen(self.run.settings.only_ids.get(self.name, ()))
            return
        state = self.load_state()
        settings = self.run.settings
        since = state.bookmark or settings.start_date
        is_due = state.is_full_pass_due(settings.full_refresh, self.run.started_at)
        is_ahead = state.bookmark is not None and state.bookmark - settings.lookback > self.run.started_at
        if is_ahead:
            self.logger.warning(
                "%s: its bookmark %s lies in the future: everything is read.", self.name, state.bookmark
            )
        if since is None or is_due or is_ahead or self.forced_replication_method == "FULL_TABLE":
            yield from self._full_pass(state)
        else:
            yield from self._changes(state, since)

    def _chosen(self, ids: Sequence[str]) -> Iterator[Block]:
        """Yield these objects as HubSpot has them now, then what changed since the setting `reread_since`.

        An object that is archived or was merged comes as a delete record; one that is gone for good not at all, with
        a warning.
        """
        missing = yield from self._by_ids(ids)
        self._warn_of_missing(missing, len(set(ids)))
        if self.done.hubspot_total is not None and (known := self.run.settings.known_ids.get(self.name)):
            try:
                yield from self._differing(known)
            except UnsortedError as error:
                self.logger.warning("%s: where it differs cannot be found: search is unsorted (%s).", self.name, error)
        if since := self.run.settings.reread_since:
            yield from (event for event in self._changes(StreamState(), since) if isinstance(event, Block))
        self.done.mode = "chosen"

    def _by_ids(self, ids: Sequence[str]) -> Generator[Block, None, set[str]]:
        """Yield these objects, live or as delete records; returns the ids that HubSpot does not know."""
        asked, reported = set(ids), set[str]()
        for page in self.portal.by_id(self.object_type, list(dict.fromkeys(ids)), self._decoder):
            yield self._page([each for each in page if each["id"] in asked - reported])
            merged = [
                record
                for each, survivor in zip(page, self._records(page), strict=True)
                for record in self._merged(each, survivor)
                if record["id"] in asked
            ]
            reported |= {each["id"] for each in page} | {record["id"] for record in merged}
            yield self._deletes(merged)
        for page in self._archived_of(sorted(asked - reported)):
            gone = (archived_records(each, self._decoder.merged_ids(each["properties"])) for each in page)
            deletes = [record for records in gone for record in records if record["id"] in asked]
            reported |= {record["id"] for record in deletes}
            yield self._deletes(deletes)
        return asked - reported

    def _differing(self, known: Sequence[int]) -> Iterator[Block]:
        """Yield the objects that a table of these ids lacks, and a delete record for each one that HubSpot lacks.

        Where they are is found by HubSpot's totals. That its search lacks one is no proof, as its index is late: such
        ids are read again by themselves.
        """
        total = self.done.hubspot_total
        spans = differing_ranges(known, total, lambda span: self.portal.count(self.object_type, span))
        pages_left = MOST_TOTALS
        for span, ids in spans:
            unseen = set(ids)
            pages = self.portal.changed(self.object_type, None, self._decoder, span)
            for page, _ in islice(pages, pages_left):
                pages_left -= 1
                yield self._page([each for each in page if int(each["id"]) not in unseen])
                unseen.difference_update(int(each["id"]) for each in page)
            gone = yield from self._by_ids([str(each) for each in sorted(unseen)])
            at = format_timestamp(self.run.started_at)
            yield self._deletes([{"id": each, "_sdc_deleted_at": at} for each in sorted(gone)])

    def _archived_of(self, ids: Sequence[str]) -> Iterator[Page]:
        """Yield those of the objects that are archived; none, with a warning, of a type that gives no such ones."""
        try:
            yield from self.portal.by_id(self.object_type, ids, self._decoder, archived=True)
        except RequestError as error:
            if error.status not in {400, 404}:
                raise
            self.logger.warning("%s: HubSpot gives no archived records by their ids here (%s).", self.name, error)

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
        """Yield every live object; a pass that was interrupted goes on where it was.

        What changed since it began comes once more: a record that was merged away behind its page would stay live.
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
            full_pass = state.full_pass = self._gone_on_with(full_pass, reader)
        else:
            self._id_feed.begin(None)
        if not full_pass.ranges:  # else what was read before may lack properties that were chosen since
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

    def _gone_on_with(self, full_pass: FullPass, reader: LiveReader) -> FullPass:
        """Return a pass that an earlier run began, with what of it may be kept, and say how far it is."""
        self._id_feed.end(complete=False)  # what was read before is missing
        if not self._is_searchable():  # nobody says what changed since
            full_pass = replace(full_pass, ranges=())
        full_pass = reader.trusted(full_pass)
        self.done.before = sum(each.records for each in full_pass.ranges)
        if self.done.before:
            self.logger.info(
                "%s: goes on with the full pass that began at %s: %s%s records were read before.",
                self.name,
                format_timestamp(full_pass.started_at),
                f"{self.done.before:,}",
                f" of {self.done.expected:,}" if self.done.expected else "",
            )
        return full_pass

    def _changed_meanwhile(self, state: StreamState, full_pass: FullPass, *, is_continued: bool) -> Iterator[Block]:
        """Yield what changed since a full pass began, and move the bookmark.

        Of one that was interrupted this must be everything: its finished ranges were read by earlier runs. Else a type
        that cannot be searched can still be read in full.
        """
        state.bookmark = full_pass.started_at
        window = Window(full_pass.started_at - 2 * CLOCK_TOLERANCE)
        if is_continued:
            self._warn_of_late_properties(state)
            yield from self._window(window, None)
            state.bookmark = self.run.started_at
        elif self._is_searchable():
            try:
                yield from self._modified(window, None)
            except RequestError as error:
                self.logger.warning("%s: what changed while it was read comes with the next run: %s", self.name, error)

    def _is_searchable(self) -> bool:
        return self.object_type.modified_property in (each["name"] for each in self.portal.properties(self.object_type))

    def _changes(self, state: StreamState, bookmark: datetime) -> Iterator[Event]:
        """Yield what was modified in the window since the bookmark, and what was archived."""
        self.done.mode = "incremental"
        self.check_searchable(self.object_type)
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
        """Yield the objects modified in the window, and hold them against HubSpot's count.

        Those that were last modified before the run began have been in the window all the time, so none of them may
        be missing.
        """
        changes = Changes(window.since, self.run.started_at)
        yield from self._modified(window, bookmark, changes)
        account = Account(self.portal, self.object_type, self._decoder, self.logger)
        for page in account.missed_changes(changes):
            yield self._page(page, bookmark)

    def _warn_of_late_properties(self, state: StreamState) -> None:
        """Name the properties that were not read so far.

        One that is new in HubSpot comes with the records that get a value; one that was only not chosen before does
        not.
        """
        created = {str(each["name"]): each.get("createdAt") for each in self.portal.properties(self.object_type)}
        since = format_timestamp(state.bookmark) if state.bookmark and state.properties else ""
        late = [
            name
            for name in self._decoder.names
            if (created.get(name) or "") < since and not _checksums([name]) <= state.properties
        ]
        if late:
            self.logger.warning(
                "%s: read from now on, and null in records that do not change until the next full pass: %s. "
                "Run with --full-refresh to have all values at once.",
                self.name,
                shown(", ".join(late)),
            )
        state.properties = _checksums(self._decoder.names)

    def _modified(self, window: Window, bookmark: datetime | None, changes: Changes | None = None) -> Iterator[Block]:
        """Yield the objects modified in the window, by ranges of ids, or in slices of time where nobody sorts by id."""
        try:
            yield from self._modified_by_id(window, bookmark, changes)
        except UnsortedError as error:
            self.logger.warning(
                "%s: HubSpot's search is not sorted by id (%s): the window is read in slices of time instead.",
                self.name,
                error,
            )
            for page in self.portal.changed_in_slices(self.object_type, window, self._decoder):
                yield self._page(page, bookmark, changes)

    def _modified_by_id(self, window: Window, bookmark: datetime | None, changes: Changes | None) -> Iterator[Block]:
        """Yield the objects modified in the window; a long one is read in several ranges of ids at once."""
        pages = self.portal.changed(self.object_type, window, self._decoder)
        first, expected = next(pages)
        if self.done.mode == "incremental":
            self.done.expected = expected
        yield self._page(first, bookmark, changes)
        if expected <= RANGE_RECORDS or not first:
            for page, _ in pages:
                yield self._page(page, bookmark, changes)
            return
        above = int(first[-1]["id"])

        def blocks(span: Range) -> Iterator[Block]:
            for page, _ in self.portal.changed(self.object_type, window, self._decoder, span):
                yield self._page(page, bookmark, changes)

        left = expected - len(first)
        spans = cut(Range(above), self.portal.boundaries(self.object_type, above, window, expected=left))
        for _, block in in_parallel(spans, blocks, self.run.settings.workers, self.run.permits[SEARCH]):
            if block is not None:
                yield block

    def _page(self, page: Page, bookmark: datetime | None = None, changes: Changes | None = None) -> Block:
        """Return a page's records and the delete records of what was merged into them.

        Those modified before the bookmark count as repeated: the run before has read them, unless HubSpot's index
        was late.
        """
        records: list[Record | FullRecord | WrittenRecord] = []
        invalid: list[str] = []
        before = format_timestamp(bookmark) if bookmark else ""
        repeated = 0
        for each, record in zip(page, self._records(page), strict=True):
            records.append(record)
            records.extend(self._merged(each, record))
            invalid += record.invalid_properties or ()
            repeated += (record.updated_at or before) < before
            if changes is not None:
                changes.add(int(record.id), record.updated_at)
        if self.run.settings.associations:  # nobody else needs them: a million take eight megabytes
            self._id_feed.add(int(each["id"]) for each in page)
        return self.block(records, deletes=len(records) - len(page), repeated=repeated, invalid=invalid)

    def _archived(self, state: StreamState, since: datetime) -> Iterator[Block]:
        """Yield a delete record for each object archived since then, and what was restored since the last run."""
        sweep = ArchiveSweep(self.portal, self.object_type, self._decoder, self._page, self._deletes, self.logger)
        return sweep.since(state, since)

    def _merged(self, survivor: HubSpotObject, record: FullRecord | WrittenRecord) -> Iterator[Record]:
        merged_ids = self._decoder.merged_ids(survivor["properties"])
        return merged_records(record.id, merged_ids, record.updated_at or record.created_at)


def _checksums(names: Iterable[str]) -> set[int]:
    return {crc32(name.encode()) for name in names}
