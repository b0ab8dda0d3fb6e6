"""Rate limits, tokens and scopes: which requests are refused, and with which messages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hubspot_sandbox.behaviour.limits import RollingWindow
from hubspot_sandbox.behaviour.tokens import REFRESH_TOKEN
from tests.sandbox.conftest import Api

LIST, SEARCH = "/crm/v3/objects/contacts?limit=1", "/crm/v3/objects/contacts/search"
ASSOCIATIONS = "/crm/associations/2026-09/contacts/0-421/batch/read"


def test_a_window_rolls() -> None:
    window = RollingWindow(2, 10_000)
    assert [window.take(at) for at in (0, 9_000, 9_999, 10_000, 18_999, 19_000)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(("tier", "limit"), [("free", 100), ("pro", 190), ("enterprise", 190), ("add-on", 250)])
def test_a_tiers_general_budget_is_its_documented_number(api: Api, tier: str, limit: int) -> None:
    api.sandbox.settings(tier=tier)
    statuses = [api.get("/crm/v3/owners?limit=1").status_code for _ in range(limit + 2)]
    assert statuses == [200] * limit + [429] * 2
    refused = api.get(LIST)
    body = refused.json()
    assert "Retry-After" not in refused.headers
    assert body["message"] == "You have reached your ten_secondly_rolling limit."
    assert (body["errorType"], body["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
    assert body["groupName"].startswith("publicapi:private_app-api-calls-ten-secondly:")
    assert api.post(SEARCH, {}).status_code == 200, "search has its own budget"
    assert api.post(ASSOCIATIONS, {"inputs": [{"id": "51"}]}).status_code in (200, 207)
    api.sandbox.clock.advance(10)
    assert api.get(LIST).status_code == 200


def test_headers_count_down(api: Api) -> None:
    api.sandbox.settings(tier="pro", dailyUsed=1000)
    headers = [api.get(LIST).headers for _ in range(2)][1]
    assert {name: value for name, value in headers.items() if "ratelimit" in name.lower()} == {
        "x-hubspot-ratelimit-daily": "625000",
        "x-hubspot-ratelimit-daily-remaining": "623998",
        "x-hubspot-ratelimit-interval-milliseconds": "10000",
        "x-hubspot-ratelimit-max": "190",
        "x-hubspot-ratelimit-remaining": "188",
        "x-hubspot-ratelimit-secondly": "19",
        "x-hubspot-ratelimit-secondly-remaining": "19",
    }


def test_an_account_has_five_searches_a_second_for_all_tokens(api: Api) -> None:
    api.sandbox.settings(tier="pro")
    other = api.refresh().json()["access_token"]
    replies = [api.post(SEARCH, {}, token=other if n % 2 else "") for n in range(6)]
    assert [reply.status_code for reply in replies] == [200] * 5 + [429]
    for reply in replies:
        assert not {name for name in map(str.lower, reply.headers) if "ratelimit" in name and "daily" not in name}
    assert replies[0].headers["x-hubspot-ratelimit-daily"] == "625000"
    body = replies[-1].json()
    assert (body["message"], body["category"]) == ("You have reached your secondly limit.", "RATE_LIMITS")
    assert "policyName" not in body
    api.sandbox.clock.advance(1)
    assert api.post(SEARCH, {}).status_code == 200


@pytest.mark.parametrize(("tier", "limit"), [("free", 100), ("pro", 150), ("add-on", 200)])
def test_associations_have_their_own_budget(api: Api, tier: str, limit: int) -> None:
    api.sandbox.settings(tier=tier)
    statuses = [api.post(ASSOCIATIONS, {"inputs": [{"id": "51"}]}).status_code for _ in range(limit + 1)]
    assert statuses.count(429) == 1
    assert statuses[-1] == 429
    assert api.get(LIST).status_code == 200


def test_the_daily_limit_has_its_own_429_and_resets_at_midnight(api: Api) -> None:
    api.sandbox.settings(tier="pro", dailyUsed=624_999)
    assert api.get(LIST).status_code == 200
    refused = api.get(LIST)
    assert (refused.status_code, refused.json()["policyName"]) == (429, "DAILY")
    assert refused.json()["message"] == "You have reached your daily limit."
    assert api.get(LIST, token=api.refresh().json()["access_token"]).status_code == 200, "OAuth apps have no day"
    usage_refused = api.get("/account-info/v3/api-usage/daily/private-apps")
    assert usage_refused.status_code == 429
    api.sandbox.clock.advance(86_400)
    usage = api.get("/account-info/v3/api-usage/daily/private-apps").json()["results"][0]
    assert (usage["usageLimit"], usage["currentUsage"]) == (625_000, 1)


def test_oauth_apps_get_110_and_no_daily_headers(api: Api) -> None:
    api.sandbox.settings(tier="enterprise")
    token = api.refresh().json()["access_token"]
    replies = [api.get(LIST, token=token) for _ in range(111)]
    assert [reply.status_code for reply in replies] == [200] * 110 + [429]
    assert "x-hubspot-ratelimit-daily" not in replies[0].headers
    assert replies[0].headers["x-hubspot-ratelimit-max"] == "110"


@pytest.mark.parametrize(
    ("token", "category", "words"),
    [
        (None, "INVALID_AUTHENTICATION", "Authentication credentials not found."),
        ("pat-na1-wrong", "INVALID_AUTHENTICATION", "Authentication credentials not found."),
        ("nonsense", "EXPIRED_AUTHENTICATION", r"expired 2\d{4} day\(s\) ago"),
    ],
)
def test_calls_without_a_good_token_are_401(shared: Api, token: str | None, category: str, words: str) -> None:
    reply = shared.get(LIST, token=token)
    assert (reply.status_code, reply.json()["category"]) == (401, category)
    assert re.search(words, reply.json()["message"])


def test_an_expired_oauth_token_can_be_refreshed(api: Api) -> None:
    issued = api.refresh().json()
    assert (issued["expires_in"], issued["token_type"], issued["refresh_token"]) == (1800, "bearer", REFRESH_TOKEN)
    token = issued["access_token"]
    assert api.get(LIST, token=token).status_code == 200
    api.sandbox.clock.advance(1800 + 75)
    expired = api.get(LIST, token=token)
    assert (expired.status_code, expired.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert "expired 75 second(s) ago" in expired.json()["message"]
    assert expired.json()["context"]["expire time"]
    assert api.get(LIST, token=api.refresh().json()["access_token"]).status_code == 200
    assert api.get(LIST).status_code == 200, "the static token lives on"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"refresh_token": "x"}, "BAD_REFRESH_TOKEN"),
        ({"client_secret": "x"}, "BAD_CLIENT_ID"),
        ({"grant_type": "x"}, "BAD_GRANT_TYPE"),
    ],
)
def test_a_bad_refresh_names_its_mistake(shared: Api, changes: dict[str, str], status: str) -> None:
    reply = shared.refresh(**changes)
    assert (reply.status_code, reply.json()["status"]) == (400, status)


SCOPED: tuple[tuple[str, str, str, Any], ...] = (
    ("crm.objects.contacts.read", "GET", LIST, None),
    ("crm.objects.contacts.read", "POST", SEARCH, {}),
    ("crm.objects.contacts.read", "POST", ASSOCIATIONS, {"inputs": []}),
    ("crm.objects.appointments.read", "POST", ASSOCIATIONS, {"inputs": []}),
    ("crm.objects.custom.read", "GET", "/crm/v3/objects/2-37778609", None),
    ("crm.objects.owners.read", "GET", "/crm/v3/owners", None),
    ("oauth", "GET", "/account-info/v3/details", None),
)


@pytest.mark.parametrize(("scope", "method", "path", "body"), SCOPED)
def test_a_missing_scope_is_403_and_named(api: Api, scope: str, method: str, path: str, body: Any) -> None:
    assert api(method, path, body).status_code == 200
    api.sandbox.settings(withoutScopes=[scope])
    reply = api(method, path, body)
    assert (reply.status_code, reply.json()["category"]) == (403, "MISSING_SCOPES")
    assert scope in reply.json()["errors"][0]["context"]["requiredGranularScopes"]


def test_the_correlation_id_is_the_same_in_header_and_body(shared: Api) -> None:
    seen = set()
    for path in ("/crm/v3/objects/widgets", "/nowhere", "/crm/v3/objects/contacts?limit=1000"):
        reply = shared.get(path)
        assert reply.json()["correlationId"] == reply.headers["X-HubSpot-Correlation-Id"]
        seen.add(reply.json()["correlationId"])
    assert len(seen) == 3
