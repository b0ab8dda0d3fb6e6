"""Reading all live objects of one type, several ranges of ids at once, and checking that none is missing.

The reader yields blocks of records, and the `FullPass` to save: the ranges of ids that were read completely, with the
number of records in each. The next run compares these numbers with HubSpot's counts before it continues the pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.http.rate_limits import OBJECTS
from tap_hubspot_dw.hubspot.account import Account, is_far_below
from tap_hubspot_dw.reading.id_ranges import (
    EVERYTHING,
    NotPositionalError,
    Range,
    Slice,
    Slices,
    cut,
    gaps,
    merged,
)
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.reading.read_ids import ReadIds
from tap_hubspot_dw.reading.stream_state import FullPass
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.singer.events import Block
from tap_hubspot_dw.singer.streams.object_source import ObjectSource

_MOST_TRIES = 3  # if a list ends before HubSpot's count, without giving more records
_MOST_READINGS = 4  # of a whole list if no count confirms it
_PERCENT_SLACK = 2  # between HubSpot's record limits and its lists: the age of the limits' figures is not documented


class LiveReader:
    """One reading of all live objects of a type."""

    def __init__(self, source: ObjectSource, total: int | None) -> None:
        """Prepare the reading; `total` is HubSpot's count of live objects, if it gives one."""
        self._source = source
        self._portal, self._logger = source.portal, source.logger
        self._object_type, self._decoder = source.object_type, source.decoder
        self._account = Account(source.portal, source.object_type, source.decoder, source.logger, total)
        self._total = total
        self.records = 0  # read in this pass, including earlier runs

    def trusted(self, full_pass: FullPass) -> FullPass:
        """Return an earlier run's pass without the ranges in which HubSpot counts more records than were read."""
        whole = [
            span
            for span in full_pass.ranges
            if (self._portal.searches.count(self._object_type, span) or 0) <= span.records
        ]
        if len(whole) < len(full_pass.ranges):
            self._logger.warning(
                "%s: HubSpot counts more records than an earlier run read: reading them again.", self._object_type.name
            )
        return replace(full_pass, ranges=tuple(whole))

    def everything(self, full_pass: FullPass, before: int) -> Iterator[Block | FullPass]:
        """Yield the objects that the pass has not read yet, and after them the pass to save.

        `before` is the number of records of the last complete pass.

        Raises:
            ReplyError: HubSpot counts more objects than it gives.
        """
        try:
            yield from self._ranges(full_pass)
        except NotPositionalError as error:
            self._logger.warning("%s: reading the list by its cursor alone: %s.", self._object_type.name, error)
            yield replace(full_pass, ranges=())
            yield from self._by_cursor()
        yield from self._doubted(before)

    def _ranges(self, full_pass: FullPass) -> Iterator[Block | FullPass]:
        """Yield the objects in the unfinished ranges of ids, several ranges at once."""
        finished, total, limits = full_pass.ranges, self._total, self._portal.limits
        slices = Slices(
            gaps(finished),
            lambda above: self._portal.searches.boundaries(self._object_type, above, expected=None if above else total),
            min(limits.range_records, total or limits.range_records),
            limits.least_to_split,
        )
        begun: dict[Slice, Range] = {}
        unsaved = 0
        workers, permits = self._source.run.settings.workers, self._source.run.permits[OBJECTS]
        for id_slice, read in in_parallel(slices, self._read_slice, workers, permits):
            if read is not None:
                block, done = read
                yield block
                unsaved += block.total
                begun[id_slice] = done
            else:
                records = begun.pop(id_slice).records if id_slice in begun else 0
                finished = merged([*finished, replace(id_slice.span, records=records)])
            if read is None or unsaved >= self._portal.limits.checkpoint_records:
                unsaved = 0
                yield replace(full_pass, ranges=merged([*finished, *begun.values()]))
        self.records = sum(span.records for span in finished)

    def _read_slice(self, id_slice: Slice) -> Iterator[tuple[Block, Range]]:
        """Yield a range's pages, each with the part of the range that is then read.

        If the list ends before HubSpot's count is reached, reading continues, and missing objects are looked up by id.
        """
        ids, tries = ReadIds(), 0
        done = Range(id_slice.span.above, id_slice.span.above)
        while True:
            read = ids.count()
            for page in self._portal.lists.live_range(self._object_type, self._decoder, id_slice):
                ids.add(page.ids)
                done = Range(done.above, page.ids[-1] if page else done.through, ids.count())
                yield self._source.to_block(page), done
            span = id_slice.span
            if not self._account.is_short(ids, span):
                return
            tries = 0 if ids.count() > read else tries + 1
            if tries >= _MOST_TRIES or not self._portal.searches.count(
                self._object_type, Range(id_slice.reached, span.through)
            ):
                break
        for page in self._account.missed(ids, id_slice.close()):
            yield self._source.to_block(page), replace(done, records=ids.count(done))
        done = id_slice.close()
        yield self._source.to_block(ObjectPage()), replace(done, records=ids.count(done))

    def _by_cursor(self) -> Iterator[Block]:
        """Yield all objects by the list's own cursor, and then those that HubSpot counts besides, range by range."""
        ids = ReadIds()
        self._account = Account(self._portal, self._object_type, self._decoder, self._logger, self._total)
        for page in self._portal.lists.live(self._object_type, self._decoder):
            ids.add(page.ids)
            yield self._source.to_block(page)
        for span in cut(EVERYTHING, self._portal.searches.boundaries(self._object_type, 0, expected=self._total)):
            for page in self._account.missed(ids, span):
                yield self._source.to_block(page)
        self.records = ids.count()

    def _doubted(self, before: int) -> Iterator[Block]:
        """Yield the whole list again if no count confirms what was read, until a reading has no more than the last.

        HubSpot's search count or record limits confirm the reading if one of them is about equal and neither is much
        higher. A reading with less than half the records of the last pass is never confirmed.

        Raises:
            ReplyError: every reading has more records than the last.
        """
        for _ in range(_MOST_READINGS):
            usage = self._portal.descriptions.usage().get(self._object_type.type_id)
            counts = [count for count in (self._account.counted, usage) if count is not None]
            counts = [count for count in counts if not is_far_below(count, self.records)]
            most = self.records + self.records * _PERCENT_SLACK // 100
            if counts and max(counts) <= most and before <= 2 * self.records:
                return
            self._logger.warning(
                "%s: %s records were read, %s by the last pass; HubSpot's search counts %s, its limits %s: "
                "reading the whole list again.",
                self._object_type.name,
                f"{self.records:,}",
                f"{before:,}" if before else "an unknown number",
                *("nothing" if count is None else f"{count:,}" for count in (self._account.counted, usage)),
            )
            ids = ReadIds()
            for page in self._portal.lists.live(self._object_type, self._decoder):
                ids.add(page.ids)
                yield self._source.to_block(page)
            if ids.count() <= self.records:
                return
            self.records = ids.count()
        raise ReplyError(
            f"HubSpot's list of {self._object_type.name} has more records each time it is read "
            f"({self.records:,} at last), so nothing is marked as deleted and the bookmark stays: run again later."
        )
