"""The session and the client of tests/live: they only read, and wait as long as HubSpot asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubspot_sandbox.control.pytest_plugin import RunningSandbox
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tests.live.api_client import CannotAskError
from tests.live.read_only import NotAReadError, ReadOnlySession, RequestBudget
from tests.live.survey import Survey


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/crm/objects/2026-09/contacts"),
        ("PATCH", "/crm/objects/2026-09/contacts/51"),
        ("PUT", "/crm/objects/2026-09/contacts/51"),
        ("DELETE", "/crm/objects/2026-09/contacts/51"),
        ("POST", "/crm/objects/2026-09/contacts/batch/create"),
        ("POST", "/crm/objects/2026-09/contacts/batch/update"),
        ("POST", "/crm/objects/2026-09/contacts/batch/archive"),
        ("POST", "/crm/objects/2026-09/contacts/merge"),
        ("POST", "/crm/v3/objects/contacts"),
        ("POST", "/crm/associations/2026-09/deals/contacts/batch/create"),
        ("POST", "/crm/associations/2026-09/deals/contacts/batch/archive"),
        ("POST", "/crm/objects/2026-09/contacts/../contacts/batch/archive"),
        ("POST", "/crm/objects/2026-09/contacts/batch/archive?x=/batch/read"),
        ("POST", "/crm/objects/2026-09/contacts/batch/archive#/search"),
        ("POST", "/crm/objects/2026-09/contacts/search/archive"),
        ("POST", "/crm/objects/2026-09/contacts/batch/read-and-write"),
        ("POST", "/crm/properties/2026-09/contacts/batch/read"),
        ("POST", "/oauth/v1/token"),
        ("GET", "/oauth/v1/access-tokens/x"),
        ("GET", "https://example.invalid/crm/objects/2026-09/contacts"),
    ],
)
def test_a_request_that_is_not_a_read_is_refused_before_it_is_sent(
    portal: RunningSandbox, method: str, path: str
) -> None:
    with ReadOnlySession(portal.url, RequestBudget()) as session, pytest.raises(NotAReadError):
        session.request(method, path if path.startswith("http") else portal.url + path, timeout=5)
    assert portal.log()["total"] == 0


def test_a_login_in_netrc_does_not_replace_the_token(
    portal: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login mallory password hunter2\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    with ReadOnlySession(portal.url, RequestBudget()) as session:
        url = f"{portal.url}/crm/objects/2026-09/0-1"
        assert session.get(url, headers={"Authorization": f"Bearer {portal.token}"}, timeout=5).status_code == 200


def test_more_requests_than_allowed_are_refused(portal: RunningSandbox) -> None:
    owners = f"{portal.url}/crm/owners/2026-09"
    with ReadOnlySession(portal.url, RequestBudget(max_requests=1)) as session:
        assert session.get(owners, timeout=5).status_code == 401
        with pytest.raises(NotAReadError, match="at most 1 requests"):
            session.get(owners, timeout=5)
    assert portal.log()["total"] == 1


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        ({"status": 429, "retryAfter": 7}, [7.0]),
        ({"status": 429, "policy": "SECONDLY"}, [1.0]),
        ({"status": 429}, [10.0]),
        ({"status": 477, "retryAfter": 30}, [30.0]),
        ({"status": 502}, [1.0]),
    ],
)
def test_the_client_retries_temporary_failures(
    portal: RunningSandbox, surveyed: Callable[..., Survey], fault: dict[str, Any], waits: list[float]
) -> None:
    portal.faults([{"match": "list", "nth": 1, **fault}])
    waited: list[float] = []
    survey = surveyed(portal, sleep=waited.append)
    assert survey.page(STANDARD_TYPES["contacts"]).is_good
    assert waited == waits


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"status": 429, "policy": "DAILY"}, "daily requests are used up"),
        ({"status": 477, "retryAfter": 3600}, "asks to wait 3600 seconds"),
        ({"status": 401}, "does not accept HUBSPOT_TEST_API_TOKEN"),
    ],
)
def test_a_permanent_failure_ends_the_checks_with_a_sentence(
    portal: RunningSandbox, survey: Survey, fault: dict[str, Any], sentence: str
) -> None:
    portal.faults([{"match": "list", **fault}])
    with pytest.raises(CannotAskError, match=sentence) as caught:
        survey.page(STANDARD_TYPES["contacts"])
    assert portal.token not in str(caught.value)


def test_the_pace_stays_within_hubspots_limits(portal: RunningSandbox, survey: Survey) -> None:
    portal.settings(tier="free")
    assert survey.schemas.is_good
    assert {survey.client.post("search", {"type": "0-1"}, {"limit": 1}).status for _ in range(7)} == {200}
    assert "429" not in portal.log()["byStatus"]
