"""Results of benchmarks: medians of several runs, their goals, and the origin of the figures.

A line of a results file names the commit, the machine, the data and the command, so that it can be reproduced.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Goal:
    """The goal of a figure: at least or at most a number."""

    sign: str
    value: float

    def is_met(self, figure: float) -> bool:
        """Return whether the figure meets the goal."""
        return figure >= self.value if self.sign == ">=" else figure <= self.value


@dataclass(frozen=True)
class Result:
    """The figures of several runs under the same conditions, and the goals of some figures."""

    what: str
    data: str
    runs: Sequence[Mapping[str, float]]
    goals: Mapping[str, Goal] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """Figure → its median over the runs."""
        return {name: round(statistics.median(run[name] for run in self.runs), 4) for name in self.runs[0]}

    def table(self) -> str:
        """Return the figures as a Markdown table."""
        head = f"{self.what}: {self.data}; median of {len(self.runs)}"
        lines = ["", head, "", "| figure | goal | measured |", "|---|---|---|"]
        for name, figure in self.medians.items():
            goal = self.goals.get(name)
            verdict = "" if goal is None or goal.is_met(figure) else " (missed)"
            text = f"{goal.sign} {goal.value:,g}" if goal else ""
            lines.append(f"| {name} | {text} | {figure:,.5g}{verdict} |")
        return "\n".join(lines)

    def append_to(self, path: Path) -> None:
        """Add a line with the medians, the commit, the machine and the command."""
        row = {
            "what": self.what,
            "data": self.data,
            "runs": len(self.runs),
            "medians": self.medians,
            "missed": [name for name, goal in self.goals.items() if not goal.is_met(self.medians[name])],
            "commit": commit(),
            "machine": f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}",
            "load": round(os.getloadavg()[0], 1),  # 1 to 2 is the benchmark itself; more is from other programs
            "command": " ".join(["python", str(Path(sys.argv[0]).resolve().relative_to(_REPOSITORY)), *sys.argv[1:]]),
            "at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        }
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def report(results: Iterable[Result], path: Path) -> None:
    """Print every result and append it to a file; SIGTERM ends the program as an error does, and stops the servers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for result in results:
        print(result.table(), flush=True)  # noqa: T201 - the benchmark's result
        result.append_to(path)


def commit() -> str:
    """Return the measured commit, with a + if the packages differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(_REPOSITORY), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    changed = git("status", "--porcelain", "--", "tap-hubspot-dw", "target-warehouse", "hubspot-sandbox")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def processor() -> str:
    """Return the name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
