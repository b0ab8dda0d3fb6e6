"""If a search is not sorted by id, the window is read in slices of time, and completely."""

from __future__ import annotations

import json
import logging
import random
import re

import pytest
import responses

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.http.auth import StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tap_hubspot_dw.reading.change_window import Window
from tap_hubspot_dw.timestamps import epoch_ms, parse_timestamp

CONTACTS = STANDARD_TYPES["contacts"]
WINDOW = Window(parse_timestamp("2026-11-01T00:00:00Z"), parse_timestamp("2026-11-01T01:00:00Z"))
BEGIN = epoch_ms(WINDOW.since)


class Search:
    """A search over `modified` (milliseconds by id) with its own order and HubSpot's limits."""

    def __init__(self, modified: dict[int, int], *, is_short: bool = False) -> None:
        order = list(modified.items())
        random.Random(1).shuffle(order)
        self.order, self.is_short = order, is_short

    def __call__(self, request) -> tuple[int, dict[str, str], str]:
        body = json.loads(request.body)
        filters = {each["operator"]: int(each["value"]) for each in body["filterGroups"][0]["filters"]}
        found = [
            record_id
            for record_id, timestamp in self.order
            if filters["GTE"] <= timestamp < filters["LT"] and record_id > filters.get("GT", 0)
        ]
        start = int(body.get("after", 0))
        end = start + body["limit"]
        if end > 10_000:
            return 400, {}, json.dumps({"message": "too far"})
        page = found[start:end]
        reply = {"total": len(found), "results": [{"id": str(each), "properties": {}} for each in page]}
        if end < len(found):
            reply["paging"] = {"next": {"after": str(end)}}
            reply["results"] = reply["results"][:-1] if self.is_short else reply["results"]
        return 200, {}, json.dumps(reply)


def ids_read(search: Search) -> list[int]:
    client = Client(
        "http://hubspot.test", StaticToken("x"), timeout_seconds=5, user_agent="", logger=logging.getLogger()
    )
    portal = Portal(Api(client, "2026-09", logging.getLogger()))
    with responses.RequestsMock() as mock:
        mock.add("GET", "http://hubspot.test/tier", json={})  # a reply that names no limits: none are kept
        client.get("/tier", traffic=Traffic())
        mock.add_callback("POST", re.compile(".*/search"), callback=search)
        return [each for ids in portal.searches.changed_ids(CONTACTS, WINDOW) for each in ids]


SPREAD = {number: BEGIN + 977 * number for number in range(1, 1500)}
TIED = dict.fromkeys(range(1, 1500), BEGIN + 5)
EDGES = {1: BEGIN, 2: epoch_ms(WINDOW.until) - 1} | dict.fromkeys(range(3, 500), BEGIN + 2)
OUTSIDE = {1: BEGIN - 1, 2: epoch_ms(WINDOW.until)}


@pytest.mark.parametrize("modified", [SPREAD, TIED, EDGES], ids=["spread", "tied", "edges"])
def test_every_change_comes_and_nothing_from_outside_the_window(modified):
    assert set(ids_read(Search(modified | {10**6 + key: timestamp for key, timestamp in OUTSIDE.items()}))) == set(
        modified
    )


def test_more_than_a_search_reaches_in_one_millisecond_is_an_error():
    with pytest.raises(ReplyError, match=r"10,500 contacts changed in the same millisecond.*--full-refresh"):
        ids_read(Search(dict.fromkeys(range(1, 10501), BEGIN)))


@pytest.mark.parametrize("modified", [SPREAD, TIED])
def test_short_pages_hide_nothing(modified):
    assert set(ids_read(Search(modified, is_short=True))) == set(modified)
