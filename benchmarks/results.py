"""What a benchmark found: medians of several runs, what they shall be, and where the figures come from.

A line of a results file names the commit, the machine, the data and the command, so that it can be had again.
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
class Wanted:
    """What a figure shall be: at least or at most a number."""

    sign: str
    value: float

    def is_met(self, figure: float) -> bool:
        """Whether it is."""
        return figure >= self.value if self.sign == ">=" else figure <= self.value


@dataclass(frozen=True)
class Result:
    """The figures of several runs under the same conditions, and what some of them shall be."""

    what: str
    data: str
    runs: Sequence[Mapping[str, float]]
    wanted: Mapping[str, Wanted] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """Figure → its median over the runs."""
        return {name: round(statistics.median(run[name] for run in self.runs), 4) for name in self.runs[0]}

    def told(self) -> str:
        """A Markdown table."""
        head = f"{self.what}: {self.data}; median of {len(self.runs)}"
        lines = ["", head, "", "| figure | wanted | measured |", "|---|---|---|"]
        for name, figure in self.medians.items():
            wanted = self.wanted.get(name)
            verdict = "" if wanted is None or wanted.is_met(figure) else " (missed)"
            asked = f"{wanted.sign} {wanted.value:,g}" if wanted else ""
            lines.append(f"| {name} | {asked} | {figure:,.5g}{verdict} |")
        return "\n".join(lines)

    def append_to(self, path: Path) -> None:
        """Add a line with the medians, the commit, the machine and the command."""
        row = {
            "what": self.what,
            "data": self.data,
            "runs": len(self.runs),
            "medians": self.medians,
            "missed": [name for name, wanted in self.wanted.items() if not wanted.is_met(self.medians[name])],
            "commit": commit(),
            "machine": f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}",
            "load": round(os.getloadavg()[0], 1),  # 1 to 2 is the benchmark itself; more is other work
            "command": " ".join(["python", str(Path(sys.argv[0]).resolve().relative_to(_REPOSITORY)), *sys.argv[1:]]),
            "at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        }
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def tell(results: Iterable[Result], path: Path) -> None:
    """Print each result as it comes and append it to a file; SIGTERM ends this as an error does, servers stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for result in results:
        print(result.told(), flush=True)  # noqa: T201 - the benchmark's result
        result.append_to(path)


def commit() -> str:
    """The commit that was measured, with a + if the packages differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(_REPOSITORY), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    changed = git("status", "--porcelain", "--", "tap-hubspot-dw", "target-warehouse", "hubspot-sandbox")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
