"""A pgbouncer for one test in front of the tests' PostgreSQL, in the mode `transaction`, if it is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


@contextmanager
def pooled(url: str, *, sessions: int) -> Iterator[str]:
    """The URL of the same database through a pool of `sessions` sessions."""
    there = make_url(url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with TemporaryDirectory(prefix="warehouse-pool-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # pgbouncer does not run as root
        (folder / "users").write_text(f'"{there.username}" "{there.password}"\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host={there.host} port={there.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = {sessions}\nquery_wait_timeout = 10\n"
        )
        process = subprocess.Popen(
            [str(PROGRAM), "-q", str(folder / "ini")],
            user="nobody" if os.geteuid() == 0 else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        through = there.set(port=port).render_as_string(hide_password=False)
        try:
            deadline = time.monotonic() + 20
            while True:
                with suppress(psycopg.OperationalError):
                    psycopg.connect(through).close()
                    break
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield through
        finally:
            process.kill()
            process.wait()
