"""The objects of one type in one reading: where they come from, and the blocks that their pages become."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from tap_hubspot_dw.hubspot.account import Changes
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.records.delete_records import merged_records
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.records.record_forms import AnyRecord, Record
from tap_hubspot_dw.singer.events import Block
from tap_hubspot_dw.timestamps import format_timestamp

if TYPE_CHECKING:
    from tap_hubspot_dw.singer.streams.stream_reading import StreamReading


class ObjectSource:
    """What the parts of a reading of objects share. Thread-safe once `version` is set."""

    def __init__(self, reading: StreamReading, object_type: ObjectType, decoder: PageDecoder, id_feed: IdFeed) -> None:
        self.name, self.run, self.logger = reading.name, reading.run, reading.logger
        self.portal, self.done = reading.portal, reading.done
        self.object_type = object_type
        self.decoder = decoder
        self.id_feed = id_feed
        self.version: int | None = None
        self._blocks = reading.blocks

    def to_block(self, page: ObjectPage, bookmark: datetime | None = None, changes: Changes | None = None) -> Block:
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
            self.id_feed.add(page.ids)
        records: Sequence[AnyRecord] = page.records
        if merged := merged_into(page):
            records = [each for place, record in enumerate(records) for each in (record, *merged.get(place, ()))]
        deletes = len(records) - len(page)
        return self._blocks.block(records, self.version, deletes=deletes, repeated=repeated, invalid=invalid)

    def deletes(self, records: Sequence[Record]) -> Block:
        """Return a block of delete records."""
        return self._blocks.block(records, self.version, deletes=len(records))


def merged_into(page: ObjectPage) -> dict[int, list[Record]]:
    """Return the delete records of the objects merged into others, by the place of the survivor in the page."""
    return {
        place: list(merged_records(survivor.id, merged_ids, survivor.updated_at or survivor.created_at))
        for place, merged_ids in page.merges()
        for survivor in (page.records[place],)
    }
