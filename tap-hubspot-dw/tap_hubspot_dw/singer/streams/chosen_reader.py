"""Reading chosen objects as they are now: those of the setting `only_ids`, and where `known_ids` differ."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from itertools import islice

from tap_hubspot_dw.errors import RequestError
from tap_hubspot_dw.reading.change_window import UnsortedError
from tap_hubspot_dw.reading.differing import MOST_TOTALS, differing_ranges
from tap_hubspot_dw.records.delete_records import archived_records
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.singer.events import Block
from tap_hubspot_dw.singer.streams.object_source import ObjectSource, merged_into
from tap_hubspot_dw.timestamps import format_timestamp

_NAMED_IDS = 5  # in the warning about unknown ids


class ChosenReader:
    """Reads chosen objects of one type."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source

    def read(self, ids: Sequence[str], known: Sequence[int]) -> Iterator[Block]:
        """Yield the objects with these ids, then those that HubSpot or a table of the ids `known` lacks.

        An archived or merged object becomes a delete record; an object deleted for good gives only a warning.
        """
        missing = yield from self._by_ids(ids)
        self._warn_of_missing(missing, len(set(ids)))
        if self._source.done.hubspot_total is not None and known:
            try:
                yield from self._differing(known)
            except UnsortedError as error:
                self._source.logger.warning(
                    "%s: cannot find the differences: search is unsorted (%s).", self._source.name, error
                )

    def _by_ids(self, ids: Sequence[str]) -> Generator[Block, None, set[str]]:
        """Yield these objects, live or as delete records; return the ids that HubSpot does not know."""
        source, asked, reported = self._source, set(ids), set[str]()
        for page in source.portal.batch_reads.by_id(source.object_type, list(dict.fromkeys(ids)), source.decoder):
            yield source.to_block(page.only({id_ for id_ in page.ids if str(id_) in asked - reported}))
            merged = [record for records in merged_into(page).values() for record in records if record["id"] in asked]
            reported |= {*map(str, page.ids)} | {record["id"] for record in merged}
            yield source.deletes(merged)
        for page in self._archived(sorted(asked - reported)):
            gone = (archived_records(*archival) for archival in page.archivals())
            deletes = [record for records in gone for record in records if record["id"] in asked]
            reported |= {record["id"] for record in deletes}
            yield source.deletes(deletes)
        return asked - reported

    def _archived(self, ids: Sequence[str]) -> Iterator[ObjectPage]:
        """Yield the archived objects among these ids; none, with a warning, if HubSpot refuses this for the type."""
        source = self._source
        try:
            yield from source.portal.batch_reads.by_id(source.object_type, ids, source.decoder, archived=True)
        except RequestError as error:
            if error.status not in {400, 404}:
                raise
            source.logger.warning("%s: HubSpot does not give archived records by id here (%s).", source.name, error)

    def _differing(self, known: Sequence[int]) -> Iterator[Block]:
        """Yield the objects that a table of these ids lacks, and a delete record for each one that HubSpot lacks.

        HubSpot's totals show where they are. An object missing from search may still exist, as the index lags, so its
        id is read again by itself.
        """
        source, searches = self._source, self._source.portal.searches
        total = source.done.hubspot_total
        spans = differing_ranges(known, total, lambda span: searches.count(source.object_type, span))
        pages_left = MOST_TOTALS
        for span, ids in spans:
            unseen = set(ids)
            pages = searches.changed(source.object_type, None, source.decoder, span)
            for page, _ in islice(pages, pages_left):
                pages_left -= 1
                yield source.to_block(page.only(set(page.ids) - unseen))
                unseen.difference_update(page.ids)
            gone = yield from self._by_ids([str(id_) for id_ in sorted(unseen)])
            at = format_timestamp(source.run.started_at)
            yield source.deletes([{"id": id_, "_sdc_deleted_at": at} for id_ in sorted(gone)])

    def _warn_of_missing(self, missing: Collection[str], asked: int) -> None:
        if not missing:
            return
        first = sorted(missing, key=lambda id_: (len(id_), id_))[:_NAMED_IDS]
        self._source.logger.warning(
            "%s: HubSpot does not know %s of the %s ids of only_ids, or has deleted them for good: %s%s.",
            self._source.name,
            f"{len(missing):,}",
            f"{asked:,}",
            ", ".join(first),
            ", …" if len(missing) > len(first) else "",
        )
