"""Checking that everything was read, against HubSpot's own counts, and reading what is missing.

A truncated reply looks like the end of a list. HubSpot's search counts the objects in a range of ids, so a range is
complete if at least as many ids were read. If fewer were read, the ids that search knows are looked up in the live
store. Objects that are there were missing from the list. Objects that are not there explain the difference: they were
archived, merged or deleted, and the index does not show that yet (it lags: documented). A difference that nothing
explains is an error. Reading more objects than HubSpot counts is normal, for the same reason.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import UnsortedError, Window
from tap_hubspot_dw.reading.id_ranges import EVERYTHING, Range
from tap_hubspot_dw.reading.read_ids import ReadIds
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder
from tap_hubspot_dw.timestamps import format_timestamp

_MOST_ROUNDS = 3  # records are created while they are counted


class Changes:
    """The ids read in a window, and those among them that have not changed since the run began."""

    def __init__(self, since: datetime, started_at: datetime) -> None:
        self.window = Window(since, max(started_at, since))  # last modified before the run began
        self.ids, self.settled = ReadIds(), ReadIds()
        self._end = format_timestamp(started_at)

    def add(self, record_id: int, updated_at: str | None) -> None:
        """Add a record with the time of its last change."""
        self.ids.add((record_id,))
        if (updated_at or "") < self._end:
            self.settled.add((record_id,))


class Account:
    """The account of one reading of an object type. Thread-safe, if each thread has a range of its own."""

    def __init__(
        self,
        portal: Portal,
        object_type: ObjectType,
        decoder: PageDecoder,
        logger: logging.Logger,
        total: int | None = None,
    ) -> None:
        """Begin an account; `total` is HubSpot's count of all objects if known, which saves a request."""
        self._portal = portal
        self._object_type = object_type
        self._decoder = decoder
        self._logger = logger
        self._total = total
        self._lock = threading.Lock()
        self.counted: int | None = 0  # over all ranges; None once HubSpot did not count one

    def is_short(self, ids: ReadIds, span: Range) -> bool:
        """Return whether HubSpot counts more ids in a range than were read; False if it does not count.

        A count far below the number read is requested again: it would prove nothing.
        """
        read = ids.count(span)
        if span == EVERYTHING and read == self._total:
            self._add(read)
            return False
        counted = self._portal.searches.count(self._object_type, span)
        if counted is not None and is_far_below(counted, read):
            counted = self._portal.searches.count(self._object_type, span)
        is_short = counted is not None and counted > read
        if not is_short:
            self._add(counted)
        return is_short

    def missed(self, ids: ReadIds, span: Range) -> Iterator[ObjectPage]:
        """Yield pages of the objects that HubSpot counts in a range of ids and that were not read; add them to `ids`.

        Raises:
            ReplyError: HubSpot counts more objects than it gives.
        """
        if not self.is_short(ids, span):
            return
        self._logger.warning(
            "%s: %s records with ids above %d were read, and HubSpot counts more: looking up the rest.",
            self._object_type.name,
            f"{ids.count(span):,}",
            span.above,
        )
        gone: set[int] = set()
        for _ in range(_MOST_ROUNDS):
            yield from self._looked_up(self._known(span), ids, gone)
            counted = self._portal.searches.count(self._object_type, span)
            explained = ids.count(span) + len(gone)
            if counted is None or counted <= explained:
                self._log_gone(gone)
                return self._add(None if counted is None else counted - len(gone))
        raise ReplyError(
            f"HubSpot counts {counted:,} {self._object_type.name} with ids above {span.above}"
            f"{f' up to {span.through}' if span.through else ''} and gives {explained:,}, so nothing is marked as "
            "deleted and the bookmark stays: run again later."
        )

    def missed_changes(self, changes: Changes) -> Iterator[ObjectPage]:
        """Yield pages of the objects that were last modified in a window before the run began and were not read.

        They have been in the window all the time, so nothing explains their absence.

        Raises:
            ReplyError: HubSpot counts more objects than it gives.
        """
        window, ids = changes.window, changes.ids
        counted = (
            self._portal.searches.count(self._object_type, EVERYTHING, window) if window.since != window.until else 0
        )
        if counted is not None and counted <= changes.settled.count():
            return
        known, gone = ReadIds(), set[int]()
        for _ in range(_MOST_ROUNDS):
            for page_ids in self._portal.searches.changed_ids(self._object_type, window):
                known.add(page_ids)
                yield from self._looked_up([page_ids], ids, gone)
            counted = self._portal.searches.count(self._object_type, EVERYTHING, window)
            if counted is not None and counted <= known.count():
                return self._log_gone(gone)
        said = "does not count" if counted is None else f"counts {counted:,}"
        raise ReplyError(
            f"HubSpot {said} changed {self._object_type.name} and gives {known.count():,}, so the bookmark stays: "
            "run again later."
        )

    def _known(self, span: Range) -> Iterator[list[int]]:
        """Yield the ids in a range by search; by the list if search does not sort them."""
        try:
            for page, _ in self._portal.searches.changed(self._object_type, None, IDS_ONLY, span):
                yield list(page.ids)
        except UnsortedError:
            for page in self._portal.lists.live(self._object_type, IDS_ONLY):
                yield list(page.between(span.above, span.through).ids)

    def _looked_up(self, known: Iterable[list[int]], ids: ReadIds, gone: set[int]) -> Iterator[ObjectPage]:
        """Yield the live objects among `known` that were not read; add the others to `gone`."""
        for known_ids in known:
            lacking = ids.lacking(known_ids)
            live: set[int] = set()
            for page in self._portal.batch_reads.live(self._object_type, lacking, self._decoder):
                live.update(page.ids)
                yield page
            ids.add(sorted(live))
            gone.update(id_ for id_ in lacking if id_ not in live)

    def _log_gone(self, gone: set[int]) -> None:
        if gone:
            self._logger.info(
                "%s: HubSpot's search still counts %s records that were archived, merged or deleted meanwhile.",
                self._object_type.name,
                f"{len(gone):,}",
            )

    def _add(self, counted: int | None) -> None:
        with self._lock:
            self.counted = None if self.counted is None or counted is None else self.counted + counted


def is_far_below(counted: int, read: int) -> bool:
    """Return whether a count is more than a tenth below the number read, which index lag does not explain."""
    return counted * 10 < read * 9
