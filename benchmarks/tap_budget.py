"""How much of HubSpot's request budget a full pass uses: python benchmarks/tap_budget.py [--contacts N].

The sandbox answers after 200 ms and enforces the tier's limit; the tap writes to nowhere. Printed for each run: records
a second, requests as a share of what the limit allows in that time, and the share of 429s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hubspot_sandbox.pytest_plugin import start_sandbox

LIMITS = {"free": 100, "pro": 190}
TAP = Path(sys.executable).with_name("tap-hubspot-dw")


def measure(sandbox, limit: int, folder: Path) -> dict[str, float]:
    """Run one full pass and return its figures."""
    config = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    (folder / "config.json").write_text(json.dumps(config))
    sandbox.reset()
    started = time.monotonic()
    subprocess.run(  # noqa: S603  our own command
        [str(TAP), "--config", str(folder / "config.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.monotonic() - started
    log = sandbox.log()
    lists = sum(sum(counts.values()) for name, counts in log["byEndpoint"].items() if name.startswith("list "))
    refused = log["byStatus"].get("429", 0)
    return {
        "seconds": seconds,
        "records/s": lists * 100 / seconds,
        "budget used": lists / (limit * seconds / 10),
        "429s": refused / max(log["total"], 1),
    }


def main() -> None:
    """Measure both tiers, three runs each, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    for tier, limit in LIMITS.items():
        sandbox = start_sandbox(
            contacts=asked.contacts, deals=1, appointments=1, associations=1, tier=tier, latency_ms=200
        )
        with tempfile.TemporaryDirectory() as folder:
            runs = []
            for _ in range(asked.runs):
                runs.append(measure(sandbox, limit, Path(folder)))
                time.sleep(11)  # the rolling window of the last run must not weigh on the next
        sandbox.stop()
        medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(f"{limit} requests per 10 s:", ", ".join(f"{name} {value:,.3g}" for name, value in medians.items()))  # noqa: T201


if __name__ == "__main__":
    main()
