"""Faults: every effect as a client sees it, and every way to say when a rule fires."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from hubspot_sandbox.behaviour.faults import HTML_STATUSES, Fault, Faults
from hubspot_sandbox.control.admin_client import AdminError
from hubspot_sandbox.control.pytest_plugin import RunningSandbox
from tests.sandbox.conftest import Api

LIST = "/crm/v3/objects/contacts?limit=1"

TIMES: tuple[tuple[dict[str, Any], list[int]], ...] = (
    ({}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ({"nth": 3}, [3]),
    ({"every": 3}, [3, 6]),
    ({"every": 2, "times": 2}, [2, 4]),
    ({"from": 6}, [6, 7, 8]),
    ({"match": "search"}, []),
    ({"match": "list contacts", "nth": 8}, [8]),
    ({"probability": 0.5, "seed": 3}, [1, 3, 6, 7]),
)


@pytest.mark.parametrize(("when", "expected"), TIMES, ids=lambda v: str(v)[:40])
def test_a_rule_fires_when_it_says(when: dict[str, Any], expected: list[int]) -> None:
    faults = Faults((Fault.from_json({"status": 500, **when}),))
    fired = [n for n in range(1, 9) if faults.take("list contacts")]
    if "probability" in when:
        again = Faults((Fault.from_json({"status": 500, **when}),))
        assert fired == [n for n in range(1, 9) if again.take("list contacts")]
        assert 0 < len(fired) < 8
    else:
        assert fired == expected


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"status": 200},
        {"cut": "middle", "status": 500},
        {"stat": 500},
        {"status": "500"},
        {"status": 429, "policy": "X"},
        {"rows": -1},
        {"paging": True},
        5,
    ],
)
def test_an_invalid_rule_is_refused(rule: Any) -> None:
    with pytest.raises(ValueError, match="fault"):
        Fault.from_json(rule)


@pytest.mark.parametrize("status", sorted(HTML_STATUSES))
def test_gateway_errors_are_html(api: Api, status: int) -> None:
    api.sandbox.faults([{"status": status, "nth": 1}])
    reply = api.get(LIST)
    assert reply.status_code == status
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.text.startswith("<!DOCTYPE html>")
    assert api.get(LIST).status_code == 200


@pytest.mark.parametrize(
    ("rule", "key", "value", "retry_after"),
    [
        ({"status": 429, "policy": "DAILY"}, "policyName", "DAILY", None),
        ({"status": 429}, "policyName", "TEN_SECONDLY_ROLLING", None),
        ({"status": 429, "policy": "SECONDLY"}, "category", "RATE_LIMITS", None),
        ({"status": 423}, "category", "LOCKED", None),
        ({"status": 477, "retryAfter": 7}, "category", "MIGRATION_IN_PROGRESS", "7"),
        ({"status": 500}, "message", "internal error", None),
        ({"status": 403}, "category", "MISSING_SCOPES", None),
    ],
)
def test_hubspots_own_errors_are_json(
    api: Api, rule: dict[str, Any], key: str, value: str, retry_after: str | None
) -> None:
    api.sandbox.faults([rule])
    reply = api.get(LIST)
    assert (reply.status_code, reply.json()[key]) == (rule["status"], value)
    assert reply.headers.get("Retry-After") == retry_after


def test_the_third_search_is_refused(api: Api) -> None:
    api.sandbox.faults([{"match": "search", "nth": 3, "status": 429}])
    statuses = [api.post("/crm/v3/objects/deals/search", {}).status_code for _ in range(4)]
    assert statuses == [200, 200, 429, 200]
    assert api.sandbox.fault_counts() == [{"met": 4, "fired": 1}]


@pytest.mark.parametrize(
    ("cut", "error"), [("body", requests.exceptions.ChunkedEncodingError), ("before", requests.ConnectionError)]
)
def test_connections_are_cut(api: Api, cut: str, error: type[Exception]) -> None:
    api.sandbox.faults([{"match": "list", "nth": 2, "cut": cut}])
    assert api.get(LIST).status_code == 200
    with pytest.raises(error):
        api.get("/crm/v3/objects/contacts?limit=100")
    assert api.get(LIST).status_code == 200
    assert api.sandbox.log()["byEndpoint"]["list contacts"] == {"0": 1, "200": 2}


@pytest.mark.parametrize(
    ("less", "rows", "follows", "total"),
    [
        ({"rows": 2}, 2, True, None),
        ({"paging": False}, 5, False, None),
        ({"rows": 0, "paging": False, "total": 0}, 0, False, 0),
        ({"total": 7}, 5, True, 7),
    ],
)
def test_a_reply_lacks_rows_or_its_next_page(
    api: Api, less: dict[str, Any], rows: int, follows: bool, total: int | None
) -> None:
    api.sandbox.faults([{"match": "list contacts", "nth": 1, **less}, {"match": "search", "nth": 1, **less}])
    for reply in (api.get("/crm/v3/objects/contacts?limit=5").json(), api.search("contacts", limit=5)):
        assert (len(reply["results"]), "paging" in reply) == (rows, follows)
        assert "total" not in reply or total in {None, reply["total"]}
    whole = api.search("contacts", limit=5)
    assert (len(whole["results"]), "paging" in whole, whole["total"] > 7) == (5, True, True)


def test_the_list_of_archived_records_has_its_own_name(api: Api) -> None:
    api.sandbox.faults([{"match": "list contacts archived", "status": 400, "times": 1}])
    statuses = [api.get(LIST + more).status_code for more in ("", "&archived=true", "&archived=true")]
    assert statuses == [200, 400, 200]
    assert api.sandbox.log()["byEndpoint"].keys() >= {"list contacts", "list contacts archived"}


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_the_date_of_replies_is_the_sandboxs_clock_and_may_be_wrong(api: Api, hours: int) -> None:
    api.sandbox.settings(dateOffsetSeconds=3600 * hours)
    date = parsedate_to_datetime(api.get(LIST).headers["Date"])
    assert abs((date - datetime.now(UTC)).total_seconds() - 3600 * hours) < 3
    api.sandbox.clock.advance(86_400)
    later = parsedate_to_datetime(api.get(LIST).headers["Date"])
    assert 86_390 < (later - date).total_seconds() < 86_410
    api.sandbox.settings(dateOffsetSeconds=None)
    assert "Date" not in api.get(LIST).headers


def test_a_record_is_edited_before_each_search_is_answered(api: Api) -> None:
    target = next(iter(api.sandbox.truth("contacts")))["id"]
    api.sandbox.mutate([{"kind": "edit-while-searching", "type": "contacts", "id": target, "every": 2, "times": 2}])
    same = {"filterGroups": [{"filters": [{"propertyName": "hs_object_id", "operator": "EQ", "value": target}]}]}
    timestamps = [api.search("contacts", **same)["results"][0]["updatedAt"] for _ in range(6)]
    assert [timestamps[n] < timestamps[n + 1] for n in range(5)] == [True, False, True, False, False]


def test_a_reply_stalls_while_others_go_on(api: Api) -> None:
    api.sandbox.faults([{"match": "list", "nth": 1, "stallSeconds": 30}])
    with pytest.raises(requests.Timeout):
        api.get(LIST, timeout=0.3)
    started = time.monotonic()
    assert api.get(LIST).status_code == 200
    assert time.monotonic() - started < 5


def test_tokens_expire_after_a_number_of_requests(api: Api) -> None:
    token = api.refresh().json()["access_token"]
    api.sandbox.faults([{"match": "list", "nth": 3, "expireTokens": True}])
    assert [api.get(LIST, token=token).status_code for _ in range(5)] == [200, 200, 200, 401, 401]
    assert api.get(LIST, token=api.refresh().json()["access_token"]).status_code == 200


def test_the_faults_of_the_start_are_active(sandbox_factory: Any, http: Any, tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("- {match: list, every: 2, status: 502}\n")
    api = Api(sandbox_factory(contacts=5, faults=script), http)
    assert [api.get(LIST).status_code for _ in range(4)] == [200, 502, 200, 502]


def test_latency_is_added(api: Api) -> None:
    api.sandbox.settings(latencyMs=200)
    started = time.monotonic()
    api.get(LIST)
    assert time.monotonic() - started >= 0.2


def test_records_are_edited_while_they_are_paged(api: Api) -> None:
    api.sandbox.mutate([{"kind": "edit-while-paging", "type": "contacts", "every": 2, "times": 3}])
    before = {row["id"]: row["updatedAt"] for row in api.sandbox.truth("contacts")}
    api.listed("/crm/v3/objects/contacts?limit=100")
    after = {row["id"]: row["updatedAt"] for row in api.sandbox.truth("contacts")}
    ids = list(before)
    assert [id_ for id_ in ids if before[id_] != after[id_]] == [ids[100], ids[300], ids[500]]


@pytest.mark.sandbox(contacts=30, contact_properties=1, courses=5)
@pytest.mark.parametrize(("plural", "edited"), [("contacts", 1), ("companies", 1), ("courses", 1)])
def test_a_type_with_few_properties_is_edited_while_it_is_paged(
    sandbox: RunningSandbox, http: requests.Session, plural: str, edited: int
) -> None:
    sandbox.mutate([{"kind": "edit-while-paging", "type": plural, "every": 1, "times": 1}])
    before = list(sandbox.truth(plural))
    assert Api(sandbox, http).get(f"/crm/v3/objects/{plural}").status_code == 200
    changed = [new for old, new in zip(before, sandbox.truth(plural), strict=True) if old != new]
    assert len(changed) == edited
    assert "edited while paging, 1" in changed[0]["properties"].values()


def test_a_type_without_an_editable_text_cannot_be_edited_while_it_is_paged(api: Api) -> None:
    standing = {"kind": "edit-while-paging", "type": "divisions", "every": 1, "times": 9}
    api.sandbox.mutate([standing])
    texts = [
        {"kind": "remove-property", "type": "divisions", "name": row["name"]}
        for row in api.get("/crm/v3/properties/divisions").json()["results"]
        if row["type"] == "string" and not row["options"]
    ]
    api.sandbox.mutate(texts)
    with pytest.raises(AdminError, match="divisions have no text property that can be written"):
        api.sandbox.mutate([standing])
    first, *_ = api.sandbox.truth("divisions")
    assert api.get("/crm/v3/objects/divisions").status_code == 200
    assert next(iter(api.sandbox.truth("divisions")))["updatedAt"] > first["updatedAt"]


def test_records_come_and_go_while_they_are_paged(api: Api) -> None:
    ids = [row["id"] for row in api.sandbox.truth("contacts")]
    api.sandbox.mutate([{"kind": "churn-while-paging", "type": "contacts", "every": 5, "times": 2}])
    listed = [row["id"] for row in api.listed("/crm/v3/objects/contacts?limit=100")]
    created = [row["id"] for row in api.sandbox.truth("contacts")][-2:]
    assert listed[-2:] == created
    archived = {row["id"] for row in api.sandbox.truth("contacts", "archived")}
    served_before = {ids[400], ids[901]}
    assert len(archived) == 4
    assert archived & set(listed) == served_before
    assert json.dumps(listed) != json.dumps(ids)


@pytest.mark.parametrize(
    ("rule", "status", "text"),
    [
        ({"body": "[]"}, 200, "[]"),
        ({"body": ""}, 200, ""),
        ({"body": "<html>", "status": 207}, 207, "<html>"),
        ({"body": '{"message": "Not in your plan."}', "status": 403}, 403, '{"message": "Not in your plan."}'),
        ({"status": 302, "headers": {"location": "http://127.0.0.1:9/"}}, 302, ""),
        ({"status": 307, "headers": {"Location": "http://127.0.0.1:9/"}, "body": "moved"}, 307, "moved"),
    ],
)
def test_a_reply_is_replaced(api: Api, rule: dict[str, Any], status: int, text: str) -> None:
    api.sandbox.faults([rule])
    reply = api.get(LIST, allow_redirects=False)
    assert (reply.status_code, reply.text) == (status, text)
    assert reply.headers["content-type"].startswith("text/html" if text.startswith("<") else "application/json")
    assert reply.headers.get("location") == ("http://127.0.0.1:9/" if status in (302, 307) else None)


def test_a_wrong_hublet_is_answered_as_json(api: Api) -> None:
    api.sandbox.faults([{"status": 488, "nth": 1}])
    assert (api.get(LIST).status_code, api.get(LIST).status_code) == (488, 200)


def test_half_a_body_has_the_length_of_a_whole_one(api: Api) -> None:
    whole = api.get(LIST).text
    api.sandbox.faults([{"cut": "short"}])
    assert api.get(LIST).text == whole[: len(whole) // 2]


EDITS: tuple[tuple[dict[str, Any], Any], ...] = (
    ({"edit": {"results": None}}, lambda page: page["results"] is None),
    ({"edit": {"results": []}}, lambda page: page["results"] == [] and page["paging"]),
    ({"edit": {"results.*.id": 5}}, lambda page: [row["id"] for row in page["results"]] == [5, 5]),
    ({"edit": {"results.0.properties": None}}, lambda page: page["results"][0]["properties"] is None),
    ({"edit": {"results.9.id": 5}}, lambda page: len(page["results"]) == 2),
    ({"edit": {"paging": {"next": {"after": "7"}}}}, lambda page: page["paging"]["next"]["after"] == "7"),
    ({"remove": ["paging"]}, lambda page: "paging" not in page),
    ({"remove": ["results.-1", "paging.next.after"]}, lambda page: len(page["results"]) == 1),
    ({"remove": ["results.*"]}, lambda page: page["results"] == []),
    ({"remove": ["results.*.properties.email", "nothing.at.all"]}, lambda page: len(page["results"]) == 2),
)


@pytest.mark.parametrize(("rule", "holds"), EDITS, ids=[str(rule) for rule, _ in EDITS])
def test_fields_of_a_reply_are_changed_or_removed(api: Api, rule: dict[str, Any], holds: Any) -> None:
    api.sandbox.faults([rule])
    assert holds(api.get("/crm/v3/objects/contacts?limit=2").json())
    api.sandbox.faults([rule, {"status": 502}])
    assert api.get(LIST).status_code == 200, "the first rule that fires wins"


def test_headers_are_set_and_left_out(api: Api) -> None:
    api.sandbox.faults([{"headers": {"X-HubSpot-RateLimit-Max": "0", "x-hubspot-correlation-id": None}}])
    reply = api.get(LIST)
    assert reply.headers["x-hubspot-ratelimit-max"] == "0"
    assert "x-hubspot-correlation-id" not in reply.headers


@pytest.mark.parametrize(("rule", "size"), [({"gzip": True}, 0), ({"bombMegabytes": 3}, 3_000_000)])
def test_a_body_comes_as_gzip_and_may_become_large(api: Api, rule: dict[str, Any], size: int) -> None:
    whole = api.get(LIST).content
    api.sandbox.faults([rule])
    reply = api.get(LIST)
    assert reply.content == b" " * size + whole
    assert int(reply.headers["content-length"]) < len(whole) + size // 2


def test_a_dripping_reply_is_complete_in_the_end(api: Api) -> None:
    api.sandbox.faults([{"dripSeconds": 0.01, "body": "{    }"}])
    started = time.monotonic()
    assert api.get(LIST).json() == {}
    assert time.monotonic() - started >= 0.04


@pytest.mark.parametrize("rule", [{"endless": "body"}, {"endless": "body", "dripSeconds": 0.001}])
def test_an_endless_body_goes_on_until_the_client_leaves(api: Api, rule: dict[str, Any]) -> None:
    api.sandbox.faults([rule])
    with api.get(LIST, stream=True) as reply:
        got = sum(len(piece) for piece, _ in zip(reply.iter_content(1), range(2_000), strict=False))
    assert got == 2_000
    api.sandbox.faults([])
    assert len(api.get(LIST).content) < 2_000


def test_an_endless_head_goes_on_until_the_client_leaves(api: Api) -> None:
    api.sandbox.faults([{"endless": "head", "dripSeconds": 0.001}])
    host, port = api.sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(f"GET {LIST} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = b"".join(connection.recv(100) for _ in range(100))
    assert head.startswith(b"HTTP/1.1 200 OK\r\nX-Endless: xx")
    assert b"\r\n\r\n" not in head
    api.sandbox.faults([])
    assert api.get(LIST).status_code == 200
