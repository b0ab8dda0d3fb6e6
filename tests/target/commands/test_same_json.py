"""JSON is compared by meaning: spaces and the order of members do not count, numbers are exact, true is not 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from target_warehouse.commands.same_json import is_same_json
from tests.conftest import DuckDBWarehouse, PostgresWarehouse

if TYPE_CHECKING:
    from pathlib import Path

SAME = [
    ('{"a": 1, "b": [2, null]}', '{"b":[2,null],"a":1}'),
    ("[1.50]", "[1.5]"),
    ("[1e3]", "[1000]"),
    ("[-0.0]", "[0]"),
    ("not JSON", "not JSON"),
    (None, None),
    (None, "null"),
]
DIFFERENT = [
    ('{"a": true}', '{"a": 1}'),
    ("[false]", "[0]"),
    ('{"a": [[true]]}', '{"a": [[1.0]]}'),
    ("[12345678901234567890.1]", "[12345678901234567890.2]"),
    ("[1e400]", "[1e401]"),
    ('["1"]', "[1]"),
    ("[[1]]", "[[1, 2]]"),
    ('{"a": null}', "{}"),
    (None, "false"),
    ("[" * 100_000, "[" * 100_001),
]


@pytest.mark.parametrize(("left", "right", "is_same"), [(*s, True) for s in SAME] + [(*d, False) for d in DIFFERENT])
def test_what_is_the_same_json(left: str | None, right: str | None, is_same: bool) -> None:
    assert is_same_json(left, right) == is_same
    assert is_same_json(right, left) == is_same


def test_compare_and_the_databases_keep_what_is_different_apart(postgres_url: str, tmp_path: Path) -> None:
    valid = [(left, right) for left, right in DIFFERENT[:-2] if left and right]
    sides = {"postgres": PostgresWarehouse(postgres_url), "duckdb": DuckDBWarehouse(tmp_path / "w.duckdb")}
    for engine, warehouse in sides.items():
        for schema, place in (("a", 0), ("b", 1)):
            rows = ", ".join(f"({number}, '{pair[place]}')" for number, pair in enumerate(valid))
            warehouse.execute(
                f"CREATE SCHEMA {schema}",
                f"CREATE TABLE {schema}.t (id bigint NOT NULL, v {'jsonb' if engine == 'postgres' else 'JSON'})",
                f"INSERT INTO {schema}.t VALUES {rows}",
            )
    for first in sides.values():
        for second in sides.values():
            words = ["compare", f"{first.url}#a", f"{second.url}#b", "--key", "id"]
            answer = CliRunner().invoke(main, ["--warehouse", first.url, *words])
            assert f"    v: {len(valid)} rows differ" in answer.output.splitlines(), answer.output
