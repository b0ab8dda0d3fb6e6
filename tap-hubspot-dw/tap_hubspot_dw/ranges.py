"""Cutting a full pass into ranges of ids that can be read at the same time and finished in any order.

HubSpot's list comes in ascending ids, and its cursor `after` is the last id + 1 (observed, not documented). So every
page of a range is checked; if one breaks the rule, the whole list is read by its own cursor instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

RANGE_RECORDS = 10_000  # as far as one search request reaches (documented)


class NotPositionalError(Exception):
    """The list's cursor is not an id, or its ids do not ascend: ranges would lose records."""


@dataclass(frozen=True, order=True)
class Range:
    """The ids `above < id <= through`; without `through` all ids above."""

    above: int
    through: int | None = None


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
    """Return the same ids in as few ranges as possible, ascending."""
    result: list[Range] = []
    for each in sorted(finished, key=lambda item: item.above):
        last = result[-1] if result else None
        if last is not None and (last.through is None or each.above <= last.through):
            ends = (last.through, each.through)
            result[-1] = Range(last.above, None if None in ends else max(end for end in ends if end is not None))
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


def checked_page(reply: Mapping[str, Any], above: int) -> tuple[list[dict[str, Any]], int]:
    """Return a list's page and its last id (`above` for an empty one).

    Raises:
        NotPositionalError: an id is not above the one before it, or the cursor is not the last id + 1.
    """
    page, last = reply["results"], above
    for each in page:
        current = int(each["id"])
        if current <= last:
            raise NotPositionalError(f"id {current} follows {last}")
        last = current
    cursor = ((reply.get("paging") or {}).get("next") or {}).get("after")
    if cursor is not None and cursor != str(last + 1):
        raise NotPositionalError(f"the cursor after id {last} is {cursor}")
    return page, last
