"""Changes arrive in any order of keys, and with keys of any type each replaces its own row."""

from __future__ import annotations

import io
import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conftest import Warehouse

TOTAL, NEW = 3_000, 500  # more than a batch that is not sorted
KEYS: dict[str, tuple[dict[str, Any], Callable[[int], dict[str, Any]]]] = {
    "integers": ({"id": {"type": "integer"}}, lambda i: {"id": i}),
    "texts": ({"id": {"type": "string"}}, lambda i: {"id": f"{i}é"}),
    "numbers": ({"id": {"type": "number"}}, lambda i: {"id": i / 4}),
    "moments": (
        {"id": {"type": "string", "format": "date-time"}},
        lambda i: {"id": f"2026-11-{1 + i // 1440:02}T{i // 60 % 24:02}:{i % 60:02}:00Z"},
    ),
    "truth and integers": (
        {"is_odd": {"type": "boolean"}, "half": {"type": "integer"}},
        lambda i: {"is_odd": i % 2 == 1, "half": i // 2},
    ),
    "two texts": (
        {"a": {"type": "string"}, "b": {"type": "string"}},
        lambda i: {"a": f"{i % 7}", "b": f"{i // 7}"},
    ),
    "objects": ({"id": {"type": "object"}}, lambda i: {"id": {"number": i}}),
}


def load(url: str, properties: dict[str, Any], records: Sequence[dict[str, Any]], **config: Any) -> None:
    more = {"v": {"type": ["string", "null"]}, "o": {"type": ["object", "null"]}, "n": {"type": ["number", "null"]}}
    schema = {"properties": {**properties, **more}}
    lines = [json.dumps({"type": "SCHEMA", "stream": "t", "schema": schema, "key_properties": list(properties)})]
    lines += [json.dumps({"type": "RECORD", "stream": "t", "record": record}) for record in records]
    target = TargetWarehouse(config={"warehouse": url, "default_target_schema": "melty", **config})
    target.run(io.StringIO("\n".join(lines)))


def queried(url: str, sql: str) -> list[Any]:
    """The first column of the rows of a PostgreSQL query."""
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute(sql)]


def values(age: str, number: int) -> dict[str, Any]:
    """The values of a row besides its key."""
    return {"v": f"{age} {number}", "o": {"of": [age, number]}, "n": number}


def shuffled(numbers: range) -> list[int]:
    return random.Random(1).sample(numbers, len(numbers))


@pytest.mark.parametrize("name", KEYS)
def test_every_row_is_replaced_by_its_change_and_no_other(name: str, warehouse: Warehouse) -> None:
    properties, key = KEYS[name]
    load(warehouse.url, properties, [{**key(i), **values("old", i)} for i in range(TOTAL)])
    load(warehouse.url, properties, [{**key(i), **values("new", i)} for i in shuffled(range(NEW, TOTAL + NEW))])
    rows = warehouse.query('SELECT v, CAST(o AS VARCHAR) AS o, CAST(n AS INTEGER) AS n FROM "melty"."t"')
    stored = sorted((row["v"], json.loads(row["o"])["of"], row["n"]) for row in rows)
    wanted = [("old", range(NEW)), ("new", range(NEW, TOTAL + NEW))]
    assert stored == sorted((f"{age} {i}", [age, i], i) for age, numbers in wanted for i in numbers)


@pytest.mark.parametrize(("text", "is_sorted"), [("short", True), ("long " * 1_000, False)])
def test_changes_are_written_to_postgresql_by_key_unless_they_are_long(
    text: str, is_sorted: bool, postgres_url: str
) -> None:
    """Neighbours in the index are then neighbours in the table, so a lookup reads few pages.

    The server chooses where a page is, so the test checks the order from row to row.
    """
    properties, _ = KEYS["integers"]
    load(postgres_url, properties, [{"id": i, "v": "old"} for i in range(TOTAL)])
    numbers = shuffled(range(TOTAL))
    load(postgres_url, properties, [{"id": i, "v": f"{text}{random.Random(i).random()}"} for i in numbers])
    ids = queried(postgres_url, 'SELECT id FROM "melty"."t" ORDER BY ctid')
    assert sorted(ids) == sorted(numbers)
    neighbours = sum(after == before + 1 for before, after in itertools.pairwise(ids))
    assert neighbours > 0.9 * TOTAL if is_sorted else neighbours < 0.1 * TOTAL


@pytest.mark.parametrize("changes", [50, 2_000])
def test_of_a_large_table_postgresql_reads_only_the_rows_that_change(changes: int, postgres_url: str) -> None:
    """It reads them twice, to compare and to delete them, as in a small table. The server counts the rows read."""
    properties, _ = KEYS["integers"]
    read = "SELECT unnest(ARRAY[seq_tup_read, idx_tup_fetch]) FROM pg_stat_user_tables WHERE relname = 't'"
    load(postgres_url, properties, [{"id": i, "v": "old"} for i in range(20_000)])
    before = queried(postgres_url, read)
    load(postgres_url, properties, [{"id": i, "v": "new"} for i in shuffled(range(20_000))[:changes]])
    in_order, by_key = (after - earlier for after, earlier in zip(queried(postgres_url, read), before, strict=True))
    assert in_order == 0
    assert 2 * changes <= by_key <= 2 * changes + 10


def test_an_overwritten_table_of_postgresql_is_loaded_like_a_new_one(postgres_url: str) -> None:
    properties, _ = KEYS["integers"]
    for value in ("old", "new"):
        records = [{"id": i, "v": value} for i in shuffled(range(TOTAL))]
        load(postgres_url, properties, records, load_method="overwrite")
    assert queried(postgres_url, 'SELECT v FROM "melty"."t"') == ["new"] * TOTAL
