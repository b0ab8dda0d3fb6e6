"""The checks of tests/live, proven where the right answers are known: each switch of the sandbox, each way."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hubspot_sandbox.pytest_plugin import RunningSandbox
from hubspot_sandbox.quirks import QUIRKS
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tests.live.asking import Asking, CannotAskError, Reply
from tests.live.conftest import why_skipped
from tests.live.open_points import NOT_ASKED, QUESTIONS, answered
from tests.live.questions_of_associations import consequence
from tests.live.read_only import NotAReadError, ReadOnlySession, Spent
from tests.live.sheet import Answer, markdown
from tests.live.survey import Survey
from tests.live.tap_run import TapRun

ROOT = Path(__file__).parents[2]
BY_NAME = {question.name: question for question in QUESTIONS}
VALIDATION, PLAIN = "HTTP 400 VALIDATION_ERROR", "HTTP 400 without a category"
BATCHES = f"batch read of 101: {VALIDATION}; associations of 1,001: {VALIDATION}"
REPORT = "REPORT THIS"
DIVISIONS = "2-37778609"

# (question, switches, the answer, part of what the tap does)
CASES: list[tuple[str, dict[str, str], str, str]] = [
    ("to-object-id", {}, "text", "reads either"),
    ("to-object-id", {"to-object-id": "string"}, "text", "reads either"),
    ("to-object-id", {"to-object-id": "number"}, "number", "reads either"),
    ("search-too-far", {}, VALIDATION, "never asks beyond"),
    ("search-too-far", {"error-bodies": "plain"}, PLAIN, "never asks beyond"),
    ("over-limit", {}, VALIDATION, "never asks for more"),
    (
        "over-limit",
        {"error-bodies": "plain"},
        f"list of 101: {PLAIN}; search of 201: {PLAIN}; {BATCHES}",
        "never asks for more",
    ),
    (
        "over-limit",
        {"over-limit": "clamp"},
        f"list of 101: silently cut to 100; search of 201: silently cut to 200; {BATCHES}",
        "never asks for more",
    ),
    ("arbitrary-after", {}, "yes: it goes on with the next higher id", "ranges of ids at the same time"),
    ("arbitrary-after", {"arbitrary-after": "reject"}, f"no: {VALIDATION}", "cursor alone"),
    ("arbitrary-after", {"list-cursor": "opaque"}, f"no: {VALIDATION}", "cursor alone"),
    ("association-page", {}, "500", "follows the cursor"),
    ("association-page", {"association-page": "7"}, "7", "follows the cursor"),
    ("batch-order", {}, "as asked", "by id"),
    ("batch-order", {"batch-order": "reversed"}, "as asked, reversed", "by id"),
    ("batch-order", {"batch-order": "id"}, "by id", "by id"),
    (
        "dead-id",
        {},
        "no: errors of the reply (crm.associations.NO_ASSOCIATIONS_FOUND)",
        "as a record without associations",
    ),
    ("dead-id", {"dead-id-in-association-batch": "400"}, f"yes: {VALIDATION}", "halves a refused batch"),
    ("deal-to-appointment", {}, "945", "writes the type"),
    ("deal-to-appointment", {"deal-to-appointment-type": "1943"}, "1943", "writes the type"),
    ("archived", {}, "appointments: yes; custom object 1: yes", "marks deletions at every run"),
    (
        "archived",
        {"archived-unsupported": "0-421"},
        "appointments: no; custom object 1: yes",
        "appointments: a warning at every run",
    ),
    (
        "archived",
        {"archived-unsupported": f"0-421,{DIVISIONS}"},
        "appointments: no; custom object 1: no",
        "appointments, custom object 1: a warning at every run",
    ),
    ("list-cursor", {}, "yes", "ranges of ids at the same time"),
    ("list-cursor", {"list-cursor": "opaque"}, "no: an opaque text", "cursor alone"),
    ("search-pages", {}, "none seen", "asks again"),
    ("search-pages", {"short-search-pages": "2"}, "yes: short", "asks again"),
    ("search-pages", {"empty-search-pages": "2"}, "yes: empty", "asks again"),
    ("search-pages", {"short-search-pages": "2", "empty-search-pages": "3"}, "yes: short and empty", "asks again"),
    ("modified-property", {}, "yes", "searches changes by it"),
    (
        "modified-property",
        {"unlisted-properties": "hs_lastmodifieddate"},
        "no: not for appointments, deals, custom object 1",
        REPORT,
    ),
]


@pytest.fixture(scope="session")
def _checked(sandbox_factory: Callable[..., RunningSandbox]) -> RunningSandbox:
    sizes = {"contacts": 1_200, "appointments": 60, "deals": 70, "divisions": 3, "contact_properties": 30}
    return sandbox_factory(**sizes, tier="unlimited")


@pytest.fixture
def portal(_checked: RunningSandbox) -> RunningSandbox:
    """A sandbox whose switches the test may set: it is clean when the test starts."""
    _checked.reset()
    return _checked


@pytest.fixture
def surveyed() -> Iterator[Callable[..., Survey]]:
    """`surveyed(portal)` looks at a portal; `sleep` and `token` may be others than usual."""
    with ExitStack() as sessions:

        def made(portal: RunningSandbox, token: str | None = None, **more: Any) -> Survey:
            session = sessions.enter_context(ReadOnlySession(portal.url, Spent()))
            return Survey(Asking(portal.url, token or portal.token, session, **more))

        yield made


@pytest.fixture
def survey(portal: RunningSandbox, surveyed: Callable[..., Survey]) -> Survey:
    return surveyed(portal)


def answer_of(name: str, survey: Survey) -> Answer:
    return answered(BY_NAME[name], survey)


@pytest.mark.parametrize(("name", "switches", "answer", "product"), CASES, ids=lambda each: str(each)[:50])
def test_each_switch_gets_its_own_answer(
    portal: RunningSandbox, survey: Survey, name: str, switches: dict[str, str], answer: str, product: str
) -> None:
    portal.settings(quirks=switches)
    archived = next(iter(portal.truth("divisions")))["id"]
    portal.mutate([{"kind": "archive", "type": "divisions", "id": archived}])
    found = answer_of(name, survey)
    assert found.answer == answer
    assert product in found.product


def test_every_switch_and_each_of_its_values_has_a_case() -> None:
    assert {quirk.name for quirk in QUIRKS} == {each for question in QUESTIONS for each in question.quirks} | NOT_ASKED
    tried = {(name, value) for _, switches, _, _ in CASES for name, value in switches.items()}
    for quirk in QUIRKS:
        if quirk.name not in NOT_ASKED:
            values = set(quirk.values) - {quirk.default} or {value for name, value in tried if name == quirk.name}
            assert values
            assert {(quirk.name, value) for value in values} <= tried
    assert {name for name, _, _, _ in CASES} | {"index-lag"} == set(BY_NAME)


def test_a_dead_id_is_asked_for_where_there_is_one(portal: RunningSandbox, survey: Survey) -> None:
    deal = next(iter(portal.truth("deals")))["id"]
    assert "no archived record" in answer_of("dead-id", survey).answer
    portal.mutate([{"kind": "archive", "type": "deals", "id": deal}])
    assert "no archived record" not in answered(BY_NAME["dead-id"], Survey(survey.asking)).answer


@pytest.mark.parametrize(
    ("status", "errors", "product"),
    [
        (200, [], "takes it as a record without associations"),
        (207, [{"subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}], "takes it as a record without associations"),
        (207, [{"category": "OBJECT_NOT_FOUND"}], REPORT),
        (207, [{"subCategory": "crm.associations.SOMETHING_ELSE"}], REPORT),
        (404, [], REPORT),
    ],
)
def test_what_the_tap_cannot_take_from_a_dead_id_is_to_be_reported(
    status: int, errors: list[dict[str, str]], product: str
) -> None:
    reply = Reply(status, {"errors": errors}, datetime.now(UTC))
    assert product in consequence([reply])


@pytest.mark.parametrize(
    ("lag_seconds", "changed_seconds_ago", "kind", "answer", "product"),
    [
        (0, 60, "edit", "nothing is missing; a change {} s old is in it", "reads 60 minutes again"),
        (1_800, 600, "edit", "at least {} s", "reads 60 minutes again"),
        (1_800, 600, "create", "at least {} s", "reads 60 minutes again"),
        (9_000, 7_200, "edit", "at least {} s", "SET lookback_minutes WELL ABOVE"),
        (0, 7_200, "edit", "unknown: needs a record created or edited within the last hour", "reads 60 minutes"),
    ],
)
def test_the_index_lag_is_seen_by_what_the_index_lacks(
    portal: RunningSandbox,
    survey: Survey,
    lag_seconds: int,
    changed_seconds_ago: int,
    kind: str,
    answer: str,
    product: str,
) -> None:
    portal.settings(indexLagSeconds=lag_seconds)
    with past(portal, changed_seconds_ago):
        edited = {"id": next(iter(portal.truth("deals")))["id"]} if kind == "edit" else {}
        portal.mutate([{"kind": kind, "type": "deals", **edited, "properties": {"dealname": "changed"}}])
    found = answer_of("index-lag", survey)
    assert plain(found.answer, about=changed_seconds_ago) == answer
    assert product in found.product


def test_a_record_that_stands_first_may_have_changed_again_unnoticed(portal: RunningSandbox, survey: Survey) -> None:
    """Its present date is in the reply, but it stands there by an older one."""
    deal = next(iter(portal.truth("deals")))["id"]
    for seconds_ago, lag_seconds in ((4_000, 0), (600, 1_800)):
        portal.settings(indexLagSeconds=lag_seconds)
        with past(portal, seconds_ago):
            portal.mutate([{"kind": "edit", "type": "deals", "id": deal, "properties": {"dealname": "changed"}}])
    assert plain(answer_of("index-lag", survey).answer, about=600) == "at least {} s"


@contextmanager
def past(portal: RunningSandbox, seconds: int) -> Iterator[None]:
    """What is changed inside was changed so many seconds ago."""
    portal.clock.advance(-seconds)
    yield
    portal.clock.advance(seconds)


def plain(answer: str, *, about: int) -> str:
    """Return an answer with `{}` for the number of seconds, which is near the right one."""
    found = re.search(r"([\d,]+) s\b", answer)
    if found is None or abs(int(found[1].replace(",", "")) - about) > 45:
        return answer
    return answer.replace(found[1], "{}")


def test_an_empty_portal_is_no_failure(
    sandbox_factory: Callable[..., RunningSandbox], surveyed: Callable[..., Survey]
) -> None:
    sizes = dict.fromkeys(("contacts", "companies", "deals", "tickets", "appointments", "divisions", "associations"), 0)
    survey = surveyed(sandbox_factory(**sizes, tier="unlimited"))
    found = {each.name: answered(each, survey) for each in QUESTIONS}
    known = {name for name, answer in found.items() if answer.is_known}
    assert known == {"search-too-far", "over-limit", "deal-to-appointment", "archived", "modified-property"}
    assert all(answer.product for answer in found.values())


def test_a_token_without_scopes_is_no_failure(portal: RunningSandbox, survey: Survey) -> None:
    scopes = [f"crm.{part}.{name}.read" for part in ("objects", "schemas") for name in ("contacts", "deals")]
    scopes += [f"crm.{part}.{name}.read" for part in ("objects", "schemas") for name in ("appointments", "custom")]
    portal.settings(withoutScopes=scopes)
    found = {each.name: answered(each, survey) for each in QUESTIONS}
    assert [name for name, answer in found.items() if answer.is_known] == []
    assert found["over-limit"].answer == "unknown: needs a token with more scopes"


def test_all_questions_together_take_few_requests(portal: RunningSandbox, survey: Survey) -> None:
    for question in QUESTIONS:
        answered(question, survey)
    assert portal.log()["total"] <= 70


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
def test_what_is_no_read_is_refused_before_it_is_sent(portal: RunningSandbox, method: str, path: str) -> None:
    with ReadOnlySession(portal.url, Spent()) as session, pytest.raises(NotAReadError):
        session.request(method, path if path.startswith("http") else portal.url + path, timeout=5)
    assert portal.log()["total"] == 0


def test_more_requests_than_allowed_are_refused(portal: RunningSandbox) -> None:
    owners = f"{portal.url}/crm/owners/2026-09"
    with ReadOnlySession(portal.url, Spent(most_requests=1)) as session:
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
def test_trouble_that_passes_is_waited_for(
    portal: RunningSandbox, surveyed: Callable[..., Survey], fault: dict[str, Any], waits: list[float]
) -> None:
    portal.faults([{"match": "list", "nth": 1, **fault}])
    waited: list[float] = []
    survey = surveyed(portal, sleep=waited.append)
    assert survey.page(STANDARD_TYPES["contacts"]).is_good
    assert waited == waits


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 429, "policy": "DAILY"}, "daily requests are used up"),
        ({"status": 477, "retryAfter": 3600}, "asks to wait 3600 seconds"),
        ({"status": 401}, "does not accept HUBSPOT_TEST_API_TOKEN"),
    ],
)
def test_trouble_that_stays_ends_the_checks_with_a_sentence(
    portal: RunningSandbox, survey: Survey, fault: dict[str, Any], told: str
) -> None:
    portal.faults([{"match": "list", **fault}])
    with pytest.raises(CannotAskError, match=told) as caught:
        answer_of("list-cursor", survey)
    assert portal.token not in str(caught.value)


def test_the_pace_stays_within_hubspots_limits(portal: RunningSandbox, survey: Survey) -> None:
    portal.settings(tier="free")
    assert survey.schemas.is_good
    assert {survey.asking.post("search", {"type": "0-1"}, {"limit": 1}).status for _ in range(7)} == {200}
    assert "429" not in portal.log()["byStatus"]


def test_a_misfit_names_the_property_and_the_rule_and_no_value() -> None:
    schema = {"type": "object", "properties": {"id": {"type": ["string"]}, "born": {"type": ["string", "null"]}}}
    messages = [
        {"type": "SCHEMA", "stream": "contacts", "schema": schema, "key_properties": ["id"]},
        {"type": "RECORD", "stream": "contacts", "record": {"id": None, "born": 19_700_101, "extra": "secret"}},
        {"type": "RECORD", "stream": "contacts", "record": {"id": "51", "born": "1970-01-01"}},
    ]
    run = TapRun(messages, {})
    assert run.misfits("contacts") == ["born: type", "extra: not in the schema", "id: missing or null", "id: type"]
    assert "secret" not in repr(run)


def test_the_sheet_is_a_markdown_table() -> None:
    answer = Answer(1, "Which?", "a | b", "HTTP 200", "nothing")
    assert markdown([answer]).splitlines() == [
        "| # | question | answer | evidence | product |",
        "| --- | --- | --- | --- | --- |",
        "| 1 | Which? | a \\| b | HTTP 200 | nothing |",
    ]


def run_live(arguments: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run tests/live as a person does."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("HUBSPOT_", "USE_LIVE", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "tests/live", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean | env, capture_output=True, text=True, timeout=120)


def live_env(portal: RunningSandbox) -> dict[str, str]:
    return {
        "USE_LIVE_HUBSPOT_API": "true",
        "HUBSPOT_TEST_API_TOKEN": portal.token,
        "HUBSPOT_TEST_API_URL": portal.url,
    }


def test_a_run_against_a_portal_prints_its_sheet_and_nothing_of_its_records(
    portal: RunningSandbox, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.json"
    talkative = ["-o", "log_cli=true", "-o", "log_cli_level=DEBUG", "-rA"]
    run = run_live(["--answer-sheet", str(sheet), *talkative], **live_env(portal))
    assert run.returncode == 0, run.stdout
    rows = json.loads(sheet.read_text())
    assert [row["number"] for row in rows] == [question.number for question in QUESTIONS]
    spent = portal.log()["total"]
    assert f"12 of 13 answered; {spent} requests, all of them reads." in run.stdout
    assert spent <= 150
    for row in rows:
        assert row["question"].split()[0] in run.stdout
    shown = run.stdout + run.stderr + sheet.read_text()
    assert portal.token not in shown
    for record in portal.truth("contacts"):
        assert (record["properties"].get("email") or portal.token) not in shown


def test_what_the_tap_cannot_read_fails_the_run(portal: RunningSandbox) -> None:
    portal.settings(quirks={"unlisted-properties": "hs_lastmodifieddate"})
    run = run_live(
        ["-k", "bookmark or archived", "--showlocals", "--full-trace"], **live_env(portal), HUBSPOT_TEST_OBJECTS="deals"
    )
    assert run.returncode == 1
    assert "HubSpot lists no property hs_lastmodifieddate" in run.stdout
    assert "1 of 1 answered" in run.stdout
    assert portal.token not in run.stdout + run.stderr


def test_without_being_asked_for_every_check_is_skipped_with_a_reason() -> None:
    run = run_live(["-n", "0"])
    assert run.returncode == 0
    assert "reads a real HubSpot portal: set USE_LIVE_HUBSPOT_API=true and HUBSPOT_TEST_API_TOKEN" in run.stdout
    assert re.fullmatch(r"=+ \d+ skipped in .*=+", run.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({}, "USE_LIVE_HUBSPOT_API=true"),
        ({"USE_LIVE_HUBSPOT_API": "false", "HUBSPOT_TEST_API_TOKEN": "x"}, "USE_LIVE_HUBSPOT_API=true"),
        ({"USE_LIVE_HUBSPOT_API": "true"}, "HUBSPOT_TEST_API_TOKEN is not set"),
        ({"USE_LIVE_HUBSPOT_API": "true", "HUBSPOT_TEST_API_TOKEN": " "}, "HUBSPOT_TEST_API_TOKEN is not set"),
        ({"USE_LIVE_HUBSPOT_API": "true", "HUBSPOT_TEST_API_TOKEN": "x"}, None),
    ],
)
def test_a_skip_says_what_is_missing(env: dict[str, str], reason: str | None) -> None:
    said = why_skipped(env)
    assert said is None if reason is None else reason in (said or "")
