"""Names and widths that a database does not accept."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_warehouse.errors import InputError, LoadError
from target_warehouse.singer.target import TargetWarehouse
from target_warehouse.tables.fitted_names import fit, hashed

if TYPE_CHECKING:
    from random import Random

    from conftest import Warehouse

TEXT = {"type": ["string", "null"]}
LONG = "property_" + "x" * 60


def _run(
    warehouse: Warehouse, *records: dict[str, Any], stream: str = "t", target_schema: str = "melty", **properties: Any
) -> None:
    schema = {"properties": {"id": {"type": ["integer", "null"]}, **properties}}
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    config = {"warehouse": warehouse.url, "default_target_schema": target_schema}
    TargetWarehouse(config=config).run(io.StringIO(text))


LONG_NAME = st.sampled_from(["n" * 70, "n" * 71, "N" * 70, "é" * 40, "m" * 38, "q" * 33])


@given(
    st.lists(st.text(alphabet="aAbBß\0é", max_size=20) | LONG_NAME, unique=True, max_size=12),
    st.lists(st.text(alphabet="aAbBß", min_size=1, max_size=8), unique=True, max_size=6),
    st.sampled_from([None, 40]),
    st.booleans(),
)
def test_every_name_is_usable_and_its_own(
    names: list[str], existing: list[str], most_bytes: int | None, ignores_case: bool
) -> None:
    """Existing columns keep their names, for any order of the properties."""
    fitted = fit(names, existing, most_bytes=most_bytes, ignores_case=ignores_case)
    assert list(fitted) == names
    assert len(set(fitted.values())) == len(names)
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


@given(
    st.lists(
        st.sampled_from(["", "X1", "x1", "ctid", "a\0b", "\ud800", "n" * 70, "N" * 70, "m" * 38, "ß"]), max_size=4
    ),
    st.sampled_from([(None, True), (40, False), (40, True)]),
    st.randoms(use_true_random=False),
)
def test_a_column_belongs_to_one_property_for_good(
    names: list[str], limits: tuple[int | None, bool], random: Random
) -> None:
    """For names, the short names of these, and the short names of those, in any case, order and run."""
    most_bytes, ignores_case = limits
    properties = list(names)
    for _ in range(2 * len(names)):
        name = random.choice(properties)
        (short,) = fit([name], (), most_bytes=most_bytes, ignores_case=ignores_case, unusable=[name]).values()
        properties.append(random.choice([hashed(name)[-40:], short, short, short.upper(), short.lower()]))
    properties = list(dict.fromkeys(properties))
    owners: dict[str, str] = {}
    for _ in range(3):
        sent = random.sample(properties, random.randint(0, len(properties)))
        fitted = fit(sent, owners, most_bytes=most_bytes, ignores_case=ignores_case, unusable=["ctid"])
        assert len({column.casefold() if ignores_case else column for column in fitted.values()}) == len(sent)
        for name, column in fitted.items():
            assert owners.setdefault(column, name) == name
    assert len(set(owners.values())) == len(owners), "a property has two columns"


SHORT = {name: fit([name], (), most_bytes=63, ignores_case=False, unusable=[name])[name] for name in ("ctid", "n" * 70)}
#: The properties of each run.
PLACES: dict[str, list[list[str]]] = {
    "a short name before its name": [["X1", "x1_ec31682f", "x1"]],
    "a short name in a later run": [["X1", "x1"], ["X1", "x1_ec31682f", "x1"]],
    "a short name in an earlier run": [["x1_ec31682f"], ["X1", "x1"], ["x1", "x1_ec31682f", "X1"]],
    "both in a later run": [["a"], ["X1", "x1_ec31682f", "x1", "n" * 70, SHORT["n" * 70]]],
    "a short name in another case": [["X1", "x1"], ["X1_EC31682F"], ["x1", "X1_EC31682F", "X1"]],
    "the short name of a short name": [["X1", "x1", "x1_ec31682f", hashed("x1_ec31682f")]],
    "a long name first": [["n" * 70], [SHORT["n" * 70]]],
    "a long name last": [[SHORT["n" * 70], "n" * 70]],
    "a long name as earlier releases shortened it": [["n" * 54 + "_85069ddf"], ["n" * 70]],
    "a name of the database's own": [[SHORT["ctid"], "ctid"], ["ctid"]],
    "names of the target's own": [
        [hashed("_sdc_overflow"), "_sdc_overflow", hashed("_sdc_deleted_at"), "_SDC_DELETED_AT"],
        ["_sdc_overflow", hashed("_SDC_DELETED_AT"), "_SDC_DELETED_AT"],
    ],
}


@pytest.mark.parametrize("runs", PLACES.values(), ids=PLACES)
def test_a_property_named_like_a_short_name_has_a_column_of_its_own(
    runs: list[list[str]], warehouse: Warehouse
) -> None:
    for number, names in enumerate(runs):
        _run(warehouse, {"id": number, **{name: f"{name} {number}" for name in names}}, **dict.fromkeys(names, TEXT))
    owners: dict[str, set[str]] = {}
    for number, names in enumerate(runs):
        (row,) = (row for row in warehouse.rows("t", metadata=True) if row.pop("id") == number)
        values = {column: value for column, value in row.items() if str(value).endswith(f" {number}")}
        assert sorted(values.values()) == sorted(f"{name} {number}" for name in names)
        for column, value in values.items():
            owners.setdefault(column, set()).add(value.rpartition(" ")[0])
    assert all(len(names) == 1 for names in owners.values()), "a column holds two properties"


def test_a_key_and_a_property_named_like_its_short_name_are_two_columns(warehouse: Warehouse) -> None:
    for number in range(2):
        names = ["X1", "x1_ec31682f", "ctid", "x1", SHORT["ctid"]][:: 1 - 2 * number]
        schema = {"properties": dict.fromkeys(names, TEXT)}
        lines: list[dict[str, Any]] = [
            {"type": "SCHEMA", "stream": "t", "key_properties": ["X1", "x1", "ctid"], "schema": schema},
            {"type": "RECORD", "stream": "t", "record": {name: name for name in names}},
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    (row,) = warehouse.rows("t")
    assert sorted(row.values()) == sorted(["x1_ec31682f", "ctid", "x1", SHORT["ctid"], "X1"])


def test_a_name_that_only_ends_like_a_short_name_is_kept(warehouse: Warehouse) -> None:
    """HubSpot has a property with such a name for each stage of a pipeline."""
    names = ["hs_date_entered_12345678", "report_20261130", "id_" + "0123456789" * 2]
    _run(warehouse, {"id": 1}, **dict.fromkeys(names, TEXT))
    assert set(warehouse.rows("t")[0]) == {"id", *names}


def test_columns_that_an_earlier_release_made_are_kept(warehouse: Warehouse) -> None:
    """It gave a name that it had to cut a shorter hash; and a name of this length may look like one."""
    shortened, other = "n" * 54 + "_85069ddf", "o" * 54 + "_20261130"
    columns = {"X1": "X1", "x1_ec31682f": "x1", other: other}
    columns |= {shortened: "n" * 70} if warehouse.engine == "postgres" else {"n" * 70: "n" * 70}
    definition = ", ".join(f'"{column}" VARCHAR' for column in columns)
    warehouse.execute("CREATE SCHEMA melty", f"CREATE TABLE melty.t (id BIGINT, {definition})")
    names = [*columns.values(), SHORT["n" * 70]]
    _run(warehouse, {"id": 1, **{name: name for name in names}}, **dict.fromkeys(names, TEXT))
    (row,) = warehouse.rows("t")
    assert {column: row[column] for column in columns} == columns
    assert len(row) == 1 + len(names)


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


def test_a_stream_named_like_the_short_name_of_another_is_refused(warehouse: Warehouse) -> None:
    for stream in ("X1", "x1", "n" * 70):
        _run(warehouse, {"id": 1}, stream=stream)
    short = {"duckdb": "x1_ec31682f", "postgres": "n" * 54 + "_85069ddf"}[warehouse.engine]
    with pytest.raises(InputError, match="each would overwrite the other"):
        _run(warehouse, {"id": 2}, stream=short)


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


KEYWORDS = {
    "postgres": "SELECT word FROM pg_get_keywords() WHERE word NOT IN ('id')",
    "duckdb": "SELECT keyword_name AS word FROM duckdb_keywords() WHERE keyword_name NOT IN ('id')",
}


def test_every_keyword_of_the_database_is_a_column_and_the_name_of_a_table_and_a_schema(warehouse: Warehouse) -> None:
    if warehouse.engine == "duckdb":
        warehouse.execute("CREATE TABLE there_is_a_file (n INTEGER)")
    words = [row["word"] for row in warehouse.query(KEYWORDS[warehouse.engine])]
    assert {"lateral", "select"} <= set(words)
    for text in ("old", "new"):  # the second record updates the first
        _run(warehouse, {"id": 1, **dict.fromkeys(words, text)}, **dict.fromkeys(words, TEXT))
    assert warehouse.rows("t") == [{"id": 1, **dict.fromkeys(words, "new")}]
    for word in ("lateral", "concurrently", "select", "tablesample", "collation", "system_user"):
        _run(warehouse, {"id": 1, "collation": "x"}, stream=word, target_schema=word, collation=TEXT)
        assert warehouse.rows(f"{word}.{word}") == [{"id": 1, "collation": "x"}]
