"""The tap within HubSpot's limits: how much of them it uses, and how few requests it needs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial

from measurement import RequestWatch, sandbox
from results import Goal, Result
from tap_bench import CONTACTS_ONLY, LATENCY_MS, NOTHING_ELSE, Bench, expect, requests_by_endpoint

from hubspot_sandbox.control.pytest_plugin import RunningSandbox

#: HubSpot's requests per ten seconds, by the sandbox's tier.
OBJECT_LIMITS = {"free": 100, "pro": 190}
#: Requests per second in the tier pro.
LIMITS_A_SECOND = {"objects": 19.0, "search": 5.0, "associations": 15.0}
#: Long enough to empty a limit's rolling window between two runs.
PAUSE_SECONDS = 11


def budget(bench: Bench) -> Iterator[Result]:
    """Sustained speed after the first ten seconds, in which the limit's window fills."""
    contacts = bench.contacts(100_000)
    for tier in bench.options.tiers:
        limit = OBJECT_LIMITS[tier]
        with sandbox(contacts=contacts, **NOTHING_ELSE, tier=tier, latency_ms=LATENCY_MS) as running:
            yield Result(
                f"budget, {limit} requests per 10 s",
                f"{contacts:,} contacts x 300 properties, {LATENCY_MS} ms",
                bench.repeated(partial(_within, bench, running, limit, contacts), PAUSE_SECONDS),
                {
                    "records/s after 10 s": Goal(">=", 1_800 if limit == 190 else 950),
                    "share of the limit after 10 s": Goal(">=", 0.95),
                    "share of 429s": Goal("<=", 0.01),
                },
            )


def _within(bench: Bench, running: RunningSandbox, limit: int, contacts: int) -> dict[str, float]:
    running.reset()
    with RequestWatch(running) as watch:
        run = bench.shop.measure(*bench.command(running, **CONTACTS_ONLY))
    expect(run.records, contacts)
    log = running.log()
    end = run.arrivals[-1][0]
    late = watch.looks[-1][1]["objects"] - watch.requests_until(10, "objects")
    return {
        "records/s after 10 s": (run.records - run.records_until(10)) / (end - 10),
        "share of the limit after 10 s": late / (end - 10) / (limit / 10),
        "share of 429s": log["byStatus"].get("429", 0) / log["total"],
        "wall seconds": run.wall_seconds,
    }


def pairs(bench: Bench) -> Iterator[Result]:
    """The use of a budget: its requests against its limit, from the run's first request to the budget's last."""
    sizes = _all_types(bench.contacts(40_000))
    with sandbox(**sizes, tier="pro", latency_ms=LATENCY_MS) as running:

        def one_run() -> dict[str, float]:
            running.reset()
            with RequestWatch(running) as watch:
                run = bench.shop.measure(*bench.command(running))
            first = next(at for at, counts in watch.looks if counts.total())
            counts = watch.looks[-1][1]
            last = {name: watch.last_request(name) - first for name in LIMITS_A_SECOND}
            shortest = max(counts[name] / limit for name, limit in LIMITS_A_SECOND.items())
            return {
                "use of the objects' limit": counts["objects"] / last["objects"] / LIMITS_A_SECOND["objects"],
                "use of the associations' limit": counts["associations"]
                / last["associations"]
                / LIMITS_A_SECOND["associations"],
                "wall against the busiest budget's shortest": (run.wall_seconds - first) / shortest,
                "objects requests": counts["objects"],
                "associations requests": counts["associations"],
                "search requests": counts["search"],
                "wall seconds": run.wall_seconds,
            }

        yield Result(
            "pairs, all object types and association pairs, pro",
            _described(sizes),
            bench.repeated(one_run, PAUSE_SECONDS),
            {
                "use of the objects' limit": Goal(">=", 0.95),
                "wall against the busiest budget's shortest": Goal("<=", 1.1),
            },
        )


def requests(bench: Bench) -> Iterator[Result]:
    """Three runs of all object types: the first run, a run that finds nothing new, a run after a bulk edit."""
    contacts = bench.contacts(100_000)
    sizes = _all_types(contacts)
    touched = contacts // 2
    with sandbox(**sizes, tier="unlimited") as running:

        def one_run() -> dict[str, float]:
            running.reset()
            running.settings(tier="unlimited", latencyMs=0)
            live = {name: row["live"] for name, row in running.get("status")["records"].items()}
            first, state = _logged(bench, running, None)
            started = bench.version_run()
            running.settings(tier="pro", latencyMs=LATENCY_MS)
            quiet_run_started = time.monotonic()
            quiet, state = _logged(bench, running, state)
            quiet_seconds = time.monotonic() - quiet_run_started
            running.settings(tier="unlimited", latencyMs=0)
            running.mutate([{"kind": "bulk-touch", "type": "contacts", "count": touched}])
            changed, _ = _logged(bench, running, state)
            records = sum(live[name] for name in ("contacts", "deals", "appointments", "divisions"))
            reads = {name: count for name, count in first.items() if name.startswith("associations batch read ")}
            ids = sum(live[name.split()[-1].partition("→")[0]] for name in reads)
            again = _count(changed, "associations batch") - _count(quiet, "associations batch")
            return {
                "full pass: requests per 1,000 records": 1000 * _count(first, "list ", "search ") / records,
                "full pass: all requests but associations, per 1,000 records": 1000
                * (first.total() - sum(reads.values()))
                / records,
                "associations: requests per 1,000 ids and pair": 1000 * sum(reads.values()) / ids,
                "change window: requests per 1,000 records beyond the fixed part": 1000
                * (_count(changed, "list ", "search ") - _count(quiet, "list ", "search "))
                / touched,
                "change window: association requests per 1,000 changed records and pair": 1000
                * again
                / (touched * sum("contacts" in name for name in reads)),
                "nothing new: requests": quiet.total(),
                "nothing new: seconds after start-up": quiet_seconds - started.wall_seconds,
            }

        yield Result(
            "requests, all object types and association pairs",
            f"{_described(sizes)}; then {touched:,} contacts touched; nothing new: {LATENCY_MS} ms, pro",
            bench.repeated(one_run),
            {
                "full pass: requests per 1,000 records": Goal("<=", 10.5),
                "full pass: all requests but associations, per 1,000 records": Goal("<=", 10.5),
                "associations: requests per 1,000 ids and pair": Goal("<=", 1.1),
                "change window: requests per 1,000 records beyond the fixed part": Goal("<=", 5.5),
                "nothing new: requests": Goal("<=", 30),
                "nothing new: seconds after start-up": Goal("<=", 5),
            },
        )


def _logged(bench: Bench, running: RunningSandbox, state: object) -> tuple[Counter[str], object]:
    """Run all streams from a state; return the requests by endpoint, and the new state."""
    before = requests_by_endpoint(running)
    words = ("--state", bench.shop.write("state.json", state)) if state else ()
    output = bench.shop.folder / "output"
    bench.shop.measure(*bench.command(running, *words), keep=output)
    with output.open("rb") as lines:
        last = [line for line in lines if line.startswith(b'{"type":"STATE"')][-1]
    return requests_by_endpoint(running) - before, json.loads(last)["value"]


def _all_types(contacts: int) -> dict[str, int]:
    halves = dict.fromkeys(("deals", "appointments"), contacts // 2)
    return {"contacts": contacts, **halves, "divisions": 40, "associations": 3 * contacts}


def _described(sizes: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sizes.items())


def _count(by_endpoint: Counter[str], *beginnings: str) -> int:
    return sum(count for name, count in by_endpoint.items() if name.startswith(beginnings))
