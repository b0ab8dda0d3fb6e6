"""The DuckDB file stays readable whatever happens to its writer, and an unreadable file is a clear error."""

from __future__ import annotations

import io
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from target_warehouse.engines.duckdb import attach as duckdb_attach
from target_warehouse.engines.duckdb import file as duckdb_file
from target_warehouse.engines.duckdb.engine import DuckDBEngine
from target_warehouse.errors import ConnectionFailedError, LoadError
from target_warehouse.singer.target import TargetWarehouse
from target_warehouse.tables.table import table_of
from tests.conftest import DuckDBWarehouse
from tests.long import LONG
from tests.target.feeding import assert_consistent, feed, last_state, load, numbers
from tests.target.own_server import limited_to

if TYPE_CHECKING:
    from collections.abc import Callable

    StartTarget = Callable[..., subprocess.Popen[bytes]]

KILLS = 50 if LONG else 4
FILLER = "x" * 500


@pytest.mark.timeout(1800 if LONG else 120)
def test_a_file_whose_writer_is_killed_is_readable_every_time(file: DuckDBWarehouse, start_target: StartTarget) -> None:
    """At random times while it commits as fast as it can; every run continues from the file of the last one."""
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
    load(file, lines)
    assert assert_consistent(file, total) == total


@pytest.mark.parametrize("size_mb", [1, 3, 6])
def test_a_full_disk_leaves_a_readable_file_and_the_next_run_completes_it(
    size_mb: int, file: DuckDBWarehouse, tmp_path: Path
) -> None:
    """A limit on the size of files simulates the disk; with 1 MB not even the first batch fits."""
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
    load(file, lines)
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
def test_a_file_that_cannot_be_read_is_an_error_that_says_what_to_do(
    spoil: Callable[[Path], None], file: DuckDBWarehouse
) -> None:
    """The file is left as it is."""
    load(file, numbers(5_000, filler=FILLER))
    spoil(file.path)
    before = b"" if file.path.is_symlink() else file.path.read_bytes()
    with pytest.raises((ConnectionFailedError, LoadError), match=r"backup|another file") as raised:
        load(file, numbers(100))
    assert str(file.path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert file.path.is_symlink() or file.path.read_bytes() == before


def test_a_file_that_another_process_reads_is_named(
    file: DuckDBWarehouse, run_target: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    load(file, numbers(100))
    with duckdb.connect(str(file.path), read_only=True):
        done = run_target("".join(numbers(200)), warehouse=file.url, lock_timeout_seconds=0.3)
    assert done.returncode == 1
    assert "is locked by another process" in done.stderr.splitlines()[-1]
    assert assert_consistent(file, 100) == 100


def test_two_targets_on_one_file_both_load(file: DuckDBWarehouse, start_target: StartTarget) -> None:
    """The second waits for the first."""
    first, second = (start_target(warehouse=file.url, lock_timeout_seconds=30) for _ in range(2))
    for process in (first, second):
        feed(process, numbers(5_000))
    assert [last_state(process.communicate(timeout=60)[0]) for process in (first, second)] == [5_000, 5_000]
    assert (first.returncode, second.returncode) == (0, 0)
    assert assert_consistent(file, 5_000) == 5_000


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were attached; the file is attached again after every few commits that leave no log."""
    paths: list[str] = []
    attach = duckdb_attach.attach

    def noted(connection: duckdb.DuckDBPyConnection, path: str, *more: Any, **options: Any) -> None:
        paths.append(path)
        attach(connection, path, *more, **options)

    monkeypatch.setattr(duckdb_file, "attach", noted)
    monkeypatch.setattr(duckdb_file, "_MOST_COLUMNS_COMMITTED", 60)
    monkeypatch.setitem(duckdb_attach.WHILE_LOADING, "checkpoint_threshold", "'100kB'")
    return paths


def test_a_file_that_is_attached_again_during_a_long_load_has_every_row(
    file: DuckDBWarehouse, attached: list[str]
) -> None:
    """Otherwise DuckDB's memory for what it has written would keep growing."""
    lines = numbers(10_000, filler=FILLER)
    for _ in range(2):
        attached.clear()
        load(file, lines, batch_size_rows=500)
        assert len(attached) > 2
        assert assert_consistent(file, 10_000, filler=FILLER) == 10_000
    assert file.query('SELECT sum(rows_read) AS n FROM "melty"."_load_history"') == [{"n": 20_000}]


def test_a_file_that_another_process_opens_while_it_is_attached_again_is_a_clear_error(
    file: DuckDBWarehouse,
    attached: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    attach = duckdb_file.attach
    held = f"import duckdb\nheld = duckdb.connect({str(file.path)!r})\nprint('held', flush=True)\ninput()"
    others: list[subprocess.Popen[str]] = []

    def taken_before(*arguments: Any, **options: Any) -> None:
        other = subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        others.append(other)
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        attach(*arguments, **options)

    monkeypatch.setattr(duckdb_file, "attach", taken_before)
    with pytest.raises(ConnectionFailedError, match="is locked by another process"):
        load(file, numbers(10_000, filler=FILLER), batch_size_rows=500, lock_timeout_seconds=0.3)
    assert not [record.message for record in caplog.records if record.levelname == "WARNING"]
    for other in others:
        other.communicate("\n", timeout=20)
    state = last_state(capsys.readouterr().out)
    assert 0 < assert_consistent(file, state, filler=FILLER) < 10_000
    monkeypatch.setattr(duckdb_file, "attach", attach)
    load(file, numbers(10_000, filler=FILLER))
    assert assert_consistent(file, 10_000, filler=FILLER) == 10_000


def test_a_file_is_attached_again_before_a_transaction_and_not_after_it(
    file: DuckDBWarehouse, attached: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a commit looked failed, rows without keys would be loaded a second time."""
    engine = DuckDBEngine(str(file.path), 0.1)
    engine.prepare(table_of("t", {"properties": {"id": {}}}, (), default_schema="s", interpret_encoding=False))
    with engine.transaction():  # the table is in the file, not in the log
        engine.query(f"CHECKPOINT {duckdb_attach.CATALOG}")

    def fails(*_: Any, **__: Any) -> None:
        raise ConnectionFailedError(str(len(attached)))

    monkeypatch.setattr(duckdb_file, "attach", fails)
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


def test_a_file_that_another_process_changed_while_it_was_attached_again_stops_the_run(
    file: DuckDBWarehouse, attached: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows written in the table's old form would lose the values of its new columns."""
    attach = duckdb_file.attach
    change = f"import duckdb; duckdb.connect({str(file.path)!r}).execute('ALTER TABLE melty.numbers ADD COLUMN n INT')"

    def changed_before(*arguments: Any, **options: Any) -> None:
        subprocess.run([sys.executable, "-c", change], check=True)
        attach(*arguments, **options)

    monkeypatch.setattr(duckdb_file, "attach", changed_before)
    with pytest.raises(LoadError, match=r"another process changed its tables during the load\. Run again"):
        load(file, numbers(10_000, filler=FILLER), batch_size_rows=500)
    monkeypatch.setattr(duckdb_file, "attach", attach)
    load(file, numbers(10_000, filler=FILLER))
    assert assert_consistent(file, 10_000, filler=FILLER) == 10_000
    assert attached


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_file_that_is_replaced_or_removed_during_the_load_stops_the_run(
    is_replaced: bool, file: DuckDBWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commits would go to a file that nobody can open any more."""
    load(file, numbers(100))
    capsys.readouterr()
    other = file.path.with_name("other")
    shutil.copy(file.path, other)
    target = TargetWarehouse(config={"warehouse": file.url})
    _ = target.committer.engine
    if is_replaced:
        other.replace(file.path)
    else:
        file.path.unlink()
    with pytest.raises(LoadError, match="another program moved, removed or replaced it"):
        target.run(io.StringIO("".join(numbers(200))))
    assert capsys.readouterr().out == ""


def test_a_schema_may_have_any_name_even_that_of_a_database(file: DuckDBWarehouse) -> None:
    load(file, numbers(100), default_target_schema="target", views_schema="main")
    engine = DuckDBEngine(str(file.path), 1, read_only=True)
    assert engine.query('SELECT count(*) FROM "target"."numbers"') == [(100,)]
    assert engine.query('SELECT count(*) FROM "main"."numbers"') == [(100,)]
    engine.close()
