"""SIGTERM and SIGINT at any time during a load without pauses: it ends within seconds and leaves no partial batch."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import duckdb
import pytest

from target_warehouse.errors import LoadError, TerminatedError
from target_warehouse.singer.signals import Signals
from tests.long import LONG
from tests.target.feeding import assert_consistent, feed, last_state, numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Warehouse

    StartTarget = Callable[..., subprocess.Popen[bytes]]

ROUNDS = 25 if LONG else 2


@pytest.mark.timeout(1800 if LONG else 120)
@pytest.mark.parametrize(
    "signals", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGTERM)], ids=["TERM", "INT", "INT, TERM"]
)
def test_a_signal_in_the_middle_of_a_batch_ends_the_run_within_seconds(
    signals: tuple[signal.Signals, ...], warehouse: Warehouse, start_target: StartTarget, tmp_path: Path
) -> None:
    """Large batches are being written all the time; a second signal does no harm."""
    lines, state = numbers(200_000), 0  # more than are loaded before the signal arrives
    for _ in range(ROUNDS):
        process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.1, batch_size_rows=5_000)
        assert process.stdout is not None
        feed(process, lines)
        assert select.select([process.stdout], [], [], 30)[0], "no STATE was printed"
        time.sleep(random.uniform(0.0, 0.5))
        started = time.monotonic()
        for signum in signals:
            process.send_signal(signum)
            time.sleep(0.02)
        state = max(state, last_state(process.communicate(timeout=20)[0]))
        assert time.monotonic() - started < 10
        said = (tmp_path / "stderr").read_text()
        # The second signal may arrive after Python has restored the default handlers, at the very end.
        codes = {128 + each for each in signals} | {-each for each in signals[1:]}
        assert process.returncode in codes, said.splitlines()[-1]
        assert "Traceback" not in said
        assert_consistent(warehouse, state)


def test_a_signal_during_a_duckdb_query_is_not_reported_as_an_error_of_the_database() -> None:
    signals = Signals()
    before = signal.signal(signal.SIGUSR1, lambda number, _: signals.handle(number))
    connection = duckdb.connect(config={"threads": 1})  # as in the target; the signal does not interrupt other threads
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGUSR1]).start()
    try:
        with connection, pytest.raises(TerminatedError) as ended, signals.immediate():
            connection.execute("SELECT max(a.range * b.range) FROM range(100000) a, range(100000) b").fetchall()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended.value.exit_code == 128 + signal.SIGUSR1
    assert ended.value.__cause__ is not None


def test_a_signal_that_makes_the_driver_fail_is_not_reported_as_its_error() -> None:
    """The interrupted connection to PostgreSQL can refuse the next command."""
    signals = Signals()

    def read_interrupted() -> None:
        try:
            signals.handle(signal.SIGTERM)
        finally:
            raise LoadError("can't change autocommit now")

    with pytest.raises(TerminatedError) as ended, signals.immediate():
        read_interrupted()
    assert ended.value.exit_code == 128 + signal.SIGTERM
