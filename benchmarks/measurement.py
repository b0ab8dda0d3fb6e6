"""Measurements of a program: the sandbox has one core, the program another; the sandbox counts the requests.

The reader of the program's output runs on the program's core, because in practice a reader needs processor time too.

The program runs as in a normal installation: its bytecode is kept, in a folder of the benchmark, and no Python or proxy
variables are set. Its processor time is the kernel's figure at its end. Its peak memory is the kernel's last figure
while it ran, because the figure at the end includes the memory from before `exec`. Its output is counted, not parsed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubspot_sandbox.control.pytest_plugin import RunningSandbox, start_sandbox

_CORES = sorted(os.sched_getaffinity(0))
SANDBOX_CORE, PROGRAM_CORE = _CORES[0], _CORES[-1]
RECORD = b'"RECORD"'  # once in every record message of any Singer program
_PIPE_BYTES = 1 << 20
_LOOK_SECONDS = 0.25
_PEAK_SECONDS = 0.05
#: The beginning of an endpoint's name in the sandbox's log → its budget; all others count for `objects`.
_BUDGETS = {"search": "search", "associations batch read": "associations", "association labels": "associations"}


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run everything that starts inside the `with` block on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def sandbox(**options: Any) -> Iterator[RunningSandbox]:
    """Yield a sandbox on its own core; this process uses that core too while it measures nothing."""
    os.sched_setaffinity(0, {SANDBOX_CORE})
    running = start_sandbox(**options)
    try:
        yield running
    finally:
        running.stop()


@dataclass(frozen=True)
class Measurement:
    """The figures of one run of a program."""

    wall_seconds: float
    cpu_seconds: float
    records: int
    megabytes: float
    peak_megabytes: float
    arrivals: Sequence[tuple[float, int]] = field(repr=False)  # (seconds after the start, records until then)

    def records_until(self, second: float) -> int:
        """Return the number of records until then."""
        return max((records for at, records in self.arrivals if at <= second), default=0)


class Workshop:
    """A folder in which programs run with the same environment variables."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and "proxy" not in k.lower()}
        self.variables = {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), **variables}

    def write(self, name: str, content: object) -> str:
        """Write a JSON file and return its path."""
        (self.folder / name).write_text(json.dumps(content))
        return str(self.folder / name)

    def output(self, *command: str) -> bytes:
        """Run a program without measuring it; return its standard output."""
        return self._run(command, self.variables)

    def measure(self, *command: str, keep: Path | None = None, codes: Container[int] = (0,)) -> Measurement:
        """Run a program to its end; `keep` is a file for its output. An exit code not in `codes` ends the benchmark."""
        records, size, tail = 0, 0, b""
        arrivals: list[tuple[float, int]] = []
        with (
            (self.folder / "stderr").open("wb") as errors,
            (keep or Path(os.devnull)).open("wb") as kept,
            on_core(PROGRAM_CORE),
        ):
            started = time.monotonic()
            process = subprocess.Popen(  # noqa: S603 - a benchmark's own command, no shell
                command,
                cwd=self.folder,
                env=self.variables,
                stdout=subprocess.PIPE,
                stderr=errors,
                pipesize=_PIPE_BYTES,
            )
            if process.stdout is None:
                raise SystemExit("The program has no standard output.")
            peak, looked = 0.0, 0.0
            while chunk := os.read(process.stdout.fileno(), _PIPE_BYTES):
                if time.monotonic() - looked >= _PEAK_SECONDS:
                    looked, peak = time.monotonic(), peak_megabytes(process.pid)
                new_records = chunk.count(RECORD) + (tail + chunk[: len(RECORD) - 1]).count(RECORD)
                tail = (tail + chunk[1 - len(RECORD) :])[1 - len(RECORD) :]
                size += len(chunk)
                if new_records:
                    records += new_records
                    arrivals.append((time.monotonic() - started, records))
                if keep:
                    kept.write(chunk)
            peak = max(peak, peak_megabytes(process.pid))
            _, status, used = os.wait4(process.pid, 0)
            wall_seconds = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            process.stdout.close()
        if process.returncode not in codes:
            self._fail(command, process.returncode)
        cpu_seconds = used.ru_utime + used.ru_stime
        return Measurement(wall_seconds, cpu_seconds, records, size / 1e6, peak, arrivals)

    def install(self, requirement: str) -> Path:
        """Install a package in its own environment and return the folder of its programs.

        The installation does not use the sandbox's proxy.
        """
        environment = self.folder / requirement.partition("=")[0]
        uv, python = str(Path(sys.executable).with_name("uv")), str(environment / "bin" / "python")
        self._run((uv, "venv", "--quiet", "--python", sys.executable, str(environment)), os.environ)
        self._run((uv, "pip", "install", "--quiet", "--python", python, requirement), os.environ)
        return environment / "bin"

    def trust(self, ca_file: Path, programs: Path) -> None:
        """Add an authority, such as a sandbox's, to those that the programs of an environment from `install` trust."""
        bundle = next(programs.parent.glob("lib/*/site-packages/certifi/cacert.pem"))
        known = bundle.read_bytes()
        bundle.unlink()  # a new file, because uv's environments share files with its cache
        bundle.write_bytes(known + ca_file.read_bytes())

    def _run(self, command: Sequence[str], variables: Mapping[str, str]) -> bytes:
        with (self.folder / "stderr").open("wb") as errors:
            done = subprocess.run(  # noqa: S603 - a benchmark's own command, no shell
                command, cwd=self.folder, env=variables, stdout=subprocess.PIPE, stderr=errors, check=False
            )
        if done.returncode:
            self._fail(command, done.returncode)
        return done.stdout

    def _fail(self, command: Sequence[str], code: int) -> None:
        errors = (self.folder / "stderr").read_text(errors="replace")[-3_000:]
        raise SystemExit(f"{' '.join(command)[:300]} ended with code {code}:\n{errors}")


class RequestWatch:
    """Samples a sandbox's request log during a run: requests by budget over time."""

    def __init__(self, running: RunningSandbox) -> None:
        self._running = running
        self._stopped = threading.Event()
        self.looks: list[tuple[float, Counter[str]]] = []

    def __enter__(self) -> RequestWatch:
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            stopped = self._stopped.wait(_LOOK_SECONDS)
            self.looks.append((time.monotonic() - self._started, requests_by_budget(self._running.log())))
            if stopped:
                return

    def requests_until(self, second: float, budget: str) -> int:
        """Return the number of answered requests of a budget until then."""
        return max((counts[budget] for at, counts in self.looks if at <= second), default=0)

    def last_request(self, budget: str) -> float:
        """Return the time of the last answered request of a budget, in seconds after the start."""
        total = self.looks[-1][1][budget]
        return next(at for at, counts in self.looks if counts[budget] == total)


def requests_by_budget(log: Mapping[str, Any]) -> Counter[str]:
    """Return the answered requests by HubSpot's budgets (`search`, `associations`, `objects`), without refusals."""
    requests: Counter[str] = Counter()
    for endpoint, statuses in log["byEndpoint"].items():
        name = next((budget for start, budget in _BUDGETS.items() if endpoint.startswith(start)), "objects")
        requests[name] += sum(count for status, count in statuses.items() if status in {"200", "207"})
    return requests


def processor_seconds(pid: int) -> float:
    """Return the processor time of a running process, with the precision of the kernel's ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(pid: int) -> float:
    """Return the peak memory of a process; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)
