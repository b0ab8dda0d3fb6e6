"""The client's handling of replies that the sandbox never gives: HTML, broken text, every refusal."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import responses

from tap_hubspot_dw.errors import (
    AuthenticationError,
    DailyLimitError,
    HubSpotError,
    MissingScopesError,
    RequestError,
    UnreachableError,
)
from tap_hubspot_dw.http.auth import StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.http.replies import decode
from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.settings import CONFIG_JSONSCHEMA, Settings

URL = "http://hubspot.test"
DEFAULTS = {name: each["default"] for name, each in CONFIG_JSONSCHEMA["properties"].items() if "default" in each}
SECRET = "pat-not-a-real-token"
HTML = "<html><body>502 Bad Gateway</body></html>"


@pytest.fixture
def traffic():
    return Traffic()


@pytest.fixture
def client():
    logger = logging.getLogger("test")
    return Client(URL, StaticToken(SECRET), timeout_seconds=5, user_agent="test", logger=logger)


@pytest.fixture
def hubspot():
    with responses.RequestsMock() as replies:
        yield replies


REFUSALS = [
    (401, {"category": "INVALID_AUTHENTICATION", "correlationId": "c-1"}, AuthenticationError, "access_token.*c-1"),
    (
        403,
        {
            "category": "MISSING_SCOPES",
            "errors": [{"context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}],
        },
        MissingScopesError,
        r"the scope crm\.objects\.contacts\.read.*MISSING_SCOPES",
    ),
    (403, {"category": "MISSING_SCOPES"}, MissingScopesError, "a scope that HubSpot does not name"),
    (400, {"message": "Unable to infer object type from: widgets"}, RequestError, "Unable to infer object type"),
    (404, {"category": "OBJECT_NOT_FOUND", "message": "resource not found"}, RequestError, "OBJECT_NOT_FOUND"),
    (414, HTML, RequestError, "HTTP 414"),
    (429, {"policyName": "DAILY", "correlationId": "c-2"}, DailyLimitError, "after midnight.*c-2"),
    (429, {"message": "You have reached your daily limit."}, DailyLimitError, "after midnight"),
]


@pytest.mark.parametrize(("status", "body", "error", "said"), REFUSALS)
def test_a_refusal_says_what_to_do_and_keeps_hubspots_category(client, hubspot, status, body, error, said, traffic):
    hubspot.get(f"{URL}/x", status=status, **({"body": body} if isinstance(body, str) else {"json": body}))
    with pytest.raises(error, match=said) as raised:
        client.get("/x", traffic=traffic)
    assert SECRET not in str(raised.value)
    assert traffic.requests == (2 if status == 401 else 1)


TROUBLES = [{"status": 502, "body": HTML}, {"status": 423, "json": {}}, {"body": requests.ConnectionError("cut")}]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_temporary_error_is_retried(client, hubspot, trouble, traffic):
    hubspot.get(f"{URL}/x", **trouble)
    hubspot.get(f"{URL}/x", json={"results": []})
    assert client.get("/x", traffic=traffic) == {"results": []}
    assert (traffic.requests, traffic.retries) == (2, 1)


def test_a_request_that_failed_before_is_tried_twice_until_it_succeeds_again(client, hubspot, traffic):
    """Other streams request it too: in an outage each would spend minutes on retries, one after another."""
    hubspot.get(f"{URL}/y", json={"results": []})
    client.get("/y", traffic=traffic)
    refused = hubspot.get(f"{URL}/x", body="[]")
    for requests_so_far in (4, 6):
        with pytest.raises(HubSpotError, match="tries"):
            client.get("/x", traffic=traffic)
        assert refused.call_count == requests_so_far
    hubspot.replace("GET", f"{URL}/x", json={"results": []})
    client.get("/x", traffic=traffic)
    refused = hubspot.replace("GET", f"{URL}/x", body="[]")
    with pytest.raises(HubSpotError, match="tries"):
        client.get("/x", traffic=traffic)
    assert traffic.requests == 1 + 6 + 1 + 4


def test_throttled_time_is_counted(client, hubspot, traffic):
    hubspot.get(f"{URL}/x", status=429, json={"message": "You have reached your secondly limit."})
    hubspot.get(f"{URL}/x", json={"results": []})
    client.get("/x", traffic=traffic)
    assert traffic.throttled_seconds >= 1


def test_a_storm_of_429_is_waited_out_a_second_at_a_time(client, hubspot, traffic):
    """Programs that share the limit get their turn; ever longer waits would leave it unused."""
    for _ in range(4):
        hubspot.get(f"{URL}/x", status=429, json={"policyName": "SECONDLY"})
    hubspot.get(f"{URL}/x", json={"results": []})
    client.get("/x", traffic=traffic)
    assert traffic.throttled_seconds == pytest.approx(4)


def test_a_wait_of_hours_ends_the_run_instead(client, hubspot, traffic):
    hubspot.get(f"{URL}/x", status=477, headers={"Retry-After": "86400"}, json={})
    with pytest.raises(UnreachableError, match="wait 86400 seconds"):
        client.get("/x", traffic=traffic)


def test_a_server_that_never_answered_is_given_up_within_seconds(client, hubspot, traffic):
    hubspot.get(f"{URL}/x", status=503, body=HTML)
    with pytest.raises(HubSpotError, match="HTTP 503"):
        client.get("/x", traffic=traffic)
    assert traffic.requests == 3


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b'{"a": "\\ud800x"}', {"a": "\ufffdx"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": "\\u0000"}', {"a": "\x00"}),
    ],
)
def test_invalid_text_is_repaired(content, reply):
    assert decode(content) == reply


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"", b"\xff"])
def test_a_reply_that_is_not_json_is_an_error(content):
    with pytest.raises(HubSpotError, match="not"):
        decode(content)


DAY = 24 * 60


@pytest.mark.parametrize(
    ("ahead", "moved"),
    [
        ((0, 0), 0),
        ((120, 120), 120),
        ((-120, -120), -120),
        ((120, -120), 120),  # contradictory clocks: the earliest decides
        ((-120, 0), 0),
        ((3 * DAY, 3 * DAY), 3 * DAY),
        ((-3 * DAY, -3 * DAY), 0),
        ((20_000 * DAY, 20_000 * DAY), 20_000 * DAY),
        ((-20_000 * DAY, -20_000 * DAY), 0),
        ((None, None), 0),
    ],
)
def test_the_run_begins_by_hubspots_clock_or_by_the_earliest_if_no_clock_is_reliable(
    client, hubspot, ahead, moved, traffic
):
    """`ahead`: how many minutes this clock is ahead of the Date of two replies."""
    started_at = datetime.now(UTC)
    for path, minutes in zip(("/x", "/crm/limits/2026-09/records"), ahead, strict=True):
        said = (
            {} if minutes is None else {"Date": format_datetime(started_at - timedelta(minutes=minutes), usegmt=True)}
        )
        hubspot.get(URL + path, json={"results": []}, headers=said)
    hubspot.assert_all_requests_are_fired = False
    client.get("/x", traffic=traffic)
    settings = Settings.from_config(DEFAULTS | {"access_token": SECRET})
    run = Run(settings, Portal(Api(client, "2026-09", logging.getLogger("test"))), started_at)
    assert abs(started_at - run.started_at - timedelta(minutes=moved)) < timedelta(seconds=5)
    assert abs(datetime.now(UTC) - run.now() - timedelta(minutes=moved)) < timedelta(seconds=5)
    assert (run.clock_warning() is None) == (ahead in {(0, 0), (None, None), (-120, 0)})


def test_a_slow_reply_does_not_look_like_a_fast_clock(client, hubspot):
    def slow(_request):
        date = format_datetime(datetime.now(UTC), usegmt=True)
        time.sleep(1.5)
        return 200, {"Date": date}, '{"results": []}'

    hubspot.add_callback("GET", f"{URL}/crm", callback=slow)
    client.get("/crm", traffic=Traffic())
    assert abs(client.clock_ahead) < timedelta(seconds=1.2)


def test_a_slow_reply_does_not_look_like_a_slow_clock(client, hubspot):
    def slow(_request):
        time.sleep(1.5)
        return 200, {"Date": format_datetime(datetime.now(UTC), usegmt=True)}, '{"results": []}'

    hubspot.add_callback("GET", f"{URL}/crm", callback=slow)
    client.get("/crm", traffic=Traffic())
    assert abs(client.clock_ahead) < timedelta(seconds=1.2)
