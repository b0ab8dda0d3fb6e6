"""DuckDB's memory and file stay as small as a load allows, and no row changes."""

from __future__ import annotations

import json
import random
import re
import select
import signal
import subprocess
from typing import TYPE_CHECKING

import duckdb
import pytest

from target_warehouse.engines.duckdb import attach as duckdb_attach
from target_warehouse.engines.duckdb import file as duckdb_file
from target_warehouse.engines.duckdb.engine import DuckDBEngine
from tests.target.feeding import load, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import DuckDBWarehouse

    StartTarget = Callable[..., subprocess.Popen[bytes]]


@pytest.mark.parametrize("limit", [28, 52])
def test_a_batch_that_lacks_memory_is_retried_and_no_value_gets_into_another_row(
    limit: int, file: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a column was widened, which takes more memory than any batch."""
    monkeypatch.setitem(duckdb_attach.WHILE_LOADING, "memory_limit", f"'{limit}MB'")
    monkeypatch.setattr(duckdb_file, "MEMORY_MB", limit)
    total, names = 4_000, [f"p{number}" for number in range(250)]
    noise = random.Random(1).randbytes(total * 3_750).hex()  # 30 digits for each value, which do not compress well
    pieces = iter(re.findall(".{30}", noise))
    columns = {"id": {"type": "integer"}, **{name: {"type": ["string", "null"]} for name in names}}
    lines = []
    for id_ in range(total):
        if id_ in (0, total // 2):
            properties = {**columns, "n": {"type": ["string" if id_ else "integer", "null"]}}
            schema = {"type": "SCHEMA", "stream": "t", "schema": {"properties": properties}, "key_properties": ["id"]}
            lines.append(json.dumps(schema))
        record = {"id": id_, **{name: f"{id_} {name} {next(pieces)}" for name in names[id_ % 3 :]}}
        lines.append(json.dumps({"type": "RECORD", "stream": "t", "record": record}))
    load(file, [line + "\n" for line in lines])
    own = " AND ".join(f"(p{n} IS NULL OR starts_with(p{n}, id || ' p{n} '))" for n in (0, 1, 2, 100, 249))
    assert file.query(f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM melty.t WHERE {own}") == [
        {"n": total, "ids": total}
    ]


def _limits_at_the_end(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> list[str]:
    """Collect DuckDB's memory limit at the end of each run; each begins with this limit."""
    monkeypatch.setitem(duckdb_attach.WHILE_LOADING, "memory_limit", f"'{megabytes}MB'")
    monkeypatch.setattr(duckdb_file, "MEMORY_MB", megabytes)
    limits: list[str] = []
    close = DuckDBEngine.close

    def close_and_note(engine: DuckDBEngine) -> None:
        limits.append(engine.query("SELECT current_setting('memory_limit')")[0][0])
        close(engine)

    monkeypatch.setattr(DuckDBEngine, "close", close_and_note)
    return limits


def test_many_changes_in_a_large_table_raise_the_memory_limit_only_for_deletion_marks(
    file: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, limits = 3_000_000, _limits_at_the_end(monkeypatch, 24)
    load(file, numbers(1_000))
    with duckdb.connect(str(file.path)) as other:
        rows = f"SELECT i AS id, 'v' || i AS v FROM range(1_000, {total}) AS t(i)"
        other.execute(f"INSERT INTO melty.numbers BY NAME {rows}")
    changed = random.Random(1).sample(range(total), 60_000)
    records = [f'{{"type": "RECORD", "stream": "numbers", "record": {{"id": {i}, "v": "new"}}}}\n' for i in changed]
    load(file, [numbers(0)[0], *records])
    assert limits == ["22.8 MiB", "48.6 MiB"]  # 24 MB, and 18 MB with 11 bytes for each of 3,000,000 rows
    counts = file.query(
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, count(*) FILTER (v = 'new') AS new FROM melty.numbers"
    )
    assert counts == [{"n": total, "ids": total, "new": len(changed)}]
    assert file.query("SELECT count(*) AS n FROM melty.numbers WHERE v NOT IN ('new', 'v' || id)") == [{"n": 0}]


def _row_groups(file: DuckDBWarehouse, table: str) -> list[int]:
    """The number of rows in each row group of the table, dead rows included."""
    sql = f"SELECT max(count) FROM pragma_storage_info('{table}') GROUP BY row_group_id ORDER BY row_group_id"
    with duckdb.connect(str(file.path), read_only=True) as connection:
        return [count for (count,) in connection.execute(sql).fetchall()]


def _load_and_delete(file: DuckDBWarehouse, quarters: int) -> None:
    """Leave three row groups in which this many quarters of the rows are dead."""
    load(file, numbers(100))
    with duckdb.connect(str(file.path), config={"max_vacuum_tasks": 0}) as connection:
        for first, last in ((100, 60_000), (60_000, 150_000)):
            connection.execute(f"INSERT INTO melty.numbers (id, v) SELECT i, 'v' || i FROM range({first}, {last}) t(i)")
            connection.execute("CHECKPOINT")
        connection.execute(f"DELETE FROM melty.numbers WHERE id >= 100 AND id % 4 < {quarters}")


def test_a_run_that_is_stopped_does_not_compact(file: DuckDBWarehouse, start_target: StartTarget) -> None:
    _load_and_delete(file, 3)
    process = start_target(warehouse=file.url, commit_interval_seconds=0.05)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(numbers(100)).encode())
    process.stdin.flush()
    assert select.select([process.stdout], [], [], 20)[0], "no STATE was printed"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert len(_row_groups(file, "melty.numbers")) >= 3
    load(file, numbers(100))
    assert len(_row_groups(file, "melty.numbers")) == 1


@pytest.mark.parametrize(("quarters_dead", "groups"), [(3, 1), (1, 3)])
def test_a_file_with_more_dead_rows_than_live_rows_is_compacted(
    quarters_dead: int, groups: int, file: DuckDBWarehouse
) -> None:
    """At the end of the next run; with fewer dead rows the run leaves the old row groups alone."""
    _load_and_delete(file, quarters_dead)
    alive = file.query("SELECT id, v FROM melty.numbers ORDER BY id")
    load(file, numbers(100))
    assert len(_row_groups(file, "melty.numbers")) == groups
    assert file.query("SELECT id, v FROM melty.numbers ORDER BY id") == alive


@pytest.mark.parametrize(("limit", "is_enough"), [(24, False), (96, True)])
def test_a_file_is_compacted_with_the_memory_of_a_load_if_that_is_enough(
    limit: int, is_enough: bool, file: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    _load_and_delete(file, 3)
    with duckdb.connect(str(file.path), config={"max_vacuum_tasks": 0}) as connection:
        columns = ", ".join(f"md5((i * {column})::text) AS c{column}" for column in range(100))
        connection.execute(f"CREATE TABLE wide AS SELECT i, {columns} FROM range(10_000) AS t(i)")
        connection.execute("CHECKPOINT")
        connection.execute(f"INSERT INTO wide SELECT i, {columns} FROM range(10_000, 20_000) AS t(i)")
        connection.execute("CHECKPOINT")
        connection.execute("DELETE FROM wide WHERE i % 4 > 0")
    queries = ("SELECT * FROM wide ORDER BY i", "SELECT id, v FROM melty.numbers ORDER BY id")
    alive = [file.query(sql) for sql in queries]
    limits = _limits_at_the_end(monkeypatch, limit)
    load(file, numbers(100))
    assert [limit.endswith("MiB") for limit in limits] == [
        is_enough
    ]  # without a limit of ours it is most of the machine's memory
    assert len(_row_groups(file, "melty.numbers")) == 1
    assert [file.query(sql) for sql in queries] == alive


@pytest.mark.slow
def test_a_file_of_many_small_row_groups_is_compacted(file: DuckDBWarehouse) -> None:
    """Every run leaves a row group, and that of a wide table has a directory of hundreds of entries."""
    columns = ", ".join(f"c{i} VARCHAR" for i in range(300))
    with duckdb.connect(str(file.path), config={"max_vacuum_tasks": 0}) as connection:
        connection.execute(f"CREATE TABLE wide ({columns})")
        for run in range(120):
            values = ", ".join(f"'{run} {i}'" for i in range(300))
            connection.execute(f"INSERT INTO wide VALUES ({values})")
            connection.execute("CHECKPOINT")
    assert len(_row_groups(file, "wide")) == 120
    load(file, numbers(100))
    assert len(_row_groups(file, "wide")) < 5
