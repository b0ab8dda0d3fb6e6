"""The streams of CRM objects: one class for all object types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import change_window
from tap_hubspot_dw.reading.property_checksums import retyped as retyped_properties
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.records.schemas import ALL_PROPERTIES, OBJECT_COLUMNS, columns
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.singer.events import Block, Event
from tap_hubspot_dw.singer.streams.archive import ArchiveSweep
from tap_hubspot_dw.singer.streams.base import HubSpotStream
from tap_hubspot_dw.singer.streams.change_reader import ChangeReader
from tap_hubspot_dw.singer.streams.chosen_reader import ChosenReader
from tap_hubspot_dw.singer.streams.full_pass import FullPassReader
from tap_hubspot_dw.singer.streams.object_source import ObjectSource
from tap_hubspot_dw.singer.streams.stream_reading import StreamReading
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp

if TYPE_CHECKING:
    from singer_sdk import Tap


class ObjectStream(HubSpotStream):
    """The objects of one type."""

    primary_keys = ("id",)
    replication_key = "updated_at"

    def __init__(self, tap: Tap, run: Run, object_type: ObjectType, schema: dict[str, Any]) -> None:
        super().__init__(tap, run, object_type.name, schema)
        self.object_type, self.type_id = object_type, object_type.type_id

    def new_reading(self) -> StreamReading:
        """Return a reading of the objects."""
        return ObjectReading(self)

    def unselected(self) -> list[str]:
        """Return the unselected columns that are made anyway; properties that are not selected are not requested."""
        made_anyway = {*OBJECT_COLUMNS, ALL_PROPERTIES}
        return [name for name in super().unselected() if name in made_anyway]


class ObjectReading(StreamReading):
    """Reads the objects of one type: in full at first, then the changes, and in every run the deletions."""

    def __init__(self, stream: ObjectStream) -> None:
        """Announce the feed of ids to the streams that need them."""
        super().__init__(stream)
        self._object_type = stream.object_type
        self._id_feed = self.run.id_feeds[self.name] = IdFeed()

    def ended(self) -> None:
        """Also end the feed, so that no stream waits for ids that will not come."""
        super().ended()
        self._id_feed.end(complete=False)

    def read(self) -> Iterator[Event]:
        """Yield a full pass or the changes since the bookmark, then the deletions since."""
        source = ObjectSource(self, self._object_type, self._decoder(), self._id_feed)
        self.done.hubspot_total = self.portal.searches.count(self._object_type)
        if self.run.settings.only_ids is not None:
            yield from self._chosen(source)
            return
        state, settings = self.load_state(), self.run.settings
        is_anew = self._begins_anew(source, state)
        since = state.bookmark or settings.start_date
        is_due = state.is_full_pass_due(settings.full_refresh, self.run.started_at)
        is_ahead = state.bookmark is not None and state.bookmark - settings.lookback > self.run.started_at
        if is_ahead:
            self.logger.warning("%s: its bookmark %s is in the future: reading everything.", self.name, state.bookmark)
        if state.bookmark is None and since and since > self.run.started_at:
            self.logger.warning(
                "%s: the setting start_date %s is in the future: this run reads no changes.",
                self.name,
                format_timestamp(since),
            )
        if since is None or is_anew or is_due or is_ahead or self.stream.forced_replication_method == "FULL_TABLE":
            yield from FullPassReader(source, self.checkpoint).read(state)
        else:
            yield from self._changes(source, state, since)

    def _begins_anew(self, source: ObjectSource, state: StreamState) -> bool:
        """Return whether what earlier runs read does not fit what this run reads, so that a full pass begins now.

        A stream that is never read in full as a whole, because it began with a start date, only gets a warning.
        """
        is_partial = state.full_pass is not None
        if self.has_new_form(state):
            is_anew = is_partial or state.full_pass_at is not None
            self.logger.warning(
                "%s: properties_as_json or stream_maps changed since the last run: %s.",
                self.name,
                "reading everything, so that all rows are alike" if is_anew else "unchanged records keep their rows",
            )
        elif retyped := retyped_properties(state.properties, source.decoder.types):
            is_anew = is_partial or state.full_pass_at is not None
            self.logger.warning(
                "%s: the types of these properties changed since the last run: %s; %s.",
                self.name,
                shown(", ".join(retyped)),
                "reading everything, so that all rows are alike" if is_anew else "unchanged records keep their rows",
            )
        elif state.full_pass and (late := ChangeReader(source).late_properties(state, state.full_pass.started_at)):
            is_anew = True
            self.logger.warning(
                "%s: the full pass begins again, because these properties were chosen since it began: %s.",
                self.name,
                shown(", ".join(late)),
            )
        else:
            return False
        state.abandon_full_pass()
        return is_anew

    def _decoder(self) -> PageDecoder:
        """Return the decoder of pages to records with the selected columns."""
        schema, is_json = self.stream.schema, self.run.settings.properties_as_json
        selected = {name for name in schema["properties"] if self.stream.mask[("properties", name)]}
        chosen = columns(schema, selected - ({ALL_PROPERTIES} if is_json else set()))
        names = {column.property_name for column in chosen}
        if is_json:
            names |= {str(definition["name"]) for definition in self.run.chosen_properties(self._object_type)}
        return PageDecoder(
            {*names, self._object_type.modified_property},
            chosen,
            all_in=ALL_PROPERTIES if is_json else None,
            in_c=self.blocks.are_lines_final and not is_json,
        )

    def _chosen(self, source: ObjectSource) -> Iterator[Block]:
        """Yield the chosen objects as HubSpot has them now, then the changes since the setting `reread_since`.

        The records get the version of the state, which stays as it is: a full pass that was interrupted would
        otherwise mark them as deleted at its end, as it does not read its finished ranges again.
        """
        settings, saved = self.run.settings, self.load_state()
        source.version = (saved.full_pass.version if saved.full_pass else saved.version) or None
        ids = (settings.only_ids or {}).get(self.name, ())
        yield from ChosenReader(source).read(ids, settings.known_ids.get(self.name, ()))
        if since := settings.reread_since:
            changes = self._changes(source, StreamState(version=source.version or 0), since)
            yield from (event for event in changes if isinstance(event, Block))
        self.done.mode = "chosen"

    def _changes(self, source: ObjectSource, state: StreamState, bookmark: datetime) -> Iterator[Event]:
        """Yield the objects modified since the bookmark, and those archived."""
        self.done.mode = "incremental"
        changes = ChangeReader(source, bookmark)
        self.portal.descriptions.check_searchable(self._object_type)
        changes.warn_of_late_properties(state)
        started_at = self.run.started_at
        window = change_window(bookmark, self.run.settings.lookback, started_at)
        reread_since = self.run.settings.reread_since
        if reread_since and reread_since < window.since:
            window = change_window(reread_since, timedelta(), started_at)
        self.done.since, self.done.until = window.since, started_at
        state.version = state.version or epoch_ms(started_at)
        source.version = state.version
        self._id_feed.begin(window.since)
        yield from changes.checked(window)
        yield from ArchiveSweep(source).since(state, window.since)
        self._id_feed.end(complete=True)
        state.bookmark = started_at
        yield self.checkpoint(state)
