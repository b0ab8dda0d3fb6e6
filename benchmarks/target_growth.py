"""Does a record cost more in a larger table? python benchmarks/target_growth.py [--sizes N …] [--changes N] [--runs N].

For every engine and size, narrow records are loaded into an empty table and then once more. Then `--changes` changed
records are loaded `--runs` times: of neighbouring rows, in their order, as in `target_loads` with existing keys; of the
newest rows, in random order, as most changes of a CRM are; and of rows of the whole table, in random order. Printed are
records per second and peak memory of the loads, and medians of seconds and of our processor time for the changes. For
changes in the whole table the seconds of the database alone are printed too: the limits of `target_loads`, in turn with
our loads in PostgreSQL, on another file in DuckDB.
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
    empty_postgres,
    in_own_process,
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
    """Return the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(command: list[str], file: Path) -> tuple[float, float, float]:
    """Return seconds, processor seconds and peak megabytes of one run."""
    before = processor_seconds()
    seconds, peak = run(command, file)
    return seconds, processor_seconds() - before, peak


def changed(file: Path, ids: range, count: int) -> Path:
    """Write a stream of `count` of these records in random order; the file's name is the seed."""
    dice = random.Random(file.stem)  # noqa: S311 - the same every time
    write_stream(file, "narrow", NARROW, narrow_record, dice.sample(ids, count))
    return file


def main() -> None:
    """Measure both engines at every size and print a line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--changes", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["postgres", "duckdb"])
    options = parser.parse_args()
    print(  # noqa: T201
        f"| engine, rows there | loaded/s | again/s | peak | seconds for {options.changes:,} changes of neighbours "
        "| processor µs each | seconds for as many of the newest | processor µs each "
        "| seconds for as many from all over | processor µs each | peak | the database alone |"
    )
    with tempfile.TemporaryDirectory() as name, postgres() as url:
        folder = Path(name)
        file = folder / "growth.duckdb"
        warehouses = {"postgres": url, "duckdb": f"duckdb:///{file}"}
        for size in options.sizes:
            everything = folder / "all.singer"
            write_stream(everything, "narrow", NARROW, narrow_record, range(size))
            neighbours = folder / "neighbours.singer"
            write_stream(neighbours, "narrow", NARROW, narrow_record, range(options.changes))
            newest, anywhere, others = (
                [changed(folder / f"{place}-{number}.singer", ids, options.changes) for number in range(options.runs)]
                for place, ids in (
                    ("newest", range(max(size - 2 * options.changes, 0), size)),
                    ("anywhere", range(size)),
                    ("others", range(size)),
                )
            )
            for engine in options.engines:
                config = {"warehouse": warehouses[engine], "default_target_schema": "bench"}
                command = with_config(TARGET, folder, **config)
                loads = [measured(command, everything) for _ in range(2)]
                beside = [measured(command, neighbours) for _ in range(options.runs)]
                near = [measured(command, part) for part in newest]
                far, alone = [], []
                for ours, limit in zip(anywhere, others, strict=True):
                    far.append(measured(command, ours))
                    if engine == "postgres":
                        alone += in_own_process(limit_postgres, url, limit)
                if engine == "duckdb":
                    alone = in_own_process(limit_duckdb, without_file(file), everything, *others)[1:]
                rates = " | ".join(f"{size / seconds:,.0f}" for seconds, _, _ in loads)
                peak = max(peak for _, _, peak in loads)
                costs = []
                for runs in (beside, near, far):
                    seconds, processor, _ = (statistics.median(column) for column in zip(*runs, strict=True))
                    costs.append(f"{seconds:.1f} | {processor * 1e6 / options.changes:.1f}")
                print(  # noqa: T201
                    f"| {engine}, {size:,} | {rates} | {peak:,.0f} MB | {' | '.join(costs)} "
                    f"| {max(peak for _, _, peak in far):,.0f} MB | {statistics.median(alone):.1f} |",
                    flush=True,
                )
            empty_postgres(url)
            without_file(file)


if __name__ == "__main__":
    main()
