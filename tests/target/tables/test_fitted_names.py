"""Names and widths that a database does not accept."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse
from target_warehouse.tables.fitted_names import fit

if TYPE_CHECKING:
    from conftest import Warehouse

TEXT = {"type": ["string", "null"]}
LONG = "property_" + "x" * 60


def _run(warehouse: Warehouse, *records: dict[str, Any], stream: str = "t", **properties: Any) -> None:
    schema = {"properties": {"id": {"type": ["integer", "null"]}, **properties}}
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))


@given(
    st.lists(st.text(alphabet="aAbBß\0é", max_size=20), unique=True, max_size=12),
    st.lists(st.text(alphabet="aAbBß", min_size=1, max_size=8), unique=True, max_size=6),
    st.sampled_from([None, 12]),
    st.booleans(),
)
def test_every_name_is_usable_and_its_own(
    names: list[str], existing: list[str], most_bytes: int | None, ignores_case: bool
) -> None:
    """Existing columns keep their names, for any order of the properties."""
    fitted = fit(names, existing, most_bytes=most_bytes, ignores_case=ignores_case)
    assert list(fitted) == names
    compared = [name.casefold() if ignores_case else name for name in fitted.values()]
    if not any(name in existing for name in names):
        assert len(set(compared)) == len(names)
    for name, column in fitted.items():
        assert column
        assert "\0" not in column
        if name in existing:
            assert column == name
        elif most_bytes:
            assert len(column.encode()) <= most_bytes
    # The next run finds its columns, and any order of the properties gives the same.
    there = [*existing, *fitted.values()]
    assert fit(reversed(names), there, most_bytes=most_bytes, ignores_case=ignores_case) == fitted


def test_names_that_differ_late_are_columns_of_their_own_in_every_run(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Names longer than 63 bytes (not characters); DuckDB accepts them unchanged."""
    umlauts = "ü" * 40
    first, second = f"{LONG}1", f"{LONG}2"
    _run(warehouse, {"id": 1, first: "a", second: "b"}, **{first: TEXT, second: TEXT})
    _run(warehouse, {"id": 2, second: "c", umlauts: "d"}, **{second: TEXT, umlauts: TEXT})
    one, two = warehouse.rows("t")
    assert len(one) == 4
    assert sorted(str(value) for value in one.values()) == ["1", "None", "a", "b"]
    assert sorted(str(value) for value in two.values()) == ["2", "None", "c", "d"]
    assert [name for name, value in two.items() if value == "c"] == [
        name for name, value in one.items() if value == "b"
    ]
    assert ("is in the column" in caplog.text) is (warehouse.engine == "postgres")


def test_a_table_with_a_long_name_is_found_again(warehouse: Warehouse) -> None:
    for key in (1, 2):
        _run(warehouse, {"id": key}, stream=f"{LONG}{LONG}")
    names = "SELECT table_name AS n FROM information_schema.tables WHERE table_name LIKE 'property%'"
    (table,) = (row["n"] for row in warehouse.query(names))
    assert [row["id"] for row in warehouse.rows(table)] == [1, 2]


def test_names_that_differ_in_case_are_columns_of_their_own_in_every_run(warehouse: Warehouse) -> None:
    """In any order in later runs, and also if the second name only appears later."""
    _run(warehouse, {"id": 1, "email": "lower"}, email=TEXT)
    _run(warehouse, {"id": 2, "email": "lower", "Email": "upper"}, Email=TEXT, email=TEXT)
    _run(warehouse, {"id": 3, "Email": "upper", "email": "lower"}, email=TEXT, Email=TEXT)
    _run(warehouse, {"id": 4, "Email": "upper"}, Email=TEXT)
    rows = warehouse.rows("t")
    lower, upper = [name for name in rows[0] if name != "id"]
    assert lower == "email"
    assert (upper == "Email") is (warehouse.engine == "postgres")
    assert [(row[lower], row[upper]) for row in rows] == [
        ("lower", None),
        ("lower", "upper"),
        ("lower", "upper"),
        (None, "upper"),
    ]


def test_streams_that_differ_in_case_are_tables_of_their_own(warehouse: Warehouse) -> None:
    for _ in range(2):
        _run(warehouse, {"id": 1}, stream="People")
        _run(warehouse, {"id": 2}, stream="people")
    names = "SELECT table_name AS n FROM information_schema.tables WHERE table_name ILIKE 'people%'"
    tables = sorted(row["n"] for row in warehouse.query(names))
    assert [warehouse.rows(table) for table in tables] == [[{"id": 1}], [{"id": 2}]]


def test_names_that_no_database_accepts_have_columns(warehouse: Warehouse) -> None:
    names = ["", "a\0b", '"; DROP TABLE t; --', "%s %(x)s :p", "a\\", "\ud800"]
    _run(warehouse, {"id": 1, **dict.fromkeys(names, "x")}, **dict.fromkeys(names, TEXT))
    (row,) = warehouse.rows("t")
    assert sorted(map(str, row.values())) == ["1", *["x"] * len(names)]


def test_properties_called_like_postgresqls_own_columns_have_columns(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """As a key, in a later run, beyond 1,600 columns, in a dry run and in views; in another case the names are kept."""
    own = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"]
    others = ["CTID", "Xmin", "oid", '"ctid"', "rowid"]
    record = {"ctid": "key", **{name: f"in {name}" for name in [*own[1:], *others]}}
    properties = dict.fromkeys([*own, *others], TEXT)
    lines = [
        {"type": "SCHEMA", "stream": "xmin", "key_properties": ["ctid"], "schema": {"properties": properties}},
        {"type": "RECORD", "stream": "xmin", "record": record},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    config = {"warehouse": warehouse.url, "views_schema": "live"}
    for dry_run in (True, False, False, True):
        TargetWarehouse(config={**config, "dry_run": dry_run}).run(io.StringIO(text))
    (row,) = warehouse.rows("xmin")
    assert sorted(row.values()) == sorted(record.values())
    assert warehouse.rows("live.xmin") == [row]
    if warehouse.engine == "postgres":
        assert set(others) <= set(row)
        assert not set(own) & set(row)
        for name in own:
            assert f"the property {name} is in the column {name}_" in caplog.text
    _run(warehouse, {"id": 1, "xmin": "later"}, {"id": 2}, id={"type": ["integer", "null"]}, xmin=TEXT)
    _run(warehouse, {"id": 2, "xmin": "again", "ctid": "new"}, xmin=TEXT, ctid=TEXT)
    first, second = warehouse.rows("t")
    assert [sorted(map(str, first.values())), sorted(map(str, second.values()))] == [
        ["1", "None", "later"],
        ["2", "again", "new"],
    ]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_properties_beyond_1600_columns_share_one_column(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """In the first run and in the next, which has even more properties."""
    properties = {f"p{i}": TEXT for i in range(1700)}
    _run(warehouse, {"id": 1, "p0": "first", "p1650": "x\0y", "p1699": "last"}, {"id": 2}, **properties)
    assert "1,600 columns" in caplog.text
    more = {**properties, **{f"q{i}": {"type": ["integer", "null"]} for i in range(20)}}
    _run(warehouse, {"id": 2, "p1699": "second", "q19": 7}, **more)
    one, two = warehouse.query('SELECT id, p0, "_sdc_overflow" AS rest FROM melty.t ORDER BY id')
    assert one == {"id": 1, "p0": "first", "rest": {"p1650": "x\ufffdy", "p1699": "last"}}
    assert two == {"id": 2, "p0": None, "rest": {"p1699": "second", "q19": 7}}
    assert len(warehouse.query("SELECT * FROM melty.t")[0]) <= 1600


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_row_of_fixed_widths_fits_its_page(warehouse: Warehouse) -> None:
    """1,300 numbers take more than 8 kB, although PostgreSQL creates the columns without an error."""
    names = [f"n{i}" for i in range(1300)]
    properties = {name: {"type": ["integer" if i % 2 else "number", "null"]} for i, name in enumerate(names)}
    _run(warehouse, {"id": 1, **dict.fromkeys(names, 2**62)}, **properties)
    (row,) = warehouse.rows("t", metadata=True)
    rest = row["_sdc_overflow"]
    assert len(rest) > 200
    assert {name: int(rest.get(name, row.get(name, 0))) for name in names} == dict.fromkeys(names, 2**62)


SCHEMAS = ("s", " ", "a.b", "x" * 70, "ü" * 40, "a\0b", "\ud800", "pg_temp", "information_schema")
REFUSED = {
    "postgres": {"x" * 70, "ü" * 40, "a\0b", "\ud800", "pg_temp"},
    "duckdb": {"a\0b", "\ud800", "information_schema"},
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_is_created_under_its_name_or_refused(schema: str, warehouse: Warehouse) -> None:
    """The name is the user's choice, not the tap's, and a user would not look for a short name."""
    properties = {"id": {"type": "integer"}}
    lines = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": properties}},
        {"type": "RECORD", "stream": "t", "record": {"id": 1}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for _ in range(2):
        target = TargetWarehouse(config={"warehouse": warehouse.url, "default_target_schema": schema})
        if schema in REFUSED[warehouse.engine]:
            with pytest.raises(LoadError, match=r"(?i)schema"):
                target.run(io.StringIO(text))
        else:
            target.run(io.StringIO(text))
            assert warehouse.query(f'SELECT * FROM "{schema}".t WHERE id = 1')
