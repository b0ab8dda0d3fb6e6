"""A stream whose key changed since the last run: the same result on both engines, and no row duplicated or merged."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

NUMBER: dict[str, Any] = {"type": ["integer", "null"]}
TEXT: dict[str, Any] = {"type": ["string", "null"]}
Row = dict[str, Any]

#: For each case its runs, each a key and records, and then the rows by id, or words of the last run's error.
CASES: dict[str, tuple[list[tuple[list[str], list[Row]]], list[Row] | str]] = {
    "more keys, which all rows have": (
        [
            (["id"], [{"id": 1, "lang": "en", "v": "a"}, {"id": 2, "lang": "en", "v": "b"}]),
            (["id", "lang"], [{"id": 1, "lang": "en", "v": "c"}, {"id": 1, "lang": "de", "v": "d"}]),
        ],
        [
            {"id": 1, "lang": "de", "v": "d"},
            {"id": 1, "lang": "en", "v": "c"},
            {"id": 2, "lang": "en", "v": "b"},
        ],
    ),
    "more keys, new to the table": (
        [(["id"], [{"id": 1, "v": "a"}]), (["id", "lang"], [{"id": 1, "lang": "en", "v": "c"}])],
        "is id and lang now and was id before, and rows of the table have no value for it",
    ),
    "more keys, null in a row": (
        [(["id"], [{"id": 1, "lang": None}]), (["id", "lang"], [{"id": 1, "lang": "en"}])],
        "rows of the table have no value for it",
    ),
    "more keys, of an empty table": (
        [(["id"], []), (["id", "lang"], [{"id": 1, "lang": "en"}, {"id": 1, "lang": "de"}])],
        [{"id": 1, "lang": "de"}, {"id": 1, "lang": "en"}],
    ),
    "fewer keys, which tell rows apart": (
        [
            (["id", "lang"], [{"id": 1, "lang": "en", "v": "a"}, {"id": 2, "lang": "de", "v": "b"}]),
            (["id"], [{"id": 1, "lang": None, "v": "c"}, {"id": 3, "v": "d"}]),
        ],
        [
            {"id": 1, "lang": None, "v": "c"},
            {"id": 2, "lang": "de", "v": "b"},
            {"id": 3, "lang": None, "v": "d"},
        ],
    ),
    "fewer key columns, whose values rows share": (
        [
            (["id", "lang"], [{"id": 1, "lang": "en"}, {"id": 1, "lang": "de"}]),
            (["id"], [{"id": 1, "lang": "en"}]),
        ],
        "is id now and was id and lang before, and rows of the table share a value of it",
    ),
    "no key any more": (
        [(["id"], [{"id": 1, "v": "a"}]), ([], [{"id": 1, "v": "b"}])],
        "has no key now, but its table t has the key id",
    ),
    "no key any more, of an empty table": (
        [(["id"], []), ([], [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}, {"id": None, "v": "c"}])],
        [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}, {"id": None, "v": "c"}],
    ),
    "a first key, unique in the rows": (
        [([], [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]), (["id"], [{"id": 1, "v": "c"}])],
        [{"id": 1, "v": "c"}, {"id": 2, "v": "b"}],
    ),
    "a first key, whose value rows share": (
        [([], [{"id": 1, "v": "a"}, {"id": 1, "v": "b"}]), (["id"], [{"id": 1, "v": "c"}])],
        "is id now and was not known before, and rows of the table share a value of it",
    ),
    "a first key, null in a row": (
        [([], [{"id": None, "v": "a"}]), (["id"], [{"id": 1, "v": "c"}])],
        "rows of the table have no value for it",
    ),
    "renamed, new to the table": (
        [(["id"], [{"id": 1}]), (["uid"], [{"uid": 1}])],
        "is uid now and was id before, and rows of the table have no value for it",
    ),
    "renamed, to a column that all rows have": (
        [
            (["id"], [{"id": 1, "uid": 10, "v": "a"}, {"id": 2, "uid": 20, "v": "b"}]),
            (["uid"], [{"uid": 10, "v": "c"}, {"uid": 30, "v": "d"}]),
        ],
        [{"id": 1, "uid": 10, "v": "c"}, {"id": None, "uid": 30, "v": "d"}, {"id": 2, "uid": 20, "v": "b"}],
    ),
    "another spelling": (
        [(["id"], [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]), (["ID"], [{"ID": 1, "v": "c"}])],
        [{"id": 1, "v": "c"}, {"id": 2, "v": "b"}],
    ),
    "another order": (
        [
            (["id", "lang"], [{"id": 1, "lang": "en", "v": "a"}, {"id": 2, "lang": "en", "v": "b"}]),
            (["lang", "id"], [{"id": 1, "lang": "en", "v": "c"}]),
        ],
        [{"id": 1, "lang": "en", "v": "c"}, {"id": 2, "lang": "en", "v": "b"}],
    ),
    "named twice": (
        [(["id", "id"], [{"id": 1, "v": "a"}]), (["id"], [{"id": 1, "v": "c"}])],
        [{"id": 1, "v": "c"}],
    ),
    "texts of numbers": (
        [(["id"], [{"id": 1, "v": "a"}]), (["id"], [{"id": "1", "v": "c"}, {"id": "x", "v": "d"}])],
        [{"id": "1", "v": "c"}, {"id": "x", "v": "d"}],
    ),
    "numbers for texts": (
        [(["id"], [{"id": "1", "v": "a"}, {"id": "x", "v": "b"}]), (["id"], [{"id": 1, "v": "c"}])],
        [{"id": "1", "v": "c"}, {"id": "x", "v": "b"}],
    ),
    "numbers with a point for whole ones": (
        [(["id"], [{"id": 1, "v": "a"}]), (["id"], [{"id": 1.0, "v": "c"}, {"id": 1.5, "v": "d"}])],
        [{"id": "1", "v": "c"}, {"id": "1.5", "v": "d"}],
    ),
}


def _kind(name: str, records: list[Row]) -> dict[str, Any]:
    values = [record[name] for record in records if record.get(name) is not None]
    if all(isinstance(value, int) for value in values):
        return NUMBER if name.lower() in ("id", "uid") else TEXT
    return {"type": ["number", "null"]} if all(isinstance(value, int | float) for value in values) else TEXT


def run(warehouse: Warehouse, keys: list[str], records: list[Row], **config: Any) -> None:
    """One run of the stream `t`."""
    names = dict.fromkeys([*keys, *(name for record in records for name in record)])
    schema = {"properties": {name: _kind(name, records) for name in names}}
    lines: list[Row] = [{"type": "SCHEMA", "stream": "t", "key_properties": keys, "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": record} for record in records]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


@pytest.mark.parametrize(("runs", "outcome"), CASES.values(), ids=CASES)
def test_a_changed_key_means_the_same_on_both_engines(
    runs: list[tuple[list[str], list[Row]]],
    outcome: list[Row] | str,
    warehouse: Warehouse,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refused run changes nothing; any other is loaded by the new key, as are all later runs."""
    *before, last = runs
    for keys, records in before:
        run(warehouse, keys, records)
    if isinstance(outcome, str):
        before = warehouse.rows("t")
        for is_dry in (True, False):
            with pytest.raises(LoadError, match=outcome):
                run(warehouse, *last, dry_run=is_dry)
        assert warehouse.rows("t") == before
        return
    if set(before[0][0]) != set(last[0]) and before[0][0] and "spelling" not in str(last):
        run(warehouse, *last, dry_run=True)
    for _ in range(2 if last[0] else 1):
        run(warehouse, *last)
    rows = [{name: str(value) for name, value in row.items()} for row in warehouse.rows("t")]
    wanted = [{name: str(value) for name, value in row.items()} for row in outcome]
    assert sorted(rows, key=str) == sorted(wanted, key=str)
    if set(before[0][0]) != set(last[0]) and before[0][0]:
        assert "differs in case only" in caplog.text or "was " in caplog.text


def test_a_key_that_changes_within_a_run_is_checked_against_the_rows_so_far(warehouse: Warehouse) -> None:
    schema = {"properties": {"id": NUMBER, "lang": TEXT}}
    lines: list[Row] = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema},
        {"type": "RECORD", "stream": "t", "record": {"id": 1}},
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id", "lang"], "schema": schema},
        {"type": "RECORD", "stream": "t", "record": {"id": 1, "lang": "en"}},
    ]
    with pytest.raises(LoadError, match="rows of the table have no value for it"):
        TargetWarehouse(config={"warehouse": warehouse.url}).run(
            io.StringIO("".join(json.dumps(line) + "\n" for line in lines))
        )
    assert warehouse.rows("t") == [{"id": 1, "lang": None}]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_key_that_postgres_generates_stays(warehouse: Warehouse) -> None:
    """The table's primary key is an identity column, and the stream's key is another column."""
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.t (number serial PRIMARY KEY, uid bigint NOT NULL UNIQUE, v text)",
        "INSERT INTO melty.t (uid, v) VALUES (10, 'a')",
    )
    for _ in range(2):
        run(warehouse, ["uid"], [{"uid": 10, "v": "b"}, {"uid": 20, "v": "c"}])
    assert [(row["uid"], row["v"]) for row in warehouse.rows("t")] == [(10, "b"), (20, "c")]
    constraint = "SELECT 1 AS n FROM pg_constraint WHERE contype = 'p' AND conrelid = 'melty.t'::regclass"
    assert warehouse.query(constraint) == [{"n": 1}]


@pytest.mark.parametrize("index", ["UNIQUE INDEX i ON melty.t (id)", "INDEX i ON melty.t (v)"])
def test_a_table_with_an_index_takes_the_streams_key(index: str, warehouse: Warehouse) -> None:
    """In every run, though DuckDB does not let the target mark the key's columns as NOT NULL there."""
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty.t (id bigint, v VARCHAR(9))", f"CREATE {index}")
    for value in ("a", "b", "c"):
        run(warehouse, ["id"], [{"id": 1, "v": value}, {"id": 2, "v": value}])
        assert [(row["id"], row["v"]) for row in warehouse.rows("t")] == [(1, value), (2, value)]


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_a_key_that_changes_in_a_duckdb_table_with_an_index_is_refused(warehouse: Warehouse) -> None:
    run(warehouse, ["id"], [{"id": 1, "v": "a"}])
    warehouse.execute("CREATE INDEX i ON melty.t (v)")
    with pytest.raises(LoadError, match=r"The key of the table t changes, .* drop its indexes, run, and create them"):
        run(warehouse, ["v"], [{"id": 1, "v": "b"}])
    assert [(row["id"], row["v"]) for row in warehouse.rows("t")] == [(1, "a")]
    warehouse.execute("DROP INDEX melty.i")
    run(warehouse, ["v"], [{"id": 1, "v": "b"}])
    assert [(row["id"], row["v"]) for row in warehouse.rows("t")] == [(1, "a"), (1, "b")]


def test_columns_that_are_not_null_are_not_a_key(warehouse: Warehouse) -> None:
    """A table of events of another program: a stream without a key keeps adding rows to it."""
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty.t (kind VARCHAR(9) NOT NULL, v VARCHAR(9))")
    for _ in range(2):
        run(warehouse, [], [{"kind": "a", "v": "x"}, {"kind": "a", "v": "y"}])
    assert [row["v"] for row in warehouse.rows("t")] == ["x", "x", "y", "y"]
