"""Does a record cost more in a larger table? python benchmarks/target_growth.py [--sizes N …] [--changes N] [--runs N].

For each engine and size: so many narrow records are loaded into an empty table, then several times as many changed
records as asked for, drawn from all over the table. Printed are records a second and peak memory of the load, and the
medians of seconds and of our processor time for the changes, and of the database's own seconds for such changes: those
of the limits of `target_loads`, in turn with ours in PostgreSQL, on a file of its own in DuckDB.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
from pathlib import Path

from target_loads import (
    HERE,
    NARROW,
    apart,
    empty_postgres,
    limit_duckdb,
    limit_postgres,
    narrow_record,
    postgres,
    run,
    with_config,
    without_file,
    write_stream,
)

TARGET = HERE / "target-warehouse"


def processor_seconds() -> float:
    """What all children that ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(command: list[str], file: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak megabytes of one run."""
    before = processor_seconds()
    seconds, peak = run(command, file)
    return seconds, processor_seconds() - before, peak


def main() -> None:
    """Measure both engines at every size and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--changes", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["postgres", "duckdb"])
    asked = parser.parse_args()
    print(  # noqa: T201
        f"| engine, rows there | loaded/s | peak | seconds for {asked.changes:,} changes | processor µs a change "
        "| seconds of the database alone |"
    )
    with tempfile.TemporaryDirectory() as name, postgres() as url:
        folder = Path(name)
        file = folder / "growth.duckdb"
        warehouses = {"postgres": url, "duckdb": f"duckdb:///{file}"}
        for size in asked.sizes:
            everything = folder / "all.singer"
            write_stream(everything, "narrow", NARROW, narrow_record, range(size))
            changed = [folder / f"changed-{number}.singer" for number in range(2 * asked.runs)]
            for number, part in enumerate(changed):
                ids = random.Random(number).sample(range(size), asked.changes)  # noqa: S311 - the same every time
                write_stream(part, "narrow", NARROW, narrow_record, ids)
            for engine in asked.engines:
                config = {"warehouse": warehouses[engine], "default_target_schema": "bench"}
                command = with_config(TARGET, folder, **config)
                seconds, _, peak = measured(command, everything)
                changes, limits = [], []
                for ours, others in zip(changed[::2], changed[1::2], strict=True):
                    changes.append(measured(command, ours))
                    if engine == "postgres":
                        limits += apart(limit_postgres, url, others)
                if engine == "duckdb":
                    limits = apart(limit_duckdb, without_file(file), everything, *changed[1::2])[1:]
                wall, cpu, _ = (statistics.median(column) for column in zip(*changes, strict=True))
                print(  # noqa: T201
                    f"| {engine}, {size:,} | {size / seconds:,.0f} | {peak:,.0f} MB | {wall:.1f} "
                    f"| {cpu * 1e6 / asked.changes:.1f} | {statistics.median(limits):.1f} |",
                    flush=True,
                )
            empty_postgres(url)
            without_file(file)


if __name__ == "__main__":
    main()
