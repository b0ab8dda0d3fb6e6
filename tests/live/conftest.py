"""Checks against a real HubSpot portal, skipped by default, and the answer sheet at the end of the run.

They run with USE_LIVE_HUBSPOT_API=true and HUBSPOT_TEST_API_TOKEN. They only read, one after the other in one process.
HUBSPOT_TEST_API_URL sets another address than HubSpot's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live.api_client import ApiClient, CannotAskError
from tests.live.read_only import ReadOnlySession, RequestBudget
from tests.live.sheet import Answer, text_lines, write
from tests.live.survey import Survey

API_URL = (os.environ.get("HUBSPOT_TEST_API_URL") or "https://api.hubapi.com").rstrip("/")
TOKEN = os.environ.get("HUBSPOT_TEST_API_TOKEN", "").strip()
HERE = Path(__file__).parent
ANSWER, REQUESTS = "answer", "requests"


def skip_reason(env: Mapping[str, str] = os.environ) -> str | None:
    """Return what is missing for a run against a real portal, None if nothing is missing."""
    if env.get("USE_LIVE_HUBSPOT_API", "").strip().lower() not in {"true", "1", "yes"}:
        return "reads a real HubSpot portal: set USE_LIVE_HUBSPOT_API=true and HUBSPOT_TEST_API_TOKEN"
    return None if env.get("HUBSPOT_TEST_API_TOKEN", "").strip() else "HUBSPOT_TEST_API_TOKEN is not set"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the file of the answer sheet."""
    parser.addoption(
        "--answer-sheet", type=Path, metavar="FILE", help="write the answer sheet there: JSON for *.json, else Markdown"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hide the values of variables in tracebacks: they may be a token or records."""
    if not skip_reason():
        config.option.tbstyle = "short"
        config.option.showlocals = config.option.fulltrace = False


def pytest_xdist_auto_num_workers() -> int | None:
    """Run live checks in one process: requests are sequential, and no request is sent twice."""
    return None if skip_reason() else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the checks in this folder unless a live run is requested."""
    if reason := skip_reason():
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def budget() -> RequestBudget:
    """The request budget of all checks together."""
    return RequestBudget()


@pytest.fixture(scope="session")
def survey(budget: RequestBudget) -> Iterator[Survey]:
    """The portal, through a session that can only read."""
    with ReadOnlySession(API_URL, budget) as session:
        survey = Survey(ApiClient(API_URL, TOKEN, session))
        try:
            _ = survey.schemas
        except CannotAskError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        yield survey


@pytest.fixture(scope="session")
def only_reads(budget: RequestBudget) -> Iterator[None]:
    """Restrict every session of this process, the tap's too, to reads."""
    with pytest.MonkeyPatch.context() as patch:
        guard, send = ReadOnlySession(API_URL, budget), requests.Session.send

        def checked(session: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:
            guard.check(request)
            return send(session, request, **more)

        patch.setattr("tap_hubspot_dw.http.transport._Session.send", checked)
        for module in (requests, requests.sessions):
            patch.setattr(module, "Session", lambda: ReadOnlySession(API_URL, budget))
        yield


@pytest.fixture(autouse=True)
def _record_requests(budget: RequestBudget, record_property: Callable[[str, Any], None]) -> Iterator[None]:
    yield
    record_property(REQUESTS, budget.requests)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the answer sheet, and write it to the file of the option."""
    properties: list[dict[str, Any]] = [
        dict(report.user_properties)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    ]
    rows = {recorded[ANSWER]["number"]: Answer(**recorded[ANSWER]) for recorded in properties if ANSWER in recorded}
    answers = [rows[number] for number in sorted(rows)]
    if answers:
        terminalreporter.section("answer sheet")
        for line in text_lines(answers, shutil.get_terminal_size((140, 0)).columns):
            terminalreporter.write_line(line)
    if requests_sent := [recorded[REQUESTS] for recorded in properties if REQUESTS in recorded]:
        known = sum(answer.is_known for answer in answers)
        terminalreporter.write_line(
            f"{known} of {len(answers)} answered; {max(requests_sent)} requests, all of them reads."
        )
    if answers and (file := config.getoption("--answer-sheet", None)):
        write(answers, file)
        terminalreporter.write_line(f"Written to {file}.")
