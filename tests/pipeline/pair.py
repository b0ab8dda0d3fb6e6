"""The tap and the target as two processes joined by a pipe, without Meltano."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


class Pair:
    """The tap piped into the target; it keeps the last state that the target printed, as Meltano does."""

    def __init__(self, sandbox, warehouse, folder: Path, **settings: object) -> None:
        self.folder, self.state = folder, {}
        self.settings = settings | {"api_url": sandbox.url, "access_token": sandbox.token}
        target = {"warehouse": warehouse.url, "default_target_schema": "hubspot", "commit_interval_seconds": 0.5}
        (folder / "target.json").write_text(json.dumps(target))

    def run(self, *, kill: tuple[str, int, float] | None = None, **settings: object) -> tuple[int, int]:
        """Run once, with these settings of the tap added; return the exit codes of the tap and the target.

        `kill` is ("tap" or "target", signal, seconds until the signal).
        """
        (self.folder / "tap.json").write_text(json.dumps(self.settings | settings))
        (self.folder / "state.json").write_text(json.dumps(self.state))
        tap_command = [BIN / "tap-hubspot-dw", "--config", "tap.json", "--state", "state.json"]
        with (self.folder / "states").open("wb") as states, (self.folder / "log").open("ab") as log:
            tap = subprocess.Popen(tap_command, cwd=self.folder, stdout=subprocess.PIPE, stderr=log)
            target = subprocess.Popen(
                [BIN / "target-warehouse", "--config", "target.json"],
                cwd=self.folder,
                stdin=tap.stdout,
                stdout=states,
                stderr=log,
            )
            tap.stdout.close()
            if kill:
                victim_name, number, seconds = kill
                victim = tap if victim_name == "tap" else target
                with contextlib.suppress(subprocess.TimeoutExpired):
                    victim.wait(seconds)
                victim.send_signal(number)  # a process that has ended ignores it
            codes = tap.wait(280), target.wait(280)
        printed = [line for line in (self.folder / "states").read_bytes().split(b"\n")[:-1] if line]
        if printed:
            self.state = json.loads(printed[-1])
        return codes
