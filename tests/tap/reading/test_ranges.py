"""Ranges of ids cover every id exactly once, whichever ranges were finished before."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_hubspot_dw.reading.id_ranges import NotPositionalError, Range, Slices, checked_last, cut, gaps, merged

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
def test_gaps_are_the_ids_between_and_after_the_finished_ranges(finished, together, open_ranges):
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


@pytest.mark.parametrize(("ids", "cursor"), [([8, 9], "10"), ([9], None), ([], None)])
def test_a_page_that_keeps_the_rule_is_accepted(ids, cursor):
    assert checked_last(ids, cursor, above=7, limit=2) == (9 if ids else 7)


@pytest.mark.parametrize(("ids", "last"), [([8], 8), ([], 7)])
def test_the_cursor_of_a_short_page_may_skip_omitted_records(ids, last):
    assert checked_last(ids, "100", above=7, limit=2) == last


@pytest.mark.parametrize(
    ("ids", "cursor"),
    [([7, 8], None), ([9, 8], None), ([8, 8], None), ([8, 9], "2"), ([8], "opaque"), ([8, 9], "12")],
)
def test_a_page_that_breaks_the_rule_is_refused(ids, cursor):
    with pytest.raises(NotPositionalError):
        checked_last(ids, cursor, above=7, limit=2)


def nowhere(above):
    return iter(())


def test_the_first_reader_begins_before_it_is_known_where_its_range_ends():
    asked = []

    def boundaries(above):
        for boundary in (1_000, 2_000, 9_000):
            asked.append((above, boundary))
            yield boundary

    slices = Slices([Range(0), Range(20_000)], boundaries, expected=1_000)
    first = next(slices)
    assert (first.span, asked) == (Range(0), [])
    assert first.reach(1_500, 100) is None
    second = next(slices)
    assert (first.span, second.span) == (Range(0, 2_000), Range(2_000)), "a boundary that was passed is none"
    assert first.reach(1_600, 100) == 2_000
    assert [next(slices).span, second.span, next(slices).span] == [Range(9_000), Range(2_000, 9_000), Range(20_000)]


def test_no_boundary_is_requested_beyond_the_end_of_a_gap():
    asked = []

    def boundaries(above):
        for boundary in (1_000, 2_000, 9_000):
            asked.append(boundary)
            yield boundary

    slices = Slices([Range(0, 1_500), Range(1_700, 1_800)], boundaries, expected=1_000)
    assert [next(slices).span for _ in range(3)] == [Range(0, 1_500), Range(1_000, 1_500), Range(1_700, 1_800)]
    assert asked == [1_000, 2_000]


def test_an_idle_worker_takes_half_of_the_longest_remaining_range():
    slices = Slices([Range(0, 1_000), Range(1_000, 101_000)], nowhere, expected=10_000)
    short, long = next(slices), next(slices)
    assert short.reach(1_000, 900) == 1_000
    assert long.reach(21_000, 2_000) == 101_000
    third = next(slices)
    assert (long.span, third.span) == (Range(1_000, 61_000), Range(61_000, 101_000))
    assert long.reach(41_000, 2_000) == 61_000
    assert next(slices).span == Range(81_000, 101_000)


def test_a_range_that_no_worker_has_begun_is_not_halved_for_ever():
    slices = Slices([Range(0, 30_000)], nowhere, expected=10_000)
    assert len(list(slices)) <= 16


def test_a_short_or_open_range_is_not_split():
    slices = Slices([Range(0, 1_900), Range(1_900)], nowhere, expected=1_900)
    next(slices), next(slices)
    with pytest.raises(StopIteration):
        next(slices)


@given(seed=st.integers(0, 10**6), count=st.integers(0, 3_000))
def test_every_id_is_read_once_whichever_worker_takes_over(seed, count):
    """Workers read pages of ten in a random order; a worker may end and take a new slice."""
    random = Random(seed)
    ordered = sorted(random.sample(range(1, 60_000), count))
    slices = Slices([Range(0)], lambda _: iter(ordered[999::1_000]), expected=20_000)
    read, readers, done = [], [], []
    while True:
        if random.random() < 0.2 or not readers:
            id_slice = next(slices, None)
            if id_slice is None and not readers:
                break
            readers += [(id_slice, id_slice.span.above)] if id_slice else []
            continue
        id_slice, above = readers.pop(random.randrange(len(readers)))
        page = [each for each in ordered if each > above][:10]
        through = id_slice.reach(page[-1] if page else above, len(page))
        read += [each for each in page if through is None or each <= through]
        if page and (through is None or page[-1] < through):
            readers.append((id_slice, page[-1]))
        else:
            done.append(id_slice.span)
    assert sorted(read) == ordered
    assert merged(done) == (Range(0),)
