"""Refusals of every shape: HubSpot is quoted in one line, and only a refusal that names a scope is a missing scope."""

from __future__ import annotations

import itertools
import json
import logging
from functools import partial

import pytest

from tap_hubspot_dw.errors import ForbiddenError, HubSpotError, MissingScopesError
from tap_hubspot_dw.http.auth import StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.http.replies import Answer, check_association_errors, check_batch_errors, refusal, throttle_seconds
from tap_hubspot_dw.http.traffic import Traffic
from tests.tap.running import run_tap

LIST = "/crm/objects/2026-09/0-1"
SCOPE = "crm.objects.contacts.read"
EVIL = "no\x1b[2Jthing\r\n2026-11-30 | INFO | all is well\u202e\u2028\x9b1A\x00"

# body, whether it is a missing scope, what is quoted
FORBIDDEN = [
    ({"category": "MISSING_SCOPES", "errors": [{"context": {"requiredGranularScopes": [SCOPE]}}]}, True, SCOPE),
    ({"message": "No.", "errors": [{"context": {"requiredScopes": [SCOPE, "other"]}}]}, True, f"{SCOPE} or other"),
    ({"message": "No.", "errors": [{"context": {"requiredScopes": SCOPE}}]}, True, SCOPE),
    ({"message": "No.", "context": {"requiredGranularScopes": [SCOPE]}}, True, SCOPE),
    ({"message": "Ask your admin.", "category": "MISSING_SCOPES"}, True, '"Ask your admin"'),
    ({"message": "Your plan has no custom objects."}, False, '"Your plan has no custom objects"'),
    ({"message": "Your plan is too small.", "category": "FEATURE_GATED"}, False, "category FEATURE_GATED"),
    ({"message": "You do not have permissions to view_schema (requires one of [x])"}, False, "requires one of [x]"),
    ({"errors": ["Not on your tier"]}, False, '"Not on your tier"'),
    ({"errors": [{"message": "Gated"}]}, False, '"Gated"'),
    ({"errors": "Gated"}, False, '"Gated"'),
    ({}, False, "without a message"),
    ("<html><title>Attention Required! | Cloudflare</title></html>", False, '"Attention Required! | Cloudflare"'),
    ("<html>", False, "without a message"),
    ("", False, "without a message"),
]


@pytest.mark.parametrize(("body", "is_scope", "quoted"), FORBIDDEN, ids=[str(row[0])[:50] for row in FORBIDDEN])
def test_a_403_quotes_hubspot_and_is_a_missing_scope_only_if_it_names_one(clean_portal, body, is_scope, quoted):
    logger = logging.getLogger("test")
    client = Client(clean_portal.url, StaticToken(clean_portal.token), timeout_seconds=5, user_agent="x", logger=logger)
    clean_portal.faults([{"status": 403, "body": body if isinstance(body, str) else json.dumps(body)}])
    traffic = Traffic()
    with pytest.raises(ForbiddenError) as raised:
        client.get(LIST, traffic=traffic)
    assert isinstance(raised.value, MissingScopesError) == is_scope
    assert ("the token lacks" in str(raised.value)) == is_scope
    assert quoted in str(raised.value)
    assert traffic.requests == 1


def test_a_refused_feature_fails_only_its_stream(clean_portal, tmp_path):
    body = json.dumps({"message": "Deals are not in your plan."})
    clean_portal.faults([{"match": "list deals", "status": 403, "body": body}])
    settings = {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["deals", "divisions"]}
    run = run_tap(tmp_path, settings | {"associations": False})
    assert run.returncode == 1
    assert "deals: HubSpot refuses GET" in run.log
    assert '(HTTP 403): "Deals are not in your plan".' in run.log
    assert "scope" not in run.log
    assert len(run.records("divisions")) == 6


ODD = [None, 5, True, "text", EVIL, [], {}, ["text"], [None], [[]], [{}], {"a": 1}, [{"context": ["x"]}], 1e308]
ODD += [[{"context": {"requiredScopes": [5, None, EVIL]}}], [{"message": {"a": 1}, "context": {"ids": 5}}]]
BODIES = [b"", b"null", b"[]", b"5", b'"x"', b"[" * 100_000, b'{"a":', b"\xff\xfe", EVIL.encode(), b"NaN"]
BODIES += [json.dumps({name: value}).encode() for name in ("message", "errors", "category", "correlationId", "context",
           "errorType", "policyName", "status") for value in ODD]  # fmt: skip


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 414, 500])
def test_an_error_of_any_shape_is_one_line_without_control_characters(status):
    for body, header in itertools.product(BODIES, ("", EVIL)):
        answer = Answer(status, {"X-HubSpot-Correlation-Id": header}, body)
        text = str(refusal(answer, "GET /x"))
        assert text.isprintable(), body


@pytest.mark.parametrize("errors", ODD, ids=lambda errors: ascii(errors)[:40])
def test_errors_of_any_shape_in_a_batch_are_an_error_or_none(errors):
    for check in (check_batch_errors, partial(check_association_errors, to_name="y")):
        if not errors:
            check({"errors": errors}, "x")
        else:
            with pytest.raises(HubSpotError) as raised:
                check({"errors": errors}, "x")
            assert str(raised.value).isprintable()


def test_a_429_of_any_shape_says_how_long_to_wait():
    for name, value in itertools.product(("policyName", "message", "errors"), ODD):
        assert throttle_seconds({name: value}) in {1.0, 2.0}


def test_nothing_that_hubspot_says_reaches_the_terminal_as_a_command(clean_portal, tmp_path):
    """Neither in the log nor in the history, and no line is forged."""
    name = f"prop{EVIL}"
    clean_portal.mutate([{"kind": "define-property", "type": "deals", "name": name, "propertyType": "number"}])
    first = next(iter(clean_portal.truth("deals")))["id"]
    clean_portal.mutate([{"kind": "edit", "type": "deals", "id": first, "properties": {name: "not a number"}}])
    body = json.dumps({"message": EVIL, "category": EVIL, "correlationId": EVIL})
    clean_portal.faults([
        {"match": "list contacts", "status": 400, "body": body},
        {"match": "owners", "status": 403, "body": body},
        {"match": "list deals archived", "headers": {"sunset": "soon\x9b2J"}},
        {"match": "pipelines divisions", "status": 403, "body": body},
    ])  # fmt: skip
    settings = {
        "api_url": clean_portal.url,
        "access_token": clean_portal.token,
        "objects": ["deals", "contacts", "divisions"],
    }
    run = run_tap(tmp_path, settings | {"associations": False})
    assert run.returncode == 1
    assert all(line.isprintable() for line in run.log.split("\n")), [
        x for x in run.log.split("\n") if not x.isprintable()
    ]
    assert not any(line.startswith("2026-11-30 | INFO | all is well") for line in run.log.split("\n"))
    errors = [each["error"] for each in run.records("sync_history") if each["error"]]
    assert len(errors) == 2
    assert all(each.isprintable() for each in errors)
