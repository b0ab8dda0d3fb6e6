"""Whether what was read is all there is: held against HubSpot's own counts, and completed where it is short.

A reply that says less than it should looks like an end. HubSpot's search counts the objects of a range of ids, so a
range is whole when no fewer of its ids were read. Else the ids that search knows are looked up one by one in the live
store. What is found there the list had lost; what is not explains the difference: it was archived, merged or deleted
since, and the index does not know that yet (documented: it is late). A difference that nothing explains is an error.
Reading more than is counted is normal, for the same reason.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.hubspot.portal import Page, Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import UnsortedError, Window
from tap_hubspot_dw.reading.id_ranges import EVERYTHING, Range
from tap_hubspot_dw.reading.read_ids import ReadIds
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder
from tap_hubspot_dw.timestamps import format_timestamp

_MOST_ROUNDS = 3  # records are made while they are counted


class Changes:
    """The ids that were read of a window, and those of them that have not changed since the run began."""

    def __init__(self, since: datetime, started_at: datetime) -> None:
        self.window = Window(since, max(started_at, since))  # what was last modified before the run began
        self.ids, self.settled = ReadIds(), ReadIds()
        self._end = format_timestamp(started_at)

    def add(self, record_id: int, updated_at: str | None) -> None:
        """Add a record with when it was last modified, by its record."""
        self.ids.add((record_id,))
        if (updated_at or "") < self._end:
            self.settled.add((record_id,))


class Account:
    """The account of one reading of an object type; safe to use from threads, a range each."""

    def __init__(
        self,
        portal: Portal,
        object_type: ObjectType,
        decoder: PageDecoder,
        logger: logging.Logger,
        total: int | None = None,
    ) -> None:
        """Begin an account; `total` is HubSpot's count of all objects, if it is known, which spares asking for it."""
        self._portal = portal
        self._object_type = object_type
        self._decoder = decoder
        self._logger = logger
        self._total = total
        self._lock = threading.Lock()
        self.counted: int | None = 0  # over all ranges; None once HubSpot did not count one

    def is_short(self, ids: ReadIds, span: Range) -> bool:
        """Tell whether HubSpot counts more in a range of ids than was read; where it does not count, it does not.

        A count that is much too small is asked for again: it would prove nothing.
        """
        read = ids.count(span)
        if span == EVERYTHING and read == self._total:
            self._add(read)
            return False
        counted = self._portal.count(self._object_type, span)
        if counted is not None and is_far_below(counted, read):
            counted = self._portal.count(self._object_type, span)
        is_short = counted is not None and counted > read
        if not is_short:
            self._add(counted)
        return is_short

    def missed(self, ids: ReadIds, span: Range) -> Iterator[Page]:
        """Yield what HubSpot counts in a range of ids and was not read, in pages; `ids` gets it too.

        Raises:
            ReplyError: it counts more than it has.
        """
        if not self.is_short(ids, span):
            return
        self._logger.warning(
            "%s: %s records were read of the ids above %d, and HubSpot counts more: those are looked up.",
            self._object_type.name,
            f"{ids.count(span):,}",
            span.above,
        )
        gone: set[int] = set()
        for _ in range(_MOST_ROUNDS):
            yield from self._looked_up(self._known(span), ids, gone)
            counted = self._portal.count(self._object_type, span)
            explained = ids.count(span) + len(gone)
            if counted is None or counted <= explained:
                self._log_gone(gone)
                return self._add(None if counted is None else counted - len(gone))
        raise ReplyError(
            f"HubSpot counts {counted:,} {self._object_type.name} with ids above {span.above}"
            f"{f' up to {span.through}' if span.through else ''} and gives {explained:,}, so nothing is marked as "
            "deleted and the bookmark stays: run again later."
        )

    def missed_changes(self, changes: Changes) -> Iterator[Page]:
        """Yield what was last modified in a window before the run began, and was not read, in pages.

        It has been in the window all the time, so nothing explains that it did not come.

        Raises:
            ReplyError: HubSpot counts more than it has.
        """
        window, ids = changes.window, changes.ids
        counted = self._portal.count(self._object_type, EVERYTHING, window) if window.since != window.until else 0
        if counted is not None and counted <= changes.settled.count():
            return
        known, gone = ReadIds(), set[int]()
        for _ in range(_MOST_ROUNDS):
            for some in self._portal.changed_ids(self._object_type, window):
                known.add(some)
                yield from self._looked_up([some], ids, gone)
            counted = self._portal.count(self._object_type, EVERYTHING, window)
            if counted is not None and counted <= known.count():
                return self._log_gone(gone)
        said = "does not count" if counted is None else f"counts {counted:,}"
        raise ReplyError(
            f"HubSpot {said} {self._object_type.name} that changed and gives {known.count():,}, so the bookmark stays: "
            "run again later."
        )

    def _known(self, span: Range) -> Iterator[list[int]]:
        """Yield the ids of a range that search knows; if it does not sort them, those that the list has."""
        try:
            for page, _ in self._portal.changed(self._object_type, None, IDS_ONLY, span):
                yield [int(each["id"]) for each in page]
        except UnsortedError:
            for page in self._portal.listed(self._object_type, IDS_ONLY):
                found = (int(each["id"]) for each in page)
                yield [each for each in found if span.above < each and (not span.through or each <= span.through)]

    def _looked_up(self, known: Iterable[list[int]], ids: ReadIds, gone: set[int]) -> Iterator[Page]:
        for some in known:
            lacking = ids.lacking(some)
            found: set[int] = set()
            for page in self._portal.live(self._object_type, lacking, self._decoder):
                found.update(int(each["id"]) for each in page)
                yield page
            ids.add(sorted(found))
            gone.update(each for each in lacking if each not in found)

    def _log_gone(self, gone: set[int]) -> None:
        if gone:
            self._logger.info(
                "%s: HubSpot's search still counts %s records that it has no more: archived, merged or deleted since.",
                self._object_type.name,
                f"{len(gone):,}",
            )

    def _add(self, counted: int | None) -> None:
        with self._lock:
            self.counted = None if self.counted is None or counted is None else self.counted + counted


def is_far_below(counted: int, read: int) -> bool:
    """Tell whether a count is so far below what was read that a late index does not explain it: by a tenth."""
    return counted * 10 < read * 9
