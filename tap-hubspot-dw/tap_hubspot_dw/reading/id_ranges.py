"""Dividing a full pass into ranges of ids that workers read concurrently and finish in any order.

The first worker starts at once; its range is cut at the first boundary as soon as that is known. Pages of a range are
read one after another, so with only a few ranges left HubSpot's rate limit would not be used fully. Therefore an idle
worker takes half of the longest remaining range (work stealing).

HubSpot's list is sorted by id, and its cursor `after` is the last id + 1 (observed, not documented). So every page of
a range is checked; if one breaks the rule, the whole list is read by its own cursor instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tap_hubspot_dw.shown import shown

RANGE_RECORDS = 10_000  # the reach of one search request (documented)
LEAST_TO_SPLIT = 2_000  # remaining records worth a second worker: twenty pages, while a split reads one page twice


class NotPositionalError(Exception):
    """The list's cursor is not an id, or its ids do not ascend: ranges would lose records."""


@dataclass(frozen=True, order=True)
class Range:
    """The ids `above < id <= through`; without `through` all ids above. `records` is how many were read of it."""

    above: int
    through: int | None = None
    records: int = field(default=0, compare=False)


EVERYTHING = Range(0)


def gaps(finished: Iterable[Range]) -> list[Range]:
    """Return the ranges between and after the finished ones, which are merged; the last gap has no end."""
    between, above = [], 0
    for done in finished:
        if done.above > above:
            between.append(Range(above, done.above))
        if done.through is None:
            return between
        above = done.through
    return [*between, Range(above)]


def merged(finished: Iterable[Range]) -> tuple[Range, ...]:
    """Return the same ids in as few ranges as possible, ascending; ranges without ids are dropped.

    Records in overlapping ranges count twice.
    """
    result: list[Range] = []
    for span in sorted((span for span in finished if span.above != span.through), key=lambda span: span.above):
        last = result[-1] if result else None
        if last is not None and (last.through is None or span.above <= last.through):
            ends = (last.through, span.through)
            through = None if None in ends else max(end for end in ends if end is not None)
            result[-1] = Range(last.above, through, last.records + span.records)
        else:
            result.append(span)
    return tuple(result)


def cut(gap: Range, boundaries: Iterable[int]) -> Iterator[Range]:
    """Yield the pieces of a gap, cut at the boundaries inside it."""
    above = gap.above
    for boundary in boundaries:
        if gap.through is not None and boundary >= gap.through:
            break
        yield Range(above, boundary)
        above = boundary
    yield Range(above, gap.through)


class Slice:
    """A range of ids that one worker reads; another may take over its end, but no id that was reached."""

    def __init__(self, span: Range, expected: int, lock: threading.Lock) -> None:
        self._span = span
        self._lock = lock
        self._reached = span.above
        self._read = 0
        self._is_closed = False
        self._expected = expected

    @property
    def span(self) -> Range:
        """The range as it is now; once it is read, the range that was read."""
        return self._span

    @property
    def reached(self) -> int:
        """The id up to which the range has been read."""
        return self._reached

    def close(self) -> Range:
        """Prevent others from taking over the rest; return the range, which no longer changes."""
        with self._lock:
            self._is_closed = True
            return self._span

    def reach(self, last: int, records: int) -> int | None:
        """Report the last id reached and the records read in this step; return where the range now ends."""
        with self._lock:
            self._reached = last
            self._read += records
            return self._span.through

    def remaining(self) -> float:
        """Return an estimate of the remaining records, assuming evenly spread ids; 0 for a range without an end."""
        above, through = self._span.above, self._span.through
        if through is None or through <= self._reached or self._is_closed:
            return 0
        done = self._reached - above
        spread = self._read / done if done else min(self._expected / (through - above), 1)
        return (through - self._reached) * spread

    def cut(self, boundary: int) -> Range | None:
        """End the range at an id and return the rest; None if the range is closed, or the id was read or is outside."""
        above, through = self._span.above, self._span.through
        if self._is_closed or boundary <= self._reached or (through is not None and boundary >= through):
            return None
        self._span = Range(above, boundary)
        return Range(boundary, through)

    def halve(self) -> Range | None:
        """Cut the unread part in half and return the second half; None if it cannot be cut."""
        through = self._span.through
        if through is None:
            return None
        self._expected //= 2
        return self.cut((self._reached + through) // 2)


class Slices:
    """Assigns ranges of ids to workers: first the gaps, cut at boundaries, then halves of the longest unread ranges.

    An iterator: one thread at a time advances it, while other workers read their ranges. `boundaries` returns the ids
    to cut at above an id, and may be slow; `expected` is the approximate number of records in a range.
    """

    def __init__(
        self,
        gaps: Iterable[Range],
        boundaries: Callable[[int], Iterator[int]],
        expected: int,
        least_to_split: int = LEAST_TO_SPLIT,
    ) -> None:
        self._gaps = iter(gaps)
        self._boundaries = boundaries
        self._ends: Iterator[int] = iter(())
        self._expected = expected
        self._least = least_to_split
        self._lock = threading.Lock()
        self._given: list[Slice] = []

    def __iter__(self) -> Iterator[Slice]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> Slice:
        """Return a range that no worker reads yet."""
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
            if longest is None or (remaining := longest.remaining()) < self._least or not (rest := longest.halve()):
                raise StopIteration
            return self._give(rest, int(remaining / 2))

    def _give(self, span: Range, expected: int) -> Slice:
        id_slice = Slice(span, expected, self._lock)
        self._given = [other for other in self._given if other.remaining()] + [id_slice]
        return id_slice


def checked_last(ids: Sequence[int], cursor: str | None, above: int, limit: int) -> int:
    """Return the last id of a list's page; `above` for an empty one.

    The cursor of a short page may skip records that the page omits; a reader that continues above the last id reads
    them too.

    Raises:
        NotPositionalError: an id is not above the one before it, or the cursor is not the last id + 1.
    """
    last = above
    for current in ids:
        if current <= last:
            raise NotPositionalError(f"id {current} follows {last}")
        last = current
    is_beyond = len(ids) < limit and cursor is not None and cursor.isdecimal() and int(cursor) > last + 1
    if cursor is not None and cursor != str(last + 1) and not is_beyond:
        raise NotPositionalError(f"the cursor after id {last} is {shown(cursor, 100)}")
    return last
