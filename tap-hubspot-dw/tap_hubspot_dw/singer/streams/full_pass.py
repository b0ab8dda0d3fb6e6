"""Reading every live object of one type, several ranges of ids at once, and proving that it was every one.

What is read is told as blocks, and how far it came as the `FullPass` to keep: its ranges are those of which every id
below their ends was read, with how many there were. The next run holds that against HubSpot's counts before it goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.http.rate_limits import OBJECTS
from tap_hubspot_dw.hubspot.account import Account, is_far_below
from tap_hubspot_dw.hubspot.portal import Page, Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.id_ranges import (
    EVERYTHING,
    RANGE_RECORDS,
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
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.singer.events import Block

CHECKPOINT_RECORDS = 5_000  # of a full pass between two checkpoints: what a killed one reads again
_MOST_TRIES = 3  # where a list ends before HubSpot's count, without a record more
_MOST_READINGS = 4  # of a whole list that nobody counts rightly
_PERCENT_SLACK = 2  # between HubSpot's record limits and its lists: of what age their figures are is not documented

ToBlock = Callable[[Page], Block]


class LiveReader:
    """One reading of all live objects of a type; `to_block` makes the records of a page."""

    def __init__(
        self,
        run: Run,
        portal: Portal,
        object_type: ObjectType,
        decoder: PageDecoder,
        to_block: ToBlock,
        logger: logging.Logger,
        *,
        total: int | None,
    ) -> None:
        """Begin; `total` is how many HubSpot counts, if it does."""
        self._run = run
        self._portal = portal
        self._object_type = object_type
        self._decoder = decoder
        self._to_block = to_block
        self._logger = logger
        self._account = Account(portal, object_type, decoder, logger, total)
        self._total = total
        self.records = 0  # that were read, by earlier runs too

    def trusted(self, full_pass: FullPass) -> FullPass:
        """Return a pass that another run began, without the ranges of which HubSpot counts more than was read."""
        whole = [
            each for each in full_pass.ranges if (self._portal.count(self._object_type, each) or 0) <= each.records
        ]
        if len(whole) < len(full_pass.ranges):
            self._logger.warning(
                "%s: HubSpot counts more than an earlier run has read: read again.", self._object_type.name
            )
        return replace(full_pass, ranges=tuple(whole))

    def everything(self, full_pass: FullPass, before: int) -> Iterator[Block | FullPass]:
        """Yield the objects that the pass has not read yet, and the pass as it is now behind what it covers.

        `before` is how many the last pass read.

        Raises:
            ReplyError: HubSpot has more than it gives.
        """
        try:
            yield from self._ranges(full_pass)
        except NotPositionalError as error:
            self._logger.warning("%s: the list is read by its cursor alone: %s.", self._object_type.name, error)
            yield replace(full_pass, ranges=())
            yield from self._by_cursor()
        yield from self._doubted(before)

    def _ranges(self, full_pass: FullPass) -> Iterator[Block | FullPass]:
        """Yield the objects in the ranges of ids that are not done yet, several ranges at once."""
        finished, total = full_pass.ranges, self._total
        slices = Slices(
            gaps(finished),
            lambda above: self._portal.boundaries(self._object_type, above, expected=None if above else total),
            min(RANGE_RECORDS, total or RANGE_RECORDS),
        )
        begun: dict[Slice, Range] = {}
        unsaved = 0
        workers, permits = self._run.settings.workers, self._run.permits[OBJECTS]
        for id_slice, read in in_parallel(slices, self._read_slice, workers, permits):
            if read is not None:
                block, done = read
                yield block
                unsaved += block.total
                begun[id_slice] = done
            else:
                records = begun.pop(id_slice).records if id_slice in begun else 0
                finished = merged([*finished, replace(id_slice.span, records=records)])
            if read is None or unsaved >= CHECKPOINT_RECORDS:
                unsaved = 0
                yield replace(full_pass, ranges=merged([*finished, *begun.values()]))
        self.records = sum(each.records for each in finished)

    def _read_slice(self, id_slice: Slice) -> Iterator[tuple[Block, Range]]:
        """Yield a range's pages, each with what of the range has been read with it.

        Where the list ends before HubSpot's count it is read on, and then what is missing is looked up.
        """
        ids, tries = ReadIds(), 0
        done = Range(id_slice.span.above, id_slice.span.above)
        while True:
            read = ids.count()
            for page in self._portal.listed_range(self._object_type, self._decoder, id_slice):
                ids.add(int(each["id"]) for each in page)
                done = Range(done.above, int(page[-1]["id"]) if page else done.through, ids.count())
                yield self._to_block(page), done
            span = id_slice.span
            if not self._account.is_short(ids, span):
                return
            tries = 0 if ids.count() > read else tries + 1
            if tries >= _MOST_TRIES or not self._portal.count(self._object_type, Range(id_slice.reached, span.through)):
                break
        for page in self._account.missed(ids, id_slice.close()):
            yield self._to_block(page), replace(done, records=ids.count(done))
        done = id_slice.close()
        yield self._to_block([]), replace(done, records=ids.count(done))

    def _by_cursor(self) -> Iterator[Block]:
        """Yield all objects by the list's own cursor, and what HubSpot counts besides, range by range."""
        ids = ReadIds()
        self._account = Account(self._portal, self._object_type, self._decoder, self._logger, self._total)
        for page in self._portal.listed(self._object_type, self._decoder):
            ids.add(int(each["id"]) for each in page)
            yield self._to_block(page)
        for span in cut(EVERYTHING, self._portal.boundaries(self._object_type, 0, expected=self._total)):
            for page in self._account.missed(ids, span):
                yield self._to_block(page)
        self.records = ids.count()

    def _doubted(self, before: int) -> Iterator[Block]:
        """Yield the whole list again where nobody confirms what was read, until one reading has no more than another.

        HubSpot's search and its record limits do, where one of them counts about as many and none many more; nobody
        does where less than half of what the last pass read is left.

        Raises:
            ReplyError: every reading has more.
        """
        for _ in range(_MOST_READINGS):
            usage = self._portal.usage().get(self._object_type.type_id)
            counts = [each for each in (self._account.counted, usage) if each is not None]
            counts = [each for each in counts if not is_far_below(each, self.records)]
            most = self.records + self.records * _PERCENT_SLACK // 100
            if counts and max(counts) <= most and before <= 2 * self.records:
                return
            self._logger.warning(
                "%s: %s records were read, %s by the last pass; HubSpot's search counts %s, its limits %s: "
                "the whole list is read again.",
                self._object_type.name,
                f"{self.records:,}",
                f"{before:,}" if before else "an unknown number",
                *("nothing" if each is None else f"{each:,}" for each in (self._account.counted, usage)),
            )
            ids = ReadIds()
            for page in self._portal.listed(self._object_type, self._decoder):
                ids.add(int(each["id"]) for each in page)
                yield self._to_block(page)
            if ids.count() <= self.records:
                return
            self.records = ids.count()
        raise ReplyError(
            f"HubSpot's list of {self._object_type.name} has more records each time it is read "
            f"({self.records:,} at last), so nothing is marked as deleted and the bookmark stays: run again later."
        )
