"""The ids that were read, for comparison with HubSpot's totals: eight bytes each, thread-safe."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterable

from tap_hubspot_dw.reading.id_ranges import EVERYTHING, Range


class ReadIds:
    """Ids of one object type; an id that was read several times counts once."""

    def __init__(self) -> None:
        self._ids = array("Q")
        self._is_sorted = True
        self._lock = threading.Lock()

    def add(self, ids: Iterable[int]) -> None:
        """Add ids that were read."""
        with self._lock:
            for id_ in ids:
                self._is_sorted = self._is_sorted and (not self._ids or id_ > self._ids[-1])
                self._ids.append(id_)

    def count(self, span: Range = EVERYTHING) -> int:
        """Return how many of the ids are in a range."""
        with self._lock:
            ids = self._sorted()
            end = len(ids) if span.through is None else bisect_right(ids, span.through)
            return max(end - bisect_right(ids, span.above), 0)

    def lacking(self, ids: Iterable[int]) -> list[int]:
        """Return the given ids that were not read, ascending."""
        with self._lock:
            known = self._sorted()
            return [id_ for id_ in sorted(set(ids)) if not _holds(known, id_)]

    def _sorted(self) -> array[int]:
        if not self._is_sorted:
            self._ids, self._is_sorted = array("Q", sorted(set(self._ids))), True
        return self._ids


def _holds(ids: array[int], wanted: int) -> bool:
    place = bisect_right(ids, wanted)
    return place > 0 and ids[place - 1] == wanted
