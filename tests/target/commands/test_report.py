"""`warehouse report`: the runs of target and tap as text, JSON and HTML, even if part of the history is missing."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import re
import subprocess
import sys
from contextlib import closing
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tap_hubspot_dw.singer.streams.history import SCHEMA as EXTRACTIONS
from target_warehouse.commands.cli import main
from target_warehouse.commands.report.history import RUNS, read
from target_warehouse.commands.report.text import age, render, trend
from target_warehouse.engines import open_engine
from target_warehouse.load.load_history import KILLED
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse
from tests.target.conftest import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from conftest import Warehouse

    from target_warehouse.commands.report.report import Report

SCHEMA = {"properties": {"id": {"type": ["integer", "null"]}, "v": {"type": ["string", "null"]}}}
NOW = dt.datetime.now(dt.UTC)


def _load(warehouse: Warehouse, streams: dict[str, int], *extractions: dict[str, Any], **config: Any) -> None:
    """Load this many records into each stream, and these rows of the tap's history."""
    lines: list[dict[str, Any]] = []
    for stream, count in streams.items():
        lines.append({"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": SCHEMA})
        lines += [{"type": "RECORD", "stream": stream, "record": {"id": i}} for i in range(count)]
    if extractions:
        keys = ["run_id", "stream"]
        lines.append({"type": "SCHEMA", "stream": "sync_history", "key_properties": keys, "schema": EXTRACTIONS})
        lines += [{"type": "RECORD", "stream": "sync_history", "record": row} for row in extractions]
    target = TargetWarehouse(config={"warehouse": warehouse.url, **config})
    target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))


def _extraction(stream: str, status: str = "success", *, run: str = "tap-1", **more: Any) -> dict[str, Any]:
    """The row of the tap's history for a stream; its run began a minute ago and ends now."""
    began, ended = NOW - dt.timedelta(minutes=1), dt.datetime.now(dt.UTC)
    times = {"started_at": began.isoformat(), "finished_at": ended.isoformat()}
    return {"run_id": run, "stream": stream, "status": status, "mode": "full", **times, **more}


def _past_runs(warehouse: Warehouse, stream: str, status: str, count: int, hours_ago: int) -> None:
    """Write runs of a stream, an hour apart, to the history."""
    columns = "run_id, stream, table_schema, table_name, started_at, finished_at, status, rows_read, inserted, seconds"
    began = f"CAST('{NOW:%Y-%m-%d %H:%M:%S}' AS timestamp) - interval '{hours_ago} hours' + i * interval '1 hour'"
    warehouse.execute(
        f'INSERT INTO "melty"."_load_history" ({columns}) SELECT '
        f"'{status}' || i, '{stream}', 'melty', '{stream}', {began}, {began} + interval '5 minutes', "
        f"'{status}', i, i, 9 "
        f"FROM generate_series(0, {count - 1}) AS g(i)"
    )


def _report(warehouse: Warehouse) -> Report:
    with closing(open_engine(Settings.from_config({"warehouse": warehouse.url}), read_only=True)) as engine:
        return read(engine, "melty", location="here")


def _command(warehouse: Warehouse, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--warehouse", warehouse.url, "report", *arguments], env={"COLUMNS": "100"})


def _cells(text: str) -> dict[str, dict[str, str]]:
    """The table of a text report: each stream's cells by head."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:2] == ["table", "live"])
    rows = [line.split()[1:] for line in lines[at + 1 :]]
    return {row[0]: dict(zip(lines[at].split(), row, strict=False)) for row in rows[: rows.index([])]}


def test_a_line_shows_a_table_and_its_last_run(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 1200})
    _load(warehouse, {"people": 3, "orders": 1})
    result = _command(warehouse)
    assert result.exit_code == 0
    cells = _cells(result.output)
    assert list(cells) == ["orders", "people"]
    people = cells["people"]
    assert (people["live"], people["read"], people["+new"], people["~changed"]) == ("1,200", "3", "0", "0")
    assert (people["bad"], people["-deleted"]) == ("0/2", "0")
    assert "mode" not in people, "a figure that is not recorded has no column"
    assert "Last run" in result.output
    assert "success" in result.output


def test_the_taps_figures_are_beside_those_of_the_load(warehouse: Warehouse) -> None:
    counts = {"records": 200, "deletes": 50, "requests": 5, "hubspot_total": 260}
    _load(warehouse, {"people": 250}, _extraction("people", **counts, daily_limit=1000, daily_remaining=7))
    cells = _cells(_command(warehouse).output)["people"]
    assert (cells["mode"], cells["read"], cells["req/1k"]) == ("full", "250", "20.0")
    assert "7 of 1,000 daily requests left" in _command(warehouse).output
    assert _report(warehouse).streams[0].hubspot_total == 260


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(warehouse: Warehouse, width: int) -> None:
    _load(
        warehouse,
        {"people": 1200},
        _extraction("people", "failed", error="a sentence of some length " * 9, requests=12345),
    )
    lines = render(_report(warehouse), width=width, is_coloured=False).splitlines()
    assert max(map(len, lines)) <= width
    assert any("people failed: a sentence" in line for line in lines)


def test_a_run_has_the_worse_status_of_tap_and_target(warehouse: Warehouse) -> None:
    """The target cannot know that the tap failed: it loaded everything that arrived."""
    failed = _extraction("people", "failed", error="No scope.")
    _load(warehouse, {"people": 5, "orders": 1}, failed, _extraction("orders"))
    report = _report(warehouse)
    assert {stream.stream: stream.last.status for stream in report.streams} == {
        "orders": "success",
        "people": "failed",
        "sync_history": "success",
    }
    assert [run.status for run in report.runs] == ["failed"]
    people = next(stream for stream in report.streams if stream.stream == "people")
    assert (people.fresh_at, people.last.error) == (None, "No scope.")
    assert "people failed: No scope." in render(report, width=100, is_coloured=False)


def test_a_stream_that_was_never_loaded_is_reported_if_it_failed(warehouse: Warehouse) -> None:
    failed = _extraction("deals", "failed", error="No scope.")
    _load(warehouse, {"people": 5}, _extraction("people"), failed, _extraction("gone"))
    report = _report(warehouse)
    assert [stream.stream for stream in report.streams] == ["people", "sync_history", "deals"]
    assert len(report.runs) == 1, "it belongs to the run of the other streams"


def test_each_run_of_the_tap_belongs_to_the_load_that_ended_after_it_began(warehouse: Warehouse) -> None:
    """Also if one of them was never loaded."""
    _load(warehouse, {"people": 1}, _extraction("people", run="a", mode="full"))
    started = {"started_at": dt.datetime.now(dt.UTC).isoformat()}
    failed = _extraction("people", "failed", run="b", mode="incremental") | started
    loaded = _extraction("people", run="c", mode="incremental") | {"started_at": dt.datetime.now(dt.UTC).isoformat()}
    _load(warehouse, {"people": 2}, failed, loaded)
    runs = next(stream for stream in _report(warehouse).streams if stream.stream == "people").runs
    paired = sorted((run.mode or "", run.status, run.rows_read) for run in runs)
    assert paired == [("full", "success", 1), ("incremental", "failed", 0), ("incremental", "success", 2)]


@pytest.mark.parametrize(("failures", "hours"), [(3, 50), (RUNS + 5, 50)])
def test_freshness_is_the_age_of_the_newest_success(warehouse: Warehouse, failures: int, hours: int) -> None:
    """Also when it is older than all runs in the report."""
    _load(warehouse, {"other": 1})
    _past_runs(warehouse, "people", "success", 2, hours)
    _past_runs(warehouse, "people", "failed", failures, hours - 5)
    report = next(stream for stream in _report(warehouse).streams if stream.stream == "people")
    assert report.fresh_at is not None
    assert round((NOW.replace(tzinfo=None) - report.fresh_at).total_seconds() / 3600, 1) == hours - 1.1
    assert (report.bad_runs, len(report.runs)) == (min(failures, RUNS), min(failures + 2, RUNS))


def test_the_report_shows_a_killed_run_as_interrupted_before_the_next_run_marks_it(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 1})
    _past_runs(warehouse, "people", "running", 1, -1)
    (people,) = _report(warehouse).streams
    assert (people.last.status, people.last.error) == ("interrupted", KILLED)
    assert warehouse.query("SELECT count(*) AS n FROM melty._load_history WHERE status = 'running'") == [{"n": 1}]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)  # a DuckDB file cannot be read during a run
def test_a_run_in_progress_is_running(warehouse: Warehouse) -> None:
    alive = TargetWarehouse(config={"warehouse": warehouse.url})
    alive.get_sink("people", schema=SCHEMA, key_properties=["id"])
    assert [stream.last.status for stream in _report(warehouse).streams] == ["running"]
    alive.process_endofpipe()


def test_the_json_is_an_object_per_table_with_all_its_runs(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 9}, default_target_schema="crm")
    _load(warehouse, {"people": 10}, default_target_schema="crm")
    arguments = ["--warehouse", warehouse.url, "--schema", "crm", "report", "--json"]
    (entry,) = [json.loads(line) for line in CliRunner().invoke(main, arguments).output.splitlines()]
    assert (entry["table"], entry["live_rows"], entry["inserted"], entry["updated"]) == ("crm.people", 10, 1, 9)
    assert [run["inserted"] for run in entry["runs"]] == [9, 1]
    assert entry["error_rate"] == 0
    assert dt.datetime.fromisoformat(entry["fresh_at"])


def test_the_report_uses_the_targets_environment_variables(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 1}, default_target_schema="crm")
    environment = {"TARGET_WAREHOUSE_WAREHOUSE": warehouse.url, "TARGET_WAREHOUSE_DEFAULT_TARGET_SCHEMA": "crm"}
    result = CliRunner().invoke(main, ["report"], env=environment)
    assert "Schema crm of" in result.output
    assert "correct-horse" not in result.output
    assert result.exit_code == 0


def test_tables_of_older_releases_and_of_other_programs_are_reported(warehouse: Warehouse) -> None:
    """A missing column is left out; a table that only shares the name of the tap's history is not read as one."""
    _load(warehouse, {"people": 3, "sync_history": 2})
    for column in ("peak_memory_mb", "bytes", "configuration"):
        warehouse.execute(f'ALTER TABLE "melty"."_load_history" DROP COLUMN "{column}"')
    result = _command(warehouse)
    assert (result.exit_code, list(_cells(result.output))) == (0, ["people", "sync_history"])
    assert "memory" not in result.output


def test_a_table_that_is_gone_has_no_rows(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 3})
    warehouse.execute('DROP TABLE "melty"."people"')
    assert _cells(_command(warehouse).output)["people"]["live"] == "0"


class _Page(HTMLParser):
    """The content of a page: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta" and tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert(1)</script><img src=x onerror='a'>\"&amp;"


def test_the_page_is_complete_and_self_contained(warehouse: Warehouse, tmp_path: Path) -> None:
    """Names and errors are escaped, whatever they contain."""
    people = _extraction("people", records=9, requests=4, hubspot_total=11)
    _load(warehouse, {"people": 9}, people, _extraction(HOSTILE, "failed", error=HOSTILE))
    result = _command(warehouse, "--html", str(tmp_path / "report.html"))
    assert (result.exit_code, result.output) == (0, f"The report is in {tmp_path / 'report.html'}.\n")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "image", "use", "form"}
    assert not {name for _, attributes in page.tags for name in attributes} & {"src", "href", "onerror", "onload"}
    assert not re.search(r"url\(|@import|http:|https:", text)
    assert page.text.count(HOSTILE) >= 3, "as a table, as a stream that went wrong, as an error"
    for words in ("Records per run", "Duration per run", "HubSpot requests per run", "Rejected records", "9 (-2)"):
        assert words in page.text
    assert sum(tag == "svg" for tag, _ in page.tags) > 6


@pytest.mark.parametrize("options", [(), ("--json",), ("--html", "r.html")], ids=" ".join)
def test_a_history_without_runs_has_nothing_to_report(warehouse: Warehouse, options: tuple[str, ...]) -> None:
    _load(warehouse, {})
    result = _command(warehouse, *options)
    assert (result.exit_code, result.output) == (
        2,
        "Error: No run has loaded a table into the schema melty yet: run the pipeline.\n",
    )


def test_the_report_is_coloured_on_a_terminal_unless_no_color_is_set(tmp_path: Path) -> None:
    url = f"duckdb:///{tmp_path}/w.duckdb"
    target = TargetWarehouse(config={"warehouse": url})
    target.run(io.StringIO(json.dumps({"type": "SCHEMA", "stream": "t", "key_properties": [], "schema": SCHEMA})))
    for variables, is_coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        ours, theirs = os.openpty()
        plain = {name: text for name, text in os.environ.items() if name != "NO_COLOR"}
        command = [str(COMMANDS / "warehouse"), "--warehouse", url, "report"]
        subprocess.run(command, stdout=theirs, env=plain | variables, timeout=60, check=True)
        os.close(theirs)
        output = os.read(ours, 1 << 16)
        os.close(ours)
        assert (b"\x1b[" in output) is is_coloured
        assert b"\xe2\x9c\x93" in output  # the sign of a success


def test_nothing_to_report_is_a_sentence(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 1})
    result = CliRunner().invoke(main, ["--warehouse", warehouse.url, "--schema", "elsewhere", "report"])
    assert result.exit_code == 2
    assert result.output.startswith("Error: There is no load history in the schema elsewhere yet")


def test_a_table_that_does_not_exist_is_a_sentence(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 1, "orders": 1})
    assert list(_cells(_command(warehouse, "--table", "people").output)) == ["people"]
    result = _command(warehouse, "--table", "people", "--table", "persons")
    assert (result.exit_code, result.output) == (
        2,
        "Error: No run has loaded a table persons; there are orders, people.\n",
    )


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
@pytest.mark.parametrize(("path", "words"), [("none/report.html", "No such file"), ("", "Is a directory")])
def test_a_page_that_cannot_be_written_is_a_sentence(
    warehouse: Warehouse, tmp_path: Path, path: str, words: str
) -> None:
    _load(warehouse, {"people": 1})
    result = _command(warehouse, "--html", str(tmp_path / path))
    assert result.exit_code == 2
    assert re.fullmatch(rf"Error: The page cannot be written to \S+: {words}.*\.\n", result.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--warehouse", "duckdb:///{tmp}/none.duckdb"], "There is no DuckDB file"),
        (["--warehouse", "duckdb:///{tmp}/text.duckdb"], "not a DuckDB database"),
        (["--warehouse", "x"], "The setting warehouse"),
        (["--config", "{tmp}/none.json"], "cannot be read"),
        (["--config", "{tmp}/text.duckdb"], "is not JSON"),
    ],
)
def test_a_report_that_cannot_be_made_is_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("text\n" * 2000)
    result = CliRunner().invoke(main, [*(argument.format(tmp=tmp_path) for argument in arguments), "report"])
    assert result.exit_code == 2
    assert words in result.output
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "2 h"), (172_800, "2 d"), (-5, "0 s")],
)
def test_ages_are_rough(seconds: int, words: str) -> None:
    assert age(NOW - dt.timedelta(seconds=seconds), NOW) == words


def test_a_trend_has_a_bar_for_each_run_and_a_sign_for_a_failed_one(warehouse: Warehouse) -> None:
    _load(warehouse, {"people": 1000})
    _past_runs(warehouse, "people", "failed", 1, -1)
    _past_runs(warehouse, "people", "success", 1, -2)
    (people,) = _report(warehouse).streams
    assert trend(people.runs) == "█✗▁"


def test_the_command_starts_without_the_sdk() -> None:
    """Importing the SDK takes half a second, and neither the report nor a comparison of DuckDB files needs it."""
    program = (
        "import sys, target_warehouse.commands.cli, target_warehouse.engines.duckdb.engine\n"
        "from target_warehouse.commands import compare\n"
        "from target_warehouse.commands.report import history, html, text\n"
        "sys.exit('singer_sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
