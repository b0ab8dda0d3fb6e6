"""STATE is printed during the run and never ahead of the rows; the next run repairs a killed run."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.committing import PENDING_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Warehouse

    RunTarget = Callable[..., subprocess.CompletedProcess[str]]
    StartTarget = Callable[..., subprocess.Popen[bytes]]

SCHEMA = {"properties": {"id": {"type": ["integer", "null"]}, "v": {"type": ["string", "null"]}}}


def _message(kind: str, **more: Any) -> bytes:
    return json.dumps({"type": kind, **more}).encode() + b"\n"


def _schema(stream: str = "numbers") -> bytes:
    return _message("SCHEMA", stream=stream, key_properties=["id"], schema=SCHEMA)


def _records(first: int, last: int, stream: str = "numbers") -> bytes:
    return b"".join(_message("RECORD", stream=stream, record={"id": i, "v": f"v{i}"}) for i in range(first, last))


def _state(value: int) -> bytes:
    return _message("STATE", value={"read": value})


def _write(process: subprocess.Popen[bytes], *parts: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(b"".join(parts))
    process.stdin.flush()


def _next_state(process: subprocess.Popen[bytes], timeout_seconds: float = 20) -> int:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], timeout_seconds)
    assert ready, "no STATE was printed"
    return int(json.loads(process.stdout.readline())["read"])


def _count(warehouse: Warehouse, table: str = "numbers") -> int:
    return int(warehouse.query(f'SELECT count(*) AS n FROM "melty"."{table}"')[0]["n"])


ODD_STATES = [
    '{"bookmarks":null}',
    '{"bookmarks":[]}',
    '{"singer_state":{"bookmarks":{"a":{"at":1795464000000}}}}',
    '[1,{"a":null}]',
    '"text"',
    "true",
    "123456789012345678901234567890",
    '{"a":0.12345678901234567890,"b":1E+400,"c":1.10}',
    '{"a":"\\ud800","b":1.10}',
]


@pytest.mark.parametrize("state", ODD_STATES)
def test_a_state_of_any_shape_is_printed_unchanged(file: Warehouse, run_target: RunTarget, state: str) -> None:
    """No digit and no half of a surrogate pair is lost."""
    process = run_target(f'{{"type": "STATE", "value": {state}}}', warehouse=file.url)
    assert (process.returncode, process.stdout) == (0, state + "\n"), process.stderr


def test_state_is_printed_while_the_tap_is_silent(warehouse: Warehouse, start_target: StartTarget) -> None:
    """The rows are committed and their STATE is printed, although the pipe stays open and no line follows."""
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.2)
    _write(process, _schema(), _records(0, 3), _state(3))
    assert _next_state(process) == 3
    if warehouse.engine == "postgres":  # a DuckDB file cannot be read while its writer has it open
        assert _count(warehouse) == 3
    _write(process, _records(3, 5), _state(5))
    assert _next_state(process) == 5
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert _count(warehouse) == 5


def test_a_full_batch_prints_the_state_before_it(warehouse: Warehouse, start_target: StartTarget) -> None:
    """The STATE does not cover later records, so it does not wait for them."""
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.3, batch_size_rows=10)
    _write(process, _schema(), _records(0, 4), _state(4), _records(4, 10))
    assert _next_state(process) == 4
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_no_state_passes_rows_of_a_refused_batch_that_are_not_written(
    start_target: StartTarget, warehouse: Warehouse
) -> None:
    """They are loaded again one by one while a later STATE is due; then too many of them are refused."""
    warehouse.execute(
        'CREATE SCHEMA "melty"', 'CREATE TABLE "melty"."numbers" (id bigint NOT NULL CHECK (id < 150), v varchar)'
    )
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.2, max_rejected=1_000)
    _write(process, _schema(), _records(0, 400), _state(400))
    assert process.wait(timeout=20) == 1
    assert process.communicate()[0] == b""


def test_a_state_waits_for_the_rows_of_every_stream(run_target: RunTarget, warehouse: Warehouse) -> None:
    """The run fails while a record of `b` is pending: its STATE is not printed, although `a` is committed."""
    text = _schema("a") + _schema("b") + _records(0, 1, "b") + _state(1) + _records(0, 9, "a")
    bad = b"no JSON"
    process = run_target((text + bad).decode(), warehouse=warehouse.url, batch_size_rows=9, commit_interval_seconds=600)
    assert process.returncode == 1
    assert process.stdout == ""
    assert _count(warehouse, "a") == 9
    assert _count(warehouse, "b") == 0


def test_if_too_much_is_pending_the_stream_with_most_of_it_is_committed(
    run_target: RunTarget, warehouse: Warehouse
) -> None:
    """The other streams stay pending, and with them the STATE that follows one of their records."""
    much = b"".join(_message("RECORD", stream="b", record={"id": i, "v": "x" * 100_000}) for i in range(400))
    lines = _schema("a") + _schema("b") + _state(1) + _records(0, 1, "a") + _state(2) + much + _state(3)
    done = run_target((lines + b"not a message\n").decode(), warehouse=warehouse.url, commit_interval_seconds=3600)
    assert done.returncode == 1
    assert [json.loads(line)["read"] for line in done.stdout.splitlines()] == [1]
    assert _count(warehouse, "a") == 0
    fitting = PENDING_BYTES // 100_000
    assert fitting <= _count(warehouse, "b") < fitting + 25  # up to the end of a block of about twenty records


def test_what_is_committed_before_the_run_fails_is_printed(run_target: RunTarget, warehouse: Warehouse) -> None:
    text = _schema("a") + _schema("b") + _records(0, 9, "a") + _state(9)
    bad = _records(0, 1, "b") + _state(10) + b"no JSON"
    process = run_target((text + bad).decode(), warehouse=warehouse.url, batch_size_rows=9, commit_interval_seconds=600)
    assert process.returncode == 1
    assert [json.loads(line) for line in process.stdout.splitlines()] == [{"read": 9}]
    statuses = {row["stream"]: (row["status"], row["inserted"]) for row in warehouse.rows("_load_history")}
    assert statuses == {"a": ("failed", 9), "b": ("failed", 0)}


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_its_number(
    signum: signal.Signals, warehouse: Warehouse, start_target: StartTarget
) -> None:
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.2)
    _write(process, _schema(), _records(0, 3), _state(3))
    assert _next_state(process) == 3
    _write(process, _records(3, 5))
    time.sleep(0.3)  # two records are pending; without a STATE nothing triggers their commit
    started = time.monotonic()
    process.send_signal(signum)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signum
    assert time.monotonic() - started < 5
    assert _count(warehouse) == 3
    (history,) = warehouse.rows("_load_history")
    assert (history["status"], history["inserted"], history["error"]) == (
        "interrupted",
        3,
        f"stopped by signal {signum:d}",
    )


def test_after_kill_9_no_row_is_missing_and_the_next_run_repairs(
    warehouse: Warehouse, start_target: StartTarget, run_target: RunTarget
) -> None:
    """Committed rows are at least those that the last printed STATE covers, and batches are whole."""
    size, total = 100, 20_000
    lines = [_schema()]
    for first in range(0, total, size):
        lines += [_records(first, first + size), _state(first + size)]
    everything = b"".join(lines)
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.05, batch_size_rows=700)
    assert process.stdin is not None
    assert process.stdout is not None
    feeder = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=process.stdin)
    process.stdin.close()
    assert feeder.stdin is not None
    try:
        feeder.stdin.write(everything[: len(everything) * 3 // 4])  # the rest is never sent, so the run cannot finish
        feeder.stdin.flush()
        covered = _next_state(process)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
        for line in process.stdout.read().splitlines():
            covered = int(json.loads(line)["read"])
    finally:
        feeder.kill()
        feeder.wait()
        feeder.stdin.close()
        process.stdout.close()
    present = {row["id"] for row in warehouse.query('SELECT id FROM "melty"."numbers"')}
    assert present == set(range(len(present)))
    assert covered <= len(present) < total
    (history,) = warehouse.rows("_load_history")
    assert (history["status"], history["inserted"]) == ("running", len(present))
    rerun = run_target(everything.decode(), warehouse=warehouse.url)
    assert rerun.returncode == 0
    assert json.loads(rerun.stdout.splitlines()[-1]) == {"read": total}
    runs = sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert [row["status"] for row in runs] == ["interrupted", "success"]
    assert runs[0]["inserted"] == len(present)
    assert "ended without reporting an error" in runs[0]["error"]
    assert _count(warehouse) == total
    newest = max(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert (newest["inserted"], newest["updated"]) == (total - len(present), len(present))
