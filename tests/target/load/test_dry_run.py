"""The setting `dry_run`: nothing is changed, and the report matches a real run.

`test_singer_streams.py` has a dry run before each run of the corpus.
"""

from __future__ import annotations

import io
import json
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse
from tests.target.dry_runs import announced, everything_in, stream_lines
from tests.target.feeding import feed, numbers

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Warehouse


def load(warehouse: Warehouse, text: str, **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text, newline=""))


def test_a_key_in_two_batches_is_created_once(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    schema, *lines = numbers(200)
    load(warehouse, "".join([schema, *lines[:50]]))
    load(warehouse, "".join([schema, *lines, *lines]), batch_size_rows=60, dry_run=True)
    announced_lines = announced(caplog)
    load(warehouse, "".join([schema, *lines, *lines]), batch_size_rows=60)
    assert announced_lines[0] == stream_lines(warehouse, "melty")[0]
    assert (
        announced_lines[0] == "numbers: 400 records read; 150 rows created, 250 updated, 0 deleted, 0 records rejected."
    )


@pytest.mark.parametrize(
    ("version", "read", "deleted", "scope"),
    [
        (4, 0, 0, {}),
        (6, 1, 1, {}),
        (6, 1, 1, {"scope": {"version": 6, "columns": ["id"], "values": [[0], [1], [2]]}}),
        (6, 1, 0, {"scope": {"version": 6, "columns": ["id"], "values": [[0], [1]]}}),
    ],
)
def test_marks_and_versions_of_earlier_runs_count(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, version: int, read: int, deleted: int, scope: dict[str, Any]
) -> None:
    """Rows that are already marked are not deleted again, and an older version deletes nothing."""
    caplog.set_level(logging.INFO)
    schema = numbers(0)[0]

    def record(version: int, **values: Any) -> str:
        return json.dumps({"type": "RECORD", "stream": "numbers", "version": version, "record": values}) + "\n"

    load(warehouse, schema + "".join(record(5, id=i, v="") for i in range(3)))
    load(warehouse, schema + record(5, id=0, _sdc_deleted_at="2026-01-01T00:00:00Z"))
    activate = json.dumps({"type": "ACTIVATE_VERSION", "stream": "numbers", "version": version} | scope) + "\n"
    run = schema + record(version, id=1, v="x") * read + activate
    load(warehouse, run, dry_run=True)
    announced_lines = announced(caplog)
    load(warehouse, run)
    assert announced_lines[0] == stream_lines(warehouse, "melty")[0]
    assert (
        announced_lines[0]
        == f"numbers: {read} records read; 0 rows created, {read} updated, {deleted} deleted, 0 records rejected."
    )


def test_more_rejected_records_than_allowed_fail_a_dry_run_as_they_fail_a_run(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    schema, *lines = numbers(200)
    before = everything_in(warehouse)
    bad = '{"type": "RECORD", "stream": "numbers", "record": {"id": 7000, "v": 1}}\n'
    with pytest.raises(RejectedRecordsError, match=r"numbers 1\. .*A dry run does not keep them"):
        load(warehouse, "".join([schema, bad, *lines]), batch_size_rows=50, dry_run=True)
    assert everything_in(warehouse) == before
    assert (
        announced(caplog)[0] == "numbers: 201 records read; 200 rows created, 0 updated, 0 deleted, 1 records rejected."
    )
    load(warehouse, "".join([schema, bad, *lines]), dry_run=True, max_rejected=1)


def test_a_batch_that_the_database_refuses_does_not_end_a_dry_run(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A text is longer than its column; PostgreSQL refuses it in the middle of a transaction."""
    from tests.conftest import PostgresWarehouse

    caplog.set_level(logging.INFO)
    warehouse = PostgresWarehouse(postgres_url)
    schema, *lines = numbers(200)
    load(warehouse, schema)
    import psycopg

    with psycopg.connect(postgres_url) as connection:
        connection.execute("ALTER TABLE melty.numbers ADD CHECK (id <> 77)")
    before = everything_in(warehouse)
    load(warehouse, "".join([schema, *lines]), batch_size_rows=50, dry_run=True, max_rejected=1)
    assert everything_in(warehouse) == before
    announced_lines = announced(caplog)
    load(warehouse, "".join([schema, *lines]), batch_size_rows=50, max_rejected=1)
    assert announced_lines[0] == stream_lines(warehouse, "melty")[0]
    assert "199 rows created" in announced_lines[0]


def test_streams_of_one_name_in_two_schemas_are_distinguished(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lines = "".join(
        line.replace('"numbers"', f'"{name}-numbers"')
        for name, total in (("a", 100), ("b", 200))
        for line in numbers(total)
    )
    load(warehouse, lines, default_target_schema="", dry_run=True)
    announced_lines = announced(caplog)
    assert "a-numbers: 100 records read; 100 rows created" in announced_lines[0]
    assert "b-numbers: 200 records read; 200 rows created" in announced_lines[1]
    assert {"The schema a would be created.", "The schema b would be created."} <= set(announced_lines)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_a_dry_run_that_is_ended_half_way_has_changed_nothing(
    signum: signal.Signals, warehouse: Warehouse, start_target: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    schema, *lines = numbers(20_000)
    load(warehouse, "".join([schema, *lines[:500]]))
    before = everything_in(warehouse)
    has_loaded, go_on = threading.Event(), threading.Event()

    def until_it_is_ended() -> Iterator[str]:
        yield schema
        yield from lines  # the pipe holds about a thousand of them; the target has read the others
        has_loaded.set()
        go_on.wait(60)

    # Without pauses between batches, so that most of them are in the copies when the target ends.
    process = start_target(warehouse=warehouse.url, dry_run=True, batch_size_rows=1_000, commit_interval_seconds=0.1)
    feeder = feed(process, until_it_is_ended())
    assert has_loaded.wait(60)
    process.send_signal(signum)
    said, _ = process.communicate(timeout=20)
    go_on.set()
    feeder.join(20)
    assert process.returncode in (-signum, 128 + signum)
    assert said == b""
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    assert everything_in(warehouse) == before
    load(warehouse, "".join([schema, *lines]))
    assert len(warehouse.query('SELECT id FROM "melty"."numbers"')) == 20_000
