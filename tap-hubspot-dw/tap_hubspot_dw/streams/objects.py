"""CRM objects: one class for every object type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.errors import RequestError
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.parallel import in_parallel
from tap_hubspot_dw.portal import Page
from tap_hubspot_dw.ranges import NotPositionalError, Range, cut, gaps, merged
from tap_hubspot_dw.records import Record, RecordMaker, archived_record, merged_records
from tap_hubspot_dw.run import Run, SeenIds
from tap_hubspot_dw.schemas import ALL_PROPERTIES, columns
from tap_hubspot_dw.search import change_window
from tap_hubspot_dw.state import FullPass, StreamState
from tap_hubspot_dw.streams.base import HubSpotStream
from tap_hubspot_dw.timestamps import epoch_ms, parse_timestamp

if TYPE_CHECKING:
    from singer_sdk import Tap


class ObjectStream(HubSpotStream):
    """The objects of one type: in full at first, afterwards what changed, and every time what was deleted."""

    primary_keys = ("id",)
    replication_key = "updated_at"

    def __init__(self, tap: Tap, run: Run, kind: ObjectType, schema: dict[str, Any]) -> None:
        super().__init__(tap, run, kind.name, schema)
        self.kind = kind
        self._is_json = run.settings.properties_as_json

    def read(self) -> Iterator[Record]:
        """Yield a full pass or the changes since the bookmark, then what was archived since."""
        selected = [name for name in self.schema["properties"] if self.mask[("properties", name)]]
        chosen = columns(self.schema, set(selected) - ({ALL_PROPERTIES} if self._is_json else set()))
        wanted = {column.property_name for column in chosen}
        if self._is_json:
            wanted |= {str(each["name"]) for each in self.run.chosen_properties(self.kind)}
        self._record = RecordMaker(chosen, all_in=ALL_PROPERTIES if self._is_json else None)
        self._properties = sorted(wanted | {self.kind.modified_property, "hs_object_id", "hs_merged_object_ids"})
        self.done.hubspot_total = self.run.portal.total(self.kind)
        state = self.load_state()
        settings = self.run.settings
        is_new = state.bookmark is None and settings.start_date is None
        is_due = state.is_full_pass_due(settings.full_refresh, self.run.started_at)
        if is_new or is_due or self.forced_replication_method == "FULL_TABLE":
            yield from self._full_pass(state)
        else:
            yield from self._changes(state, state.bookmark or settings.start_date or self.run.started_at)

    def _full_pass(self, state: StreamState) -> Iterator[Record]:
        """Yield every live object; a pass that was interrupted goes on where it was."""
        self.done.mode = "full"
        last_bookmark = state.bookmark
        continued = resumed = state.full_pass is not None
        full_pass = state.begin_full_pass(self.run.started_at)
        self.done.until, self.done.expected = full_pass.started_at, self.done.hubspot_total
        self.set_version(full_pass.version)
        self.save_state(state)
        seen = SeenIds(since=None)
        try:
            yield from self._ranges(state, full_pass, seen)
        except NotPositionalError as error:
            self.logger.warning("%s: the list is read by its cursor alone: %s.", self.name, error)
            resumed, seen = False, SeenIds(since=None)
            full_pass = state.full_pass = replace(full_pass, ranges=())
            self.save_state(state)
            for page in self.run.portal.listed(self.kind, self._properties):
                yield from self._records(page, seen)
        if not resumed:
            self.run.seen[self.name] = seen
        if last_bookmark:
            yield from self._archived_since(last_bookmark)
        self.activate_version(full_pass.version)
        state.end_full_pass()
        state.bookmark = full_pass.started_at
        self.save_state(state)
        if continued:  # what changed since it began is not in the ranges that were finished then
            yield from self._changes(state, full_pass.started_at)
            self.done.mode = "full"

    def _ranges(self, state: StreamState, full_pass: FullPass, seen: SeenIds) -> Iterator[Record]:
        """Yield the objects in the ranges of ids that are not done yet, several ranges at once."""
        portal = self.run.portal
        spans = (span for gap in gaps(full_pass.ranges) for span in cut(gap, portal.boundaries(self.kind, gap.above)))

        def pages(span: Range) -> Iterator[Page]:
            return portal.listed_range(self.kind, self._properties, span)

        for span, page in in_parallel(spans, pages, self.run.settings.workers):
            if page is not None:
                yield from self._records(page, seen)
            else:
                full_pass = state.full_pass = replace(full_pass, ranges=merged([*full_pass.ranges, span]))
                self.save_state(state)

    def _changes(self, state: StreamState, bookmark: datetime) -> Iterator[Record]:
        """Yield what was modified in the window since the bookmark, and what was archived."""
        self.done.mode = "incremental"
        window = change_window(bookmark, self.run.settings.lookback, self.run.started_at)
        reread_since = self.run.settings.reread_since
        if reread_since and reread_since < window.since:
            window = change_window(reread_since, timedelta(), self.run.started_at)
        self.done.since, self.done.until = window.since, window.until
        state.version = state.version or epoch_ms(self.run.started_at)
        self.set_version(state.version)
        seen = SeenIds(since=window.since)
        for page, total in self.run.portal.changed(self.kind, window, self._properties):
            self.done.expected = self.done.expected or total
            yield from self._records(page, seen)
        self.run.seen[self.name] = seen
        yield from self._archived_since(window.since)
        state.bookmark = window.until
        self.save_state(state)

    def _records(self, page: Page, seen: SeenIds) -> Iterator[Record]:
        for each in page:
            record = self._record(each)
            if record["invalid_properties"]:
                self.done.invalid_values.update(record["invalid_properties"].keys())
            seen.ids.append(int(record["id"]))
            yield record
            yield from merged_records(each)

    def _archived_since(self, since: datetime) -> Iterator[Record]:
        """Yield a delete record for each object archived since then; deleting does not touch last-modified."""
        try:
            for each in self.run.portal.archived(self.kind):
                if parse_timestamp(each.get("archivedAt") or each["updatedAt"]) >= since:
                    yield archived_record(each)
        except RequestError as error:
            if error.status not in {400, 404}:
                raise
            self.logger.warning(
                "%s: HubSpot gives no list of archived records here (%s); deletions show after the next full pass.",
                self.name,
                error,
            )
