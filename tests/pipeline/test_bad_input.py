"""A mistake ends `meltano run` with one sentence and a non-zero exit code; tables and state do not change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from tests.pipeline.project import Project
from tests.tap.running import run_tap

pytestmark = pytest.mark.slow

EL = ("tap-hubspot-dw", "target-warehouse")
UNREACHABLE = "http://127.0.0.1:9"
WRONG_TOKEN, WRONG_PASSWORD = "pat-wrong-and-secret", "hunter2-and-secret"


@pytest.fixture(scope="module")
def portal(sandbox_factory):
    return sandbox_factory(
        contacts=60, appointments=20, divisions=5, deals=30, associations=100, contact_properties=40, tier="unlimited"
    )


@pytest.fixture(scope="module")
def loaded(portal, tmp_path_factory) -> Project:
    """A project after its first run, with its state in a file; tests must not change it."""
    folder = tmp_path_factory.mktemp("loaded")
    project = Project(
        folder,
        TAP_HUBSPOT_DW_API_URL=portal.url,
        TAP_HUBSPOT_DW_ACCESS_TOKEN=portal.token,
        MELTANO_STATE_BACKEND_URI=f"file://{folder}/state",
    )
    project.declare(
        "loaders", "target-warehouse", config={"default_target_schema": "hubspot", "lock_timeout_seconds": 0.5}
    )
    project.run(*EL)
    (folder / "notes").write_text("not a folder")
    return project


def contents(project: Project) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return all rows of all tables and the states of all state ids."""
    tables = project.query("SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE NOT internal")
    states = (project.folder / "state").rglob("*")
    return (
        {name: sorted(project.query(f"SELECT * FROM {name}"), key=str) for (name,) in tables},
        {str(file): file.read_text() for file in states if file.is_file()},
    )


def failing_run(project: Project, *options: str, without: str = "", **env: str) -> str:
    """Run with other settings and return Meltano's log; tables and state must not change."""
    before = contents(project)
    assert len(before[0]) == 11
    assert len(before[1]) == 1
    usual = project.env
    project.env = {name: text for name, text in (usual | env).items() if name != without}
    try:
        log = project.meltano(*options, "run", *EL, code=None).stderr
    finally:
        project.env = usual
    assert contents(project) == before
    assert "status=failure" in log
    assert "Traceback" not in log
    return log


#: Settings of the tap, and the sentence.
TAP_MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a wrong token": ({"access_token": WRONG_TOKEN}, "HubSpot does not accept the token (HTTP 401"),
    "an unknown object": (
        {"objects": ["contacts", "invoicez"]},
        'The portal has no object called "invoicez": correct the setting objects, or pin the id with object_type_ids.',
    ),
    "an unreachable API": ({"api_url": UNREACHABLE}, f"No answer to GET {UNREACHABLE}/crm"),
    "a malformed start date": (
        {"start_date": "2026-02-30"},
        'The setting start_date is "2026-02-30"; write a date such as "2026-01-31"',
    ),
}


@pytest.mark.parametrize(("config", "sentence"), TAP_MISTAKES.values(), ids=TAP_MISTAKES.keys())
def test_meltano_reports_what_the_tap_cannot_do(loaded, portal, config, sentence):
    env = {f"TAP_HUBSPOT_DW_{name.upper()}": v if isinstance(v, str) else json.dumps(v) for name, v in config.items()}
    log = failing_run(loaded, **env)
    assert "returned 1 with stderr" in log  # the tap's own exit code, from discovery
    assert any(line.startswith(sentence) for line in log.splitlines()), log[-3000:]
    assert "Traceback" not in log
    assert portal.token not in log
    assert WRONG_TOKEN not in log


def test_without_a_token_no_request_is_sent_and_nothing_is_loaded(loaded, portal):
    """The environment prod with an empty .env."""
    warehouse = f"duckdb:///{loaded.folder}/warehouse/crm.duckdb"
    requests_before = portal.log()["total"]
    log = failing_run(
        loaded, "--environment=prod", without="TAP_HUBSPOT_DW_ACCESS_TOKEN", WAREHOUSE_URL=warehouse
    )  # fmt: skip
    assert any(line.startswith("No token: set access_token") for line in log.splitlines())
    assert "Traceback" not in log
    assert portal.log()["total"] == requests_before


def test_a_filter_that_matches_no_stream_is_reported_with_its_names(loaded):
    """Meltano ignores the names, but passes its filter to the tap."""
    log = failing_run(loaded, TAP_HUBSPOT_DW__SELECT_FILTER='["contcats"]')
    assert "TAP_HUBSPOT_DW__SELECT_FILTER has contcats, which is the name of no stream and is ignored." in log
    assert "No stream is selected" in log


@pytest.mark.parametrize(("config", "sentence"), TAP_MISTAKES.values(), ids=TAP_MISTAKES.keys())
def test_the_tap_alone_reports_it_and_writes_nothing(portal, tmp_path, config, sentence):
    run = run_tap(tmp_path, {"api_url": portal.url, "access_token": portal.token, **config})
    assert (run.returncode, run.messages) == (1, [])
    assert run.log.count(sentence) == 1
    assert "Traceback" not in run.log
    assert WRONG_TOKEN not in run.log


def target_lines(log: str) -> str:
    """Return the lines of the target itself: Meltano adds tracebacks of its own pipe when a target ends early."""
    return "\n".join(line for line in log.splitlines() if "] target-warehouse " in line)


def test_meltano_reports_a_locked_file(loaded):
    file = loaded.folder / "warehouse" / "crm.duckdb"
    before = contents(loaded)
    lock = duckdb.connect(str(file))
    try:
        done = loaded.meltano("run", *EL, code=None, timeout=90)
    finally:
        lock.close()
    lines = target_lines(done.stderr)
    assert f"Error: The DuckDB file {file} is locked by another process: " in lines
    assert lines.count("Error") == 1
    assert contents(loaded) == before


def test_meltano_reports_a_file_that_cannot_be_written(loaded):
    path = loaded.folder / "notes" / "w.duckdb"
    lines = target_lines(failing_run(loaded, TARGET_WAREHOUSE_WAREHOUSE=f"duckdb:///{path}"))
    assert f"Error: The folder of the DuckDB file {path} cannot be created: " in lines
    assert lines.count("Error") == 1
    assert Path(path.parent).read_text() == "not a folder"


def test_meltano_reports_a_wrong_database_password(loaded, postgres_url):
    wrong = postgres_url.replace(":correct-horse@", f":{WRONG_PASSWORD}@")
    if wrong == postgres_url:
        pytest.skip("the server of WAREHOUSE_TEST_POSTGRES_URL has another password")
    log = failing_run(loaded, TARGET_WAREHOUSE_WAREHOUSE=wrong)
    lines = target_lines(log)
    assert "password authentication failed" in lines
    assert "Check host, port, user, password and database, and that the server accepts more connections." in lines
    assert lines.count("Error") == 1
    assert WRONG_PASSWORD not in log
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'hubspot'").fetchall() == []
