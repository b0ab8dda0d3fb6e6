"""Ranges of ids cover every id exactly once, whatever was finished before."""

from __future__ import annotations

import pytest

from tap_hubspot_dw.ranges import NotPositionalError, Range, checked_page, cut, gaps, merged

FINISHED = [
    ([], [], [Range(0)]),
    ([(0, 10)], [(0, 10)], [Range(10)]),
    ([(20, 30), (0, 10)], [(0, 10), (20, 30)], [Range(10, 20), Range(30)]),
    ([(10, 20), (0, 10), (20, 30)], [(0, 30)], [Range(30)]),
    ([(10, None), (0, 5)], [(0, 5), (10, None)], [Range(5, 10)]),
    ([(0, 10), (10, None)], [(0, None)], []),
    ([(0, 10), (5, 8)], [(0, 10)], [Range(10)]),
]


@pytest.mark.parametrize(("finished", "together", "open_ranges"), FINISHED)
def test_what_is_not_finished_is_what_lies_between(finished, together, open_ranges):
    done = merged(Range(*each) for each in finished)
    assert done == tuple(Range(*each) for each in together)
    assert gaps(done) == open_ranges


@pytest.mark.parametrize(
    ("gap", "boundaries", "pieces"),
    [
        (Range(0), [], [Range(0)]),
        (Range(0), [10, 20], [Range(0, 10), Range(10, 20), Range(20)]),
        (Range(5, 15), [10, 20], [Range(5, 10), Range(10, 15)]),
        (Range(5, 10), [10, 20], [Range(5, 10)]),
    ],
)
def test_a_gap_is_cut_at_the_boundaries_inside_it(gap, boundaries, pieces):
    assert list(cut(gap, boundaries)) == pieces


def page(*ids, after=None):
    reply = {"results": [{"id": str(each)} for each in ids]}
    return reply | ({"paging": {"next": {"after": after}}} if after else {})


@pytest.mark.parametrize("reply", [page(8, 9, after="10"), page(9), page()])
def test_a_page_that_keeps_the_rule_is_taken(reply):
    results, last = checked_page(reply, above=7)
    assert (results, last) == (reply["results"], 9 if results else 7)


@pytest.mark.parametrize(
    "reply", [page(7, 8), page(9, 8), page(8, 8), page(8, 9, after="2"), page(8, after="opaque"), page(after="100")]
)
def test_a_page_that_breaks_the_rule_is_refused(reply):
    with pytest.raises(NotPositionalError):
        checked_page(reply, above=7)
