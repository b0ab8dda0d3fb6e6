"""PostgreSQL has statistics of new tables at the end of the first run, so that the first queries are planned well."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.target.feeding import load, numbers

if TYPE_CHECKING:
    from conftest import Warehouse

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)

ROWS = "SELECT CAST(reltuples AS integer) AS n FROM pg_class WHERE relname = 'numbers'"


def test_a_new_table_is_analyzed_at_the_end_of_the_run_unless_it_is_small(warehouse: Warehouse) -> None:
    load(warehouse, numbers(100))
    assert warehouse.query(ROWS) == [{"n": -1}]
    load(warehouse, numbers(3_000))
    assert warehouse.query(ROWS) == [{"n": 3_000}]
    load(warehouse, numbers(6_000))
    assert warehouse.query(ROWS) == [{"n": 3_000}]  # autovacuum's work from here on


def test_a_dry_run_analyzes_nothing(warehouse: Warehouse) -> None:
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.numbers (id bigint PRIMARY KEY, v text)",
        "INSERT INTO melty.numbers SELECT n, 'a text of some length' FROM generate_series(1, 5000) n",
    )
    load(warehouse, numbers(100), dry_run=True)
    assert warehouse.query(ROWS) == [{"n": -1}]


def test_a_role_that_may_not_analyze_a_table_loads_it(warehouse: Warehouse) -> None:
    """PostgreSQL skips such a table with a warning."""
    role, owner = f"loader_{uuid.uuid4().hex[:8]}", warehouse.url
    warehouse.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'",
        "CREATE SCHEMA melty",
        f"GRANT ALL ON SCHEMA melty TO {role}",
        "CREATE TABLE melty.numbers (id bigint PRIMARY KEY, v text)",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON melty.numbers TO {role}",
    )
    warehouse.url = f"postgresql://{role}:x@{owner.rpartition('@')[2]}"
    load(warehouse, numbers(3_000), add_record_metadata=False, activate_version=False)
    warehouse.url = owner
    assert warehouse.query(ROWS) == [{"n": -1}]
    assert warehouse.query("SELECT count(*) AS n FROM melty.numbers") == [{"n": 3_000}]
    warehouse.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
