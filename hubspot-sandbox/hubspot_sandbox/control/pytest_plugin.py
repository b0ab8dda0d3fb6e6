"""pytest fixtures: `sandbox` (a server of its own for a test) and `sandbox_factory` (as many as wanted, per session).

Options are those of `hubspot-sandbox serve`, as keywords: `contacts=50, index_lag_seconds=2, no_oddities=True`,
lists for options that repeat; `faults` (rules, or a file of them) and `clock_offset_seconds` besides. The server is a
separate process on a free port; it ends with the test or the session.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hubspot_sandbox.control.admin_client import AdminClient, AdminError


class SandboxDefectError(AssertionError):
    """A request to the sandbox ended in an exception that nobody foresaw; its traceback is on standard error."""


class SandboxClock:
    """Moves and reads the now of one running sandbox."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    def advance(self, seconds: float) -> str:
        """Move the clock; gives the new now."""
        return str(self._client.post("clock", {"advanceSeconds": seconds})["now"])

    def now(self) -> str:
        """The sandbox's now, ISO."""
        return str(self._client.get("status")["now"])


class RunningSandbox(AdminClient):
    """A running sandbox: `url`, `token`, `mutate`, `random`, `truth`, `log`, `faults`, `settings`, `clock` …."""

    def __init__(self, process: subprocess.Popen[str], facts: dict[str, Any]) -> None:
        super().__init__(facts["url"])
        self.process = process
        self.token: str = facts["token"]
        self.portal_id: int = facts["portalId"]
        #: `http://host:port` of the HTTPS proxy and the authority to trust, with the option `proxy_port`
        self.proxy: str | None = facts.get("proxy")
        self.ca_file: str | None = facts.get("caFile")

    def log(self) -> dict[str, Any]:
        """Requests so far: `total`, `byStatus`, `byEndpoint`."""
        found: dict[str, Any] = self.get("log")
        return found

    def reset(self) -> None:
        """A clean portal, empty counts."""
        self.post("reset")

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Replace the fault rules; an empty list ends them."""
        self.post("faults", rules)

    def fault_counts(self) -> list[dict[str, int]]:
        """How often each rule was met and fired."""
        found: list[dict[str, int]] = self.get("faults")["rules"]
        return found

    def settings(self, **changes: Any) -> None:
        """Change behaviour: `tier dailyUsed latencyMs indexLagSeconds quirks withoutScopes tokenSeconds`."""
        self.post("settings", changes)

    @property
    def clock(self) -> SandboxClock:
        """The sandbox's clock."""
        return SandboxClock(self)

    def stop(self) -> None:
        """End the process, harmless when it has ended; SandboxDefectError when a request met one of its defects."""
        defects = self._defects()
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        if defects:
            raise SandboxDefectError(f"The sandbox met {len(defects)} unexpected exceptions, first {defects[0]}.")

    def _defects(self) -> list[str]:
        if self.process.poll() is not None:
            return []
        try:
            found: list[str] = self.get("status")["defects"]
        except AdminError:
            return []  # it is ending already
        return found


def _words(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            yield flag
        elif value is not False and value is not None:
            for one in value if isinstance(value, (list, tuple)) else (value,):
                yield from (flag, str(one))


def start_sandbox(
    *, faults: Sequence[dict[str, Any]] | Path | str | None = None, clock_offset_seconds: float = 0, **options: Any
) -> RunningSandbox:
    """A new server process on a free port (or on `port`); the caller stops it.

    `faults` are rules, or the name of a file of rules; `clock_offset_seconds` moves its now from the start.
    """
    rules = None if isinstance(faults, (str, Path)) else faults
    if rules is None:
        options["faults"] = faults
    command = [sys.executable, "-m", "hubspot_sandbox", "serve", "--json", *_words({"port": 0, **options})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module, no shell
    if process.stdout is None:
        raise RuntimeError("The sandbox has no standard output.")
    line = process.stdout.readline()
    if not line:
        process.stdout.close()
        raise RuntimeError(f"The sandbox ended with code {process.wait()} before it served; its error is above.")
    running = RunningSandbox(process, json.loads(line))
    if rules:
        running.faults(list(rules))
    if clock_offset_seconds:
        running.clock.advance(clock_offset_seconds)
    return running


@pytest.fixture(scope="session")
def sandbox_factory() -> Iterator[Callable[..., RunningSandbox]]:
    """`sandbox_factory(**options)` starts a sandbox; all of them end with the session."""
    with ExitStack() as started:

        def start(**options: Any) -> RunningSandbox:
            running = start_sandbox(**options)
            started.callback(running.stop)
            return running

        yield start


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    """A clean sandbox for one test; options by `@pytest.mark.sandbox(contacts=10, …)`."""
    marker = request.node.get_closest_marker("sandbox")
    running = start_sandbox(**(marker.kwargs if marker else {}))
    yield running
    running.stop()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "sandbox(**options): options of the sandbox fixture, as of `serve`")
