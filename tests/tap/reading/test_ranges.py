"""Ranges of ids cover every id exactly once, whatever was finished before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_hubspot_dw.reading.id_ranges import NotPositionalError, Range, Slices, checked_page, cut, gaps, merged

FINISHED = [
    ([], [], [Range(0)]),
    ([(0, 10)], [(0, 10)], [Range(10)]),
    ([(20, 30), (0, 10)], [(0, 10), (20, 30)], [Range(10, 20), Range(30)]),
    ([(10, 20), (0, 10), (20, 30)], [(0, 30)], [Range(30)]),
    ([(5, 5), (0, 3)], [(0, 3)], [Range(3)]),
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
    results, last = checked_page(reply, above=7, limit=2)
    assert (results, last) == (reply["results"], 9 if results else 7)


@pytest.mark.parametrize(("reply", "last"), [(page(8, after="100"), 8), (page(after="100"), 7)])
def test_the_cursor_of_a_page_with_room_for_more_may_step_over_what_it_hides(reply, last):
    assert checked_page(reply, above=7, limit=2) == (reply["results"], last)


@pytest.mark.parametrize(
    "reply",
    [page(7, 8), page(9, 8), page(8, 8), page(8, 9, after="2"), page(8, after="opaque"), page(8, 9, after="12")],
)
def test_a_page_that_breaks_the_rule_is_refused(reply):
    with pytest.raises(NotPositionalError):
        checked_page(reply, above=7, limit=2)


def nowhere(above):
    return iter(())


def test_the_first_reader_begins_before_it_is_known_where_its_range_ends():
    asked = []

    def boundaries(above):
        for boundary in (1_000, 2_000, 9_000):
            asked.append((above, boundary))
            yield boundary

    shares = Slices([Range(0), Range(20_000)], boundaries, expected=1_000)
    first = next(shares)
    assert (first.span, asked) == (Range(0), [])
    assert first.reach(1_500, 100) is None
    second = next(shares)
    assert (first.span, second.span) == (Range(0, 2_000), Range(2_000)), "a boundary that was passed is none"
    assert first.reach(1_600, 100) == 2_000
    assert [next(shares).span, second.span, next(shares).span] == [Range(9_000), Range(2_000, 9_000), Range(20_000)]


def test_no_boundary_is_looked_for_beyond_the_end_of_a_gap():
    asked = []

    def boundaries(above):
        for boundary in (1_000, 2_000, 9_000):
            asked.append(boundary)
            yield boundary

    shares = Slices([Range(0, 1_500), Range(1_700, 1_800)], boundaries, expected=1_000)
    assert [next(shares).span for _ in range(3)] == [Range(0, 1_500), Range(1_000, 1_500), Range(1_700, 1_800)]
    assert asked == [1_000, 2_000]


def test_who_has_nothing_to_read_takes_half_of_what_the_slowest_has_before_him():
    shares = Slices([Range(0, 1_000), Range(1_000, 101_000)], nowhere, expected=10_000)
    short, long = next(shares), next(shares)
    assert short.reach(1_000, 900) == 1_000
    assert long.reach(21_000, 2_000) == 101_000
    third = next(shares)
    assert (long.span, third.span) == (Range(1_000, 61_000), Range(61_000, 101_000))
    assert long.reach(41_000, 2_000) == 61_000
    assert next(shares).span == Range(81_000, 101_000)


def test_a_range_that_nobody_has_begun_to_read_is_not_halved_for_ever():
    shares = Slices([Range(0, 30_000)], nowhere, expected=10_000)
    assert len(list(shares)) <= 16


def test_nothing_is_shared_that_is_short_or_open():
    shares = Slices([Range(0, 1_900), Range(1_900)], nowhere, expected=1_900)
    next(shares), next(shares)
    with pytest.raises(StopIteration):
        next(shares)


@given(seed=st.integers(0, 10**6), count=st.integers(0, 3_000))
def test_whoever_takes_over_from_whom_every_id_is_read_once(seed, count):
    """Readers take pages of ten in a random order; each of them may end, and take a share again."""
    random = Random(seed)
    ordered = sorted(random.sample(range(1, 60_000), count))
    shares = Slices([Range(0)], lambda _: iter(ordered[999::1_000]), expected=20_000)
    read, readers, done = [], [], []
    while True:
        if random.random() < 0.2 or not readers:
            share = next(shares, None)
            if share is None and not readers:
                break
            readers += [(share, share.span.above)] if share else []
            continue
        share, above = readers.pop(random.randrange(len(readers)))
        page = [each for each in ordered if each > above][:10]
        through = share.reach(page[-1] if page else above, len(page))
        read += [each for each in page if through is None or each <= through]
        if page and (through is None or page[-1] < through):
            readers.append((share, page[-1]))
        else:
            done.append(share.span)
    assert sorted(read) == ordered
    assert merged(done) == (Range(0),)
