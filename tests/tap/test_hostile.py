"""Under all behaviour that HubSpot may show no record is lost, and none is missing after an exit code of 0."""

from __future__ import annotations

import pytest

from tests.tap.running import run_tap

TYPES = {"contacts": "0-1", "appointments": "0-421", "divisions": "divisions", "deals": "0-3"}
TINY = {"contacts": 330, "appointments": 110, "divisions": 4, "deals": 120, "associations": 700}
TINY |= {"contact_properties": 25, "tier": "unlimited"}
OAUTH = {
    "client_id": "sandbox-client-id",
    "client_secret": "sandbox-client-secret-not-a-secret",
    "refresh_token": "sandbox-refresh-not-a-secret",
}


def quirk(*settings: str) -> dict[str, object]:
    return {"api_quirk": settings}


CASES = {
    "opaque list cursors": (quirk("list-cursor=opaque"), []),
    "no list entered in the middle": (quirk("arbitrary-after=reject"), []),
    "one association a page": (quirk("association-page=1"), []),
    "text ids in associations": (quirk("to-object-id=string"), []),
    "short search pages": (quirk("short-search-pages=1"), []),
    "empty search pages": (quirk("empty-search-pages=2"), []),
    "no archived list of appointments": (quirk("archived-unsupported=0-421"), []),
    "requests answer 502": ({}, [{"every": 5, "times": 5, "status": 502}]),
    "replies are cut in the body": ({}, [{"every": 4, "times": 5, "cut": "body"}]),
    "connections are dropped": ({}, [{"every": 4, "times": 5, "cut": "before"}]),
    "searches are throttled": ({}, [{"match": "search", "every": 3, "times": 3, "status": 429, "policy": "SECONDLY"}]),
    "locked for a moment": ({}, [{"match": "list", "nth": 3, "status": 423}]),
    "in migration for a moment": ({}, [{"match": "list", "nth": 2, "status": 477, "retryAfter": 1}]),
    "one reply stalls": ({}, [{"match": "list contacts", "nth": 2, "stallSeconds": 30}]),
}


def records_by_id(sandbox) -> dict[str, set[str]]:
    return {stream: {each["id"] for each in sandbox.truth(object_type)} for stream, object_type in TYPES.items()}


@pytest.mark.parametrize(("options", "faults"), CASES.values(), ids=CASES.keys())
def test_no_record_is_lost(sandbox_factory, tmp_path, options, faults):
    sandbox = sandbox_factory(**TINY, **options)
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "request_timeout_seconds": 3}
    sandbox.faults(faults)
    first = run_tap(tmp_path, settings)
    assert first.returncode == 0, first.log
    for stream, ids in records_by_id(sandbox).items():
        assert {each["id"] for each in first.records(stream)} == ids

    contacts = sorted(records_by_id(sandbox)["contacts"], key=int)
    sandbox.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 250}])
    sandbox.mutate([{"kind": "archive", "type": "0-1", "id": each} for each in contacts[-5:]])
    second = run_tap(tmp_path, settings, state=first.state)
    assert second.returncode == 0, second.log
    assert {each["id"] for each in second.records("contacts")} == set(contacts[:250])
    assert {each["id"] for each in second.deletes("contacts")} == set(contacts[-5:])
    assert all(each["fired"] for each in sandbox.fault_counts()), "a fault never fired: this tests nothing"
    sandbox.stop()


FATAL = {
    "the daily limit is reached": ([{"match": "list contacts", "status": 429, "policy": "DAILY"}], 75, "daily"),
    "a migration of a day": ([{"match": "list contacts", "status": 477, "retryAfter": 86400}], 1, "86400 seconds"),
    "lists always fail": ([{"match": "list contacts", "status": 404}], 1, "contacts: HubSpot refuses GET"),
}


@pytest.mark.parametrize(("faults", "code", "said"), FATAL.values(), ids=FATAL.keys())
def test_a_failed_list_is_reported_and_the_next_run_reads_it(sandbox_factory, tmp_path, faults, code, said):
    sandbox = sandbox_factory(**TINY)
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"]}
    sandbox.faults(faults)
    run = run_tap(tmp_path, settings)
    assert run.returncode == code
    assert said in run.log
    assert "Traceback" not in run.log
    assert "ACTIVATE_VERSION" not in run.message_types("contacts")
    assert "replication_key_value" not in run.state["bookmarks"].get("contacts", {})
    sandbox.faults([])
    again = run_tap(tmp_path, settings, state=run.state)
    assert again.returncode == 0, again.log
    seen = {each["id"] for each in run.records("contacts") + again.records("contacts")}
    assert seen == records_by_id(sandbox)["contacts"]
    sandbox.stop()


def test_a_missing_scope_fails_only_its_stream_and_is_named(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY, without_scope="crm.objects.appointments.read")
    run = run_tap(tmp_path, {"api_url": sandbox.url, "access_token": sandbox.token})
    assert run.returncode == 1
    assert "the token lacks the scope crm.objects.appointments.read" in run.log
    expected = records_by_id(sandbox)
    for stream in ("contacts", "deals", "divisions"):
        assert {each["id"] for each in run.records(stream)} == expected[stream]
    sandbox.stop()


def test_an_oauth_token_that_expires_during_a_run_is_renewed(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY)
    sandbox.faults([{"match": "list", "every": 3, "expireTokens": True}])
    run = run_tap(tmp_path, {"api_url": sandbox.url, **OAUTH})
    assert run.returncode == 0, run.log
    for stream, ids in records_by_id(sandbox).items():
        assert {each["id"] for each in run.records(stream)} == ids
    log = sandbox.log()["byStatus"]
    assert log.get("401", 0) >= 2, "no token ended"
    wrong = run_tap(tmp_path, {"api_url": sandbox.url, **OAUTH, "refresh_token": "wrong"})
    assert wrong.returncode == 1
    assert "HubSpot refused the refresh token (HTTP 400, BAD_REFRESH_TOKEN)" in wrong.log
    sandbox.stop()


@pytest.mark.slow
@pytest.mark.parametrize("cursor", ["id", "opaque"])
def test_a_long_list_is_read_completely_in_ranges_or_by_its_cursor(sandbox_factory, tmp_path, cursor):
    sizes = {"contacts": 31_000, "appointments": 1, "divisions": 1, "deals": 1, "associations": 1}
    sandbox = sandbox_factory(**sizes, contact_properties=20, tier="unlimited", api_quirk=[f"list-cursor={cursor}"])
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"]}
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    ids = [each["id"] for each in run.records("contacts")]
    assert set(ids) == records_by_id(sandbox)["contacts"]
    assert ("by its cursor alone" in run.log) == (cursor == "opaque")
    if cursor == "id":
        assert len(ids) == 31_000
        requests = sandbox.log()["byEndpoint"]["list contacts"]["200"]
        assert requests <= 31_000 / 100 + 10
        assert ids != sorted(ids, key=int), "the ranges were not read at the same time"
    sandbox.stop()


def test_objects_that_cannot_be_searched_are_read_by_their_list(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY)
    sandbox.faults([{"match": "search deals", "status": 400}])
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["deals"], "associations": False}
    run = run_tap(tmp_path, settings)
    sandbox.stop()
    assert run.returncode == 0
    assert len(run.records("deals")) == TINY["deals"]


@pytest.mark.parametrize("trouble", [{"status": 502}, {"status": 429}, {"cut": "before"}], ids=["502", "429", "cut"])
def test_a_token_endpoint_with_errors_is_retried(sandbox_factory, tmp_path, trouble):
    sandbox = sandbox_factory(**TINY)
    sandbox.faults([{"match": "oauth token", "nth": 1, **trouble}])
    run = run_tap(tmp_path, {"api_url": sandbox.url, "objects": ["deals"], **OAUTH})
    sandbox.stop()
    assert run.returncode == 0
    assert len(run.records("deals")) == TINY["deals"]


def test_a_truncated_archived_list_does_not_count_as_complete(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY)
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    first = run_tap(tmp_path, settings)
    archived = [each["id"] for each in sandbox.truth("0-1")][:150]
    sandbox.mutate([{"kind": "archive", "type": "0-1", "id": each} for each in archived])
    sandbox.faults([{"match": "list contacts", "nth": 2, "status": 404}])
    run = run_tap(tmp_path, settings, state=first.state)
    sandbox.stop()
    assert run.returncode != 0 or {each["id"] for each in run.deletes("contacts")} == set(archived)
