"""`up` and `down`: a detached server and its state file.

The server inherits no pipe from `up`: a program that reads the output of `up` to its end does not wait for the server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubspot_sandbox.control.admin_client import AdminClient, AdminError

STATE_DIR_VARIABLE = "HUBSPOT_SANDBOX_STATE_DIR"
_START_SECONDS = 60
_STOP_SECONDS = 10


class DaemonError(Exception):
    """`up` or `down` failed; the message is one sentence."""


@dataclass(frozen=True)
class StateDirectory:
    """The directory of the state file, the journal and the server's log."""

    path: Path

    @classmethod
    def of(cls, given: str | None) -> StateDirectory:
        """Return the given directory, else that of the environment variable, else `.hubspot-sandbox`."""
        return cls(Path(given or os.environ.get(STATE_DIR_VARIABLE) or ".hubspot-sandbox"))

    @property
    def state_file(self) -> Path:
        """The facts about the running server."""
        return self.path / "sandbox.json"

    @property
    def log_file(self) -> Path:
        """The output of the detached server."""
        return self.path / "sandbox.log"

    @property
    def journal_file(self) -> Path:
        """The mutations of the portal, which the next server applies again."""
        return self.path / "journal.jsonl"

    def read(self) -> dict[str, Any] | None:
        """Return the state, None if there is none or it is not valid."""
        try:
            state = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return None
        return state if isinstance(state, dict) and {"url", "pid"} <= state.keys() else None


def status_at(url: str) -> dict[str, Any] | None:
    """Return the status of the sandbox at `url`, None if nothing answers; DaemonError if it is not a sandbox."""
    try:
        status = AdminClient(url).get("status")
    except AdminError as error:
        if error.__cause__ is not None:
            return None
        status = None
    if not isinstance(status, dict) or status.get("name") != "hubspot-sandbox":
        raise DaemonError(f"{url} is served by something that is not a sandbox; choose another --port.")
    return status


def up(directory: StateDirectory, serve_arguments: list[str], fingerprint: str, url: str | None, *, fresh: bool) -> str:
    """Start a sandbox unless one with these options runs; return a sentence about it. `url` None: any free port."""
    state = directory.read()
    running_url = url or (str(state["url"]) if state else None)
    running = status_at(running_url) if running_url else None
    if running is not None and running_url is not None:
        if fresh:
            _stop(int(running["pid"]), running_url)
        elif running["options"] == fingerprint:
            return f"The sandbox is already running at {running_url} (pid {running['pid']})."
        else:
            raise DaemonError(
                f"A sandbox with other options is running at {running_url}; `up --fresh` or `down` replaces it."
            )
    if fresh:
        directory.journal_file.unlink(missing_ok=True)
    return _start(directory, serve_arguments)


def _start(directory: StateDirectory, serve_arguments: list[str]) -> str:
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.state_file.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "hubspot_sandbox",
        "serve",
        *serve_arguments,
        "--journal",
        str(directory.journal_file.resolve()),
        "--state-file",
        str(directory.state_file.resolve()),
    ]
    with directory.log_file.open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own module, no shell
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        state = directory.read()
        if state is not None and state["pid"] == child.pid:
            return f"The sandbox is running at {state['url']} (pid {child.pid}). {state['journal']}".strip()
        if child.poll() is not None:
            raise DaemonError(_last_line(directory.log_file))
        time.sleep(0.02)
    child.kill()
    child.wait()
    raise DaemonError(f"The sandbox did not start within {_START_SECONDS} seconds; see {directory.log_file}.")


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "The sandbox ended at once without a message."


def down(directory: StateDirectory) -> str:
    """Stop the sandbox of the state file, if it still runs; return a sentence about it."""
    state = directory.read()
    if state is None:
        return "No sandbox is running."
    try:
        running = status_at(str(state["url"]))
    except DaemonError:
        running = None
    directory.state_file.unlink(missing_ok=True)
    # Stop the process only if the server confirms its id: systems reuse process ids.
    if running is None or running["pid"] != state["pid"]:
        return "No sandbox is running."
    _stop(int(state["pid"]), str(state["url"]))
    return f"The sandbox at {state['url']} is stopped."


def _stop(pid: int, url: str) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline:
        if status_at(url) is None:
            return
        time.sleep(0.02)
    raise DaemonError(f"The sandbox at {url} (pid {pid}) does not stop.")
