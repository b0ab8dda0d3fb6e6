"""`warehouse compare A B`: the differences of two schemas, in one database or in two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from tests.conftest import DuckDBWarehouse, PostgresWarehouse
from tests.target.commands.compared_tables import ROWS, SCHEMA, load

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Warehouse


TEXT: dict[str, Any] = {"type": ["string", "null"]}


def compared(warehouse: Warehouse, a: str, b: str, *words: str, **env: str) -> tuple[int, str]:
    answer = CliRunner().invoke(main, ["--warehouse", warehouse.url, "compare", a, b, *words], env=env)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer.exit_code, answer.output


def test_the_same_rows_are_the_same_in_any_order_whatever_the_metadata(warehouse: Warehouse) -> None:
    load(warehouse, "old", ROWS)
    load(warehouse, "new", ROWS[::-1])
    code, text = compared(warehouse, "old", "new")
    assert (code, text.splitlines()) == (0, ["A is old, B is new.", "t: the same, 20 rows, matched by id"])


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_properties_beyond_the_columns_that_the_database_takes_are_compared_too(warehouse: Warehouse) -> None:
    """They are members of the column `_sdc_overflow`."""
    many = {f"p{number}": {"type": ["string", "null"]} for number in range(1_600)}
    for schema, text in (("old", "one"), ("new", "two")):
        load(warehouse, schema, [{"id": 1, "p1599": text}], **many)
    code, answer = compared(warehouse, "old", "new")
    assert (code, "_sdc_overflow: 1 rows differ" in answer) == (1, True)


def test_every_difference_is_counted_and_shown(warehouse: Warehouse) -> None:
    load(warehouse, "old", ROWS, extra=None, legacy={"type": ["string", "null"]})
    changed = [row | ({"amount": 7} if row["id"] in (3, 4) else {}) for row in ROWS[1:]]
    load(warehouse, "new", [*changed, ROWS[0] | {"id": 99}, ROWS[0] | {"id": 98}], extra=None, is_on=None)
    load(warehouse, "new", ROWS, table="another")
    code, text = compared(warehouse, "old", "new", "--samples", "1")
    assert code == 1
    assert text.splitlines() == [
        "A is old, B is new.",
        "Tables only in B: another",
        "t: different, 20 and 21 rows, matched by id",
        "    only in A: 1 rows: id=0",
        "    only in A: columns is_on, legacy",
        "    only in B: 2 rows: id=98, …",
        "    amount: 2 rows differ",
        "        id=3: 3.75 in A, 7 in B",
    ]
    code, text = compared(warehouse, "old", "new", "--table", "t", "--json")
    table = json.loads(text)["tables"][0]
    assert code == 1
    assert (table["only_in_a"], table["only_in_b"], table["columns"][0]["rows"]) == (1, 2, 2)


def test_a_row_that_is_marked_as_deleted_counts_as_absent(warehouse: Warehouse) -> None:
    load(warehouse, "old", ROWS)
    load(warehouse, "new", ROWS)
    load(warehouse, "new", [{"id": 5, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}])
    code, text = compared(warehouse, "old", "new")
    assert code == 1
    assert "    only in A: 1 rows: id=5" in text.splitlines()


def test_columns_of_different_types_are_compared_by_meaning(warehouse: Warehouse) -> None:
    load(
        warehouse,
        "old",
        [row | {"amount": str(row["amount"]).removesuffix(".0")} for row in ROWS],
        amount=SCHEMA["name"],
    )
    load(warehouse, "new", ROWS)
    assert compared(warehouse, "old", "new")[0] == 0


@pytest.mark.parametrize("other", ["text", "date", "timestamp"])
def test_a_time_and_its_text_and_a_date_and_its_midnight_are_the_same(
    other: str, warehouse: Warehouse, tmp_path: Path
) -> None:
    """A property whose type changed may have a column of its old type; `verify` reads it into one of the new type."""
    at = "2026-02-03" if other == "date" else "2026-02-03T04:05:06.7Z"
    midnight = "2026-02-03T00:00:00Z" if other == "date" else at
    formats = {"text": TEXT, "date": {**TEXT, "format": "date"}, "timestamp": {**TEXT, "format": "date-time"}}
    fresh = DuckDBWarehouse(tmp_path / "fresh.duckdb")
    for kind, value in ((other, at), ("text", midnight), ("text", at)):
        load(warehouse, kind, [{"id": 1, "at": value}], at=formats[kind])
        load(fresh, "new", [{"id": 1, "at": midnight}], at=formats["timestamp"])
        code, text = compared(warehouse, kind, f"{fresh.url}#new")
        assert code == 0, text
    load(warehouse, "text", [{"id": 1, "at": "2026-02-03T04:05:06.8Z"}], at=TEXT)
    assert compared(warehouse, "text", f"{fresh.url}#new")[0] == 1
    load(warehouse, "text", [{"id": 1, "at": "soon"}], at=TEXT)
    assert compared(warehouse, "text", f"{fresh.url}#new")[0] == 1


def test_lists_of_target_postgres_are_compared_by_content(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    lists = "n numeric[], at timestamp[]", "'{1.5,2}', '{2026-01-02 03:04:05}'"
    json_ = "n jsonb, at jsonb", """'[1.5, 2]', '["2026-01-02T03:04:05"]'"""
    for schema, (columns, values) in {"a": lists, "b": lists, "c": json_}.items():
        warehouse.execute(
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {schema}.t (id bigint PRIMARY KEY, {columns})",
            f"INSERT INTO {schema}.t VALUES (1, {values})",
        )
    for b in ("b", "c"):
        code, text = compared(warehouse, "a", b)
        assert code == 0, text
        code, text = compared(warehouse, f"{warehouse.url}#a", f"{warehouse.url}#{b}")
        assert code == 0, text


def test_databases_of_different_engines_are_compared_by_the_meaning_of_their_values(
    postgres_url: str, tmp_path: Path
) -> None:
    postgres_warehouse, duckdb_warehouse = PostgresWarehouse(postgres_url), DuckDBWarehouse(tmp_path / "w.duckdb")
    load(postgres_warehouse, "old", ROWS)
    load(duckdb_warehouse, "new", ROWS)
    code, text = compared(duckdb_warehouse, "OLD_WAREHOUSE#old", "new", OLD_WAREHOUSE=postgres_warehouse.url)
    assert (code, text.splitlines()[1:]) == (0, ["t: the same, 20 rows, matched by id"])
    load(duckdb_warehouse, "new", [ROWS[2] | {"extra": {"aa": {"x": "z"}, "b": [2, None]}}])
    code, text = compared(duckdb_warehouse, "OLD_WAREHOUSE#old", "new", OLD_WAREHOUSE=postgres_warehouse.url)
    assert code == 1
    assert "    extra: 1 rows differ" in text.splitlines()


@pytest.mark.parametrize(
    ("a", "words", "sentence"),
    [
        ("nothing", [], "nothing has no tables to compare"),
        ("OLD_WAREHOUSE#old", [], "The environment variable OLD_WAREHOUSE does not have the URL"),
        ("old", ["--table", "nowhere"], "old has no table nowhere; it has t."),
        ("old", ["--key", "size"], "The table t of old has no column size"),
        ("old", ["--key", "is_on"], "have the same is_on: name a unique key with --key."),
    ],
)
def test_a_comparison_that_is_not_possible_is_a_sentence_and_exit_code_2(
    tmp_path: Path, a: str, words: list[str], sentence: str
) -> None:
    duckdb_warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    load(duckdb_warehouse, "old", ROWS)
    load(duckdb_warehouse, "new", ROWS)
    code, text = compared(duckdb_warehouse, a, "new", *words)
    assert (code, sentence in text) == (2, True), text


@pytest.mark.parametrize("words", [["--key", "name"], ["--key", "id", "--key", "name"]])
def test_rows_without_a_value_for_the_key_cannot_be_compared(warehouse: Warehouse, words: list[str]) -> None:
    """They would count as missing on both sides, and hide their differences."""
    load(warehouse, "old", ROWS)
    load(warehouse, "new", [row | ({"name": None} if row["id"] < 2 else {}) for row in ROWS])
    code, text = compared(warehouse, "old", "new", *words)
    assert (code, text.count("\n")) == (2, 1), text
    assert "2 rows of t in new have no value for the key" in text
