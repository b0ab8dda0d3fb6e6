"""PostgreSQL dies, the network fails, the disk is full, a lock is held: no row is lost, duplicated or half written.

Every test ends by repeating the run, which must complete the table.
"""

from __future__ import annotations

import gc
import io
import os
import random
import select
import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from target_warehouse.errors import LoadError, WarehouseError
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse
from tests.long import LONG
from tests.target.feeding import assert_consistent, feed, last_state, load, numbers
from tests.target.listener import Listener
from tests.target.own_server import OwnServer, own_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    StartTarget = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    yield from own_server()


@pytest.fixture
def crashing(server: OwnServer, request: pytest.FixtureRequest) -> PostgresWarehouse:
    """An empty database of the server that the test may kill."""
    return PostgresWarehouse(server.database(f"test_{abs(hash(request.node.name))}"))


def _assert_completed_by(warehouse: PostgresWarehouse, lines: list[str], total: int, filler: str = "") -> None:
    load(warehouse, lines)
    assert assert_consistent(warehouse, total, filler=filler) == total
    statuses = [row["status"] for row in sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])]
    assert statuses[-1] == "success"


def _a_session(server: OwnServer, url: str) -> int:
    """The process id of the target's writing session, which ADBC gives no application name."""
    database = url.rsplit("/", 1)[1]
    with server.connect() as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s ORDER BY query LIKE '%%COMMIT%%' DESC", [database]
        ).fetchall()
    return int(rows[0][0])


def _kill_server(server: OwnServer, url: str) -> None:
    server.kill()


def _kill_session(server: OwnServer, url: str) -> None:
    """Kill a session as the kernel does when memory is short: the server then ends all sessions and recovers."""
    os.kill(_a_session(server, url), signal.SIGKILL)


def _end_session(server: OwnServer, url: str) -> None:
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.rsplit("/", 1)[1]]
        )


@pytest.mark.parametrize("blow", [_kill_server, _kill_session, _end_session], ids=lambda blow: blow.__name__)
def test_a_server_that_dies_ends_the_run_with_an_error_and_the_next_run_completes_it(
    blow: Callable[[OwnServer, str], None],
    server: OwnServer,
    crashing: PostgresWarehouse,
    start_target: StartTarget,
    tmp_path: Path,
) -> None:
    total = 100_000  # more than are loaded before the server is killed
    lines = numbers(total)
    process = start_target(warehouse=crashing.url, commit_interval_seconds=0.05, batch_size_rows=700)
    assert process.stdout is not None
    feed(process, lines)
    assert select.select([process.stdout], [], [], 20)[0], "no STATE was printed"
    time.sleep(random.uniform(0.0, 0.3))
    blow(server, crashing.url)
    printed = process.communicate(timeout=20)[0]
    if not server.is_up:
        server.start()
    said = (tmp_path / "stderr").read_text()
    assert "Traceback" not in said
    if process.returncode == 0:  # the server died between two batches, and the session was reopened
        assert "it was reopened" in said
        assert assert_consistent(crashing, last_state(printed)) == total
        return
    assert process.returncode == 1, said
    assert said.splitlines()[-1].startswith("Error: PostgreSQL at 127.0.0.1:")
    _wait_for(server)
    assert assert_consistent(crashing, last_state(printed)) < total
    _assert_completed_by(crashing, lines, total)


def _wait_for(server: OwnServer) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            server.connect().close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


class Cut(Listener):
    """A proxy that forwards this many bytes to the server, over all connections, and then resets them all."""

    def __init__(self, port: int, most_bytes: int) -> None:
        self._server_port, self._left = port, most_bytes
        self.passed = 0
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            while self._left > 0:
                for source in select.select([client, server], [], [], 1)[0]:
                    try:
                        data = source.recv(1 << 14)
                        if not data:
                            return
                        if source is client:
                            data = data[: max(self._left, 0)]
                            self._left -= len(data)
                            self.passed += len(data)
                        (server if source is client else client).sendall(data)
                    except OSError:
                        return
            for connection in (client, server):  # a reset, not an orderly end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@contextmanager
def _cut(url: str, most_bytes: int) -> Iterator[str]:
    port = str(psycopg.conninfo.conninfo_to_dict(url)["port"])
    cut = Cut(int(port), most_bytes)
    yield url.replace(f":{port}/", f":{cut.port}/")
    cut.close()


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_connection_lost_at_any_byte_loses_and_duplicates_no_row(
    warehouse: PostgresWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """During the login, a COPY, a merge or a commit; a failure shows where the connection was cut."""
    total, filler = 4_000, "x" * 2_000  # several blocks of input: a STATE is printed between them
    lines = numbers(total, filler=filler)
    load(warehouse, lines[:1])
    state = 0
    capsys.readouterr()
    login, size = 20_000, total * len(filler)  # a whole run sends a little more
    for number in range(60 if LONG else 12):
        at = random.randrange(size if number % 3 else login)
        with _cut(warehouse.url, at) as url, pytest.raises(WarehouseError) as raised:
            TargetWarehouse(config={"warehouse": url, "batch_size_rows": 500, "commit_interval_seconds": 0}).run(
                io.StringIO("".join(lines))
            )
        assert "\n" not in str(raised.value), f"cut after {at} bytes"
        state = max(state, last_state(capsys.readouterr().out))
        assert_consistent(warehouse, state, filler=filler)
    assert state > 0
    gc.collect()  # a connection that was left open is an error here, not in a later test
    _assert_completed_by(warehouse, lines, total, filler)


def test_a_full_disk_ends_the_run_with_an_error_and_the_next_run_completes_it(
    server: OwnServer, crashing: PostgresWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the size of files simulates the disk: errors occur in the same places, with another code."""
    filler, total = "x" * 1_900, 12_000  # too short to be compressed by PostgreSQL
    lines = numbers(total, filler=filler)
    server.stop()
    server.start(most_bytes_in_a_file=17 << 20)
    with pytest.raises(LoadError, match=r"could not extend file|could not write") as raised:
        load(crashing, lines, batch_size_rows=2_000, commit_interval_seconds=0.1)
    assert "xxx" not in str(raised.value)
    state = last_state(capsys.readouterr().out)
    assert 0 < state <= assert_consistent(crashing, state, filler=filler) < total
    server.stop()
    server.start()
    _assert_completed_by(crashing, lines, total, filler)


@contextmanager
def _held(url: str, statement: str) -> Iterator[Callable[[], None]]:
    """Run this statement in another session, which keeps its transaction open until the block or `rollback` ends it."""
    with psycopg.connect(url) as session:
        session.execute(statement)
        yield session.rollback


LOCKS = {
    "a reader's cursor": ("SELECT * FROM melty.numbers", True),
    "an update": ("UPDATE melty.numbers SET v = v WHERE id = 1", False),
    "a locked row": ("SELECT * FROM melty.numbers WHERE id = 1 FOR UPDATE", False),
    "a locked table": ("LOCK TABLE melty.numbers IN ACCESS EXCLUSIVE MODE", False),
    "a locked history": ("LOCK TABLE melty._load_history IN ACCESS EXCLUSIVE MODE", False),
}


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize(("statement", "passes"), LOCKS.values(), ids=LOCKS)
def test_a_lock_is_waited_for_and_then_named(statement: str, passes: bool, warehouse: PostgresWarehouse) -> None:
    lines = numbers(300)
    load(warehouse, lines)
    with _held(warehouse.url, statement):
        if passes:
            load(warehouse, lines, lock_timeout_seconds=0.3)
            return
        started = time.monotonic()
        with pytest.raises(LoadError, match="another session held a lock on the table"):
            load(warehouse, lines, lock_timeout_seconds=0.3)
        assert time.monotonic() - started < 5
    with _held(warehouse.url, statement) as release:
        timer = threading.Timer(0.5, release)
        timer.start()
        load(warehouse, lines, lock_timeout_seconds=20)
        timer.join()
    _assert_completed_by(warehouse, lines, 300)


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_waiting_for_a_lock_ends_the_run_within_seconds(
    signum: signal.Signals, warehouse: PostgresWarehouse, start_target: StartTarget
) -> None:
    lines = numbers(300)
    load(warehouse, lines)
    with _held(warehouse.url, "LOCK TABLE melty.numbers IN ROW EXCLUSIVE MODE"):
        process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.05, lock_timeout_seconds=3)
        feed(process, lines)
        with psycopg.connect(warehouse.url, autocommit=True) as connection:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            deadline = time.monotonic() + 20
            while connection.execute(waiting).fetchone() == (0,):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        started = time.monotonic()
        process.send_signal(signum)
        process.communicate(timeout=20)
        assert time.monotonic() - started < 6
        assert process.returncode in {1, 128 + signum}
    _assert_completed_by(warehouse, lines, 300)
