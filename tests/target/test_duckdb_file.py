"""The DuckDB file: readable whatever happened to the process that wrote it, and a sentence for one that is not."""

from __future__ import annotations

import io
import json
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from target_warehouse.columns import table_of
from target_warehouse.engines import duckdb as duckdb_engine
from target_warehouse.engines import duckdb_file
from target_warehouse.engines.duckdb import DuckDBEngine
from target_warehouse.errors import ConnectionFailedError, LoadError
from target_warehouse.target import TargetWarehouse
from tests.conftest import DuckDBWarehouse
from tests.long import LONG
from tests.target.feeding import assert_consistent, feed, last_state, numbers
from tests.target.own_server import limited_to

if TYPE_CHECKING:
    from collections.abc import Callable

    StartTarget = Callable[..., subprocess.Popen[bytes]]

KILLS = 50 if LONG else 4
FILLER = "x" * 500


@pytest.fixture
def file(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "crm.duckdb")


def _run(warehouse: DuckDBWarehouse, lines: list[str], **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO("".join(lines)))


@pytest.mark.timeout(1800 if LONG else 120)
def test_a_file_whose_writer_is_killed_is_readable_every_time(file: DuckDBWarehouse, start_target: StartTarget) -> None:
    """At random moments of commits that come as fast as they can; every run continues on what the last one left."""
    total, state = 20_000, 0
    lines = numbers(total)
    for kill in range(KILLS):
        process = start_target(warehouse=file.url, commit_interval_seconds=0, batch_size_rows=300)
        assert process.stdout is not None
        feed(process, lines)
        assert select.select([process.stdout], [], [], 20)[0], "no STATE was printed"
        time.sleep(random.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        state = max(state, last_state(process.communicate(timeout=20)[0]))
        assert process.returncode in {-signal.SIGKILL, 0}, f"kill {kill}"
        assert_consistent(file, state)
    _run(file, lines)
    assert assert_consistent(file, total) == total


@pytest.mark.parametrize("size_mb", [1, 3, 6])
def test_a_full_disk_leaves_a_readable_file_and_the_next_run_heals(
    size_mb: int, file: DuckDBWarehouse, tmp_path: Path
) -> None:
    """Files that refuse to grow stand for the disk; with 1 MB not even the first table's batch fits."""
    total = 12_000
    lines = numbers(total, filler=FILLER)
    config = tmp_path / "config.json"
    config.write_text(f'{{"warehouse": "{file.url}", "commit_interval_seconds": 0.05, "batch_size_rows": 1000}}')
    command = [*limited_to(size_mb << 20), Path(sys.executable).parent / "target-warehouse", "--config", config]
    done = subprocess.run(
        command,
        input="".join(lines).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == 1, said[-2000:]
    assert "Traceback" not in said
    assert "xxx" not in said
    assert said.splitlines()[-1].startswith(f"Error: DuckDB file {file.path}: ")
    state = last_state(done.stdout)
    assert assert_consistent(file, state, filler=FILLER) < total
    _run(file, lines)
    assert assert_consistent(file, total, filler=FILLER) == total


def _half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _header_of_zeros(file: Path) -> None:
    file.write_bytes(b"\0" * 4096 + file.read_bytes()[4096:])


def _a_few_bytes(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def _body_of_noise(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:12_288] + random.Random(1).randbytes(len(content) - 12_288))


def _unreadable(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.name)  # a loop; a mode without permissions would not stop root


@pytest.mark.parametrize(
    "spoil",
    [_half, _header_of_zeros, _a_few_bytes, _body_of_noise, _unreadable],
    ids=lambda spoil: spoil.__name__,
)
def test_a_file_that_cannot_be_read_is_a_sentence_that_says_what_to_do(
    spoil: Callable[[Path], None], file: DuckDBWarehouse
) -> None:
    """And it is left as it is."""
    _run(file, numbers(5_000, filler=FILLER))
    spoil(file.path)
    before = b"" if file.path.is_symlink() else file.path.read_bytes()
    with pytest.raises((ConnectionFailedError, LoadError), match=r"backup|another file") as raised:
        _run(file, numbers(100))
    assert str(file.path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert file.path.is_symlink() or file.path.read_bytes() == before


def test_a_file_that_another_process_reads_is_named(
    file: DuckDBWarehouse, run_target: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    _run(file, numbers(100))
    with duckdb.connect(str(file.path), read_only=True):
        done = run_target("".join(numbers(200)), warehouse=file.url, lock_timeout_seconds=0.3)
    assert done.returncode == 1
    assert "is locked by another process" in done.stderr.splitlines()[-1]
    assert assert_consistent(file, 100) == 100


def test_two_targets_on_one_file_both_load(file: DuckDBWarehouse, start_target: StartTarget) -> None:
    """The second waits for the first."""
    first, second = (start_target(warehouse=file.url, lock_timeout_seconds=30) for _ in range(2))
    for each in (first, second):
        feed(each, numbers(5_000))
    assert [last_state(each.communicate(timeout=60)[0]) for each in (first, second)] == [5_000, 5_000]
    assert (first.returncode, second.returncode) == (0, 0)
    assert assert_consistent(file, 5_000) == 5_000


@pytest.mark.parametrize("limit", [28, 52])
def test_a_batch_that_finds_too_little_memory_is_written_again_and_no_value_gets_into_another_row(
    limit: int, file: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a column has become wider since, which takes more memory for itself alone."""
    monkeypatch.setitem(duckdb_file.WHILE_LOADING, "memory_limit", f"'{limit}MB'")
    monkeypatch.setattr(duckdb_engine, "MEMORY", limit)
    total, names, dice = 4_000, [f"p{number}" for number in range(250)], random.Random(1)
    columns = {"id": {"type": "integer"}, **{name: {"type": ["string", "null"]} for name in names}}
    lines = []
    for id_ in range(total):
        if id_ in (0, total // 2):
            properties = {**columns, "n": {"type": ["string" if id_ else "integer", "null"]}}
            schema = {"type": "SCHEMA", "stream": "t", "schema": {"properties": properties}, "key_properties": ["id"]}
            lines.append(json.dumps(schema))
        record = {"id": id_, **{name: f"{id_} {name} {dice.randrange(10**30)}" for name in names[id_ % 3 :]}}
        lines.append(json.dumps({"type": "RECORD", "stream": "t", "record": record}))
    _run(file, [line + "\n" for line in lines])
    own = " AND ".join(f"(p{n} IS NULL OR starts_with(p{n}, id || ' p{n} '))" for n in (0, 1, 2, 100, 249))
    assert file.query(f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM melty.t WHERE {own}") == [
        {"n": total, "ids": total}
    ]


def _limits_at_the_end(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> list[str]:
    """What DuckDB may take at the end of each run that begins with so much."""
    monkeypatch.setitem(duckdb_file.WHILE_LOADING, "memory_limit", f"'{megabytes}MB'")
    monkeypatch.setattr(duckdb_engine, "MEMORY", megabytes)
    limits: list[str] = []
    close = DuckDBEngine.close

    def noted(engine: DuckDBEngine) -> None:
        limits.append(engine.query("SELECT current_setting('memory_limit')")[0][0])
        close(engine)

    monkeypatch.setattr(DuckDBEngine, "close", noted)
    return limits


def test_changes_all_over_a_large_table_take_the_memory_that_marks_of_its_rows_need_and_no_more(
    file: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    total, limits = 3_000_000, _limits_at_the_end(monkeypatch, 24)
    _run(file, numbers(1_000))
    with duckdb.connect(str(file.path)) as other:
        rows = f"SELECT i AS id, 'v' || i AS v FROM range(1_000, {total}) AS t(i)"
        other.execute(f"INSERT INTO melty.numbers BY NAME {rows}")
    changed = random.Random(1).sample(range(total), 60_000)
    records = [f'{{"type": "RECORD", "stream": "numbers", "record": {{"id": {i}, "v": "new"}}}}\n' for i in changed]
    _run(file, [numbers(0)[0], *records])
    assert limits == ["22.8 MiB", "48.6 MiB"]  # 24 MB, and 18 MB with 11 bytes for each of 3,000,000 rows
    found = file.query(
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, count(*) FILTER (v = 'new') AS new FROM melty.numbers"
    )
    assert found == [{"n": total, "ids": total, "new": len(changed)}]
    assert file.query("SELECT count(*) AS n FROM melty.numbers WHERE v NOT IN ('new', 'v' || id)") == [{"n": 0}]


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were attached; the file is attached anew after every few commits that leave no log."""
    paths: list[str] = []
    attach = duckdb_file.attach

    def noted(connection: duckdb.DuckDBPyConnection, path: str, *more: Any, **options: Any) -> None:
        paths.append(path)
        attach(connection, path, *more, **options)

    monkeypatch.setattr(duckdb_engine, "attach", noted)
    monkeypatch.setattr(duckdb_engine, "_MOST_COLUMNS_COMMITTED", 60)
    monkeypatch.setitem(duckdb_file.WHILE_LOADING, "checkpoint_threshold", "'100kB'")
    return paths


def test_a_file_that_is_attached_anew_during_a_long_load_has_every_row(
    file: DuckDBWarehouse, attached: list[str]
) -> None:
    """What DuckDB knows of what it has written would otherwise take more and more memory."""
    lines = numbers(10_000, filler=FILLER)
    for _ in range(2):
        attached.clear()
        _run(file, lines, batch_size_rows=500)
        assert len(attached) > 2
        assert assert_consistent(file, 10_000, filler=FILLER) == 10_000
    assert file.query('SELECT sum(rows_read) AS n FROM "melty"."_load_history"') == [{"n": 20_000}]


def test_a_file_that_another_process_takes_while_it_is_attached_anew_ends_the_run_with_a_sentence(
    file: DuckDBWarehouse,
    attached: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    attach = duckdb_engine.attach
    held = f"import duckdb\nheld = duckdb.connect({str(file.path)!r})\nprint('held', flush=True)\ninput()"
    others: list[subprocess.Popen[str]] = []

    def taken_before(*arguments: Any, **options: Any) -> None:
        other = subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        others.append(other)
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        attach(*arguments, **options)

    monkeypatch.setattr(duckdb_engine, "attach", taken_before)
    with pytest.raises(ConnectionFailedError, match="is locked by another process"):
        _run(file, numbers(10_000, filler=FILLER), batch_size_rows=500, lock_timeout_seconds=0.3)
    assert not [record.message for record in caplog.records if record.levelname == "WARNING"]
    for other in others:
        other.communicate("\n", timeout=20)
    state = last_state(capsys.readouterr().out)
    assert 0 < assert_consistent(file, state, filler=FILLER) < 10_000
    monkeypatch.setattr(duckdb_engine, "attach", attach)
    _run(file, numbers(10_000, filler=FILLER))
    assert assert_consistent(file, 10_000, filler=FILLER) == 10_000


def test_a_file_is_attached_anew_before_a_transaction_and_not_when_its_work_is_done(
    file: DuckDBWarehouse, attached: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed must be known as committed, or rows without keys would be loaded a second time."""
    engine = DuckDBEngine(str(file.path), 0.1)
    engine.prepare(table_of("t", {"properties": {"id": {}}}, (), default_schema="s", interpret_encoding=False))
    with engine.transaction():  # the table is in the file, not in the log
        engine.query(f"CHECKPOINT {duckdb_file.CATALOG}")

    def fails(*_: Any, **__: Any) -> None:
        raise ConnectionFailedError(str(len(attached)))

    monkeypatch.setattr(duckdb_engine, "attach", fails)
    begun = done = 0

    def work() -> None:
        nonlocal begun, done
        while begun < 1_000:
            with engine.transaction():
                begun += 1
            done += 1

    with pytest.raises(ConnectionFailedError):
        work()
    assert begun == done
    assert 0 < done < 1_000


def test_a_file_that_another_process_changed_while_it_was_attached_anew_is_not_loaded_as_if_nothing_were(
    file: DuckDBWarehouse, attached: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are written as the table was before would lose the values of its new columns."""
    attach = duckdb_engine.attach
    change = f"import duckdb; duckdb.connect({str(file.path)!r}).execute('ALTER TABLE melty.numbers ADD COLUMN n INT')"

    def changed_before(*arguments: Any, **options: Any) -> None:
        subprocess.run([sys.executable, "-c", change], check=True)
        attach(*arguments, **options)

    monkeypatch.setattr(duckdb_engine, "attach", changed_before)
    with pytest.raises(LoadError, match=r"another process changed its tables during the load\. Run again"):
        _run(file, numbers(10_000, filler=FILLER), batch_size_rows=500)
    monkeypatch.setattr(duckdb_engine, "attach", attach)
    _run(file, numbers(10_000, filler=FILLER))
    assert assert_consistent(file, 10_000, filler=FILLER) == 10_000
    assert attached


def test_a_schema_may_have_any_name_also_that_of_a_database(file: DuckDBWarehouse) -> None:
    _run(file, numbers(100), default_target_schema="target", views_schema="main")
    engine = DuckDBEngine(str(file.path), 1, read_only=True)
    assert engine.query('SELECT count(*) FROM "target"."numbers"') == [(100,)]
    assert engine.query('SELECT count(*) FROM "main"."numbers"') == [(100,)]
    engine.close()


def _row_groups(file: DuckDBWarehouse, table: str) -> list[int]:
    """How many rows each row group of the table holds, the dead ones too."""
    sql = f"SELECT max(count) FROM pragma_storage_info('{table}') GROUP BY row_group_id ORDER BY row_group_id"
    with duckdb.connect(str(file.path), read_only=True) as connection:
        return [count for (count,) in connection.execute(sql).fetchall()]


def _load_and_delete(file: DuckDBWarehouse, parts_dead: int) -> None:
    """Leave three row groups, of which so many quarters are dead."""
    _run(file, numbers(100))
    with duckdb.connect(str(file.path), config={"max_vacuum_tasks": 0}) as connection:
        for first, last in ((100, 60_000), (60_000, 150_000)):
            connection.execute(f"INSERT INTO melty.numbers (id, v) SELECT i, 'v' || i FROM range({first}, {last}) t(i)")
            connection.execute("CHECKPOINT")
        connection.execute(f"DELETE FROM melty.numbers WHERE id >= 100 AND id % 4 < {parts_dead}")


def test_who_stops_a_run_does_not_wait_for_compaction(file: DuckDBWarehouse, start_target: StartTarget) -> None:
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
    _run(file, numbers(100))
    assert len(_row_groups(file, "melty.numbers")) == 1


@pytest.mark.parametrize(("parts_dead", "groups"), [(3, 1), (1, 3)])
def test_a_file_of_more_dead_rows_than_live_ones_is_compacted(
    parts_dead: int, groups: int, file: DuckDBWarehouse
) -> None:
    """At the end of the next run; with fewer the run leaves the old row groups alone."""
    _load_and_delete(file, parts_dead)
    alive = file.query("SELECT id, v FROM melty.numbers ORDER BY id")
    _run(file, numbers(100))
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
    _run(file, numbers(100))
    assert [limit.endswith("MiB") for limit in limits] == [is_enough]  # without one it is most of the machine's
    assert len(_row_groups(file, "melty.numbers")) == 1
    assert [file.query(sql) for sql in queries] == alive


@pytest.mark.slow
def test_a_file_of_many_small_pieces_is_compacted(file: DuckDBWarehouse) -> None:
    """Every run leaves a row group; that of a wide table needs a directory of hundreds of entries."""
    columns = ", ".join(f"c{i} VARCHAR" for i in range(300))
    with duckdb.connect(str(file.path), config={"max_vacuum_tasks": 0}) as connection:
        connection.execute(f"CREATE TABLE wide ({columns})")
        for run in range(120):
            values = ", ".join(f"'{run} {i}'" for i in range(300))
            connection.execute(f"INSERT INTO wide VALUES ({values})")
            connection.execute("CHECKPOINT")
    assert len(_row_groups(file, "wide")) == 120
    _run(file, numbers(100))
    assert len(_row_groups(file, "wide")) < 5
