"""Where HubSpot has other records than a table: its totals over ranges of ids, halved until a range can be read.

A record that only one side has makes the totals of its range differ, at every size. To find it takes a total for
each halving: about log2(N / 200) of them. A record that HubSpot lacks and one that the table lacks make up for one
another in one range, so no total is trusted before the range is a `PIECES`th of the table. Pure: standard library only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from tap_hubspot_dw.reading.id_ranges import EVERYTHING, Range

LEAF_IDS = 200  # a page of HubSpot's search
PIECES = 32
MOST_TOTALS = 500  # of one object: at HubSpot's five searches a second less than two minutes
_CAPPED = 10_000  # a total that may stand for more (hearsay)


def differing_ranges(
    known: Sequence[int], total: int | None, count: Callable[[Range], int | None], most_totals: int = MOST_TOTALS
) -> Iterator[tuple[Range, Sequence[int]]]:
    """Yield the ranges of ids in which HubSpot counts others than are known, with the known ids in each.

    `known` ascends; `total` is HubSpot's over everything, if it is known, and `count` asks for that of a range. No
    more than `most_totals` are asked for: the ranges that are left then are not told apart any further.
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
