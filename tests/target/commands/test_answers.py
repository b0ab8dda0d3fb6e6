"""Exit codes of the command `warehouse`: 0 and 1 are answers; no crash, signal or closed pipe looks like one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from target_warehouse.errors import SettingsError
from target_warehouse.redaction import configuration_of
from tests.conftest import Warehouse
from tests.target.commands.compared_tables import ROWS, load

COMMAND = str(Path(sys.executable).with_name("warehouse"))
NO_OBJECTS = [
    "[1]",
    "[]",
    '[["warehouse", "duckdb:///x.duckdb"]]',
    '"x"',
    "null",
    "3",
    "",
    "{",
    "[" * 100_000,
    "\udc80",
]


@pytest.fixture
def compared(warehouse: Warehouse) -> list[str]:
    """A comparison of two schemas that differ."""
    load(warehouse, "old", ROWS)
    load(warehouse, "new", ROWS[1:])
    return [COMMAND, "--warehouse", warehouse.url, "compare", "old", "new"]


def test_a_history_with_other_columns_is_a_sentence_and_exit_code_2(warehouse: Warehouse) -> None:
    """So is every unexpected error: exit code 1 says that something differs."""
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty._load_history (a integer)")
    for words in (["report"], ["verify"]):
        answer = CliRunner().invoke(main, ["--warehouse", warehouse.url, "--schema", "melty", *words])
        assert (answer.exit_code, answer.output.count("\n")) == (2, 1), answer.output
        assert "Traceback" not in answer.output


def test_a_reader_that_stops_reading_changes_no_exit_code(compared: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(compared, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux' full device")
def test_an_answer_that_cannot_be_written_is_exit_code_2(compared: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(compared, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "cannot be written: No space left" in ended.stderr


def test_a_closed_output_does_not_crash_the_command(compared: list[str]) -> None:
    ended = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *compared], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_with_its_own_code(compared: list[str], signum: int, tmp_path: Path) -> None:
    """Also while it waits for a file that another process has open, which may take long."""
    code = (
        "import sys, time\nfrom target_warehouse.commands import compare, cli\n"
        f"compare.compare = lambda *_, **__: (open({str(tmp_path / 'there')!r}, 'w').close(), time.sleep(60))\n"
        "sys.argv[0] = 'warehouse'\ncli.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *compared[1:]], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while not (tmp_path / "there").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (128 + signum, f"Stopped by signal {int(signum)}.\n")


@pytest.mark.parametrize("text", NO_OBJECTS)
def test_a_configuration_that_is_not_a_json_object_is_a_sentence(tmp_path: Path, text: str) -> None:
    """The target and the command read it in the same way."""
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"The configuration .* is not (JSON\.|a JSON object: )"):
        configuration_of(str(file))
    answer = CliRunner().invoke(main, ["--config", str(file), "report"])
    assert (answer.exit_code, answer.output.count("\n")) == (2, 1), answer.output


@pytest.mark.parametrize("text", ["[1]", "null"])
def test_the_target_reports_the_same_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    command = [str(Path(sys.executable).with_name("target-warehouse")), "--config", str(file)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert "is not a JSON object" in ended.stderr
