"""A run that cannot start leaves a note in the Meltano project; the report shows it, and the next run records it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main

if TYPE_CHECKING:
    from conftest import Warehouse

TARGET = str(Path(sys.executable).with_name("target-warehouse"))
LINES = "".join(
    json.dumps(each) + "\n"
    for each in (
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": {"id": {}}}},
        {"type": "RECORD", "stream": "t", "record": {"id": 1}},
    )
)


@pytest.fixture
def meltano(tmp_path: Path) -> dict[str, str]:
    """The environment in which Meltano runs a loader."""
    return {
        "MELTANO_PROJECT_ROOT": str(tmp_path),
        "MELTANO_LOADER_NAME": "target-warehouse",
        "MELTANO_ENVIRONMENT": "dev",
    }


def run(folder: Path, meltano: dict[str, str], lines: str = LINES, **config: object) -> subprocess.CompletedProcess:
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    command = [TARGET, "--config", str(file)]
    return subprocess.run(command, input=lines, env=os.environ | meltano, capture_output=True, text=True, check=False)


def failed_run(warehouse: Warehouse, folder: Path, meltano: dict[str, str], lines: str = LINES) -> str:
    """A run that finds the file locked, or whose login is refused; returns its error message."""
    if warehouse.engine == "duckdb":
        with closing(duckdb.connect(str(folder / "warehouse.duckdb"))):
            ended = run(folder, meltano, lines, warehouse=warehouse.url, lock_timeout_seconds=0)
    else:
        ended = run(folder, meltano, lines, warehouse=warehouse.url.replace(":pw", ":", 1).replace("@", "wrong@", 1))
    assert ended.returncode == 1, ended.stderr
    return ended.stderr.strip().splitlines()[-1].removeprefix("Error: ")


def report(warehouse: Warehouse, meltano: dict[str, str], *words: str) -> str:
    return (
        CliRunner()
        .invoke(main, ["--warehouse", warehouse.url, "--schema", "melty", "report", *words], env=meltano)
        .output
    )


def test_the_report_shows_it_and_the_next_run_records_it(
    warehouse: Warehouse, tmp_path: Path, meltano: dict[str, str]
) -> None:
    assert run(tmp_path, meltano, warehouse=warehouse.url).returncode == 0
    sentence = failed_run(warehouse, tmp_path, meltano)
    notes = list((tmp_path / ".meltano" / "failed-starts").iterdir())
    assert [file.name for file in notes] == ["target-warehouse.dev.jsonl"]
    assert "wrong" not in notes[0].read_text()
    shown = " ".join(report(warehouse, meltano).split())
    assert "target-warehouse could not start at" in shown
    assert "".join(sentence.split()) in "".join(shown.split())
    page = tmp_path / "report.html"
    report(warehouse, meltano, "--html", str(page))
    assert "target-warehouse could not start at" in page.read_text()
    assert "could not start" not in report(warehouse, meltano | {"MELTANO_ENVIRONMENT": "prod"})

    assert run(tmp_path, meltano, warehouse=warehouse.url).returncode == 0
    rows = sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert [(row["stream"], row["status"]) for row in rows] == [("t", "success"), ("t", "failed"), ("t", "success")]
    assert rows[1]["error"] == f"The run could not start: {sentence}"
    assert "could not start at" not in report(warehouse, meltano)
    assert not notes[0].exists()


def test_what_fails_before_its_first_stream_is_noted_and_a_dry_run_is_not(
    warehouse: Warehouse, tmp_path: Path, meltano: dict[str, str]
) -> None:
    assert run(tmp_path, meltano, "no line of Singer\n", warehouse=warehouse.url, dry_run=True).returncode == 1
    assert not (tmp_path / ".meltano").exists()
    assert run(tmp_path, meltano, "no line of Singer\n", warehouse=warehouse.url).returncode == 1
    assert run(tmp_path, meltano, warehouse=warehouse.url, max_rejected="many").returncode == 1
    text = report(warehouse, meltano)
    assert "There is no load history" in text or "No run has loaded" in text
    assert run(tmp_path, meltano, warehouse=warehouse.url).returncode == 0
    rows = sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert [row["status"] for row in rows] == ["failed", "failed", "success"]
    assert "max_rejected" in rows[1]["error"]


def test_a_failure_that_is_in_the_history_leaves_no_note(
    warehouse: Warehouse, tmp_path: Path, meltano: dict[str, str]
) -> None:
    assert run(tmp_path, meltano, LINES + "no line of Singer\n", warehouse=warehouse.url).returncode == 1
    assert not (tmp_path / ".meltano").exists()
    assert [row["status"] for row in warehouse.rows("_load_history")] == ["failed"]
