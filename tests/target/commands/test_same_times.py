"""`compare` takes times of two databases for the same only if they are the same instant, to the last digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from tests.conftest import DuckDBWarehouse, PostgresWarehouse

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Warehouse

DAY, NANOS = "TIMESTAMP '2026-01-02 00:00:00'", "TIMESTAMP_NS '2026-01-02 00:00:00.{}'"
#: Two values in SQL, in which databases, and whether they are the same.
PAIRS = [
    ("CAST('2026-01-02T00:00:00Z' AS TEXT)", DAY, "both", True),
    ("CAST('2026-01-02T02:00:00+02:00' AS TEXT)", DAY, "both", True),
    ("CAST('2026-01-02T00:00:00+02:00' AS TEXT)", DAY, "both", False),
    ("CAST('2026-01-02' AS TEXT)", DAY, "both", True),
    ("DATE '2026-01-02'", DAY, "both", True),
    ("DATE '2026-01-03'", DAY, "both", False),
    ("CAST('2026-01-02T00:00:00.0000009' AS TEXT)", DAY, "both", False),
    ("CAST('2026-01-02 05:06:07+05' AS TEXT)", "DATE '2026-01-02'", "both", False),
    ("CAST('soon' AS TEXT)", DAY, "both", False),
    ("TIMESTAMPTZ '2026-01-02 02:00:00+02'", DAY, "both", True),
    ("TIMESTAMPTZ '2026-01-02 00:00:00+02'", DAY, "both", False),
    ("TIMETZ '00:00:00+00'", "TIMETZ '00:00:00+02'", "both", False),
    ("TIMETZ '00:00:00+02'", "TIME '00:00:00'", "both", False),
    (NANOS.format("000000001"), NANOS.format("000000002"), "duckdb", False),
    (NANOS.format("000000001"), DAY, "duckdb", False),
    (NANOS.format("000001"), "TIMESTAMP '2026-01-02 00:00:00.000001'", "duckdb", True),
    (NANOS.format("0"), DAY, "duckdb", True),
]


def _made(warehouse: Warehouse, values: list[str]) -> Warehouse:
    columns = ", ".join(f"{value} AS v{number}" for number, value in enumerate(values))
    warehouse.execute("CREATE SCHEMA s", f"CREATE TABLE s.t AS SELECT 1 AS id, {columns}")
    return warehouse


@pytest.mark.parametrize(("left", "right"), [("duckdb", "duckdb"), ("duckdb", "postgres"), ("postgres", "duckdb")])
def test_times_of_two_databases_are_compared_exactly(left: str, right: str, postgres_url: str, tmp_path: Path) -> None:
    pairs = [pair for pair in PAIRS if pair[2] == "both" or left == right == "duckdb"]
    urls = []
    for place, engine in enumerate((left, right)):
        file = DuckDBWarehouse(tmp_path / f"{place}.duckdb")
        warehouse = file if engine == "duckdb" else PostgresWarehouse(postgres_url)
        urls.append(_made(warehouse, [pair[place] for pair in pairs]).url)
    a, b = (f"{url}#s" for url in urls)
    answer = CliRunner().invoke(main, ["--warehouse", urls[0], "compare", a, b, "--key", "id", "--samples", "1"])
    different = [
        number for number in range(len(pairs)) if f"    v{number}: 1 rows differ" in answer.output.splitlines()
    ]
    assert different == [number for number, pair in enumerate(pairs) if not pair[3]], answer.output
