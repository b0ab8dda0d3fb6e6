"""Finding the records that only HubSpot or only a table has, by halving ranges of ids whose totals differ.

A record that only one side has makes the totals differ in every range that contains it. Finding it takes one total per
halving, about log2(N / 200). A record that HubSpot lacks and one that the table lacks cancel out if they are in the
same range, so equal totals count only once a range is 1/`PIECES` of the table. Pure: standard library only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from tap_hubspot_dw.reading.id_ranges import EVERYTHING, Range

LEAF_IDS = 200  # a page of HubSpot's search
PIECES = 32
MOST_TOTALS = 500  # for one object: less than two minutes at HubSpot's five searches a second
_CAPPED = 10_000  # a total that may mean "at least 10,000" (hearsay)


def differing_ranges(
    known: Sequence[int], total: int | None, count: Callable[[Range], int | None], most_totals: int = MOST_TOTALS
) -> Iterator[tuple[Range, Sequence[int]]]:
    """Yield the ranges of ids whose total in HubSpot differs from the known ids, with those ids.

    `known` is sorted; `total` is HubSpot's total over everything, if known; `count` requests the total of a range. At
    most `most_totals` totals are requested; after that, ranges are not divided further.
    """
    left, piece = most_totals, max(len(known) // PIECES, LEAF_IDS)
    pending: list[tuple[Range, Sequence[int], int | None]] = [(EVERYTHING, known, total)]
    while pending:
        span, ids, counted = pending.pop()
        if counted is None and left:
            counted, left = count(span), left - 1
        is_capped = counted is None or counted == _CAPPED
        if counted == len(ids) <= piece and not is_capped:
            continue
        if len(ids) <= LEAF_IDS:
            yield span, ids
            continue
        if not left:
            return
        middle = ids[len(ids) // 2 - 1]
        at = bisect_right(ids, middle)
        first = Range(span.above, middle)
        in_first, left = count(first), left - 1
        rest = None if is_capped or in_first is None or counted is None else counted - in_first
        pending += [(Range(middle, span.through), ids[at:], rest), (first, ids[:at], in_first)]
