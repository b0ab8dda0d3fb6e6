"""A key whose column becomes text still matches the existing rows, or the run stops before anything is written."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse


def _nullable(name: str, **more: Any) -> dict[str, Any]:
    return {"type": [name, "null"], **more}


TEXT, INTEGER, NUMBER, BOOLEAN, OBJECT = map(_nullable, ("string", "integer", "number", "boolean", "object"))
DATE, TIME, DATE_TIME, UUID = (_nullable("string", format=name) for name in ("date", "time", "date-time", "uuid"))
MIXED: dict[str, Any] = {"type": ["string", "integer", "null"]}
LOOSE, LOOSE_UUID = ({"anyOf": [{"type": "string", "format": name}, TEXT]} for name in ("date-time", "uuid"))
AN_ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
SHIFTED = "2026-01-02T05:04:05+02:00"
MANY_DIGITS = 12345678901234567891  # no double

#: The types in DuckDB and PostgreSQL, the existing value, the schema, the key sent for it, and another value that makes
#: the column text, if the schema does not.
MATCHED: dict[str, tuple[str | None, str | None, str, dict[str, Any], Any, Any]] = {
    "whole double": ("DOUBLE", "double precision", "5", TEXT, "5", "x"),
    "whole double and numbers": ("DOUBLE", None, "5", NUMBER, 5.0, MANY_DIGITS),
    "large double": ("DOUBLE", "double precision", "1e30", MIXED, 10**30, "x"),
    "small double": ("DOUBLE", "double precision", "-1.5e-7", TEXT, "-0.00000015", "x"),
    "negative zero": ("DOUBLE", "double precision", "'-0'", TEXT, "0", "x"),
    "whole float": ("FLOAT", "real", "5", TEXT, "5", "x"),
    "float": ("FLOAT", "real", "0.1", MIXED, "0.1", 1),
    "large float": ("FLOAT", "real", "1e20", TEXT, str(10**20), "x"),
    "money": (None, "money", "5", MIXED, 5, "x"),
    "decimal": ("DECIMAL(10,2)", "numeric(10,2)", "5", TEXT, "5", "x"),
    "hugeint": ("HUGEINT", None, str(10**20), NUMBER, 10**20, 0.5),
    "integer": ("BIGINT", "bigint", "5", TEXT, "5", "x"),
    "boolean": ("BOOLEAN", "boolean", "true", TEXT, "true", "x"),
    "date": ("DATE", "date", "'2026-01-02'", TEXT, "2026-01-02", "x"),
    "enum": ("ENUM('ab', 'c')", None, "'ab'", TEXT, "ab", "x"),
    "json": ("JSON", "jsonb", "'\"a\"'", TEXT, "a", "x"),
    "char": (None, "char(5)", "'ab'", TEXT, "ab", "x"),
    "a timestamp or any text": ("TIMESTAMP", "timestamptz(3)", "'2026-01-02 03:04:05'", LOOSE, SHIFTED, "x"),
    "a UUID or any text": ("UUID", "uuid", f"'{AN_ID}'", LOOSE_UUID, AN_ID.upper(), "x"),
    "a UUID": ("UUID", "uuid", f"'{AN_ID}'", TEXT, AN_ID.upper(), AN_ID.replace("f", "0")),
}  # fmt: skip

#: The same, for types in which a text or another value may be another spelling of the existing value.
REFUSED: dict[str, tuple[str | None, str | None, str, dict[str, Any], Any]] = {
    "timestamp": ("TIMESTAMP", "timestamp", "'2026-01-02 03:04:05'", TEXT, "2026-01-02T03:04:05Z"),
    "timestamptz": ("TIMESTAMPTZ", "timestamptz(3)", "'2026-01-02 03:04:05+00'", TEXT, "2026-01-02T03:04:05Z"),
    "timestamptz and integers": ("TIMESTAMPTZ", "timestamptz", "'2026-01-02 03:04:05+00'", INTEGER, 1767323045),
    "time": ("TIME", "time", "'03:04:05'", TEXT, "03:04:05.000"),
    "timetz": ("TIMETZ", "timetz", "'03:04:05+00'", TEXT, "03:04:05Z"),
    "uuid": ("UUID", "uuid", f"'{AN_ID}'", TEXT, "none"),
    "uuid and integers": ("UUID", "uuid", f"'{AN_ID}'", INTEGER, 5),
    "bytes": ("BLOB", "bytea", "'a'", TEXT, "a"),
    "interval": ("INTERVAL", None, "'1 day'", TEXT, "P1D"),
    "bit": ("BIT", None, "'101'", TEXT, "0b101"),
    "boolean and integers": ("BOOLEAN", "boolean", "true", INTEGER, 1),
    "number and booleans": ("DOUBLE", "double precision", "1", BOOLEAN, True),
    "number and timestamps": ("BIGINT", "bigint", "1767323045", DATE_TIME, "2026-01-02T03:04:05Z"),
    "object": ("JSON", "jsonb", """'{"a": 1, "b": 2}'""", {}, {"a": 1, "b": 2}),
    "struct": ("STRUCT(a INTEGER)", None, "{'a': 1}", TEXT, '{"a": 1}'),
}


def _run(warehouse: Warehouse, streams: dict[str, tuple[dict[str, Any], list[Any]]], value: str, **config: Any) -> None:
    """One run of streams, each with the schema of its key `k` and its keys."""
    lines: list[dict[str, Any]] = []
    for stream, (schema, keys) in streams.items():
        properties = {"k": schema, "v": TEXT}
        lines.append(
            {"type": "SCHEMA", "stream": stream, "key_properties": ["k"], "schema": {"properties": properties}}
        )
        lines += [{"type": "RECORD", "stream": stream, "record": {"k": key, "v": value}} for key in keys]
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(
        io.StringIO("".join(json.dumps(line) + "\n" for line in lines))
    )


def _make(warehouse: Warehouse, types: tuple[str | None, str | None], name: str, old: str) -> bool:
    """Create a table as another program would, with one row; returns whether the engine has the type."""
    key_type = types[warehouse.engine == "postgres"]
    if key_type:
        warehouse.execute(
            f"CREATE TABLE melty.{name} (k {key_type}, v text)", f"INSERT INTO melty.{name} VALUES ({old}, 'old')"
        )
    return bool(key_type)


def test_a_key_with_one_spelling_matches_its_row_after_its_column_becomes_text(warehouse: Warehouse) -> None:
    """In every run, and in every batch of one record."""
    warehouse.execute("CREATE SCHEMA melty")
    streams = {
        f"t{number}": (schema, [key, other, key])
        for number, (duckdb, postgres, old, schema, key, other) in enumerate(MATCHED.values())
        if _make(warehouse, (duckdb, postgres), f"t{number}", old)
    }
    for value in ("first", "second"):
        _run(warehouse, streams, value, batch_size_rows=1)
        with warehouse.opened():
            stored = {name: [row["v"] for row in warehouse.query(f"SELECT v FROM melty.{name}")] for name in streams}
        assert stored == {name: [value, value] for name in streams}


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_with_several_spellings_does_not_become_text(name: str, warehouse: Warehouse) -> None:
    """The run stops with an error and leaves the table as it was; an empty table is loaded."""
    duckdb, postgres, old, schema, key = REFUSED[name]
    warehouse.execute("CREATE SCHEMA melty")
    if not _make(warehouse, (duckdb, postgres), "t", old):
        return
    with pytest.raises(LoadError, match=r"The key k of the table t is of type .* rows would be duplicated\. Convert"):
        _run(warehouse, {"t": (schema, [key])}, "new")
    (row,) = warehouse.query("SELECT * FROM melty.t")
    assert row["v"] == "old"
    warehouse.execute("DELETE FROM melty.t")
    _run(warehouse, {"t": (schema, [key])}, "new")
    (row,) = warehouse.query("SELECT * FROM melty.t")
    assert row["v"] == "new"


#: A schema, the text of a key in a text column of another program, and the key.
SPELLED: list[tuple[dict[str, Any], str, Any]] = [
    (INTEGER, "007", 7),
    (INTEGER, "7.0", 7),
    (INTEGER, "-0", 0),
    (NUMBER, "1.50", 1.5),
    (NUMBER, "1e3", 1000),
    (NUMBER, " 5", 5),
    (BOOLEAN, "True", True),
    (NUMBER, "1,000", 1000),
    (BOOLEAN, "t", True),
    (BOOLEAN, "Yes", True),
    (DATE, "2026-01-02T00:00:00", "2026-01-02"),
    (DATE, "20260102", "2026-01-02"),
    (DATE, "2026-1-2", "2026-01-02"),
    (DATE, "1/2/2026", "2026-01-02"),
    (DATE_TIME, "Jan 2 2026 03:04:05", "2026-01-02T03:04:05Z"),
    (TIME, "3:04", "03:04:00"),
    (TIME, "03:04", "03:04:00"),
    (TIME, "03:04:05.500", "03:04:05.5"),
    (DATE_TIME, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
    (DATE_TIME, "2026-01-02 03:04:05.500000", "2026-01-02T03:04:05.5Z"),
    (DATE_TIME, "2026-01-02", "2026-01-02"),
    (UUID, AN_ID.upper(), AN_ID),
    (UUID, AN_ID.replace("-", ""), AN_ID),
    (UUID, f"{{{AN_ID}}}", AN_ID),
]
OWN: list[tuple[dict[str, Any], str, Any]] = [
    (INTEGER, "7", 7),
    (INTEGER, "-70", -70),
    (NUMBER, "0.5", 0.50),
    (NUMBER, "0", -0.0),
    (NUMBER, "1" + "0" * 30, 1e30),
    (BOOLEAN, "false", False),
    (DATE, "2026-01-02", "2026-01-02"),
    (TIME, "03:04:05.5", "03:04:05.500"),
    (DATE_TIME, "2026-01-02 03:04:05", "2026-01-02T05:04:05+02:00"),
    (DATE_TIME, "2026-01-02 03:04:05.5", "2026-01-02T03:04:05.5Z"),
    (UUID, AN_ID, AN_ID.upper()),
]


@pytest.mark.parametrize(("schema", "there", "key"), SPELLED)
def test_a_text_key_with_another_spelling_than_the_targets_stops_the_run(
    schema: dict[str, Any], there: str, key: Any, warehouse: Warehouse
) -> None:
    warehouse.execute("CREATE SCHEMA melty")
    _make(warehouse, ("VARCHAR", "character varying(40)"), "t", f"'{there}'")
    with pytest.raises(LoadError, match=r"The key k of the table t is text there and a .* rows would be duplicated"):
        _run(warehouse, {"t": (schema, [key])}, "new")
    assert [row["v"] for row in warehouse.query("SELECT v FROM melty.t")] == ["old"]


def test_a_text_key_with_the_targets_spelling_matches_a_key_of_another_type(warehouse: Warehouse) -> None:
    """The column also has texts that are no spelling of such a key."""
    warehouse.execute("CREATE SCHEMA melty")
    streams = {}
    for number, (schema, there, key) in enumerate(OWN):
        _make(warehouse, ("VARCHAR", "text"), f"t{number}", f"'{there}'")
        warehouse.execute(f"INSERT INTO melty.t{number} VALUES ('soon', 'other')")
        streams[f"t{number}"] = (schema, [key])
    _run(warehouse, streams, "new")
    with warehouse.opened():
        stored = {name: sorted(row["v"] for row in warehouse.query(f"SELECT v FROM melty.{name}")) for name in streams}
    assert stored == {name: ["new", "other"] for name in streams}


@pytest.mark.parametrize("column_type", ["text", "bigint"])
@pytest.mark.parametrize("batch_size_rows", [1_000, 1])
def test_two_spellings_of_a_uuid_are_one_key_in_a_column_of_text(
    column_type: str, batch_size_rows: int, warehouse: Warehouse
) -> None:
    """Also in a column that becomes text. A text that is no UUID is a key as it is, which such a column allows."""
    warehouse.execute("CREATE SCHEMA melty", f"CREATE TABLE melty.t (k {column_type}, v text)")
    for value, keys in {"first": [AN_ID.upper(), AN_ID, "None"], "second": [f"{{{AN_ID}}}"]}.items():
        _run(warehouse, {"t": (UUID, keys)}, value, batch_size_rows=batch_size_rows)
    assert [(row["k"], row["v"]) for row in warehouse.rows("t")] == [("None", "first"), (AN_ID, "second")]


def test_a_key_that_was_a_date_and_a_timestamp_in_one_input_does_not_become_text(warehouse: Warehouse) -> None:
    """The same input would not match its rows again."""
    keys = ((DATE, "2026-01-02"), (DATE_TIME, "2026-01-03T00:00:00Z"), (TEXT, "soon"))
    lines: list[dict[str, Any]] = []
    for schema, key in keys:
        properties = {"k": schema, "v": TEXT}
        lines.append({"type": "SCHEMA", "stream": "t", "key_properties": ["k"], "schema": {"properties": properties}})
        lines.append({"type": "RECORD", "stream": "t", "record": {"k": key, "v": "x"}})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for _ in range(2):
        with pytest.raises(LoadError, match="The key k of the table t is of type timestamp"):
            TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
        assert len(warehouse.rows("t")) == 2


#: The types in DuckDB and PostgreSQL, the existing value, and its text after a text has come.
VALUES: list[tuple[str | None, str | None, str, str]] = [
    ("DOUBLE", "double precision", "5", "5"),
    ("DOUBLE", "double precision", "1.5e300", "15" + "0" * 299),
    ("DOUBLE", "double precision", "5e-324", "0." + "0" * 323 + "5"),
    ("DOUBLE", "double precision", "'NaN'", "nan"),
    ("FLOAT", "real", "1e20", "1" + "0" * 20),
    ("DECIMAL(10,2)", "numeric(10,2)", "5", "5"),
    (None, "money", "5.50", "5.5"),
    ("TIMESTAMPTZ", "timestamptz", "'2026-01-02 05:04:05.5+02'", "2026-01-02 03:04:05.5"),
    ("TIMETZ", "timetz", "'03:04:05+00'", "03:04:05"),
    ("TIMETZ", "timetz", "'03:04:05+02'", "03:04:05+02"),
]


def test_values_of_a_column_that_becomes_text_are_spelled_as_the_target_writes_them(warehouse: Warehouse) -> None:
    types = [(pair[warehouse.engine == "postgres"], old, text) for *pair, old, text in VALUES]
    cases = [
        (f"c{number}", column_type, old, text) for number, (column_type, old, text) in enumerate(types) if column_type
    ]
    columns = ", ".join(f"{name} {column_type}" for name, column_type, *_ in cases)
    old = ", ".join(old for _, _, old, _ in cases)
    warehouse.execute(
        "CREATE SCHEMA melty", f"CREATE TABLE melty.t (k bigint, {columns})", f"INSERT INTO melty.t VALUES (1, {old})"
    )
    properties = {"k": INTEGER, **{name: TEXT for name, *_ in cases}}
    lines = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["k"], "schema": {"properties": properties}},
        {"type": "RECORD", "stream": "t", "record": {"k": 2, **{name: "x" for name, *_ in cases}}},
    ]
    TargetWarehouse(config={"warehouse": warehouse.url}).run(
        io.StringIO("".join(json.dumps(line) + "\n" for line in lines))
    )
    (row,) = warehouse.query("SELECT * FROM melty.t WHERE k = 1")
    assert {name: row[name].lower() for name, *_ in cases} == {name: text for name, *_, text in cases}


#: Spellings of one value; the last record wins.
OBJECTS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "members in another order": (OBJECT, [{"a": 1, "b": [{"c": 1, "d": 2}]}, {"b": [{"d": 2, "c": 1}], "a": 1}]),
    "numbers": (OBJECT, [{"a": 1, "b": 100}, {"a": 1.0, "b": 1e2}]),
    "lists": (_nullable("array"), [[1, {"a": 1, "b": 2}], [1.0, {"b": 2, "a": 1}]]),
    "lists of numbers": (_nullable("array", items={"type": "number"}), [[1, 2.5], [1.0, 2.50]]),
    "of any type": ({}, [{"a": 1, "b": 2}, {"b": 2, "a": 1.0}]),
}


@pytest.mark.parametrize("batch_size_rows", [1_000, 1])
def test_two_spellings_of_an_object_are_one_key(batch_size_rows: int, warehouse: Warehouse) -> None:
    """Within one batch, across batches and across runs."""
    streams = {f"t{number}": case for number, case in enumerate(OBJECTS.values())}
    for turn in (0, 1):
        lines: list[dict[str, Any]] = []
        for stream, (schema, spellings) in streams.items():
            properties = {"k": schema, "v": INTEGER}
            lines.append(
                {"type": "SCHEMA", "stream": stream, "key_properties": ["k"], "schema": {"properties": properties}}
            )
            keys = [*spellings, *reversed(spellings)][turn : turn + 3]
            lines += [
                {"type": "RECORD", "stream": stream, "record": {"k": key, "v": turn * 10 + number}}
                for number, key in enumerate(keys)
            ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        TargetWarehouse(config={"warehouse": warehouse.url, "batch_size_rows": batch_size_rows}).run(io.StringIO(text))
        with warehouse.opened():
            stored = {name: [row["v"] for row in warehouse.query(f"SELECT v FROM melty.{name}")] for name in streams}
        assert stored == {name: [turn * 10 + 2] for name in streams}


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_an_object_with_another_spelling_in_duckdb_stops_the_run(warehouse: Warehouse) -> None:
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty.t (k JSON, v text)")
    warehouse.execute("""INSERT INTO melty.t VALUES ('{"b": 2, "a": 1}', 'old')""")
    with pytest.raises(LoadError, match="does not spell it as the target does, with sorted members"):
        _run(warehouse, {"t": (OBJECT, [{"a": 1, "b": 2}])}, "new")
    warehouse.execute("""UPDATE melty.t SET k = '{"a":1,"b":2}'""")
    _run(warehouse, {"t": (OBJECT, [{"b": 2, "a": 1}])}, "new")
    assert [row["v"] for row in warehouse.rows("t")] == ["new"]


#: The types of a key column of another program in DuckDB and PostgreSQL, a value, and a key of a stream in JSON.
NESTED: list[tuple[str | None, str | None, str, Any]] = [
    ("FLOAT[]", None, "[0.1]", [0.1]),
    ("STRUCT(x FLOAT)", None, "{'x': 0.1}", {"x": 0.1}),
    ("MAP(VARCHAR, FLOAT)", None, "MAP {'x': 0.1}", {"x": 0.1}),
    ("TIMESTAMP[]", "timestamp[]", "['2026-01-01']", ["2026-01-01T00:00:00Z"]),
    ("TIMESTAMPTZ[]", "timestamptz[]", "['2026-01-01']", ["2026-01-01T00:00:00Z"]),
    ("DATE[]", "date[]", "['2026-01-01']", ["2026-01-01T00:00:00Z"]),
    ("STRUCT(x TIME)", None, "{'x': '01:02:03'}", {"x": "01:02:03Z"}),
    ("UUID[]", None, f"['{AN_ID}']", [AN_ID.upper()]),
    ("BLOB[]", "bytea[]", "['a']", ["61"]),
]


@pytest.mark.parametrize(("duckdb_type", "postgres_type", "there", "key"), NESTED)
def test_a_nested_key_whose_values_have_several_spellings_does_not_become_json(
    duckdb_type: str | None, postgres_type: str | None, there: str, key: Any, warehouse: Warehouse
) -> None:
    """Without rows it does."""
    column_type = duckdb_type if warehouse.engine == "duckdb" else postgres_type
    if column_type is None:
        return
    is_list = isinstance(key, list)
    schema = {"type": ["array", "null"], "items": {"type": ["string", "number"]}} if is_list else OBJECT
    value = there if warehouse.engine == "duckdb" else f"CAST(ARRAY{there} AS {column_type})"
    warehouse.execute("CREATE SCHEMA melty", f"CREATE TABLE melty.t (k {column_type}, v text)")
    warehouse.execute(f"INSERT INTO melty.t VALUES ({value}, 'old')")
    with pytest.raises(LoadError, match=r"The key k of the table t is of type .* would become JSON"):
        _run(warehouse, {"t": (schema, [key])}, "new")
    assert [row["v"] for row in warehouse.query("SELECT v FROM melty.t")] == ["old"]
    warehouse.execute("DELETE FROM melty.t")
    for _ in range(2):
        _run(warehouse, {"t": (schema, [key])}, "new")
    assert [row["v"] for row in warehouse.query("SELECT v FROM melty.t")] == ["new"]


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
@pytest.mark.parametrize("more", ["", ", _sdc_extracted_at TIMESTAMP"])
def test_a_key_with_a_collation_in_duckdb_stops_the_run(more: str, warehouse: Warehouse) -> None:
    """Also in a table with the columns of a target, which somebody made by hand."""
    warehouse.execute("CREATE SCHEMA melty", f"CREATE TABLE melty.t (k VARCHAR COLLATE NOCASE, v text{more})")
    with pytest.raises(LoadError, match="The key k of the table t has a collation"):
        _run(warehouse, {"t": (TEXT, ["a", "A"])}, "new")
