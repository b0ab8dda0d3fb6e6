"""The state defines where the next run starts, however the last one ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from meltano.core.utils import merge

from tap_hubspot_dw.reading.id_ranges import Range
from tap_hubspot_dw.reading.stream_state import FullPass, PairPass, StreamState

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "state",
    [
        StreamState(),
        StreamState(bookmark=NOON, version=7, full_pass_at=NOON),
        StreamState(version=7, full_pass=FullPass(8, NOON, ranges=(Range(0, 20000, 180), Range(30000, 40000, 9)))),
        StreamState(bookmark=NOON, pairs={"deals:contacts": NOON}, pair_passes={"a:b": PairPass(NOON, 7, 8)}),
        StreamState(
            lists={"deals": 80, "contacts": None}, archived={1, 70_000}, properties={2**32 - 1}, lists_archived=True
        ),
        StreamState(records=9),
    ],
)
def test_state_survives_being_saved(state):
    assert StreamState.from_json(state.to_json("updated_at")) == state


def test_an_older_releases_state_of_associations_and_lists_is_understood():
    """It does not say when a pair was last read in full, so every pair is read in full again."""
    text = "2026-11-23T12:00:00.000Z"
    finished = {"version": 8, "started_at": text, "finished": ["deals:contacts"]}
    saved = {"version": 7, "full_pass_at": text, "pairs": {"deals:contacts": text}, "full_pass": finished}
    state = StreamState.from_json(saved)
    assert (state.pairs, state.pair_passes) == ({"deals:contacts": NOON}, {})
    assert StreamState.from_json({"objects": ["deals"]}).lists == {"deals": None}


def test_a_bookmark_of_another_tap_is_understood():
    saved = {"replication_key": "lastmodifieddate", "replication_key_value": "2026-11-23T12:00:00+00:00"}
    assert StreamState.from_json(saved) == StreamState(bookmark=NOON)


def test_a_pass_that_is_not_newer_than_the_table_is_a_leftover():
    saved = {"version": 9, "full_pass": {"version": 9, "started_at": "2026-11-23T12:00:00.000Z", "ranges": [[0, 5, 1]]}}
    assert StreamState.from_json(saved).full_pass is None


def test_ranges_of_an_older_release_which_did_not_count_are_read_again():
    under_way = {"version": 9, "started_at": "2026-11-23T12:00:00.000Z", "ranges": [[0, 5], [7, 9, 2]]}
    assert StreamState.from_json({"full_pass": under_way}).full_pass == FullPass(9, NOON, ranges=(Range(7, 9, 2),))


def test_a_new_pass_has_a_version_above_every_earlier_one_even_if_the_clock_went_back():
    state = StreamState(version=99_999_999_999_999)
    assert state.begin_full_pass(NOON).version == 100_000_000_000_000


def test_a_pass_under_way_is_continued_and_then_becomes_the_last_one():
    state = StreamState(version=1)
    begun = state.begin_full_pass(NOON)
    assert state.begin_full_pass(NOON + HOUR) is begun
    state.end_full_pass()
    assert (state.version, state.full_pass_at, state.full_pass) == (begun.version, NOON, None)


@pytest.mark.parametrize(
    ("state", "refresh", "due"),
    [
        (StreamState(full_pass_at=NOON - 2 * HOUR), HOUR, True),
        (StreamState(full_pass_at=NOON - HOUR / 2), HOUR, False),
        (StreamState(full_pass_at=NOON - 999 * HOUR), None, False),
        (StreamState(bookmark=NOON), HOUR, False),
        (StreamState(full_pass=FullPass(1, NOON)), None, True),
        (StreamState(full_pass_at=NOON + HOUR), HOUR, True),  # the clock was ahead then
        (StreamState(full_pass_at=NOON + HOUR), None, False),
    ],
)
def test_a_full_pass_is_due_when_the_last_is_too_old_or_one_is_under_way(state, refresh, due):
    assert state.is_full_pass_due(refresh, NOON) is due


def test_a_new_pass_takes_nothing_over_from_an_older_state_that_meltano_merges_it_into():
    older = StreamState(version=7, full_pass=FullPass(8, NOON, ranges=(Range(0, 20000),))).to_json("updated_at")
    begun = FullPass(9, NOON + HOUR)
    merged = merge(StreamState(full_pass=begun).to_json("updated_at"), older)
    assert StreamState.from_json(merged).full_pass == begun
