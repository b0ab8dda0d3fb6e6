"""Reading the changes since a timestamp, by search.

    bookmark - lookback        bookmark             start of run = the next bookmark
    ------[--------------------|--------------------|------------------------------> modified
          since                                                        no upper end

The window has no upper end, so a record that is edited during the run stays in it and is read in its newest state.
With an end at the start of the run, a record edited during every run would leave each window before its page is
requested, and would never be read. The next bookmark is still the start of the run, so changes made during the run
are read again.

Records in the window are sorted by id, and each page asks for the ids above the last one read. The cursor `after` is
not used, so HubSpot's limit of 10,000 results does not apply, any number of records may share a millisecond, and an
edit does not shift other records. As ids ascend, reading ends however fast records change. `after` is used only
within one millisecond where HubSpot does not sort, and to find boundaries for ranges of ids.
Source: HubSpot's search guide 2026-03 (200 a page, 10,000 results, operators). That ids compare as numbers and that
pages may be short is observed, and checked on every page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tap_hubspot_dw.reading.id_ranges import Range
from tap_hubspot_dw.timestamps import EPOCH, epoch_ms

MOST_RESULTS = 10_000  # of one search, over all its pages (documented)
_EARLIEST = EPOCH + timedelta(seconds=1)  # HubSpot answers 500 to a filter from 0 (observed)


@dataclass(frozen=True)
class Window:
    """The interval `since <= modified` in UTC, or with an end `since <= modified < until`."""

    since: datetime
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.until is not None and self.since > self.until:
            raise ValueError(f"a window ends ({self.until}) before it begins ({self.since})")

    def halves(self, now: datetime) -> tuple[Window, Window] | None:
        """Return the two halves; None for a single millisecond, or a window without an end that begins after `now`.

        A window without an end is cut halfway to `now`; its second half has no end either.
        """
        since, until = epoch_ms(self.since), epoch_ms(self.until or now)
        if until - since <= (1 if self.until else 0):
            return None
        middle = EPOCH + timedelta(milliseconds=(since + until + (0 if self.until else 1)) // 2)
        return Window(self.since, middle), Window(middle, self.until)


def change_window(bookmark: datetime, lookback: timedelta, started_at: datetime) -> Window:
    """Return the window that a run reads; it begins with the run if the bookmark is in the future."""
    return Window(min(max(bookmark - lookback, _EARLIEST), started_at))


class UnsortedError(Exception):
    """A page's ids do not strictly ascend as numbers, so continuing above the last one could lose records."""


def search_body(
    modified_property: str, window: Window | None, properties: Sequence[str], span: Range, limit: int
) -> dict[str, Any]:
    """Return the body of a search for the first objects of a range of ids, modified in the window if there is one."""
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


def check_ascending(ids: Sequence[int], above: int) -> None:
    """Check the ids of a page.

    Raises:
        UnsortedError: they do not strictly ascend, starting above `above`.
    """
    for previous, current in zip([above, *ids], ids, strict=False):
        if current <= previous:
            raise UnsortedError(f"id {current} follows {previous}")


def is_last(reply: Mapping[str, Any]) -> bool:
    """Return whether a page is the last: it has no cursor, and its total is not above its number of results."""
    return not reply.get("paging") and int(reply.get("total", 0)) <= len(reply["results"])
