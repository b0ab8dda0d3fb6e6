"""Tap and target under Meltano, as users run them: throughput, comparison with peers, cost of growth.

    python benchmarks/pair.py SCENARIO [SCENARIO …] [--engines …] [--runs 1] [--scale 1]

    whole     a large portal within HubSpot's limits, then a run after one record in a hundred changed
    peers     contacts and deals of the same portal by MeltanoLabs' tap-hubspot and target-postgres, and by this pair
    growth    a full and an incremental run at 10,000, 100,000 and 1,000,000 contacts, without limit and latency

Sandbox, Meltano, tap, target and PostgreSQL share the machine's two cores. `--scale 0.1` makes the portals a tenth as
large. Prints Markdown tables and appends the medians to `pair_results.jsonl`; `chart.py` draws them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from measurement import RequestWatch, Workshop, peak_megabytes, sandbox
from results import Goal, Result, report
from tap_bench import LATENCY_MS, NOTHING_ELSE
from target_loads import empty_postgres, postgres

from hubspot_sandbox.control.pytest_plugin import RunningSandbox

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).with_name("pair_results.jsonl")
BIN = Path(sys.executable).parent
SCHEMA = "bench"
#: Requests per second of the objects' budget in the sandbox's tier pro.
OBJECTS_A_SECOND = 19
PORTAL = {"contacts": 100_000, "appointments": 50_000, "deals": 50_000, "divisions": 500, "associations": 400_000}
GROWTH = (10_000, 100_000, 1_000_000)
_OURS = ("TAP_HUBSPOT_DW", "TARGET_WAREHOUSE", "HUBSPOT_", "WAREHOUSE_", "MELTANO_", "PYTHON")
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class MeltanoRun:
    """A run of Meltano: seconds, and the peak megabytes of its plugins in the first half and in the whole run."""

    seconds: float
    early_peaks: dict[str, float]
    peaks: dict[str, float]


class Project:
    """A Meltano project in its own folder, with this repository's meltano.yml."""

    def __init__(self, folder: Path, plugins: tuple[str, str], **variables: str) -> None:
        self.folder, self.plugins = folder, plugins
        for name in ("meltano.yml", "logging.yaml"):
            shutil.copy(ROOT / name, folder / name)
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        self.variables = {**kept, "PATH": f"{BIN}:{kept['PATH']}", "HOME": str(folder), **variables}
        self.variables["PYTHONPYCACHEPREFIX"] = str(folder.parent / "bytecode")

    def declare(self, kind: str, plugin: dict[str, Any]) -> None:
        """Add a plugin to meltano.yml."""
        file = self.folder / "meltano.yml"
        content = yaml.safe_load(file.read_text())
        content["plugins"].setdefault(kind, []).append(plugin)
        file.write_text(yaml.safe_dump(content, sort_keys=False))

    def run(self, *words: str) -> MeltanoRun:
        """Run the two plugins to their end.

        Raises:
            SystemExit: the run failed.
        """
        command = [str(BIN / "meltano"), "run", *words, *self.plugins]
        with (self.folder / "output").open("wb") as output, _peaks(self.plugins) as peaks:
            started = time.monotonic()
            done = subprocess.run(  # noqa: S603 - the benchmark's own command
                command, cwd=self.folder, env=self.variables, stdout=output, stderr=output, check=False
            )
            seconds = time.monotonic() - started
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{(self.folder / 'output').read_text()[-3000:]}")
        half = started + seconds / 2
        early = {name: max((peak for at, peak in looks if at <= half), default=0) for name, looks in peaks.items()}
        return MeltanoRun(seconds, early, {name: max(peak for _, peak in looks) for name, looks in peaks.items()})


@contextlib.contextmanager
def _peaks(names: tuple[str, str]) -> Iterator[dict[str, list[tuple[float, float]]]]:
    """Sample (monotonic seconds, peak megabytes) of the descendants of this process with these names."""
    samples: dict[str, list[tuple[float, float]]] = {}
    stopped = threading.Event()

    def look() -> None:
        while not stopped.wait(_LOOK_SECONDS):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    words = process.cmdline()[:2]
                    for name in names:
                        if any(Path(word).name == name for word in words):
                            samples.setdefault(name, []).append((time.monotonic(), peak_megabytes(process.pid)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stopped.set()
        thread.join()


class Bench:
    """The options, a working folder, and a PostgreSQL server."""

    def __init__(self, options: argparse.Namespace, folder: Path, url: str) -> None:
        self.options, self.folder, self.url = options, folder, url
        self._projects = 0
        with sandbox(contacts=1, tier="unlimited") as running, self.project(running, "duckdb") as project:
            all_cores()
            project.run()  # writes the bytecode

    def scaled(self, count: int) -> int:
        """Return this number of records times `--scale`."""
        return max(int(count * self.options.scale), 1)

    @contextlib.contextmanager
    def project(self, running: RunningSandbox, engine: str, **variables: str) -> Iterator[Project]:
        """A project with an empty warehouse."""
        empty_postgres(self.url)
        self._projects += 1
        folder = self.folder / f"project-{self._projects}"
        folder.mkdir()
        warehouse = self.url if engine == "postgres" else f"duckdb:///{folder / 'crm.duckdb'}"
        yield Project(
            folder,
            ("tap-hubspot-dw", "target-warehouse"),
            TAP_HUBSPOT_DW_API_URL=running.url,
            TAP_HUBSPOT_DW_ACCESS_TOKEN=running.token,
            TARGET_WAREHOUSE_WAREHOUSE=warehouse,
            TARGET_WAREHOUSE_DEFAULT_TARGET_SCHEMA=SCHEMA,
            **variables,
        )
        shutil.rmtree(folder)

    def repeated(self, measure: Callable[[], dict[str, float]]) -> list[dict[str, float]]:
        """Return the results of `measure` in all runs."""
        return [measure() for _ in range(self.options.runs)]

    def database_megabytes(self, engine: str, project: Project) -> float:
        """Return the size of the tables on disk."""
        if engine == "duckdb":
            return sum(file.stat().st_size for file in project.folder.glob("crm.duckdb*")) / 1e6
        return (
            self._number(
                "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                "WHERE nspname = %s AND relkind = 'r'",
                SCHEMA,
            )
            / 1e6
        )

    def rows(self, *tables: str) -> int:
        """Return the number of rows of these PostgreSQL tables together."""
        queries = (f"SELECT count(*) FROM {SCHEMA}.{table}" for table in tables)  # noqa: S608 - names of this program
        return sum(int(self._number(query)) for query in queries)

    def _number(self, query: str, *values: str) -> float:
        import psycopg

        with psycopg.connect(self.url) as connection:
            (number,) = connection.execute(query.encode(), values).fetchone() or (0,)
        return float(number)


def all_cores() -> None:
    """Let new processes use every core; `measurement.sandbox` restricts this process to one."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def whole(bench: Bench) -> Iterator[Result]:
    """A large portal with 190 requests per 10 s and 200 ms latency, then one record in a hundred changed."""
    sizes = {name: bench.scaled(count) for name, count in PORTAL.items()}
    described = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    for engine in bench.options.engines:
        with sandbox(**sizes, tier="pro", latency_ms=LATENCY_MS) as running:
            all_cores()

            def one_run(running: RunningSandbox = running, engine: str = engine) -> dict[str, float]:
                running.reset()
                with bench.project(running, engine) as project:
                    with RequestWatch(running) as watch:
                        full = project.run()
                    first = next(at for at, counts in watch.looks if counts["objects"])
                    counts = watch.looks[-1][1]
                    objects_seconds = watch.last_request("objects") - first
                    running.mutate(a_hundredth_changed({n: c for n, c in sizes.items() if n != "associations"}))
                    again = project.run()
                    return {
                        "full run: seconds": full.seconds,
                        "full run: use of the objects' budget": counts["objects"] / objects_seconds / OBJECTS_A_SECOND,
                        "full run: objects requests": counts["objects"],
                        "full run: seconds beyond the objects' reading": full.seconds - objects_seconds,
                        "after 1 % changed: seconds": again.seconds,
                        **{f"peak MB of {name}": peak for name, peak in full.peaks.items()},
                        "database MB": bench.database_megabytes(engine, project),
                    }

            yield Result(
                f"whole, into {engine}",
                f"{described}; 190 requests per 10 s, {LATENCY_MS} ms",
                bench.repeated(one_run),
                {
                    "full run: use of the objects' budget": Goal(">=", 0.9),
                    "after 1 % changed: seconds": Goal("<=", 20),
                },
            )


def peers(bench: Bench) -> Iterator[Result]:
    """Contacts and deals of the same portal, because both pairs read them, then one record in a hundred changed."""
    sizes = {name: bench.scaled(count) for name, count in PORTAL.items()}
    read = {name: sizes[name] for name in ("contacts", "deals")}
    ca_file = bench.folder / "ca.pem"
    shop = Workshop(bench.folder)
    tap = shop.install("meltano-tap-hubspot==0.10.1") / "tap-hubspot"
    target = shop.install("meltanolabs-target-postgres==0.8.1") / "target-postgres"
    options = {"tier": "pro", "latency_ms": LATENCY_MS, "proxy_port": 0, "ca_file": ca_file, "no_oddities": True}
    with sandbox(**sizes, **options) as running:
        all_cores()
        shop.trust(ca_file, tap.parent)

        def theirs(project: Project) -> None:
            project.plugins = ("tap-hubspot", "target-postgres")
            project.variables |= {"HTTPS_PROXY": str(running.proxy), "REQUESTS_CA_BUNDLE": str(ca_file)}
            extractor = {"access_token": running.token, "start_date": "2016-01-01T00:00:00Z"}
            project.declare("extractors", _plugin("tap_hubspot", tap, extractor, select=[f"{name}.*" for name in read]))
            loader = {"sqlalchemy_url": bench.url, "default_target_schema": SCHEMA}
            project.declare("loaders", _plugin("target_postgres", target, loader))

        def ours(project: Project) -> None:
            objects = json.dumps(list(read))
            project.variables |= {"TAP_HUBSPOT_DW_OBJECTS": objects, "TAP_HUBSPOT_DW_ASSOCIATIONS": "false"}

        def one_run() -> dict[str, float]:
            figures = {}
            for name, prepare in (("this pair", ours), ("MeltanoLabs' pair", theirs)):
                running.reset()
                with bench.project(running, "postgres") as project:
                    prepare(project)
                    figures[f"{name}: records/s"] = sum(read.values()) / project.run().seconds
                    figures[f"{name}: records that are not in its tables"] = sum(read.values()) - bench.rows(*read)
                    running.mutate(a_hundredth_changed(read))
                    figures[f"{name}: after 1 % changed: seconds"] = project.run().seconds
            figures["times as fast"] = figures["this pair: records/s"] / figures["MeltanoLabs' pair: records/s"]
            return figures

        yield Result(
            "peers under Meltano, into PostgreSQL",
            " and ".join(f"{count:,} {name}" for name, count in read.items())
            + f" of the portal of `whole`, 190 requests per 10 s, {LATENCY_MS} ms",
            bench.repeated(one_run),
        )


def a_hundredth_changed(sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return mutations of the sandbox that touch one record in a hundred of every type."""
    return [{"kind": "bulk-touch", "type": name, "count": max(count // 100, 1)} for name, count in sizes.items()]


def _plugin(namespace: str, executable: Path, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    name = namespace.replace("_", "-")
    settings = [{"name": setting} for setting in config]
    capabilities = {"capabilities": ["catalog", "discover", "state"]} if "select" in more else {}
    return {
        "name": name,
        "namespace": namespace,
        "executable": str(executable),
        "settings": settings,
        "config": config,
        **capabilities,
        **more,
    }


def growth(bench: Bench) -> Iterator[Result]:
    """Time, requests, memory and size of the database for portals of growing size, by a factor of ten."""
    for engine in bench.options.engines:
        for contacts in map(bench.scaled, GROWTH):
            with sandbox(contacts=contacts, **NOTHING_ELSE, tier="unlimited") as running:
                all_cores()

                def one_run(
                    running: RunningSandbox = running, engine: str = engine, contacts: int = contacts
                ) -> dict[str, float]:
                    running.reset()
                    with bench.project(running, engine) as project:
                        full = project.run()
                        requests = running.log()["total"]
                        size = bench.database_megabytes(engine, project)
                        running.mutate(a_hundredth_changed({"contacts": contacts}))
                        again = project.run()
                        return {
                            "full run: seconds": full.seconds,
                            "full run: requests": requests,
                            **{f"full run: peak MB of {name}": peak for name, peak in full.peaks.items()},
                            **{f"full run, first half: peak MB of {n}": mb for n, mb in full.early_peaks.items()},
                            "database MB": size,
                            "after 1 % changed: seconds": again.seconds,
                            "after 1 % changed: requests": running.log()["total"] - requests,
                            **{f"after 1 % changed: peak MB of {name}": peak for name, peak in again.peaks.items()},
                        }

                yield Result(
                    f"growth, into {engine}, {contacts:,} contacts",
                    f"{contacts:,} contacts x 300 properties, no limit, no latency",
                    bench.repeated(one_run),
                )


SCENARIOS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    scenario.__name__: scenario for scenario in (whole, peers, growth)
}


def main() -> None:
    """Measure the named scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", choices=SCENARIOS)
    parser.add_argument("--engines", nargs="+", choices=("duckdb", "postgres"), default=("duckdb", "postgres"))
    parser.add_argument("--runs", type=int, default=1, help="the number of runs for the medians")
    parser.add_argument("--scale", type=float, default=1, help="a factor for the portals' sizes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file to which the medians are appended")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        bench = Bench(options, Path(folder), url)
        report((result for name in options.scenarios for result in SCENARIOS[name](bench)), options.results)


if __name__ == "__main__":
    main()
