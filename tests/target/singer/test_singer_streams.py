"""Singer streams and the tables they make: every `streams/*.singer` on every engine, by the fast and by the slow path.

A stream file may hold several runs between lines `=== next run`. The `.rows.json` beside it says what the tables
hold afterwards (of the `_sdc_` columns only those it names; "*" is any value but null), and optionally the
configuration, the last STATE printed, words of the error that ends the runs, and the stream and reason of each
rejected record.
"""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.target import TargetWarehouse
from tests.target.both_paths import SlowTarget, contents
from tests.target.dry_runs import announced, check_announced, columns, everything_in
from tests.target.singer_streams import NEXT_RUN, STREAMS, ends_as

if TYPE_CHECKING:
    from conftest import Warehouse


def test_there_are_streams() -> None:
    assert STREAMS


@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_a_stream_makes_its_rows_and_a_dry_run_announces_them(
    stream: Path, warehouse: Warehouse, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    expected = json.loads(stream.with_suffix(".rows.json").read_text(encoding="utf-8"))
    text = stream.read_bytes().decode()  # not read_text, which would turn CRLF into LF
    config = {"default_target_schema": "melty", **expected.get("config", {})}
    schema = config["default_target_schema"]
    for kind, own_schema in ((TargetWarehouse, schema), (SlowTarget, "slow")):
        settings = {"warehouse": warehouse.url, **config, "default_target_schema": own_schema}
        for run in text.split(NEXT_RUN):
            if kind is SlowTarget:
                _run(kind, run, settings, expected)
                continue
            before, tables = everything_in(warehouse), columns(warehouse)
            capsys.readouterr()
            _run(kind, run, {**settings, "dry_run": True}, expected)
            assert (capsys.readouterr().out, everything_in(warehouse)) == ("", before)
            lines = announced(caplog)
            _run(kind, run, settings, expected)
            check_announced(lines, warehouse, schema, tables)
        if "state" in expected:
            assert json.loads(capsys.readouterr().out.splitlines()[-1]) == expected["state"]
    with warehouse.opened():
        assert contents(warehouse, schema) == contents(warehouse, "slow")
        if "rejected" in expected:
            rejected = [[row["stream"], row["reason"]] for row in warehouse.rows("_rejected_records")]
            assert sorted(rejected) == expected["rejected"]
        for table, rows in expected["tables"].items():
            named = {column for row in rows for column in row}
            actual = [
                {column: value for column, value in row.items() if column in named or not column.startswith("_sdc_")}
                for row in warehouse.rows(table, metadata=True)
            ]
            assert _comparable(actual, rows) == _comparable(rows, rows)


def _run(kind: type[TargetWarehouse], text: str, settings: dict[str, Any], expected: dict[str, Any]) -> None:
    with ends_as(expected):
        kind(config=settings).run(io.StringIO(text, newline=""))


def _comparable(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> list[str]:
    """Rows in a fixed order and form; a value is "*" if every expected row has "*" under that key."""
    any_value = {(json.dumps(next(iter(row.values()))), name) for row in expected for name in row if row[name] == "*"}
    return sorted(
        json.dumps(
            {
                name: "*" if (json.dumps(next(iter(row.values()))), name) in any_value and value is not None else value
                for name, value in row.items()
            },
            sort_keys=True,
        )
        for row in rows
    )
