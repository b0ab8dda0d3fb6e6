"""Two targets load the same tables at the same time, with different schemas: neither undoes the other's work."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.target import TargetWarehouse
from tests.target.feeding import assert_consistent, feed, last_state, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Warehouse

    StartTarget = Callable[..., subprocess.Popen[bytes]]

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)  # a DuckDB file has one writer

LATER = int.from_bytes(b"8 bytes.")  # binary COPY of this number into a text column would give that text
NUMBER, TEXT = {"type": ["integer", "null"]}, {"type": ["string", "null"]}


def _lines(values: dict[str, Any], keys: range, **properties: Any) -> str:
    schema = {"properties": {"id": {"type": "integer"}, **properties}}
    lines = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": {"id": key, **values}} for key in keys]
    lines.append({"type": "STATE", "value": {"read": keys.stop}})
    return "".join(json.dumps(line) + "\n" for line in lines)


#: The values that the other target sends, and its change to the table while the first target runs.
OTHERS = {
    "a new column": ({"n": 1, "extra": "kept"}, {"n": NUMBER, "extra": TEXT}),
    "a wider column": ({"n": "text"}, {"n": TEXT}),
    "a column of fractions": ({"n": 1.5}, {"n": {"type": ["number", "null"]}}),
    "a column less": ({}, {}),
}


@pytest.mark.parametrize(("values", "properties"), OTHERS.values(), ids=OTHERS)
def test_a_table_that_another_target_changes_mid_run_loses_nothing(
    values: dict[str, Any], properties: dict[str, Any], warehouse: Warehouse, start_target: StartTarget
) -> None:
    """The first target either continues, or ends with one sentence, and its next run completes the table."""
    first = _lines({"n": 5}, range(20), n=NUMBER)
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.05)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(first.encode())
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"read": 20}
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(_lines(values, range(10, 30), **properties)))
    again = first.splitlines(keepends=True)[1:]
    process.stdin.write("".join(again).replace('"n": 5', f'"n": {LATER}').encode())
    process.communicate(timeout=30)
    assert process.returncode in {0, 1}
    if process.returncode:
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(first.replace('"n": 5', f'"n": {LATER}')))
    rows = {row["id"]: row for row in warehouse.rows("t")}
    assert sorted(rows) == list(range(30))
    assert {str(rows[key]["n"]) for key in range(20)} == {str(LATER)}
    if "extra" in values:
        assert [rows[key]["extra"] for key in range(30)] == [None] * 10 + ["kept"] * 20


def _versioned(version: int, keys: range) -> list[str]:
    schema = {"properties": {"id": {"type": "integer"}}}
    lines: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": {"id": key}, "version": version} for key in keys]
    lines.append({"type": "STATE", "value": {"read": keys.stop}})
    return [json.dumps(line) + "\n" for line in lines]


@pytest.mark.parametrize("hard_delete", [False, True])
@pytest.mark.parametrize("other", [3, 7], ids=["older", "newer"])
def test_a_full_pass_that_another_run_overlaps_marks_nothing_as_deleted_and_prints_no_state(
    other: int, hard_delete: bool, warehouse: Warehouse, start_target: StartTarget
) -> None:
    """The rows of the other run have another version, so this run's version says nothing about them."""
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO("".join(_versioned(1, range(30)))))
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.05, hard_delete=hard_delete)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(_versioned(5, range(20))).encode())
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"read": 20}
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO("".join(_versioned(other, range(10, 30)))))
    end = [{"type": "ACTIVATE_VERSION", "stream": "t", "version": 5}, {"type": "STATE", "value": {"read": 99}}]
    out, _ = process.communicate("".join(json.dumps(line) + "\n" for line in end).encode(), timeout=30)
    assert (process.returncode, out) == (1, b"")
    errors = [row["error"] for row in warehouse.rows("_load_history") if row["status"] == "failed"]
    assert [error.partition(",")[0] for error in errors] == [
        "Another run loaded the table t while this run loaded all of the stream t"
    ]
    live = "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM melty.t WHERE _sdc_deleted_at IS NULL"
    assert warehouse.query(live) == [{"n": 30, "ids": 30}]


def test_one_of_two_killed_leaves_the_other_unharmed(warehouse: Warehouse, start_target: StartTarget) -> None:
    """Both create the tables and load the same keys; the killed target's transaction and locks are released."""
    total = 6_000
    lines = numbers(total)
    killed, other = (start_target(warehouse=warehouse.url, batch_size_rows=150) for _ in range(2))
    for each in (killed, other):
        feed(each, lines)
    time.sleep(random.uniform(1.0, 2.5))
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=20)
    printed = other.communicate(timeout=60)[0]
    assert (other.returncode, last_state(printed)) == (0, total)
    assert assert_consistent(warehouse, total) == total


def test_many_targets_make_one_table_at_once(warehouse: Warehouse, start_target: StartTarget) -> None:
    """In an empty database, each with its own column; all columns and all rows are there."""
    started = [start_target(warehouse=warehouse.url) for _ in range(3)]
    threads = []
    for number, process in enumerate(started):
        keys = range(number * 100, number * 100 + 100)
        threads.append(feed(process, [_lines({f"c{number}": "x"}, keys, **{f"c{number}": TEXT})]))
    for process, thread in zip(started, threads, strict=True):
        process.communicate(timeout=60)
        thread.join()
        assert process.returncode == 0
    rows = warehouse.rows("t")
    assert len(rows) == 300
    for row in rows:
        assert {name: row[name] for name in ("c0", "c1", "c2")} == {
            f"c{number}": "x" if row["id"] // 100 == number else None for number in range(3)
        }
