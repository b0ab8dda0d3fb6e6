"""pytest fixtures: `sandbox` (one server for a test) and `sandbox_factory` (any number of servers for the session).

The options are those of `hubspot-sandbox serve` as keywords, such as `contacts=50, index_lag_seconds=2,
no_oddities=True`, with lists for options that repeat; and `faults` (rules, or a file of rules) and
`clock_offset_seconds`. A server is a separate process on a free port; it ends with the test or the session.
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
    """A request to the sandbox ended in an unexpected exception; its traceback is on standard error."""


class SandboxClock:
    """The clock of one running sandbox."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    def advance(self, seconds: float) -> str:
        """Move the clock forward; return its new time."""
        return str(self._client.post("clock", {"advanceSeconds": seconds})["now"])

    def now(self) -> str:
        """Return the sandbox's time, in ISO 8601."""
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
        """Return the request counts: `total`, `byStatus`, `byEndpoint`."""
        log: dict[str, Any] = self.get("log")
        return log

    def reset(self) -> None:
        """Restore the clean portal and empty the counts."""
        self.post("reset")

    def faults(self, rules: list[dict[str, Any]]) -> None:
        """Replace the fault rules; an empty list removes all."""
        self.post("faults", rules)

    def fault_counts(self) -> list[dict[str, int]]:
        """Return how often each rule was met and fired."""
        counts: list[dict[str, int]] = self.get("faults")["rules"]
        return counts

    def settings(self, **changes: Any) -> None:
        """Change the behaviour: `tier dailyUsed latencyMs indexLagSeconds quirks withoutScopes tokenSeconds`."""
        self.post("settings", changes)

    @property
    def clock(self) -> SandboxClock:
        """The sandbox's clock."""
        return SandboxClock(self)

    def stop(self) -> None:
        """End the process, if it still runs; SandboxDefectError if a request ended in an unexpected exception."""
        defects = self._defects()
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()
        if defects:
            raise SandboxDefectError(
                f"The sandbox raised {len(defects)} unexpected exceptions; the first: {defects[0]}."
            )

    def _defects(self) -> list[str]:
        if self.process.poll() is not None:
            return []
        try:
            defects: list[str] = self.get("status")["defects"]
        except AdminError:
            return []  # it is about to end
        return defects


def _words(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            yield flag
        elif value is not False and value is not None:
            for item in value if isinstance(value, (list, tuple)) else (value,):
                yield from (flag, str(item))


def start_sandbox(
    *, faults: Sequence[dict[str, Any]] | Path | str | None = None, clock_offset_seconds: float = 0, **options: Any
) -> RunningSandbox:
    """Start a server process on a free port, or on `port`; the caller stops it.

    `faults` are rules, or the name of a file of rules; `clock_offset_seconds` moves its clock at the start.
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
        raise RuntimeError(f"The sandbox ended with code {process.wait()} before it served; see its error above.")
    running = RunningSandbox(process, json.loads(line))
    if rules:
        running.faults(list(rules))
    if clock_offset_seconds:
        running.clock.advance(clock_offset_seconds)
    return running


@pytest.fixture(scope="session")
def sandbox_factory() -> Iterator[Callable[..., RunningSandbox]]:
    """`sandbox_factory(**options)` starts a sandbox that runs until the end of the session."""
    with ExitStack() as started:

        def start(**options: Any) -> RunningSandbox:
            running = start_sandbox(**options)
            started.callback(running.stop)
            return running

        yield start


@pytest.fixture
def sandbox(request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    """A clean sandbox for one test, with the options of `@pytest.mark.sandbox(contacts=10, …)`."""
    marker = request.node.get_closest_marker("sandbox")
    running = start_sandbox(**(marker.kwargs if marker else {}))
    yield running
    running.stop()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "sandbox(**options): options of the sandbox fixture, as of `serve`")
