"""Reading what changed since a moment, by search.

    bookmark - lookback        bookmark             start of run = the next bookmark
    ------[--------------------|--------------------|------------------------------> modified
          since                                                        no upper end

The window has no upper end: a record that is edited while it is read stays in it and comes as it is then. With an end
at the start of the run, one that is edited during every run would leave every window before its page is asked for, and
never come. The next bookmark is the start of the run all the same, so what changed meanwhile comes again.

Inside the window records come sorted by id, and every page asks for the ids above the last one seen; `after` is
not used, so HubSpot's limit of 10,000 results does not apply, any number of records may share a millisecond, and
an edit shifts nobody. Ids ascend, so the reading ends however fast records change. `after` is used where HubSpot does
not sort, within one millisecond, and to find where ranges of ids may end.
Source: HubSpot's search guide 2026-03 (200 a page, 10,000 results, operators); that ids compare as numbers and
that pages may be short is observed, and checked on every page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tap_hubspot_dw.reading.id_ranges import Range
from tap_hubspot_dw.timestamps import EPOCH, epoch_ms

MOST_RESULTS = 10_000  # of one search, over all its pages (documented)
_EARLIEST = EPOCH + timedelta(seconds=1)  # a filter from 0 has been answered with 500 (observed)


@dataclass(frozen=True)
class Window:
    """The moments `since <= modified`, in UTC, or with an end `since <= modified < until`."""

    since: datetime
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.until is not None and self.since > self.until:
            raise ValueError(f"a window ends ({self.until}) before it begins ({self.since})")

    def halves(self, now: datetime) -> tuple[Window, Window] | None:
        """Return the window in two; None when it is a single millisecond, or has no end and begins after `now`.

        One without an end is cut before `now`, and its second part has no end either.
        """
        since, until = epoch_ms(self.since), epoch_ms(self.until or now)
        if until - since <= (1 if self.until else 0):
            return None
        middle = EPOCH + timedelta(milliseconds=(since + until + (0 if self.until else 1)) // 2)
        return Window(self.since, middle), Window(middle, self.until)


def change_window(bookmark: datetime, lookback: timedelta, started_at: datetime) -> Window:
    """Return the window that a run reads; with a bookmark ahead of the clock it begins with the run."""
    return Window(min(max(bookmark - lookback, _EARLIEST), started_at))


class UnsortedError(Exception):
    """A page's ids do not ascend strictly by number: reading on above the last one could lose records."""


def search_body(
    modified_property: str, window: Window | None, properties: Sequence[str], span: Range, limit: int
) -> dict[str, Any]:
    """Return the request for the first objects of a range of ids, of those modified in the window if there is one."""
    filters: list[dict[str, str]] = []
    if window:
        filters.append({"propertyName": modified_property, "operator": "GTE", "value": str(epoch_ms(window.since))})
    if window and window.until is not None:
        filters.append({"propertyName": modified_property, "operator": "LT", "value": str(epoch_ms(window.until))})
    if span.above:
        filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": str(span.above)})
    if span.through is not None:
        filters.append({"propertyName": "hs_object_id", "operator": "LTE", "value": str(span.through)})
    return {
        "filterGroups": [{"filters": filters}] if filters else [],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": list(properties),
        "limit": limit,
    }


def ascending_ids(results: Sequence[Mapping[str, Any]], above_id: int) -> list[int]:
    """Return the ids of a page.

    Raises:
        UnsortedError: they do not ascend strictly by number from above `above_id`.
    """
    ids = [int(result["id"]) for result in results]
    for previous, current in zip([above_id, *ids], ids, strict=False):
        if current <= previous:
            raise UnsortedError(f"id {current} follows {previous}")
    return ids


def is_last(reply: Mapping[str, Any]) -> bool:
    """Tell whether a page is the last: it says so itself, and counts no more results than it holds."""
    return not reply.get("paging") and int(reply.get("total", 0)) <= len(reply["results"])
