"""An ACTIVATE_VERSION that is older than the table's rows deletes nothing, and says so."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

SCHEMA = {
    "type": "SCHEMA",
    "stream": "t",
    "key_properties": ["kind", "id"],
    "schema": {"properties": {"kind": {"type": "string"}, "id": {"type": "integer"}}},
}
NEW, OLD, FUTURE = 1_800_000_000_000, 1_700_000_000_000, 9_999_999_999_999


def record(kind: str, id_: int, version: int) -> dict[str, Any]:
    return {"type": "RECORD", "stream": "t", "record": {"kind": kind, "id": id_}, "version": version}


def whole(version: int) -> dict[str, Any]:
    return {"type": "ACTIVATE_VERSION", "stream": "t", "version": version}


def scoped(version: int, *kinds: str) -> dict[str, Any]:
    scope = {"version": version, "columns": ["kind"], "values": [[kind] for kind in kinds]}
    return {"type": "ACTIVATE_VERSION", "stream": "t", "version": 0, "scope": scope}


ROWS = [record("a", 1, OLD), record("a", 2, NEW), record("b", 1, OLD), record("b", 2, FUTURE)]
#: The message, whether it is too old, and the rows that it marks.
MESSAGES = {
    "of the whole table": (whole(NEW), True, []),
    "of its rows in the future": (scoped(NEW, "b"), True, []),
    "of other rows": (scoped(NEW, "a"), False, [("a", 1)]),
    "of both": (scoped(NEW, "a", "b"), True, [("a", 1)]),
    "newer than all": (whole(FUTURE + 1), False, [("a", 1), ("a", 2), ("b", 1), ("b", 2)]),
    "newer than all that is left": (scoped(NEW + 1, "a"), False, [("a", 1), ("a", 2)]),
    "of nothing": (scoped(NEW, "c"), False, []),
}


@pytest.mark.parametrize("hard_delete", [False, True])
@pytest.mark.parametrize(("message", "is_old", "marked"), MESSAGES.values(), ids=MESSAGES)
def test_an_activate_version_older_than_the_table_marks_nothing_and_warns(
    warehouse: Warehouse,
    caplog: pytest.LogCaptureFixture,
    message: dict[str, Any],
    is_old: bool,
    marked: list[tuple[str, int]],
    hard_delete: bool,
) -> None:
    lines = "".join(json.dumps(each) + "\n" for each in [SCHEMA, *ROWS, message])
    TargetWarehouse(config={"warehouse": warehouse.url, "hard_delete": hard_delete}).run(io.StringIO(lines))
    rows = warehouse.rows("t", metadata=True)
    live = {(row["kind"], row["id"]) for row in rows if row["_sdc_deleted_at"] is None}
    assert {(each["record"]["kind"], each["record"]["id"]) for each in ROWS} - live == set(marked)
    assert ("Stream t: the table has rows of a newer version than the 1800000000000" in caplog.text) == is_old


def test_a_run_that_began_before_another_one_ended_marks_nothing(warehouse: Warehouse) -> None:
    """Its tap may have read the list of records before the other run loaded a new one; a later run marks it."""

    def target() -> TargetWarehouse:
        return TargetWarehouse(config={"warehouse": warehouse.url})

    def lines(*messages: dict[str, Any]) -> io.StringIO:
        return io.StringIO("".join(json.dumps(message) + "\n" for message in (SCHEMA, *messages)))

    early = target()
    target().run(lines(record("a", 1, OLD), record("a", 2, OLD)))
    with pytest.raises(LoadError, match="Another run loaded the table t while this run"):
        early.run(lines(record("a", 1, NEW), whole(NEW)))
    live = "SELECT id FROM melty.t WHERE _sdc_deleted_at IS NULL ORDER BY id"
    assert warehouse.query(live) == [{"id": 1}, {"id": 2}]
    target().run(lines(record("a", 1, NEW + 1), whole(NEW + 1)))
    assert warehouse.query(live) == [{"id": 1}]


@pytest.mark.parametrize("time", ["NULL", "TIMESTAMP '2100-01-01 00:00:00'"], ids=["unknown", "still to come"])
def test_a_run_of_another_time_by_a_wrong_clock_or_an_older_release_is_no_overlap(
    time: str, warehouse: Warehouse
) -> None:
    def run(*messages: dict[str, Any]) -> None:
        lines = "".join(json.dumps(message) + "\n" for message in (SCHEMA, *messages))
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(lines))

    run(record("a", 1, OLD), record("a", 2, OLD))
    warehouse.execute(f"UPDATE melty._load_history SET finished_at = {time}")
    run(record("a", 1, NEW), whole(NEW))
    assert warehouse.query("SELECT id FROM melty.t WHERE _sdc_deleted_at IS NULL") == [{"id": 1}]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when a process was started")
def test_a_run_begins_with_its_process() -> None:
    code = "import time; time.sleep(0.5); from target_warehouse.singer.main import age; print(age().total_seconds())"
    started = time.monotonic()
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0.5 <= float(printed) <= time.monotonic() - started + 0.02
