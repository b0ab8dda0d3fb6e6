"""A window looks back, has no upper end, and is read by id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tap_hubspot_dw.reading.change_window import (
    UnsortedError,
    Window,
    change_window,
    check_ascending,
    is_last,
    search_body,
)
from tap_hubspot_dw.reading.id_ranges import Range

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_window_begins_before_the_bookmark_and_does_not_end():
    assert change_window(NOON - HOUR, HOUR, NOON) == Window(NOON - 2 * HOUR)


def test_a_window_of_a_bookmark_ahead_of_the_clock_begins_with_the_run():
    assert change_window(NOON + 5 * HOUR, HOUR, NOON) == Window(NOON)


def test_a_window_never_begins_at_the_epoch():
    assert change_window(datetime(1970, 1, 1, tzinfo=UTC), HOUR, NOON).since == datetime(
        1970, 1, 1, 0, 0, 1, tzinfo=UTC
    )


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="ends"):
        Window(NOON, NOON - HOUR)


@pytest.mark.parametrize(
    ("until", "end"),
    [(None, []), (NOON, [{"propertyName": "lastmodifieddate", "operator": "LT", "value": "1795435200000"}])],
)
def test_the_request_names_the_window_the_last_id_and_never_an_offset(until, end):
    body = search_body("lastmodifieddate", Window(NOON - HOUR, until), ["email"], Range(51, 900), 200)
    assert body == {
        "filterGroups": [
            {
                "filters": [
                    {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1795431600000"},
                    *end,
                    {"propertyName": "hs_object_id", "operator": "GT", "value": "51"},
                    {"propertyName": "hs_object_id", "operator": "LTE", "value": "900"},
                ]
            }
        ],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["email"],
        "limit": 200,
    }


@pytest.mark.parametrize("ids", [[9, 10, 11], []])
def test_ids_ascend(ids):
    check_ascending(ids, above=8)


@pytest.mark.parametrize("ids", [[8], [9, 9], [10, 11, 9], [10, 100, 11]])
def test_ids_that_do_not_ascend_are_refused(ids):
    with pytest.raises(UnsortedError, match="follows"):
        check_ascending(ids, above=8)


@pytest.mark.parametrize(
    ("reply", "last"),
    [
        ({"total": 1, "results": [{}]}, True),
        ({"total": 0, "results": []}, True),
        ({"total": 2, "results": [{}], "paging": {"next": {"after": "1"}}}, False),
        ({"total": 1, "results": [], "paging": {"next": {"after": "1"}}}, False),
        ({"total": 2, "results": [{}]}, False),
    ],
)
def test_a_page_is_the_last_only_if_paging_and_total_agree(reply, last):
    assert is_last(reply) is last


def test_a_window_halves_without_a_gap_down_to_a_millisecond():
    todo, milliseconds = [Window(NOON, NOON + timedelta(milliseconds=37))], []
    while todo:
        part = todo.pop()
        halves = part.halves(NOON)
        todo += halves or ()
        milliseconds += [] if halves else [part]
    milliseconds.sort(key=lambda part: part.since)
    assert len(milliseconds) == 37
    assert [part.since for part in milliseconds[1:]] == [part.until for part in milliseconds[:-1]]


def test_a_window_without_an_end_halves_until_it_begins_now():
    parts, part = [], Window(NOON)
    while halves := part.halves(NOON + timedelta(milliseconds=37)):
        first, part = halves
        parts.append(first)
    assert part == Window(NOON + timedelta(milliseconds=37))
    assert [each.since for each in [*parts, part]] == [NOON, *(each.until for each in parts)]
