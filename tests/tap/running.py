"""Running the tap as users do: a process of its own, Singer messages on its standard output.

WAREHOUSE_TEST_API_VERSION (`v3`, `2026-03`) runs every test that names no version on that one.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import forked

TAP = Path(sys.executable).with_name("tap-hubspot-dw")
VERSION = {"api_version": version} if (version := os.environ.get("WAREHOUSE_TEST_API_VERSION")) else {}
CLEAN = {name: text for name, text in os.environ.items() if not name.startswith("TAP_HUBSPOT_DW_")}
SECRET = "pat-sandbox-not-a-secret"
UNREACHABLE = "http://127.0.0.1:9"
#: A valid configuration with an address where no server answers.
GOOD = {"access_token": SECRET, "api_url": UNREACHABLE}


@dataclass
class TapRun:
    """The output of a run of the tap, and how it ended."""

    returncode: int
    log: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        return next((each["value"] for each in reversed(self.messages) if each["type"] == "STATE"), {})

    def records(self, stream: str) -> list[dict[str, Any]]:
        """The records of a stream, in order, without delete records."""
        return [each for each in self._records(stream) if not each.get("_sdc_deleted_at")]

    def deletes(self, stream: str) -> list[dict[str, Any]]:
        """The delete records of a stream, in order."""
        return [each for each in self._records(stream) if each.get("_sdc_deleted_at")]

    def message_types(self, stream: str) -> list[str]:
        """The types of a stream's messages; repetitions of a type count as one."""
        types = [each["type"] for each in self.messages if each.get("stream") == stream]
        return [each for i, each in enumerate(types) if i == 0 or types[i - 1] != each]

    def by_stream(self) -> dict[str, int]:
        """The number of records by stream."""
        counts: dict[str, int] = defaultdict(int)
        for each in self.messages:
            if each["type"] == "RECORD":
                counts[each["stream"]] += 1
        return dict(counts)

    def _records(self, stream: str) -> list[dict[str, Any]]:
        return [each["record"] for each in self.messages if each["type"] == "RECORD" and each["stream"] == stream]


def is_gone(activation: dict[str, Any], record: dict[str, Any], version: int) -> bool:
    """Return whether an ACTIVATE_VERSION marks the row of this record and version, in a target that knows scopes."""
    scope = activation.get("scope")
    if scope is None:
        return version < activation["version"]
    return version < scope["version"] and [record.get(name) for name in scope["columns"]] in scope["values"]


def run_tap(
    folder: Path,
    config: dict[str, Any],
    *arguments: str,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 120,
) -> TapRun:
    """Run the tap with files in `folder`; fail the test if it takes too long or writes anything but Singer messages."""
    command = ["--config", _file(folder, "config", VERSION | config)]
    if state is not None:
        command += ["--state", _file(folder, "state", state)]
    if catalog is not None:
        command += ["--catalog", _file(folder, "catalog", catalog)]
    code, out, log = forked.run(
        "tap-hubspot-dw", [*command, *arguments], folder=folder, env=CLEAN | (env or {}), timeout=timeout
    )
    return TapRun(code, log, messages_of(out), out)


def messages_of(output: str) -> list[dict[str, Any]]:
    """Return the Singer messages of an output; fail the test if anything else is in it."""
    *lines, rest = output.split("\n")
    assert not rest, f"the output ends within a line: {rest[:200]!r}"
    others = [line for line in lines if not line.startswith('{"type":')]
    assert not others, f"the output has lines that are no Singer messages: {[line[:200] for line in others[:3]]}"
    return [json.loads(line) for line in lines]


def command(folder: Path, arguments: list[str]) -> tuple[int, str, str]:
    """Run the tap's command with these arguments; return its exit code, output and log."""
    return forked.run("tap-hubspot-dw", arguments, folder=folder, env=CLEAN, timeout=60)


def discover(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the catalog that the tap discovers."""
    code, out, log = command(folder, ["--config", _file(folder, "config", VERSION | config), "--discover"])
    assert code == 0, log
    return json.loads(out)


def _file(folder: Path, name: str, content: dict[str, Any]) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)
