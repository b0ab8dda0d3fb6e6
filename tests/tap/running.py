"""Running the tap as users do: a process of its own, Singer messages on its standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TAP = Path(sys.executable).with_name("tap-hubspot-dw")
CLEAN = {name: text for name, text in os.environ.items() if not name.startswith("TAP_HUBSPOT_DW_")}


@dataclass
class TapRun:
    """What a run of the tap wrote and how it ended."""

    returncode: int
    log: str
    messages: list[dict[str, Any]] = field(default_factory=list)

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

    def kinds(self, stream: str) -> list[str]:
        """The types of a stream's messages, runs of the same type as one."""
        types = [each["type"] for each in self.messages if each.get("stream") == stream]
        return [each for i, each in enumerate(types) if i == 0 or types[i - 1] != each]

    def by_stream(self) -> dict[str, int]:
        """How many records each stream has."""
        counts: dict[str, int] = defaultdict(int)
        for each in self.messages:
            if each["type"] == "RECORD":
                counts[each["stream"]] += 1
        return dict(counts)

    def _records(self, stream: str) -> list[dict[str, Any]]:
        return [each["record"] for each in self.messages if each["type"] == "RECORD" and each["stream"] == stream]


def run_tap(
    folder: Path,
    config: dict[str, Any],
    *arguments: str,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 120,
) -> TapRun:
    """Run the tap with files in `folder`; it fails the test only if it takes too long."""
    command = [str(TAP), "--config", _file(folder, "config", config)]
    if state is not None:
        command += ["--state", _file(folder, "state", state)]
    if catalog is not None:
        command += ["--catalog", _file(folder, "catalog", catalog)]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=timeout, check=False, env=CLEAN | (env or {})
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"type"')]
    return TapRun(done.returncode, done.stderr, [json.loads(line) for line in lines])


def discover(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the catalog that the tap discovers."""
    command = [str(TAP), "--config", _file(folder, "config", config), "--discover"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=CLEAN).stdout)


def _file(folder: Path, name: str, content: dict[str, Any]) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)
