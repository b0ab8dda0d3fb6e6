"""The tap's speed, requests, memory and start-up: scenarios named on the command line.

    python benchmarks/tap.py SCENARIO [SCENARIO …] [--runs 3] [--contacts N] …

    budget    a full pass of contacts within a limit: records per second, share of the limit, 429s
    pairs     all object types and pairs within the limits: whether a budget is idle while it has work
    wide      no limit, no latency, every property: records per second and per second of processor time
    narrow    the same with twelve properties
    peers     the same portal read by this tap, MeltanoLabs' and singer-io's, in turn
    requests  requests of a full pass, of a change window, of associations, and of a run that finds nothing new
    memory    peak memory with few and with many contacts
    startup   processor time of --version, and how often a run reads every description of the portal
    profile   processor time by function, with every property and with twelve

The sandbox has one core, the measured program and this one the other. Prints Markdown tables, and appends the
medians with commit, machine, data and command to `tap_results.jsonl`. The defaults are the full sizes; `--contacts`
reduces them. Third-party taps and py-spy are installed in their own environments.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from results import report
from tap_bench import PROPERTIES, Bench
from tap_limits import OBJECT_LIMITS, budget, pairs, requests
from tap_processor import PEERS, memory, narrow, peers, profile, startup, wide

RESULTS = Path(__file__).with_name("tap_results.jsonl")
SCENARIOS = {
    scenario.__name__: scenario for scenario in (budget, pairs, wide, narrow, peers, requests, memory, startup, profile)
}


def main() -> None:
    """Measure the named scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", choices=SCENARIOS)
    parser.add_argument("--runs", type=int, default=3, help="the number of runs for the medians")
    parser.add_argument("--contacts", type=int, help="contacts in place of the scenario's default")
    parser.add_argument("--tiers", nargs="+", choices=OBJECT_LIMITS, default=list(OBJECT_LIMITS), help="of budget")
    parser.add_argument("--properties", nargs="+", choices=PROPERTIES, default=list(PROPERTIES), help="of memory")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), help="of peers")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to which the medians are appended")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        report((result for name in options.scenarios for result in SCENARIOS[name](bench)), options.results)


if __name__ == "__main__":
    main()
