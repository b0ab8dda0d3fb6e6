"""Halving totals finds every id that only one side has, with few requests for totals."""

from __future__ import annotations

import math
import random

import pytest

from tap_hubspot_dw.reading.differing import LEAF_IDS, PIECES, differing_ranges
from tap_hubspot_dw.reading.id_ranges import Range

EVERY = range(10, 200_010, 2)


def within(span: Range, ids: set[int]) -> set[int]:
    return {each for each in ids if each > span.above and (span.through is None or each <= span.through)}


class Portal:
    """HubSpot's ids, and the number of totals requested; `cap` is the highest total that it returns."""

    def __init__(self, ids: set[int], cap: int | None = None) -> None:
        self.ids, self.cap, self.asked = ids, cap, 0

    def count(self, span: Range) -> int:
        self.asked += 1
        return min(len(within(span, self.ids)), self.cap or len(self.ids))


@pytest.mark.parametrize(("gone", "lacking"), [(1, 0), (0, 1), (5, 2), (0, 0), (2, 2), (0, 300)])
def test_differences_are_narrowed_to_ranges_that_can_be_read(gone, lacking):
    some = random.Random(f"{gone} {lacking}").sample(EVERY, gone + lacking)
    known = sorted(set(EVERY) - set(some[gone:]))
    portal = Portal(set(EVERY) - set(some[:gone]))
    found = list(differing_ranges(known, len(portal.ids), portal.count, 10_000))
    assert all(len(ids) <= LEAF_IDS and set(ids) == within(span, set(known)) for span, ids in found)
    assert {each for span, _ in found for each in within(span, set(some))} == set(some)
    assert portal.asked <= 2 * PIECES + len(some) * math.ceil(math.log2(len(EVERY) / LEAF_IDS))


def test_a_total_that_may_stand_for_more_proves_nothing():
    known = list(EVERY)
    portal = Portal(set(known) - {known[70_000]}, cap=10_000)
    found = list(differing_ranges(known, 10_000, portal.count))
    assert [known[70_000] in ids for _, ids in found] == [True]


def test_no_more_totals_are_requested_than_allowed():
    portal = Portal(set(list(EVERY)[::2]))
    assert list(differing_ranges(list(EVERY), len(portal.ids), portal.count, 7)) == []
    assert portal.asked == 7
