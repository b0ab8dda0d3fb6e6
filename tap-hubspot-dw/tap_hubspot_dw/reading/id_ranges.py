"""Cutting a full pass into ranges of ids that can be read at the same time and finished in any order.

The first reader begins at once, and its range ends where the first boundary turns out to be. A page takes its time, so
a range has a speed; when only a few are left, HubSpot's limit would not be used. Then who has nothing to read takes
half of what somebody else has still before him.

HubSpot's list comes in ascending ids, and its cursor `after` is the last id + 1 (observed, not documented). So every
page of a range is checked; if one breaks the rule, the whole list is read by its own cursor instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.shown import shown

RANGE_RECORDS = 10_000  # as far as one search request reaches (documented)
LEAST_TO_SPLIT = 2_000  # records that are worth a second reader: twenty pages, for one that is read twice


class NotPositionalError(Exception):
    """The list's cursor is not an id, or its ids do not ascend: ranges would lose records."""


@dataclass(frozen=True, order=True)
class Range:
    """The ids `above < id <= through`; without `through` all ids above. Of one that was read: how many records."""

    above: int
    through: int | None = None
    records: int = field(default=0, compare=False)


EVERYTHING = Range(0)


def gaps(finished: Iterable[Range]) -> list[Range]:
    """Return the ranges between and after the finished ones, the last one open; `finished` is merged."""
    found, above = [], 0
    for done in finished:
        if done.above > above:
            found.append(Range(above, done.above))
        if done.through is None:
            return found
        above = done.through
    return [*found, Range(above)]


def merged(finished: Iterable[Range]) -> tuple[Range, ...]:
    """Return the same ids in as few ranges as possible, ascending; none for a range without ids.

    Ranges that share ids count those twice.
    """
    result: list[Range] = []
    for each in sorted((span for span in finished if span.above != span.through), key=lambda item: item.above):
        last = result[-1] if result else None
        if last is not None and (last.through is None or each.above <= last.through):
            ends = (last.through, each.through)
            through = None if None in ends else max(end for end in ends if end is not None)
            result[-1] = Range(last.above, through, last.records + each.records)
        else:
            result.append(each)
    return tuple(result)


def cut(gap: Range, boundaries: Iterable[int]) -> Iterator[Range]:
    """Yield a gap in pieces that end at the boundaries inside it."""
    above = gap.above
    for boundary in boundaries:
        if gap.through is not None and boundary >= gap.through:
            break
        yield Range(above, boundary)
        above = boundary
    yield Range(above, gap.through)


class Slice:
    """A range of ids that one reader reads; another one may take over its end, but never what was reached."""

    def __init__(self, span: Range, expected: int, lock: threading.Lock) -> None:
        self._span = span
        self._lock = lock
        self._reached = span.above
        self._read = 0
        self._is_closed = False
        self._expected = expected

    @property
    def span(self) -> Range:
        """The range as it is now; when it has been read, what was read."""
        return self._span

    @property
    def reached(self) -> int:
        """The id up to which it has been read."""
        return self._reached

    def close(self) -> Range:
        """Let nobody take over what follows the last id reached; returns the range, which stays as it is."""
        with self._lock:
            self._is_closed = True
            return self._span

    def reach(self, last: int, records: int) -> int | None:
        """Say how far one has come, with how many records in this step; returns where the range ends now."""
        with self._lock:
            self._reached = last
            self._read += records
            return self._span.through

    def remaining(self) -> float:
        """Return about how many records are still to come, as if ids were spread evenly; 0 for an open range."""
        above, through = self._span.above, self._span.through
        if through is None or through <= self._reached or self._is_closed:
            return 0
        done = self._reached - above
        spread = self._read / done if done else min(self._expected / (through - above), 1)
        return (through - self._reached) * spread

    def cut(self, boundary: int) -> Range | None:
        """End the range at an id and return what follows; None if that was read or lies outside, or it is closed."""
        above, through = self._span.above, self._span.through
        if self._is_closed or boundary <= self._reached or (through is not None and boundary >= through):
            return None
        self._span = Range(above, boundary)
        return Range(boundary, through)

    def halve(self) -> Range | None:
        """Return the second half of what is to come, and leave the first to the reader; None if there is no half."""
        through = self._span.through
        if through is None:
            return None
        self._expected //= 2
        return self.cut((self._reached + through) // 2)


class Slices:
    """Gives readers ranges of ids: first the gaps, cut at their boundaries, then halves of what others have to read.

    An iterator that one thread at a time advances, while the readers of what it gave go on. `boundaries` finds the ids
    to cut at above an id, and may take its time; `expected` says how many records a range has, about.
    """

    def __init__(self, gaps: Iterable[Range], boundaries: Callable[[int], Iterator[int]], expected: int) -> None:
        self._gaps = iter(gaps)
        self._boundaries = boundaries
        self._ends: Iterator[int] = iter(())
        self._expected = expected
        self._lock = threading.Lock()
        self._given: list[Slice] = []

    def __iter__(self) -> Iterator[Slice]:
        """Return itself."""
        return self

    def __next__(self) -> Slice:
        """Return a range that nobody reads yet."""
        for boundary in self._ends:
            with self._lock:
                if rest := self._given[-1].cut(boundary):
                    return self._give(rest, self._expected)
                through = self._given[-1].span.through
            if through is not None and boundary >= through:
                break
        gap = next(self._gaps, None)
        if gap is not None:
            self._ends = self._boundaries(gap.above)
            with self._lock:
                return self._give(gap, self._expected)
        with self._lock:
            longest = max(self._given, key=Slice.remaining, default=None)
            if longest is None or (remaining := longest.remaining()) < LEAST_TO_SPLIT or not (rest := longest.halve()):
                raise StopIteration
            return self._give(rest, int(remaining / 2))

    def _give(self, span: Range, expected: int) -> Slice:
        id_slice = Slice(span, expected, self._lock)
        self._given = [each for each in self._given if each.remaining()] + [id_slice]
        return id_slice


def checked_page(reply: Mapping[str, Any], above: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return a list's page and its last id (`above` for an empty one).

    The cursor of a page with fewer records than its limit may point beyond what the page hides; whoever goes on above
    the last id reads that too.

    Raises:
        NotPositionalError: an id is not above the one before it, or the cursor is not the last id + 1.
    """
    page, last = reply["results"], above
    for each in page:
        current = int(each["id"])
        if current <= last:
            raise NotPositionalError(f"id {current} follows {last}")
        last = current
    cursor = shapes.cursor(reply)
    is_beyond = len(page) < limit and cursor is not None and cursor.isdecimal() and int(cursor) > last + 1
    if cursor is not None and cursor != str(last + 1) and not is_beyond:
        raise NotPositionalError(f"the cursor after id {last} is {shown(cursor, 100)}")
    return page, last
