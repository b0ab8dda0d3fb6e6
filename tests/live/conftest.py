"""Checks against a real HubSpot portal: skipped unless asked for, and the answer sheet at the end of the run.

They run with USE_LIVE_HUBSPOT_API=true and HUBSPOT_TEST_API_TOKEN, read only, one after the other in one process.
HUBSPOT_TEST_API_URL names another address than HubSpot's own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live.asking import Asking, CannotAskError
from tests.live.read_only import ReadOnlySession, Spent
from tests.live.sheet import Answer, text_lines, write
from tests.live.survey import Survey

API_URL = (os.environ.get("HUBSPOT_TEST_API_URL") or "https://api.hubapi.com").rstrip("/")
TOKEN = os.environ.get("HUBSPOT_TEST_API_TOKEN", "").strip()
HERE = Path(__file__).parent
ANSWER, REQUESTS = "answer", "requests"


def why_skipped(env: Mapping[str, str] = os.environ) -> str | None:
    """Return what is missing for a run against a real portal; None when nothing is."""
    if env.get("USE_LIVE_HUBSPOT_API", "").strip().lower() not in {"true", "1", "yes"}:
        return "reads a real HubSpot portal: set USE_LIVE_HUBSPOT_API=true and HUBSPOT_TEST_API_TOKEN"
    return None if env.get("HUBSPOT_TEST_API_TOKEN", "").strip() else "HUBSPOT_TEST_API_TOKEN is not set"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file of the answer sheet."""
    parser.addoption(
        "--answer-sheet", type=Path, metavar="FILE", help="write the answer sheet there: JSON for *.json, else Markdown"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Show no values of variables in tracebacks, as they may be a token or records."""
    if not why_skipped():
        config.option.tbstyle = "short"
        config.option.showlocals = config.option.fulltrace = False


def pytest_xdist_auto_num_workers() -> int | None:
    """Keep live checks in one process: requests follow each other, and nothing is asked twice."""
    return None if why_skipped() else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the checks in this folder unless they are asked for."""
    if reason := why_skipped():
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def spent() -> Spent:
    """What the checks spend together."""
    return Spent()


@pytest.fixture(scope="session")
def survey(spent: Spent) -> Iterator[Survey]:
    """The portal, asked through a session that can only read."""
    with ReadOnlySession(API_URL, spent) as session:
        found = Survey(Asking(API_URL, TOKEN, session))
        try:
            _ = found.schemas
        except CannotAskError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
        yield found


@pytest.fixture(scope="session")
def only_reads(spent: Spent) -> Iterator[None]:
    """Every session of this process, the tap's too, can only read while this is in use."""
    with pytest.MonkeyPatch.context() as patch:
        guard, send = ReadOnlySession(API_URL, spent), requests.Session.send

        def checked(session: requests.Session, request: requests.PreparedRequest, **more: Any) -> requests.Response:
            guard.check(request)
            return send(session, request, **more)

        patch.setattr("tap_hubspot_dw.http.transport._Session.send", checked)
        for module in (requests, requests.sessions):
            patch.setattr(module, "Session", lambda: ReadOnlySession(API_URL, spent))
        yield


@pytest.fixture(autouse=True)
def _requests_told(spent: Spent, record_property: Callable[[str, Any], None]) -> Iterator[None]:
    yield
    record_property(REQUESTS, spent.requests)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the answer sheet of the questions that were asked, and write it where wanted."""
    told: list[dict[str, Any]] = [
        dict(report.user_properties)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
    ]
    rows = {each[ANSWER]["number"]: Answer(**each[ANSWER]) for each in told if ANSWER in each}
    answers = [rows[number] for number in sorted(rows)]
    if answers:
        terminalreporter.section("answer sheet")
        for line in text_lines(answers, shutil.get_terminal_size((140, 0)).columns):
            terminalreporter.write_line(line)
    if spent := [each[REQUESTS] for each in told if REQUESTS in each]:
        known = sum(answer.is_known for answer in answers)
        terminalreporter.write_line(f"{known} of {len(answers)} answered; {max(spent)} requests, all of them reads.")
    if answers and (file := config.getoption("--answer-sheet", None)):
        write(answers, file)
        terminalreporter.write_line(f"Written to {file}.")
