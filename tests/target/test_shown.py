"""Foreign texts are shown as one line without control characters: in errors, comments, reports and comparisons."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from target_warehouse.errors import LoadError, SettingsError
from target_warehouse.shown import shown
from target_warehouse.singer.target import TargetWarehouse
from target_warehouse.tables.table import comment_of

EVIL = "no\x1b[2Jthing\r\n2026-11-30 | all is well\u202e\u2028\x9b1A\x00\x07\ud800\x85\t end"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain, é, 🐘, שלום, नमस्ते", "plain, é, 🐘, שלום, नमस्ते"),
        ("a\r\n\tb", "a b"),
        ("\x1b[31mred\x9b0m", "\ufffd[31mred\ufffd0m"),
        ("txt.\u202eexe", "txt.\ufffdexe"),
        ("\ud800", "\ufffd"),
        ("x" * 3_000, "x" * 1_999 + "…"),
        (5, "5"),
    ],
)
def test_a_text_is_one_line_without_control_characters(text: object, line: str) -> None:
    assert shown(text) == line


@pytest.mark.parametrize("error", [SettingsError, LoadError])
def test_an_error_is_one_line(error: type[Exception]) -> None:
    assert str(error(EVIL)).isprintable()


@pytest.mark.parametrize("schema", [{"title": EVIL}, {"description": EVIL}, {"title": EVIL, "description": "x" + EVIL}])
def test_a_comment_is_one_line(schema: dict[str, str]) -> None:
    assert comment_of(schema).isprintable()


def test_a_comparison_shows_no_control_characters(tmp_path: Path) -> None:
    file = tmp_path / "crm.duckdb"
    evil = EVIL.replace("\ud800", "")
    with duckdb.connect(str(file)) as connection:
        connection.execute('CREATE SCHEMA "hubspot"')
        connection.execute('CREATE SCHEMA "other"')
        connection.execute("CREATE TABLE hubspot.contacts (id VARCHAR, _sdc_deleted_at TIMESTAMP)")
        for schema in ("hubspot", "other"):
            connection.execute(f'CREATE TABLE {schema}.deals (id VARCHAR, "x\x1b[2J" VARCHAR)')
        connection.execute("INSERT INTO hubspot.deals VALUES (?, 'x')", [evil.replace("\x00", "")])
        connection.execute('ALTER TABLE other.deals DROP COLUMN "x\x1b[2J"')
    said = CliRunner().invoke(main, ["--warehouse", f"duckdb:///{file}", "compare", "hubspot", "other", "--key", "id"])
    assert said.exit_code == 1, said.output
    assert "thing" in said.output
    assert all(line.isprintable() for line in said.output.split("\n")), said.output


def test_a_report_of_a_history_that_somebody_else_wrote_shows_no_control_characters(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path / 'crm.duckdb'}"
    of_t = '"stream": "t", "key_properties": ["id"]'
    schema = f'{{"type": "SCHEMA", {of_t}, "schema": {{"properties": {{"id": {{"type": "string"}}}}}}}}'
    record = '{"type": "RECORD", "stream": "t", "record": {"id": "1"}}'
    TargetWarehouse(config={"warehouse": url}).run(io.StringIO(f"{schema}\n{record}\n"))
    with duckdb.connect(str(tmp_path / "crm.duckdb")) as connection:
        evil = EVIL.replace("\ud800", "").replace("\x00", "")
        connection.execute("UPDATE melty._load_history SET status = 'failed', error = ?", [evil])
    page = tmp_path / "report.html"
    for words in ([], ["--html", str(page)]):
        said = CliRunner().invoke(main, ["--warehouse", url, "report", *words])
        assert said.exit_code == 0, said.output
        assert all(line.isprintable() for line in said.output.split("\n")), said.output
    text = page.read_text()
    assert "thing" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_the_log_of_the_command_shows_no_control_characters_of_a_stream_or_a_property(tmp_path: Path) -> None:
    evil = EVIL.replace("\ud800", "")
    schema = {"properties": {"id": {"type": "integer"}}}
    lines = [
        {"type": "SCHEMA", "stream": evil, "key_properties": ["id"], "schema": schema},
        {"type": "RECORD", "stream": evil, "record": {"id": 1, f"not declared {evil}": 1}},
    ]
    (tmp_path / "config.json").write_text(json.dumps({"warehouse": f"duckdb:///{tmp_path}/crm.duckdb"}))
    done = subprocess.run(
        [Path(sys.executable).with_name("target-warehouse"), "--config", tmp_path / "config.json"],
        input="".join(json.dumps(each) + "\n" for each in lines).encode(),
        capture_output=True,
        check=False,
    )
    log = done.stderr.decode()
    assert done.returncode == 0, log
    assert "not declared no\ufffd[2Jthing 2026-11-30 | all is well" in log
    assert [line for line in log.splitlines() if not line.isprintable()] == []
    assert not [line for line in log.splitlines() if line.startswith("2026-11-30 | all is well")]
