"""Runs of `pytest tests/live` as a user starts them: skipped, against a portal, and with a failure."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hubspot_sandbox.control.pytest_plugin import RunningSandbox
from tests.live.conftest import skip_reason
from tests.live.open_points import QUESTIONS

ROOT = Path(__file__).parents[3]


def run_live(arguments: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run tests/live as a user does."""
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


def test_by_default_every_check_is_skipped_with_a_reason() -> None:
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
    actual = skip_reason(env)
    assert actual is None if reason is None else reason in (actual or "")
