"""Columns of PostgreSQL tables of other programs keep their types, or are widened by a rule of the README.

Values are stored as sent, or rejected with the name of their property, and no two keys become one.
"""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import PostgresWarehouse

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)

MADE = (
    "CREATE SCHEMA melty",
    "CREATE EXTENSION IF NOT EXISTS citext",
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    'CREATE TYPE "Pair" AS (a integer, b text)',
    "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    "CREATE DOMAIN cents AS numeric(10,2)",
    "CREATE DOMAIN text_of_3 AS varchar(3)",
    "CREATE DOMAIN second AS timestamp(0)",
    "CREATE DOMAIN day AS date",
    'CREATE DOMAIN "Deep" AS cents CHECK (value < 100)',
    "CREATE DOMAIN list AS bigint[]",
)


def _nullable(name: str, **more: Any) -> dict[str, Any]:
    return {"type": [name, "null"], **more}


TEXT, INTEGER, NUMBER, BOOLEAN = (_nullable(name) for name in ("string", "integer", "number", "boolean"))
TIME, DATE, DATE_TIME, UUID = (_nullable("string", format=name) for name in ("time", "date", "date-time", "uuid"))
OBJECT = _nullable("object")
TEXTS, INTEGERS, NUMBERS = (_nullable("array", items={"type": name}) for name in ("string", "integer", "number"))
AN_ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"

#: The column's type, the property's schema, the type afterwards (None: the same), and for each value sent
#: its text, or None for a rejected record.
Case = tuple[str, dict[str, Any], str | None, dict[Any, str | None]]
CASES: list[Case] = [
    ("timestamp(3)", DATE_TIME, None, {"2026-01-02T03:04:05.123Z": "2026-01-02 03:04:05.123"}),
    (
        "timestamp(3)",
        DATE_TIME,
        "timestamp without time zone",
        {"2026-01-02T03:04:05.5Z": "2026-01-02 03:04:05.5", "2026-01-02T03:04:05.1239Z": "2026-01-02 03:04:05.1239"},
    ),
    ("timestamp(0)", DATE_TIME, None, {"1969-12-31T23:59:59Z": "1969-12-31 23:59:59"}),
    (
        "timestamp(6) with time zone",
        DATE_TIME,
        None,
        {"2026-01-02T03:04:05.123456+02:00": "2026-01-02 01:04:05.123456+00"},
    ),
    ("timestamptz(0)", DATE_TIME, None, {"2026-01-02T03:04:05Z": "2026-01-02 03:04:05+00"}),
    (
        "timestamptz(2)",
        DATE_TIME,
        "timestamp with time zone",
        {"1960-01-02T03:04:05.123Z": "1960-01-02 03:04:05.123+00"},
    ),
    ("timestamptz", DATE_TIME, None, {"2026-01-02T03:04:05.123456Z": "2026-01-02 03:04:05.123456+00"}),
    ("timestamp(0)", DATE, None, {"2026-01-02": "2026-01-02 00:00:00"}),
    ("time(0)", TIME, None, {"03:04:05": "03:04:05"}),
    ("time(3)", TIME, "time without time zone", {"03:04:05.123": "03:04:05.123", "03:04:05.1234": "03:04:05.1234"}),
    ("timetz", TIME, None, {"03:04:05.123456": "03:04:05.123456+00"}),
    ("timetz(1)", TIME, "time with time zone", {"03:04:05.25": "03:04:05.25+00"}),
    ("date", DATE_TIME, "timestamp without time zone", {"2026-01-02T03:00:00Z": "2026-01-02 03:00:00"}),
    ("varchar(5)", TEXT, "text", {"abc": "abc", "abcdefgh": "abcdefgh"}),
    ("char(5)", TEXT, "text", {"abc": "abc", "abcdefgh": "abcdefgh"}),
    ('"char"', TEXT, "text", {"abc": "abc"}),
    ("name", TEXT, "text", {"x" * 70: "x" * 70}),
    ("numeric(10,2)", NUMBER, "numeric", {1.5: "1.5", 1.239: "1.239"}),
    ("numeric(38,0)", INTEGER, None, {2**62: str(2**62)}),
    ("numeric(5,0)", INTEGER, "numeric", {2**62: str(2**62)}),
    ("real", NUMBER, "numeric", {0.1: "0.1", 16777217: "16777217"}),
    ("smallint", INTEGER, "bigint", {5: "5", 70_000: "70000"}),
    ("int4", INTEGER, "bigint", {5: "5", 2**40: str(2**40)}),
    ("money", NUMBER, "numeric", {1.5: "1.5", 1.005: "1.005"}),
    ("boolean", TEXT, "text", {"yes": "yes"}),
    ("bytea", TEXT, "text", {"hello": "hello"}),
    ("uuid", UUID, None, {AN_ID: AN_ID}),
    ("uuid", TEXT, "text", {"none": "none"}),
    ("citext", TEXT, None, {"Abc": "Abc"}),
    ("citext", NUMBER, None, {1.5: "1.5"}),
    ("inet", TEXT, None, {"10.0.0.1/8": "10.0.0.1/8", "nowhere": None}),
    ("interval", TEXT, None, {"P1DT2H": "1 day 02:00:00", "for ever": None}),
    ("interval(0)", TEXT, None, {"1 sec": "00:00:01", "1.6 sec": None}),
    ("interval", TIME, None, {"03:04:05": "03:04:05"}),
    ("interval(0)", TIME, None, {"03:04:05": "03:04:05", "03:04:05.6": None}),
    ("interval year to month", TIME, None, {"00:00:00": "00:00:00", "03:04:05": None}),
    ("interval", NUMBER, None, {1.5: "00:00:01.5", 0.0000001: None}),
    ("bit(3)", TEXT, None, {"101": "101", "1010": None}),
    ("int4range", TEXT, None, {"[1,5)": "[1,5)", "5": None}),
    ("oid", INTEGER, None, {5: "5", 2**40: None}),
    ("mood", TEXT, None, {"sad": "sad", "glad": None}),
    ("mood", BOOLEAN, None, {True: None}),
    ('"Pair"', TEXT, None, {"(1,x)": "(1,x)", "(x,1)": None}),
    ("positive", INTEGER, None, {5: "5", -5: None, 2**40: None}),
    ("positive", NUMBER, None, {5: "5", 5.5: None}),
    ("cents", NUMBER, None, {1.25: "1.25", 1.239: None, 10**12: None}),
    ('"Deep"', NUMBER, None, {99.5: "99.50", 99.999: None, 100: None}),
    ("text_of_3", TEXT, None, {"abc": "abc", "abcd": None}),
    ("second", DATE_TIME, None, {"2026-01-02T03:04:05Z": "2026-01-02 03:04:05", "2026-01-02T03:04:05.6Z": None}),
    ("day", DATE_TIME, None, {"2026-01-02T00:00:00Z": "2026-01-02", "2026-01-02T03:00:00Z": None}),
    ("day", TEXT, "text", {"2026-01-02": "2026-01-02", "tomorrow": "tomorrow"}),
    ("integer[]", INTEGERS, "bigint[]", {(1, 2**40): "{1,1099511627776}"}),
    ("varchar(3)[]", TEXTS, "text[]", {("abcd",): "{abcd}"}),
    ("numeric(4,1)[]", NUMBERS, "numeric[]", {(1.55,): "{1.55}"}),
    ("mood[]", TEXTS, None, {("sad", "ok"): "{sad,ok}", ("glad",): None}),
    ("list", INTEGERS, None, {(1, 2): "{1,2}"}),
]


def _lines(stream: str, schema: dict[str, Any], records: list[dict[str, Any]], key: str = "id") -> str:
    properties = {"id": {"type": ["integer", "null"]}, **schema}
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": [key], "schema": {"properties": properties}}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _run(warehouse: PostgresWarehouse, text: str, **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, "max_rejected": 1_000, **config}).run(io.StringIO(text))


def _type(warehouse: PostgresWarehouse, table: str, column: str) -> Any:
    where = f"attrelid = 'melty.{table}'::regclass AND attname = '{column}'"
    return warehouse.query(f"SELECT format_type(atttypid, atttypmod) AS t FROM pg_attribute WHERE {where}")[0]["t"]


def test_a_column_keeps_its_type_or_is_widened_and_no_value_is_changed(warehouse: PostgresWarehouse) -> None:
    """In every run; a dry run changes nothing and counts the same."""
    warehouse.execute(*MADE)
    text, types = "", []
    for number, (column_type, schema, _, values) in enumerate(CASES):
        warehouse.execute(f"CREATE TABLE melty.t{number} (id bigint PRIMARY KEY, v {column_type})")
        types.append(_type(warehouse, f"t{number}", "v"))
        sent = [list(value) if isinstance(value, tuple) else value for value in values]
        text += _lines(f"t{number}", {"v": schema}, [{"id": i, "v": value} for i, value in enumerate(sent)])
    for dry_run in (True, False, False):
        _run(warehouse, text, dry_run=dry_run)
    wrong = []
    for number, (column_type, _, becomes, values) in enumerate(CASES):
        stored = {row["id"]: row["v"] for row in warehouse.query(f"SELECT id, v::text AS v FROM melty.t{number}")}
        expected = {i: value for i, value in enumerate(values.values()) if value is not None}
        refused = f"SELECT reason FROM melty._rejected_records WHERE stream = 't{number}'"
        reasons = [row["reason"] for row in warehouse.query(refused)]
        now = _type(warehouse, f"t{number}", "v")
        is_named = all("its property v" in reason for reason in reasons)
        if (stored, now, len(reasons), is_named) != (
            expected,
            becomes or types[number],
            2 * (len(values) - len(expected)),
            True,
        ):
            wrong.append((column_type, stored, now, reasons))
    assert wrong == []


SECONDS = ["2026-01-02T03:04:05.4Z", "2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05Z"]
#: The key's type, its schema, the keys sent, and the texts of the keys that must be stored, with the value of each.
KEYS: list[tuple[str, dict[str, Any], list[Any], list[str]]] = [
    (
        "timestamp(0)",
        DATE_TIME,
        SECONDS,
        ["2026-01-02 03:04:05", "2026-01-02 03:04:05.1", "2026-01-02 03:04:05.4"],
    ),
    ("timestamptz(0)", DATE_TIME, SECONDS[1:], ["2026-01-02 03:04:05+00", "2026-01-02 03:04:05.1+00"]),
    ("time(0)", TIME, ["03:04:05.1", "03:04:05.2"], ["03:04:05.1", "03:04:05.2"]),
    ("timetz", TIME, ["03:04:05.1", "03:04:05.2"], ["03:04:05.1+00", "03:04:05.2+00"]),
    ("second", DATE_TIME, SECONDS, ["2026-01-02 03:04:05"]),
    ("numeric(10,2)", NUMBER, [1.001, 1.002, 1], ["1", "1.001", "1.002"]),
    ("cents", NUMBER, [1.001, 1.002, 1], ["1.00"]),
    ("text_of_3", TEXT, ["abc", "abcd", "abcde"], ["abc"]),
    ("char(3)", TEXT, ["ab", "abc", "abcd"], ["ab", "abc", "abcd"]),
    ("real", NUMBER, [16777216, 16777217], ["16777216", "16777217"]),
    ("inet", TEXT, ["10.0.0.1", "10.0.0.2"], ["10.0.0.1/32", "10.0.0.2/32"]),
    (
        "date",
        DATE_TIME,
        ["2026-01-02T00:00:00Z", "2026-01-02T03:00:00Z"],
        ["2026-01-02 00:00:00", "2026-01-02 03:00:00"],
    ),
    ("money", NUMBER, [1.001, 1.002], ["1.001", "1.002"]),
]


@pytest.mark.parametrize("constraint", ["PRIMARY KEY", ""])
def test_keys_that_their_column_would_round_or_truncate_are_neither_merged_nor_duplicated(
    constraint: str, warehouse: PostgresWarehouse
) -> None:
    """In every run, with and without a primary key; hard deletes remove the row that they name."""
    warehouse.execute(*MADE)
    for value in ("x", "y"):
        text = ""
        for number, (column_type, schema, keys, _) in enumerate(KEYS):
            if value == "x":
                warehouse.execute(f"CREATE TABLE melty.k{number} (k {column_type} {constraint}, v text, id bigint)")
            text += _lines(f"k{number}", {"k": schema, "v": TEXT}, [{"k": key, "v": value} for key in keys], "k")
        _run(warehouse, text)
    stored = []
    for number in range(len(KEYS)):
        rows = warehouse.query(f"SELECT k::text AS k, v FROM melty.k{number} ORDER BY 1")
        stored.append(([row["k"] for row in rows], {row["v"] for row in rows}))
    assert stored == [(texts, {"y"}) for *_, texts in KEYS]
    gone = {"k": SECONDS[0], "_sdc_deleted_at": "2026-02-01T00:00:00Z"}
    _run(warehouse, _lines("k0", {"k": DATE_TIME, "v": TEXT}, [gone], "k"), hard_delete=True)
    assert [row["k"] for row in warehouse.query("SELECT k::text AS k FROM melty.k0 ORDER BY 1")] == KEYS[0][3][:2]


#: Types of keys with values that PostgreSQL calls equal, and the spellings of one value.
EQUAL_KEYS = {
    "citext": ("Bob", "bob", "BOB"),
    "interval": ("1 day", "24 hours", "24:00:00"),
    "inet": ("10.0.0.1", "10.0.0.1/32", "10.0.0.1"),
    "pg_lsn": ("0/1A", "0/1a", "0/01A"),
    "text COLLATE melty.any_case": ("Bob", "bob", "BOB"),
    "melty.any_case": ("Bob", "bob", "BOB"),  # a domain
    "varchar(3) COLLATE melty.any_case": ("Bob", "bob", "BOB"),  # becomes text, and keeps its collation
}
#: What the table has besides the key: a primary key or none, and a column that the stream lacks.
SHAPES = ("PRIMARY KEY, v text", ", v text", "PRIMARY KEY, v text, other text", ", v text, other text")
ANY_CASE = "CREATE COLLATION melty.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"


@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("column_type", EQUAL_KEYS)
def test_of_keys_that_the_database_considers_equal_the_last_record_wins(
    column_type: str, is_hard: bool, warehouse: PostgresWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Within one batch and across batches and runs, whatever else the table has; after a delete record, too."""
    warehouse.execute(*MADE)
    if "any_case" in column_type:
        try:
            warehouse.execute(ANY_CASE, "CREATE DOMAIN melty.any_case AS text COLLATE melty.any_case")
        except psycopg.errors.FeatureNotSupported:
            pytest.skip("this PostgreSQL was built without ICU, so it has no such collation")
    first, second, third = EQUAL_KEYS[column_type]
    deleted = {"k": second, "_sdc_deleted_at": "2026-02-01T00:00:00Z"}
    other = {"inet": "10.0.0.2", "pg_lsn": "1/1"}.get(column_type, "1:00")
    records = [{"k": key, "v": value} for key, value in ((first, "1"), (other, "1"), (second, "2"), (third, "3"))]
    records.insert(2, deleted)
    for number, shape in enumerate(SHAPES):
        table = f"t{number}"
        warehouse.execute(f"CREATE TABLE melty.{table} (k {column_type} {shape}, id bigint)")
        lines = _lines(table, {"k": TEXT, "v": TEXT}, records, "k")
        for size in (100, 100, 1):
            _run(warehouse, lines, batch_size_rows=size, hard_delete=is_hard)
            assert sorted(row["v"] for row in warehouse.rows(table)) == ["1", "3"], (shape, size)
        _run(warehouse, _lines(table, {"k": TEXT, "v": TEXT}, [*records, deleted], "k"), hard_delete=True)
        assert [row["v"] for row in warehouse.rows(table)] == ["1"], shape
    assert "keys that PostgreSQL considers equal share one row" in caplog.text


@pytest.mark.parametrize("column_type", ["box", "point", "circle", "path"])
def test_a_key_that_the_database_cannot_tell_apart_is_refused(column_type: str, warehouse: PostgresWarehouse) -> None:
    """To PostgreSQL two boxes are equal if their areas are."""
    warehouse.execute("CREATE SCHEMA melty", f"CREATE TABLE melty.t (k {column_type}, v text, id bigint)")
    with pytest.raises(LoadError, match=r"The key k of the table t is of type .* does not tell apart"):
        _run(warehouse, _lines("t", {"k": TEXT, "v": TEXT}, [{"k": "(0,0),(1,1)", "v": "1"}], "k"))


#: Types whose casts from text look something up, and a text for which there is nothing.
LOOKED_UP = {"regclass": "a secret", "regproc": "a_secret", "regrole": "a_secret", "regtype": "a secret", "hstore": "="}


@pytest.mark.parametrize("column_type", LOOKED_UP)
def test_a_value_that_a_cast_does_not_find_costs_its_record_and_is_not_shown(
    column_type: str, warehouse: PostgresWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.execute(*MADE, "CREATE EXTENSION IF NOT EXISTS hstore")
    warehouse.execute(f"CREATE TABLE melty.t (id bigint PRIMARY KEY, v {column_type})")
    records = [{"id": 1, "v": None}, {"id": 2, "v": LOOKED_UP[column_type]}, {"id": 3, "v": None}]
    _run(warehouse, _lines("t", {"v": TEXT}, records))
    assert sorted(row["id"] for row in warehouse.rows("t")) == [1, 3]
    (rejected,) = warehouse.rows("_rejected_records")
    assert rejected["reason"] == f"its property v does not fit its column, of type {column_type}, unchanged"
    assert "secret" not in caplog.text


def test_an_oid_does_not_wrap_around(warehouse: PostgresWarehouse) -> None:
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty.t (id bigint PRIMARY KEY, v oid)")
    _run(warehouse, _lines("t", {"v": INTEGER}, [{"id": 1, "v": -1}, {"id": 2, "v": 2**32 - 1}]))
    assert [(row["id"], int(row["v"])) for row in warehouse.rows("t")] == [(2, 2**32 - 1)]


def test_a_row_of_a_table_that_inherits_from_the_streams_table_stays_there(warehouse: PostgresWarehouse) -> None:
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.t (id bigint PRIMARY KEY, v text)",
        "CREATE TABLE melty.child (own text) INHERITS (melty.t)",
        "INSERT INTO melty.child VALUES (1, 'old', 'kept')",
    )
    for value in ("new", "newer"):
        _run(warehouse, _lines("t", {"v": TEXT}, [{"id": 1, "v": value}, {"id": 2, "v": value}]))
    rows = warehouse.query("SELECT id, v, own FROM melty.child")
    assert rows == [{"id": 1, "v": "newer", "own": "kept"}]
    assert warehouse.query("SELECT id, v FROM ONLY melty.t") == [{"id": 2, "v": "newer"}]


@pytest.mark.parametrize("dry_run", [False, True])
def test_generated_and_identity_columns_stay_and_properties_of_the_same_name_get_other_columns(
    dry_run: bool, warehouse: PostgresWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a numeric, "
        "total numeric GENERATED ALWAYS AS (a * 2) STORED, n bigint GENERATED ALWAYS AS IDENTITY, "
        "m bigint GENERATED BY DEFAULT AS IDENTITY, u text DEFAULT 'theirs')",
    )
    caplog.set_level(logging.INFO)
    records = [{"id": key, "a": 1, "total": 99, "n": 7, "m": 8} for key in (5, 6)]
    for value in (1, 2):
        for record in records:
            record["a"] = value
        _run(
            warehouse,
            _lines("t", {"a": NUMBER, "total": NUMBER, "n": INTEGER, "m": INTEGER}, records),
            dry_run=dry_run,
        )
    if dry_run:
        assert "t: 2 records read; 2 rows created" in caplog.text
        return
    rows = warehouse.rows("t")
    assert [(row["id"], row["a"], row["total"], row["m"], row["u"]) for row in rows] == [
        (key, "2", "4", 8, "theirs") for key in (5, 6)
    ]
    assert sorted(row["n"] for row in rows) == [1, 2]
    beside = {name: [row[name] for row in rows] for name in rows[0] if name.startswith(("total_", "n_"))}
    assert list(beside.values()) == [["99", "99"], [7, 7]]
    assert "the property total is in the column total_" in caplog.text


def test_a_table_of_another_loader_is_written_fast_and_read_back_the_same(warehouse: PostgresWarehouse) -> None:
    """Two thousand rows by COPY; the third run sends digits that the columns do not keep yet."""
    warehouse.execute(
        "CREATE SCHEMA melty", "CREATE TABLE melty.t (id bigint PRIMARY KEY, v timestamptz(3), w time(0))"
    )
    for digits, types in (
        ("250", ("timestamp(3) with time zone", "time(0) without time zone")),
        ("125", ("timestamp(3) with time zone", "time(0) without time zone")),
        ("123456", ("timestamp with time zone", "time(0) without time zone")),
    ):
        timestamp = f"2026-01-02T03:04:05.{digits}Z"
        records = [{"id": i, "v": timestamp, "w": "03:04:05"} for i in range(2_000)]
        _run(warehouse, _lines("t", {"v": DATE_TIME, "w": TIME}, records))
        assert (_type(warehouse, "t", "v"), _type(warehouse, "t", "w")) == types
        fractions = "SELECT DISTINCT to_char(v AT TIME ZONE 'UTC', 'US') AS u, count(*) AS n FROM melty.t GROUP BY 1"
        assert warehouse.query(fractions) == [{"u": digits.ljust(6, "0"), "n": 2_000}]
