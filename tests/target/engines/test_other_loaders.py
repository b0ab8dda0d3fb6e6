"""DuckDB tables of other programs: no row is duplicated, no value truncated or rounded, and no number becomes text."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError, RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import DuckDBWarehouse

INTEGER: dict[str, Any] = {"type": ["integer", "null"]}
NUMBER: dict[str, Any] = {"type": ["number", "null"]}
TEXT: dict[str, Any] = {"type": ["string", "null"]}
OBJECT: dict[str, Any] = {"type": ["object", "array", "null"]}
TIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}
DAY: dict[str, Any] = {"type": ["string", "null"], "format": "date"}
CLOCK: dict[str, Any] = {"type": ["string", "null"], "format": "time"}
UUID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
OTHER = "a47ac10b-58cc-4372-a567-0e02b2c3d479"
BIG = 2**100

#: The column's type and existing value, as SQL; the stream's schema and value; then the type, and the text of both.
COLUMNS: dict[str, tuple[str, str, dict[str, Any], Any, str, str, str]] = {
    "double": ("DOUBLE", "0.1", NUMBER, 12.75, "DOUBLE", "0.1", "12.75"),
    "double_whole": ("DOUBLE", "0.1", INTEGER, 7, "DOUBLE", "0.1", "7.0"),
    "double_long": ("DOUBLE", "1e-7", NUMBER, "12345678901234567.25", "VARCHAR", "0.0000001", "12345678901234567.25"),
    "double_huge": ("DOUBLE", "1", INTEGER, 2**53 + 1, "VARCHAR", "1", "9007199254740993"),
    "double_text": ("DOUBLE", "1", TEXT, "one", "VARCHAR", "1", "one"),
    "float": ("FLOAT", "0.1", NUMBER, 0.3, "DOUBLE", "0.1", "0.3"),
    "float_whole": ("FLOAT", "0.1", INTEGER, 16777217, "DOUBLE", "0.1", "16777217.0"),
    "tinyint": ("TINYINT", "1", INTEGER, 1000, "BIGINT", "1", "1000"),
    "utinyint": ("UTINYINT", "255", INTEGER, -1, "BIGINT", "255", "-1"),
    "uinteger": (
        "UINTEGER",
        "4294967295",
        NUMBER,
        0.5,
        "DECIMAL(38,18)",
        "4294967295.000000000000000000",
        "0.5" + "0" * 17,
    ),
    "ubigint": ("UBIGINT", str(2**64 - 1), INTEGER, -1, "DECIMAL(38,18)", f"{2**64 - 1}." + "0" * 18, "-1." + "0" * 18),
    "hugeint": ("HUGEINT", str(BIG), INTEGER, 5, "HUGEINT", str(BIG), "5"),
    "hugeint_large": ("HUGEINT", str(BIG), INTEGER, BIG + 1, "VARCHAR", str(BIG), str(BIG + 1)),
    "hugeint_number": ("HUGEINT", "5", NUMBER, 0.5, "DECIMAL(38,18)", "5." + "0" * 18, "0.5" + "0" * 17),
    "hugeint_numbers": ("HUGEINT", str(BIG), NUMBER, 0.5, "VARCHAR", str(BIG), "0.5"),
    "uhugeint": ("UHUGEINT", "5", INTEGER, -1, "DECIMAL(38,18)", "5." + "0" * 18, "-1." + "0" * 18),
    "decimal": ("DECIMAL(10,2)", "1.25", NUMBER, 0.125, "DECIMAL(38,18)", "1.25" + "0" * 16, "0.125" + "0" * 15),
    "decimal_whole": ("DECIMAL(38,0)", str(10**37), INTEGER, 5, "DECIMAL(38,0)", str(10**37), "5"),
    "decimal_number": ("DECIMAL(38,0)", str(10**37), NUMBER, 0.5, "VARCHAR", str(10**37), "0.5"),
    "decimal_fits": ("DECIMAL(38,10)", "1.5", NUMBER, 0.5, "DECIMAL(38,18)", "1.5" + "0" * 17, "0.5" + "0" * 17),
    "decimal_text": ("DECIMAL(10,2)", "1.50", TEXT, "x", "VARCHAR", "1.5", "x"),
    "uuid": ("UUID", f"'{UUID}'", TEXT, OTHER.upper(), "UUID", UUID, OTHER),
    "uuid_text": ("UUID", f"'{UUID}'", TEXT, "none", "VARCHAR", UUID, "none"),
    "struct": (
        "STRUCT(a INTEGER, b VARCHAR)",
        "{'a': 1, 'b': 'x'}",
        OBJECT,
        {"c": [1]},
        "JSON",
        '{"a":1,"b":"x"}',
        '{"c":[1]}',
    ),
    "struct_text": ("STRUCT(a INTEGER)", "{'a': 1}", TEXT, "x", "VARCHAR", '{"a":1}', "x"),
    "map": ("MAP(VARCHAR, DOUBLE)", "MAP {'k': 1.5}", OBJECT, {"c": 1}, "JSON", '{"k":1.5}', '{"c":1}'),
    "list": ("VARCHAR[]", "['a', 'b\"']", OBJECT, ["c"], "JSON", '["a","b\\""]', '["c"]'),
    "lists": ("INTEGER[][]", "[[1], [2, 3]]", OBJECT, [[4]], "JSON", "[[1],[2,3]]", "[[4]]"),
    "array": ("INTEGER[2]", "[1, 2]", OBJECT, [3], "JSON", "[1,2]", "[3]"),
    "structs": ("STRUCT(a DATE)[]", "[{'a': DATE '2026-01-01'}]", OBJECT, [], "JSON", '[{"a":"2026-01-01"}]', "[]"),
    "union": ("UNION(a INTEGER, b VARCHAR)", "1", OBJECT, {"c": 1}, "JSON", '{"a":1}', '{"c":1}'),
    "enum": ("ENUM('a', 'b')", "'a'", TEXT, "c", "VARCHAR", "a", "c"),
    "timestamp_s": (
        "TIMESTAMP_S",
        "'2026-01-01 00:00:01'",
        TIME,
        "2026-01-02T03:04:05.678901Z",
        "TIMESTAMP",
        "2026-01-01 00:00:01",
        "2026-01-02 03:04:05.678901",
    ),
    "timestamp_ms": (
        "TIMESTAMP_MS",
        "'2026-01-01 00:00:01.5'",
        TIME,
        "2026-01-02T03:04:05.678901Z",
        "TIMESTAMP",
        "2026-01-01 00:00:01.5",
        "2026-01-02 03:04:05.678901",
    ),
    "timestamp_ns": (
        "TIMESTAMP_NS",
        "'2026-01-01 00:00:01.123456789'",
        TIME,
        "2026-01-02T03:04:05.678901Z",
        "TIMESTAMP_NS",
        "2026-01-01 00:00:01.123456789",
        "2026-01-02 03:04:05.678901",
    ),
    "timestamptz": (
        "TIMESTAMPTZ",
        "'2026-01-01 00:00:01+00'",
        TIME,
        "2026-01-02T03:04:05+02:00",
        "TIMESTAMP WITH TIME ZONE",
        "2026-01-01 00:00:01+00",
        "2026-01-02 01:04:05+00",
    ),
    "timestamptz_day": (
        "TIMESTAMPTZ",
        "'2026-01-01 00:00:01+00'",
        DAY,
        "2026-01-02",
        "TIMESTAMP WITH TIME ZONE",
        "2026-01-01 00:00:01+00",
        "2026-01-02 00:00:00+00",
    ),
    "timestamp_day": (
        "TIMESTAMP",
        "'2026-01-01 00:00:01'",
        DAY,
        "2026-01-02",
        "TIMESTAMP",
        "2026-01-01 00:00:01",
        "2026-01-02 00:00:00",
    ),
    "date_time": (
        "DATE",
        "'2026-01-01'",
        TIME,
        "2026-01-02T03:04:05Z",
        "TIMESTAMP",
        "2026-01-01 00:00:00",
        "2026-01-02 03:04:05",
    ),
    "timestamp_text": ("TIMESTAMP", "'2026-01-01 00:00:01'", TEXT, "soon", "VARCHAR", "2026-01-01 00:00:01", "soon"),
    "time": ("TIME", "'00:00:01'", CLOCK, "03:04:05.5", "TIME", "00:00:01", "03:04:05.5"),
    "timetz": ("TIMETZ", "'00:00:01+02'", CLOCK, "03:04:05", "TIME WITH TIME ZONE", "00:00:01+02", "03:04:05+00"),
    "blob": ("BLOB", "'\\xAA\\xBB'::BLOB", TEXT, "x", "VARCHAR", "aabb", "x"),
    "interval": ("INTERVAL", "INTERVAL 1 DAY", TEXT, "x", "VARCHAR", "1 day", "x"),
    "bit": ("BIT", "'101'", TEXT, "x", "VARCHAR", "101", "x"),
    "json": ("JSON", "'{\"a\": 1}'", OBJECT, {"b": 2}, "JSON", '{"a": 1}', '{"b":2}'),
    "boolean": ("BOOLEAN", "true", INTEGER, 1, "VARCHAR", "true", "1"),
}


def load(
    file: DuckDBWarehouse, keys: list[str], properties: dict[str, Any], *records: dict[str, Any], **config: Any
) -> None:
    """One run of the stream `t`; a text of digits for a number is sent as that number."""
    lines: list[dict[str, Any]] = [
        {"type": "SCHEMA", "stream": "t", "key_properties": keys, "schema": {"properties": properties}}
    ]
    lines += [{"type": "RECORD", "stream": "t", "record": record} for record in records]
    text = "".join(json.dumps(line) + "\n" for line in lines).replace('"12345678901234567.25"', "12345678901234567.25")
    TargetWarehouse(config={"warehouse": file.url, **config}).run(io.StringIO(text))


def make(file: DuckDBWarehouse, *statements: str) -> None:
    """Create a table as another program would, in the target's schema."""
    file.execute("CREATE SCHEMA IF NOT EXISTS melty", *statements)


def test_columns_of_every_type_keep_their_values_and_accept_the_streams(file: DuckDBWarehouse) -> None:
    columns = ", ".join(f'"{name}" {column[0]}' for name, column in COLUMNS.items())
    values = ", ".join(column[1] for column in COLUMNS.values())
    make(file, f"CREATE TABLE melty.t (id BIGINT, {columns})", f"INSERT INTO melty.t VALUES (1, {values})")
    properties = {"id": INTEGER} | {name: column[2] for name, column in COLUMNS.items()}
    record = {"id": 2} | {name: column[3] for name, column in COLUMNS.items()}
    for _ in range(2):
        load(file, ["id"], properties, record)
    types = file.query("SELECT column_name AS c, data_type AS t FROM duckdb_columns() WHERE table_name = 't'")
    after = {row["c"]: row["t"] for row in types}
    chosen = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name in COLUMNS)
    old, new = file.query(f"SET TimeZone = 'UTC'; SELECT {chosen} FROM melty.t ORDER BY id")
    outcomes = {name: (after[name], old[name], new[name]) for name in COLUMNS}
    assert outcomes == {name: column[4:] for name, column in COLUMNS.items()}


#: The type of a key column, its existing values, and the schema and value that the stream sends for each of them.
KEYS: dict[str, tuple[str, list[str], dict[str, Any], list[Any]]] = {
    "double": ("DOUBLE", ["1", "2.5"], NUMBER, [1, 2.5]),
    "double and integers": ("DOUBLE", ["1", "2"], INTEGER, [1, 2]),
    "double and texts": ("DOUBLE", ["1", "2.5"], TEXT, ["1", "2.5"]),
    "float": ("FLOAT", ["0.1", "2"], NUMBER, [0.1, 2]),
    "integer": ("INTEGER", ["1", "2"], INTEGER, [1, 2]),
    "utinyint": ("UTINYINT", ["1", "255"], INTEGER, [1, 255]),
    "hugeint": ("HUGEINT", ["1", str(BIG)], INTEGER, [1, BIG]),
    "decimal": ("DECIMAL(38,0)", ["1", "2"], INTEGER, [1, 2]),
    "decimal and numbers": ("DECIMAL(10,2)", ["1.50", "2"], NUMBER, [1.5, 2]),
    "decimal and texts": ("DECIMAL(10,2)", ["1.50", "2"], TEXT, ["1.5", "2"]),
    "text and integers": ("VARCHAR", ["'1'", "'2'"], INTEGER, [1, 2]),
    "integer and texts": ("BIGINT", ["1", "2"], TEXT, ["1", "2"]),
    "uuid": ("UUID", [f"'{UUID}'", f"'{OTHER}'"], TEXT, [UUID.upper(), OTHER.replace("-", "")]),
    "uuid in one case of text": ("VARCHAR", [f"'{UUID}'", f"'{OTHER}'"], TEXT, [UUID, OTHER]),
    "enum": ("ENUM('a', 'b')", ["'a'", "'b'"], TEXT, ["a", "b"]),
    "timestamp_s": (
        "TIMESTAMP_S",
        ["'2026-01-01'", "'2026-01-01 00:00:01'"],
        TIME,
        ["2026-01-01T00:00:00Z", "2026-01-01T02:00:01+02:00"],
    ),
    "timestamp_ns": (
        "TIMESTAMP_NS",
        ["'2026-01-01'", "'2026-01-01 00:00:01'"],
        TIME,
        ["2026-01-01T00:00:00Z", "2026-01-01T02:00:01+02:00"],
    ),
    "timestamptz": (
        "TIMESTAMPTZ",
        ["'2026-01-01 00:00:00+00'", "'2026-01-01 02:00:00+00'"],
        TIME,
        ["2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z"],
    ),
    "date": ("DATE", ["'2026-01-01'", "'2026-01-02'"], TIME, ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
}


#: The cases among these in which DuckDB would have to change the type of a primary key, which it cannot.
NO_KEYS = {
    *("double and texts", "float", "hugeint", "decimal and numbers", "decimal and texts", "integer and texts", "enum"),
    *("timestamp_s", "date"),
}


@pytest.mark.parametrize(("constraint", "spelling"), [("", "ID"), ("PRIMARY KEY", "id")], ids=["plain", "primary key"])
@pytest.mark.parametrize("name", KEYS)
def test_a_key_matches_its_row_whatever_its_type_and_case(
    name: str, constraint: str, spelling: str, file: DuckDBWarehouse
) -> None:
    """Or the run stops with advice, if the type of a primary key cannot become that of the stream."""
    key_type, existing, schema, sent = KEYS[name]
    rows = ", ".join(f"({value}, 'old')" for value in existing)
    make(
        file,
        f"CREATE TABLE melty.t ({spelling} {key_type} {constraint}, v VARCHAR)",
        f"INSERT INTO melty.t VALUES {rows}",
    )
    records = [[{"id": value, "v": text} for value in sent] for text in ("first", "second")]
    if constraint and name in NO_KEYS:
        with pytest.raises(LoadError, match="because the table has an index or a key"):
            load(file, ["id"], {"id": schema, "v": TEXT}, *records[0])
        assert [row["v"] for row in file.rows("t")] == ["old", "old"]
        return
    for batch in records:
        load(file, ["id"], {"id": schema, "v": TEXT}, *batch)
        assert [row["v"] for row in file.rows("t")] == [record["v"] for record in batch]


def test_an_integer_out_of_range_of_another_programs_key_is_rejected(file: DuckDBWarehouse) -> None:
    make(file, "CREATE TABLE melty.t (id UTINYINT PRIMARY KEY, v VARCHAR)")
    with pytest.raises(RejectedRecordsError, match="DuckDB refuses one of its values"):
        load(file, ["id"], {"id": INTEGER, "v": TEXT}, {"id": 1, "v": "a"}, {"id": 256, "v": "b"})
    assert [row["v"] for row in file.rows("t")] == ["a"]


def test_nested_values_that_are_not_json_stop_the_run(file: DuckDBWarehouse) -> None:
    make(file, "CREATE TABLE melty.t (id BIGINT, v DOUBLE[])", "INSERT INTO melty.t VALUES (1, ['nan'::DOUBLE])")
    with pytest.raises(LoadError, match=r"column v of the table t is of type DOUBLE\[\] .* NaN or Infinity"):
        load(file, ["id"], {"id": INTEGER, "v": OBJECT}, {"id": 2, "v": [1]})


@pytest.mark.parametrize("name", ["fullname", "FULLNAME"])
def test_a_generated_column_is_left_to_duckdb(
    name: str, file: DuckDBWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    make(file, "CREATE TABLE melty.t (id BIGINT, v VARCHAR, fullname VARCHAR GENERATED ALWAYS AS (v || '!'))")
    for _ in range(2):
        load(file, ["id"], {"id": INTEGER, "v": TEXT, name: TEXT}, {"id": 1, "v": "a", name: "mine"})
    (row,) = file.rows("t")
    assert (row["v"], row["fullname"]) == ("a", "a!")
    assert sorted(map(str, row.values())) == ["1", "a", "a!", "mine"]


def test_constraints_and_defaults_of_other_programs_apply(file: DuckDBWarehouse) -> None:
    """A record that breaks a constraint is rejected with its name; a default fills a missing property."""
    make(
        file,
        "CREATE TABLE melty.t (id BIGINT PRIMARY KEY, v VARCHAR CHECK (v <> 'bad'), u VARCHAR UNIQUE, "
        "w VARCHAR NOT NULL, d INTEGER DEFAULT 7)",
    )
    properties = {"id": INTEGER, "v": TEXT, "u": TEXT, "w": TEXT}
    good = {"id": 1, "v": "a", "u": "x", "w": "w"}
    bad = [good | {"id": 2, "v": "bad"}, good | {"id": 3}, good | {"id": 4, "u": "z", "w": None}]
    for _ in range(2):
        with pytest.raises(RejectedRecordsError, match="t 3"):
            load(file, ["id"], properties, good, *bad)
    assert [(row["id"], row["u"], row["d"]) for row in file.rows("t")] in ([(1, "x", 7)], [(3, "x", 7)])


def test_a_view_in_place_of_the_table_is_a_sentence(file: DuckDBWarehouse) -> None:
    make(file, "CREATE VIEW melty.t AS SELECT 1 AS id")
    with pytest.raises(LoadError, match="t is a view"):
        load(file, ["id"], {"id": INTEGER}, {"id": 1})


#: Tables as other tools create them: the statements, and the rows afterwards.
TOOLS: dict[str, tuple[str, str]] = {
    "target-duckdb": (
        "CREATE TABLE melty.t (id BIGINT PRIMARY KEY, v VARCHAR, _sdc_extracted_at TIMESTAMP, _sdc_deleted_at VARCHAR)",
        "INSERT INTO melty.t VALUES (1, 'old', '2026-01-01', NULL), (3, 'old', NULL, NULL)",
    ),
    "pandas": (
        'CREATE TABLE melty.t ("index" BIGINT, "ID" BIGINT, "V" VARCHAR)',
        "INSERT INTO melty.t VALUES (0, 1, 'old'), (1, 3, 'old')",
    ),
    "sqlite": ("CREATE TABLE melty.t (id BIGINT, v VARCHAR)", "INSERT INTO melty.t VALUES (1, 'old'), (3, 'old')"),
    "csv": ("CREATE TABLE melty.t (Id VARCHAR, V VARCHAR)", "INSERT INTO melty.t VALUES ('1', 'old'), ('3', 'old')"),
}


@pytest.mark.parametrize(("create", "insert"), TOOLS.values(), ids=TOOLS)
def test_tables_of_other_tools_keep_working(create: str, insert: str, file: DuckDBWarehouse) -> None:
    make(file, create, insert)
    for _ in range(2):
        load(file, ["id"], {"id": INTEGER, "v": TEXT}, {"id": 1, "v": "new"}, {"id": 2, "v": "new"})
    rows = file.query("SELECT CAST(id AS VARCHAR) AS i, v AS w FROM melty.t ORDER BY i")
    assert [(row["i"], row["w"]) for row in rows] == [("1", "new"), ("2", "new"), ("3", "old")]


def test_a_table_of_dlt_names_the_column_that_it_needs(file: DuckDBWarehouse) -> None:
    make(
        file,
        "CREATE TABLE melty.t (id BIGINT, v VARCHAR, _dlt_load_id VARCHAR NOT NULL, _dlt_id VARCHAR NOT NULL)",
        "INSERT INTO melty.t VALUES (1, 'old', 'l', 'i')",
    )
    with pytest.raises(RejectedRecordsError, match=r"NOT NULL.*_dlt_"):
        load(file, ["id"], {"id": INTEGER, "v": TEXT}, {"id": 1, "v": "new"}, {"id": 2, "v": "new"})
    assert [(row["id"], row["v"]) for row in file.rows("t")] == [(1, "new")]


@pytest.mark.parametrize("name", ["k", "Key of it"])
def test_a_key_with_a_collation_is_refused_and_another_column_with_one_is_not(name: str, file: DuckDBWarehouse) -> None:
    """The batch is reduced by exact texts: how many rows there are would depend on where a batch ends."""
    file.execute(
        "CREATE SCHEMA melty",
        f'CREATE TABLE melty.refused ("{name}" VARCHAR COLLATE NOCASE, v VARCHAR)',
        f'CREATE TABLE melty.loaded (v VARCHAR COLLATE NOCASE, "{name}" VARCHAR)',
    )

    def load(stream: str) -> None:
        schema = {"properties": {name: {"type": "string"}, "v": TEXT}}
        lines = [{"type": "SCHEMA", "stream": stream, "key_properties": [name], "schema": schema}]
        lines += [{"type": "RECORD", "stream": stream, "record": {name: key, "v": key}} for key in ("a", "A")]
        TargetWarehouse(config={"warehouse": file.url}).run(io.StringIO("\n".join(map(json.dumps, lines))))

    with pytest.raises(LoadError, match=f"The key {name} of the table refused has a collation"):
        load("refused")
    load("loaded")
    assert {row[name] for row in file.rows("loaded")} == {"a", "A"}
