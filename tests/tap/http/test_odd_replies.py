"""Replies that HubSpot may give and the sandbox never gives are read correctly or refused, never silently cut."""

from __future__ import annotations

import json
import logging
import re

import pytest
import responses

from tap_hubspot_dw.errors import HubSpotError
from tap_hubspot_dw.http.auth import StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.association_reader import AssociationReader
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tap_hubspot_dw.reading.change_window import Window
from tap_hubspot_dw.reading.id_ranges import NotPositionalError, Range, Slices
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.timestamps import parse_timestamp

URL = "http://hubspot.test"
CONTACTS, DEALS = STANDARD_TYPES["contacts"], STANDARD_TYPES["deals"]
WINDOW = Window(parse_timestamp("2026-11-01"), parse_timestamp("2026-11-02"))
WIDE = PageDecoder(f"property_number_{number:05}" for number in range(1000))
EMAIL = PageDecoder(["email"])
MOST_REQUESTS = 4


def contact(record_id: int) -> dict[str, object]:
    return {"id": str(record_id), "properties": {}, "updatedAt": "2026-11-01T00:00:00Z"}


def ids(pages) -> list[list[int]]:
    return [list(page.ids) for page in pages]


class Endless(BaseException):
    """The tap sends requests for ever."""


@pytest.fixture
def portal():
    logger = logging.getLogger("test")
    client = Client(URL, StaticToken("secret"), timeout_seconds=5, user_agent="test", logger=logger)
    return Portal(Api(client, "2026-09", logger))


@pytest.fixture
def answer():
    """Serve the replies in turn, the last one repeatedly; yield the requests."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:

        def replies(*bodies: object, status: int = 200, headers: dict[str, str] | None = None):
            def reply(_request):
                if len(mock.calls) >= MOST_REQUESTS:
                    raise Endless
                return status, headers or {}, json.dumps(bodies[min(len(mock.calls), len(bodies) - 1)])

            for method in ("GET", "POST"):
                mock.add_callback(method, re.compile(".*"), callback=reply)
            return mock.calls

        yield replies


def test_a_batch_read_that_lacks_a_record_for_an_unknown_reason_is_refused(portal, answer):
    answer(
        {"results": [contact(1), contact(2)]},
        {
            "results": [contact(1)],
            "numErrors": 1,
            "errors": [{"status": "error", "category": "INTERNAL_ERROR", "message": "x", "context": {"ids": ["2"]}}],
        },
    )
    with pytest.raises(HubSpotError):
        list(portal.lists.live(CONTACTS, WIDE))


def test_a_record_that_is_gone_between_list_and_batch_read_is_left_out(portal, answer):
    answer(
        {"results": [contact(1), contact(2)]},
        {
            "results": [contact(1)],
            "numErrors": 1,
            "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "x", "context": {"ids": ["2"]}}],
        },
    )
    assert ids(portal.lists.live(CONTACTS, WIDE)) == [[1]]


def test_records_by_id_that_lack_one_for_an_unknown_reason_are_refused(portal, answer):
    error = {"status": "error", "category": "INTERNAL_ERROR", "message": "x", "context": {"ids": ["2"]}}
    answer({"results": [contact(1)], "numErrors": 1, "errors": [error]})
    with pytest.raises(HubSpotError):
        list(portal.batch_reads.by_id(CONTACTS, ["1", "2"], EMAIL))


def no_boundaries(above):
    return iter(())


@pytest.mark.parametrize("paging", [None, {}])
def test_an_empty_paging_ends_a_list(portal, answer, paging):
    calls = answer({"results": [contact(1)], "paging": paging})
    assert ids(portal.lists.live_range(CONTACTS, EMAIL, next(Slices([Range(0)], no_boundaries, 1)))) == [[1]]
    assert len(calls) == 1


@pytest.mark.parametrize("paging", [None, {}])
def test_an_empty_paging_ends_a_search(portal, answer, paging):
    calls = answer({"total": 0, "results": [], "paging": paging})
    assert ids(page for page, _ in portal.searches.changed(CONTACTS, WINDOW, EMAIL)) == [[]]
    assert len(calls) == 1


def test_a_search_that_counts_more_than_it_returns_is_retried(portal, answer):
    answer({"total": 1, "results": []}, {"total": 1, "results": [contact(1)]})
    assert ids(page for page, _ in portal.searches.changed(CONTACTS, WINDOW, EMAIL)) == [[1]]


def test_a_range_whose_cursor_does_not_move_is_refused(portal, answer):
    answer({"results": [], "paging": {"next": {"after": "11"}}})
    with pytest.raises((HubSpotError, NotPositionalError)):
        list(portal.lists.live_range(CONTACTS, EMAIL, next(Slices([Range(10)], no_boundaries, 1))))


def test_an_association_cursor_that_does_not_move_is_refused(portal, answer):
    edge = {"toObjectId": 2, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]}
    answer({"results": [{"from": {"id": "1"}, "to": [edge], "paging": {"next": {"after": "x"}}}]})
    with pytest.raises(HubSpotError):
        list(AssociationReader(portal, logging.getLogger("test")).read(DEALS, CONTACTS, [1]))


def test_a_cursor_goes_back_to_hubspot_unchanged(portal, answer):
    cursor = "a+b/c=&d#e%3D"
    page = [contact(each) for each in range(1, 101)]
    calls = answer({"results": page, "paging": {"next": {"after": cursor}}}, {"results": []})
    list(portal.lists.live(CONTACTS, EMAIL))
    assert calls[1].request.params["after"] == cursor


@pytest.mark.parametrize("date", ["yesterday", "Wed, 25 Nov 2026 02:00:00 -0000", ""])
def test_an_invalid_date_header_does_not_stop_the_run(portal, answer, date):
    answer({"results": [contact(1)]}, headers={"Date": date})
    assert ids(portal.lists.live(CONTACTS, EMAIL)) == [[1]]


def test_ids_of_any_length_stay_exact(portal, answer):
    ids = [2**53 + 1, 2**63 + 1, 2**64 + 1]
    types = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
    answer(
        {"results": [{"from": {"id": "1"}, "to": [{"toObjectId": each, "associationTypes": types} for each in ids]}]}
    )
    (results,) = AssociationReader(portal, logging.getLogger("test")).read(DEALS, CONTACTS, [1])
    assert [str(each["toObjectId"]) for each in results[0]["to"]] == [str(each) for each in ids]


def test_a_path_that_hubspot_will_retire_is_reported_once(portal, answer, caplog):
    answer({"results": [contact(1)]}, headers={"Sunset": "Tue, 30 Mar 2027 00:00:00 GMT"})
    for _ in range(2):
        list(portal.lists.live(CONTACTS, EMAIL))
    assert caplog.text.count("HubSpot will retire GET /crm/objects/2026-09/0-1 (Tue, 30 Mar 2027") == 1
