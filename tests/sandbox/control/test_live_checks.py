"""The checks of tests/live against the sandbox, where the right answers are known: all values of all quirks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from hubspot_sandbox.behaviour.quirks import QUIRKS
from hubspot_sandbox.control.pytest_plugin import RunningSandbox
from tests.live.api_client import Reply
from tests.live.open_points import NOT_ASKED, QUESTIONS, answered
from tests.live.questions_of_associations import consequence
from tests.live.sheet import Answer, markdown
from tests.live.survey import Survey
from tests.live.tap_run import TapRun

BY_NAME = {question.name: question for question in QUESTIONS}
VALIDATION, PLAIN = "HTTP 400 VALIDATION_ERROR", "HTTP 400 without a category"
BATCHES = f"batch read of 101: {VALIDATION}; associations of 1,001: {VALIDATION}"
REPORT = "REPORT THIS"
DIVISIONS = "2-37778609"

# (question, quirks, answer, a part of what the tap does)
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
    ("search-pages", {}, "none seen", "retries"),
    ("search-pages", {"short-search-pages": "2"}, "yes: short", "retries"),
    ("search-pages", {"empty-search-pages": "2"}, "yes: empty", "retries"),
    ("search-pages", {"short-search-pages": "2", "empty-search-pages": "3"}, "yes: short and empty", "retries"),
    ("modified-property", {}, "yes", "searches changes by it"),
    (
        "modified-property",
        {"unlisted-properties": "hs_lastmodifieddate"},
        "no: not for appointments, deals, custom object 1",
        REPORT,
    ),
]


def answer_of(name: str, survey: Survey) -> Answer:
    return answered(BY_NAME[name], survey)


@pytest.mark.parametrize(("name", "switches", "answer", "product"), CASES, ids=lambda value: str(value)[:50])
def test_every_value_of_a_quirk_has_its_answer(
    portal: RunningSandbox, survey: Survey, name: str, switches: dict[str, str], answer: str, product: str
) -> None:
    portal.settings(quirks=switches)
    archived = next(iter(portal.truth("divisions")))["id"]
    portal.mutate([{"kind": "archive", "type": "divisions", "id": archived}])
    row = answer_of(name, survey)
    assert row.answer == answer
    assert product in row.product


def test_every_value_of_every_quirk_has_a_case() -> None:
    assert {quirk.name for quirk in QUIRKS} == {name for question in QUESTIONS for name in question.quirks} | NOT_ASKED
    tried = {(name, value) for _, switches, _, _ in CASES for name, value in switches.items()}
    for quirk in QUIRKS:
        if quirk.name not in NOT_ASKED:
            values = set(quirk.values) - {quirk.default} or {value for name, value in tried if name == quirk.name}
            assert values
            assert {(quirk.name, value) for value in values} <= tried
    assert {name for name, _, _, _ in CASES} | {"index-lag"} == set(BY_NAME)


def test_an_archived_id_is_asked_for_if_there_is_one(portal: RunningSandbox, survey: Survey) -> None:
    deal = next(iter(portal.truth("deals")))["id"]
    assert "no archived record" in answer_of("dead-id", survey).answer
    portal.mutate([{"kind": "archive", "type": "deals", "id": deal}])
    assert "no archived record" not in answered(BY_NAME["dead-id"], Survey(survey.client)).answer


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
def test_a_reply_to_a_dead_id_that_the_tap_cannot_handle_is_to_be_reported(
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
def test_the_index_lag_is_measured_by_what_the_index_lacks(
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
    row = answer_of("index-lag", survey)
    assert plain(row.answer, about=changed_seconds_ago) == answer
    assert product in row.product


def test_the_first_record_may_have_a_change_that_the_index_lacks(portal: RunningSandbox, survey: Survey) -> None:
    """The reply has its current date, but its place comes from an older one."""
    deal = next(iter(portal.truth("deals")))["id"]
    for seconds_ago, lag_seconds in ((4_000, 0), (600, 1_800)):
        portal.settings(indexLagSeconds=lag_seconds)
        with past(portal, seconds_ago):
            portal.mutate([{"kind": "edit", "type": "deals", "id": deal, "properties": {"dealname": "changed"}}])
    assert plain(answer_of("index-lag", survey).answer, about=600) == "at least {} s"


@contextmanager
def past(portal: RunningSandbox, seconds: int) -> Iterator[None]:
    """Inside, changes get a time this number of seconds ago."""
    portal.clock.advance(-seconds)
    yield
    portal.clock.advance(seconds)


def plain(answer: str, *, about: int) -> str:
    """Return an answer with `{}` for the number of seconds, if it is about right."""
    match = re.search(r"([\d,]+) s\b", answer)
    if match is None or abs(int(match[1].replace(",", "")) - about) > 45:
        return answer
    return answer.replace(match[1], "{}")


def test_an_empty_portal_is_no_failure(
    sandbox_factory: Callable[..., RunningSandbox], surveyed: Callable[..., Survey]
) -> None:
    sizes = dict.fromkeys(("contacts", "companies", "deals", "tickets", "appointments", "divisions", "associations"), 0)
    survey = surveyed(sandbox_factory(**sizes, tier="unlimited"))
    answers = {question.name: answered(question, survey) for question in QUESTIONS}
    known = {name for name, answer in answers.items() if answer.is_known}
    assert known == {"search-too-far", "over-limit", "deal-to-appointment", "archived", "modified-property"}
    assert all(answer.product for answer in answers.values())


def test_a_token_without_scopes_is_no_failure(portal: RunningSandbox, survey: Survey) -> None:
    scopes = [f"crm.{part}.{name}.read" for part in ("objects", "schemas") for name in ("contacts", "deals")]
    scopes += [f"crm.{part}.{name}.read" for part in ("objects", "schemas") for name in ("appointments", "custom")]
    portal.settings(withoutScopes=scopes)
    answers = {question.name: answered(question, survey) for question in QUESTIONS}
    assert [name for name, answer in answers.items() if answer.is_known] == []
    assert answers["over-limit"].answer == "unknown: needs a token with more scopes"


def test_all_questions_together_take_few_requests(portal: RunningSandbox, survey: Survey) -> None:
    for question in QUESTIONS:
        answered(question, survey)
    assert portal.log()["total"] <= 70


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
