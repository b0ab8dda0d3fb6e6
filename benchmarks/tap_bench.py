"""What the tap's benchmarks share: its command line, the portals, the repeated runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measurement import Measurement, Workshop

from hubspot_sandbox.control.pytest_plugin import RunningSandbox

TAP = str(Path(sys.executable).with_name("tap-hubspot-dw"))
LATENCY_MS = 200
CONTACTS_ONLY: dict[str, Any] = {"objects": ["contacts"], "associations": False}
#: The sandbox's options for a portal of contacts.
NOTHING_ELSE = {"deals": 1, "appointments": 1, "divisions": 1, "companies": 1, "tickets": 1, "associations": 1}
TWELVE = (
    *("city", "company", "country", "createdate", "email", "firstname", "hubspot_owner_id", "lastmodifieddate"),
    *("lastname", "lifecyclestage", "phone", "zip"),
)
#: Number of properties → the settings that read this number of properties of contacts.
PROPERTIES: dict[str, dict[str, Any]] = {"300": {}, "12": {"include_properties": {"contacts": TWELVE}}}


class Bench:
    """A run of this program: its options and its working folder."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.shop = Workshop(folder)
        self.shop.output(TAP, "--version")  # writes the bytecode

    def contacts(self, usual: int) -> int:
        """Return the number of contacts of the portal: the option, else `usual`."""
        return self.options.contacts or usual

    def command(self, running: RunningSandbox, *words: str, **settings: Any) -> tuple[str, ...]:
        """Return this tap's command line."""
        config = {"api_url": running.url, "access_token": running.token, **settings}
        return (TAP, "--config", self.shop.write("config.json", config), *words)

    def repeated(self, measure: Callable[[], dict[str, float]], pause_seconds: float = 0) -> list[dict[str, float]]:
        """Return the results of `measure` in all runs."""
        results = []
        for number in range(self.options.runs):
            time.sleep(pause_seconds if number else 0)
            results.append(measure())
        return results

    def version_run(self) -> Measurement:
        """Measure the start-up alone."""
        return self.shop.measure(TAP, "--version")


def expect(records: int, contacts: int) -> None:
    """End the benchmark if a run has too few records."""
    if records < contacts:
        raise SystemExit(f"Only {records:,} records of {contacts:,} contacts were read: the measurement is not valid.")


def requests_by_endpoint(running: RunningSandbox) -> Counter[str]:
    """Return the requests by endpoint, as the sandbox's log names it."""
    return Counter({name: sum(counts.values()) for name, counts in running.log()["byEndpoint"].items()})
