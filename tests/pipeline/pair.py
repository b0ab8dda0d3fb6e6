"""The tap and the target as two processes joined by a pipe, without Meltano."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests import forked


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
        place = {"folder": self.folder, "env": os.environ}
        source, sink = os.pipe()
        with (self.folder / "states").open("wb") as states, (self.folder / "log").open("ab") as log:
            with os.fdopen(sink, "wb") as pipe:
                words = ["--config", "tap.json", "--state", "state.json"]
                tap = forked.start("tap-hubspot-dw", words, **place, out=pipe, log=log)
            with os.fdopen(source, "rb") as pipe:
                words = ["--config", "target.json"]
                target = forked.start("target-warehouse", words, **place, stdin=pipe, out=states, log=log)
        if kill:
            victim_name, number, seconds = kill
            victim = tap if victim_name == "tap" else target
            victim.join(seconds)
            if victim.exitcode is None:
                os.kill(victim.pid, number)
        codes = forked.ended(tap, 280), forked.ended(target, 280)
        printed = [line for line in (self.folder / "states").read_bytes().split(b"\n")[:-1] if line]
        if printed:
            self.state = json.loads(printed[-1])
        return codes
