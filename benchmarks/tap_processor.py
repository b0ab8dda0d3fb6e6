"""Processor time, memory and start-up of the tap, and of third-party taps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from measurement import Workshop, processor_seconds, sandbox
from results import Goal, Result
from tap_bench import CONTACTS_ONLY, NOTHING_ELSE, PROPERTIES, TAP, Bench, expect, requests_by_endpoint

#: Endpoints that describe the portal; a run needs each of them once per object type.
_DESCRIPTIONS = frozenset({"properties", "schemas", "pipelines"})
PEERS = ("MeltanoLabs", "singer-io")


def wide(bench: Bench) -> Iterator[Result]:
    """All 300 properties."""
    yield _unlimited(bench, bench.contacts(100_000), "wide", "300", Goal(">=", 5_000))


def narrow(bench: Bench) -> Iterator[Result]:
    """Twelve properties of the same portal."""
    yield _unlimited(bench, bench.contacts(200_000), "narrow", "12", Goal(">=", 40_000))


def _unlimited(bench: Bench, contacts: int, name: str, properties: str, wanted: Goal) -> Result:
    with sandbox(contacts=contacts, **NOTHING_ELSE, tier="unlimited") as running:

        def one_run() -> dict[str, float]:
            started = bench.version_run()
            server = processor_seconds(running.process.pid)
            run = bench.shop.measure(*bench.command(running, **CONTACTS_ONLY, **PROPERTIES[properties]))
            server = processor_seconds(running.process.pid) - server
            expect(run.records, contacts)
            return {
                "records per processor second": contacts / run.cpu_seconds,
                "the same beyond start-up": contacts / (run.cpu_seconds - started.cpu_seconds),
                "records/s by the clock": contacts / run.wall_seconds,
                "records per processor second of the sandbox": contacts / server,
                "bytes a record": run.megabytes * 1e6 / run.records,
                "peak MB": run.peak_megabytes,
            }

        return Result(
            f"{name}, no limit, no latency",
            f"{contacts:,} contacts x {properties} properties",
            bench.repeated(one_run),
            {"records per processor second": wanted, "peak MB": Goal("<=", 250)},
        )


def peers(bench: Bench) -> Iterator[Result]:
    """Only contacts; the other taps use the sandbox's proxy, this tap runs with and without it."""
    contacts = bench.contacts(100_000)
    ca_file = bench.shop.folder / "ca.pem"
    options = {"tier": "unlimited", "no_oddities": True, "proxy_port": 0, "ca_file": ca_file}
    with sandbox(contacts=contacts, **NOTHING_ELSE, **options) as running:
        shop = Workshop(bench.shop.folder, HTTPS_PROXY=str(running.proxy), REQUESTS_CA_BUNDLE=str(ca_file))
        century = 100 * 365 * 86_400_000
        start = {"start_date": "2016-01-01T00:00:00Z"}
        chunks = {"email_chunk_size": century, "subscription_chunk_size": century}
        others: dict[str, tuple[str, str, dict[str, Any]]] = {
            "MeltanoLabs": ("meltano-tap-hubspot==0.10.1", "--catalog", {"access_token": running.token}),
            "singer-io": ("tap-hubspot==4.5.0", "--properties", {"api_key": running.token, **chunks}),
        }
        direct = bench.command(running, **CONTACTS_ONLY)
        config = {"access_token": running.token, **CONTACTS_ONLY}
        through_proxy = (TAP, "--config", shop.write("proxy.json", config))
        candidates: dict[str, tuple[Workshop, tuple[str, ...]]]
        candidates = {"this tap": (bench.shop, direct), "this tap through the proxy": (shop, through_proxy)}
        for peer in bench.options.peers:
            requirement, option, config = others[peer]
            candidates[peer] = (shop, _peer(shop, requirement, ca_file, option, **start, **config))

        def one_run() -> dict[str, float]:
            figures = {}
            for name, (where, command) in candidates.items():
                run = where.measure(*command)
                expect(run.records, contacts)
                figures[f"{name}: records/s by the clock"] = contacts / run.wall_seconds
                figures[f"{name}: records per processor second"] = contacts / run.cpu_seconds
                figures[f"{name}: bytes a record"] = run.megabytes * 1e6 / run.records
            for peer in bench.options.peers:
                for own in ("this tap", "this tap through the proxy"):
                    for what in ("records/s by the clock", "records per processor second"):
                        ratio = figures[f"{own}: {what}"] / figures[f"{peer}: {what}"]
                        figures[f"{own} to {peer}, {what}"] = ratio
            return figures

        runs = bench.repeated(one_run)
        ratios = [name for name in runs[0] if " to " in name and name.endswith("by the clock")]
        yield Result(
            "peers, no limit, no latency",
            f"{contacts:,} contacts x 300 properties, no oddities",
            runs,
            {name: Goal(">=", 10) for name in ratios},
        )


def _peer(shop: Workshop, requirement: str, ca_file: Path, catalog_option: str, **config: Any) -> tuple[str, ...]:
    """Install a third-party tap, let it trust the sandbox, select contacts; return its command line."""
    programs = shop.install(requirement)
    shop.trust(ca_file, programs)
    name = requirement.partition("=")[0]
    command = (str(programs / "tap-hubspot"), "--config", shop.write(f"{name}.config.json", config))
    catalog = json.loads(shop.output(*command, "--discover"))
    for stream in catalog["streams"]:
        for row in stream["metadata"]:  # of the stream and of every property, as singer-io's tap requires
            row["metadata"]["selected"] = stream["tap_stream_id"] == "contacts"
    return (*command, catalog_option, shop.write(f"{name}.catalog.json", catalog))


def memory(bench: Bench) -> Iterator[Result]:
    """Peak memory of a full pass over a tenth of the contacts, and over all of them."""
    contacts = bench.contacts(1_000_000)
    for properties, settings in PROPERTIES.items():
        if properties not in bench.options.properties:
            continue
        runs: list[dict[str, float]] = [{} for _ in range(bench.options.runs)]
        for count in (contacts // 10, contacts):
            with sandbox(contacts=count, **NOTHING_ELSE, tier="unlimited") as running:
                for figures in runs:
                    run = bench.shop.measure(*bench.command(running, **CONTACTS_ONLY, **settings))
                    expect(run.records, count)
                    figures[f"peak MB of {count:,}"] = run.peak_megabytes
        ratio = f"{contacts:,} to {contacts // 10:,}"
        for figures in runs:
            figures[ratio] = figures[f"peak MB of {contacts:,}"] / figures[f"peak MB of {contacts // 10:,}"]
        yield Result(
            "memory, no limit, no latency",
            f"contacts x {properties} properties",
            runs,
            {f"peak MB of {contacts:,}": Goal("<=", 250), ratio: Goal("<=", 1.1)},
        )


def startup(bench: Bench) -> Iterator[Result]:
    """With bytecode, as after pip and at every later start; without it, as at the first start after uv."""
    without = Workshop(
        bench.shop.folder, PYTHONDONTWRITEBYTECODE="1", PYTHONPYCACHEPREFIX=str(bench.shop.folder / "none")
    )
    with sandbox(contacts=200, tier="unlimited") as running:

        def one_run() -> dict[str, float]:
            running.reset()
            bench.shop.measure(*bench.command(running))
            reads = {
                name: count for name, count in requests_by_endpoint(running).items() if name.split()[0] in _DESCRIPTIONS
            }
            return {
                "--version: processor seconds": bench.version_run().cpu_seconds,
                "--version without bytecode: processor seconds": without.measure(TAP, "--version").cpu_seconds,
                "descriptions asked for": len(reads),
                "most requests for one of them": max(reads.values()),
            }

        yield Result(
            "startup",
            "the sandbox's default portal, with 200 contacts",
            bench.repeated(one_run),
            {
                "--version: processor seconds": Goal("<=", 0.6),
                "most requests for one of them": Goal("<=", 1),
            },
        )


def profile(bench: Bench) -> Iterator[Result]:
    """Samples of the functions that hold the GIL: microseconds per record by function, with start-up."""
    sampler = str(bench.shop.install("py-spy==0.4.1") / "py-spy")
    contacts = bench.contacts(40_000)
    with sandbox(contacts=contacts, **NOTHING_ELSE, tier="unlimited") as running:
        for properties, settings in PROPERTIES.items():
            command = bench.command(running, **CONTACTS_ONLY, **settings)
            cpu_seconds = median(bench.shop.measure(*command).cpu_seconds for _ in range(bench.options.runs))
            samples = bench.shop.folder / "samples"
            record = ("record", "--gil", "--function", "--rate", "500", "--format", "raw", "--output", str(samples))
            samples.unlink(missing_ok=True)
            # py-spy exits with 1 if the tap ends before it waits for it ("No child process"); the samples are complete.
            bench.shop.measure(sampler, *record, "--", *command, codes=(0, 1))
            own: Counter[str] = Counter()
            for line in samples.read_text().splitlines():
                stack, _, count = line.rpartition(" ")
                own[stack.rpartition(";")[2] or "outside Python"] += int(count)
            per_sample = cpu_seconds * 1e6 / contacts / own.total()
            figures = {"µs a record": cpu_seconds * 1e6 / contacts}
            figures |= {name: count * per_sample for name, count in own.most_common(15)}
            yield Result("profile, µs a record", f"{contacts:,} contacts x {properties} properties", [figures])
