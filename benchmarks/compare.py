"""Measures `warehouse compare`: python benchmarks/compare.py [--rows N] [--columns N] [--runs N].

It compares two schemas with a table of this size, of which a thousand rows differ, in one database per engine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import duckdb
from target_loads import HERE, postgres

_TYPES = ("text", "numeric", "timestamp", "boolean", "bigint")


def _statements(rows: int, columns: int, numbers: str) -> list[str]:
    """Return SQL that makes the schemas `old` and `new`; `numbers` is a relation of the numbers i below `rows`."""
    values = {
        "text": "'A value of some length ' || (i * {n} % 100003)",
        "numeric": "CAST(i * {n} % 1000003 AS numeric(38, 18)) / 100",
        "timestamp": "TIMESTAMP '2026-01-01 00:00:00' + (i * {n} % 1000003) * INTERVAL '1 second'",
        "boolean": "i % {n} = 0",
        "bigint": "i * {n}",
    }
    made = ", ".join(
        f"CAST({values[_TYPES[n % len(_TYPES)]].format(n=n + 1)} AS {_TYPES[n % len(_TYPES)]}) AS c{n}"
        for n in range(columns - 1)
    )
    return [
        "CREATE SCHEMA old",
        "CREATE SCHEMA new",
        f"CREATE TABLE old.t AS SELECT i AS id, {made} FROM {numbers}",  # noqa: S608 - our own text
        "CREATE TABLE new.t AS SELECT * FROM old.t",
        f"UPDATE new.t SET c0 = 'changed' WHERE id % {max(rows // 1000, 1)} = 0",  # noqa: S608 - our own text
    ]


def main() -> None:
    """Make the schemas, compare them, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        import psycopg

        file = Path(folder) / "compare.duckdb"
        with duckdb.connect(str(file)) as connection:
            for statement in _statements(options.rows, options.columns, f"range({options.rows}) AS r(i)"):
                connection.execute(statement)
        with psycopg.connect(url, autocommit=True) as server:
            for statement in _statements(
                options.rows, options.columns, f"generate_series(0, {options.rows - 1}) AS r(i)"
            ):
                server.execute(statement)
        for name, warehouse in {"DuckDB": f"duckdb:///{file}", "PostgreSQL": url}.items():
            seconds = []
            for _ in range(options.runs):
                started = time.monotonic()
                words = ("--warehouse", warehouse, "compare", "old", "new", "--key", "id")
                done = subprocess.run([HERE / "warehouse", *words], check=False, stdout=subprocess.PIPE)  # noqa: S603
                seconds.append(time.monotonic() - started)
                if b"c0: 1,000 rows differ" not in done.stdout:
                    raise SystemExit(f"{name}: the differences were not found:\n{done.stdout.decode()}")
            print(f"{name}: {statistics.median(seconds):.1f} s, median of {options.runs}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
