"""The promises of target-postgres' documentation, as we read it, on both engines.

More of them are tested in `streams/` (versions, schema changes, missing values, large integers, NUL), in
`test_drop_in.py` (beside target-postgres itself) and in `tests/standard` (encoded strings, camel case, arrays).
"""

from __future__ import annotations

import datetime as dt
import io
import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError, RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

TEXT = {"type": ["string", "null"]}
KEY = {"id": {"type": "integer"}}


def _lines(*records: dict[str, Any], stream: str = "t", keys: tuple[str, ...] = ("id",), **properties: Any) -> str:
    schema = {"properties": KEY | properties}
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": keys, "schema": schema}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _run(warehouse: Warehouse, text: str, **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


def test_reserved_words_are_names_of_tables_columns_and_keys(warehouse: Warehouse) -> None:
    words = ("select", "user", "table", "order", "group", "primary", "end", "analyze", "column", "default", "check")
    for stream in ("user", "order"):
        properties = dict.fromkeys(words, TEXT)
        text = _lines({"id": 1, **{word: word for word in words}}, stream=stream, keys=("id", "select"), **properties)
        for _ in range(2):
            _run(warehouse, text)
        assert warehouse.rows(stream) == [{"id": 1, **{word: word for word in words}}]


def test_upper_case_names_of_streams_schemas_and_properties_are_kept(warehouse: Warehouse) -> None:
    text = _lines({"id": 1, "ClientName": "a", "SHOUT": "b"}, stream="TestCamelcase", ClientName=TEXT, SHOUT=TEXT)
    for _ in range(2):
        _run(warehouse, text, default_target_schema="CRM")
    assert warehouse.rows("CRM.TestCamelcase") == [{"id": 1, "ClientName": "a", "SHOUT": "b"}]


def test_a_stream_may_name_its_schema(warehouse: Warehouse) -> None:
    """If the default schema is empty; otherwise the default schema is used."""
    text = _lines({"id": 1}, stream="db-crm-contacts")
    _run(warehouse, text, default_target_schema="")
    _run(warehouse, text, default_target_schema="elsewhere")
    assert warehouse.rows("crm.contacts") == warehouse.rows("elsewhere.contacts") == [{"id": 1}]


def test_arrays_and_objects_keep_their_shape(warehouse: Warehouse) -> None:
    """At any depth, in a column that is an array or JSON, and empty or null as sent."""
    shapes = {
        "fruits": ({"type": ["array", "null"], "items": {"type": "string"}}, ["apple", "o'range, \"\\", ""]),
        "numbers": ({"type": ["array", "null"], "items": {"type": "integer"}}, [1, -(2**62)]),
        "flags": ({"type": ["array", "null"], "items": {"type": "boolean"}}, [True, False]),
        "nested": ({"type": ["array", "null"], "items": {"type": "array"}}, [[1, [2]], []]),
        "objects": ({"type": ["array", "null"], "items": {"type": "object"}}, [{"a": None}, {}]),
        "untyped": ({"type": ["array", "null"]}, [1, "x", None, {"a": []}]),
        "object": ({"type": ["object", "null"]}, {"a": {"b": [1, {"c": "d"}]}, "": None}),
    }
    empty = {name: {} if name == "object" else [] for name in shapes}
    text = _lines(
        {"id": 1, **{name: value for name, (_, value) in shapes.items()}},
        {"id": 2, **empty},
        {"id": 3, **dict.fromkeys(shapes)},
        **{name: prop for name, (prop, _) in shapes.items()},
    )
    for _ in range(2):
        _run(warehouse, text)
    one, two, three = warehouse.rows("t")
    assert one == {"id": 1, **{name: value for name, (_, value) in shapes.items()}}
    assert two == {"id": 2, **empty}
    assert three == {"id": 3, **dict.fromkeys(shapes)}


def test_a_numeric_key_of_any_size_is_one_row(warehouse: Warehouse) -> None:
    key = {"id": {"type": "number"}, "v": TEXT}
    for size in ("1", "16777216.5", "9007199254740993", "12345678901234567890.123456789"):
        for value in ("first", "second"):
            line = json.dumps({"type": "RECORD", "stream": "t", "record": {"id": "KEY", "v": value}})
            _run(warehouse, _lines(**key) + line.replace('"KEY"', size) + "\n")
    rows = [(row["id"], row["v"]) for row in warehouse.rows("t")]
    assert sorted(rows) == sorted(
        (size, "second") for size in ("1", "16777216.5", "9007199254740993", "12345678901234567890.123456789")
    )


@pytest.mark.parametrize("interpret", [True, False])
def test_hexadecimal_text_is_bytes_if_set(interpret: bool, warehouse: Warehouse) -> None:
    r"""With `0x` or `\x` before it, upper or lower case, an odd number of digits, as a key too."""
    hexadecimal = {"type": ["string", "null"], "contentEncoding": "base16"}
    sent = {1: "0xDEADbeef", 2: "\\xa1b2", 3: "abc", 4: "", 5: None}
    text = _lines(*({"id": i, "hex": value} for i, value in sent.items()), hex=hexadecimal)
    _run(warehouse, text, interpret_content_encoding=interpret)
    kept = {row["id"]: row["hex"] for row in warehouse.rows("t")}
    assert kept == ({1: "deadbeef", 2: "a1b2", 3: "0abc", 4: "", 5: None} if interpret else sent)
    keyed = _lines({"hex": "0xAB", "id": 1}, {"hex": "ab", "id": 2}, stream="keyed", keys=("hex",), hex=hexadecimal)
    _run(warehouse, keyed, interpret_content_encoding=interpret)
    assert len(warehouse.rows("keyed")) == (1 if interpret else 2)


METHODS = {
    "append-only": ([1, 2, 3], [(1, "new"), (2, "old"), (3, "new")]),
    "upsert": ([1, 2, 3], [(1, "new"), (2, "old"), (3, "new")]),
    "overwrite": ([1, 3], [(1, "new"), (3, "new")]),
}


@pytest.mark.parametrize(("method", "ids", "rows"), [(name, *rest) for name, rest in METHODS.items()], ids=METHODS)
def test_a_load_method_decides_the_fate_of_existing_rows(
    method: str, ids: list[int], rows: list[tuple[int, str]], warehouse: Warehouse
) -> None:
    """Many batches, a schema that changes between them, and two streams, one without records in the second run."""
    _run(warehouse, _lines({"id": 1, "v": "old"}, {"id": 2, "v": "old"}, v=TEXT) + _lines({"id": 5}, stream="other"))
    first, second = _lines({"id": 1, "v": "new"}, v=TEXT), _lines({"id": 3, "v": "new"}, v=TEXT, w=TEXT)
    text = first + second + _lines(stream="other")
    _run(warehouse, text, load_method=method, batch_size_rows=1)
    assert [(row["id"], row["v"]) for row in warehouse.rows("t")] == rows
    assert warehouse.rows("other") == [{"id": 5}]
    newest = max(warehouse.rows("_load_history"), key=lambda row: (row["stream"] == "t", row["started_at"]))
    assert newest["deleted"] == (2 if method == "overwrite" else 0)


def test_an_overwrite_that_fails_before_its_first_commit_leaves_the_rows(warehouse: Warehouse) -> None:
    _run(warehouse, _lines({"id": 1}))
    with pytest.raises(Exception, match="not JSON"):
        _run(warehouse, _lines({"id": 2}) + "{", load_method="overwrite")
    assert warehouse.rows("t") == [{"id": 1}]


def test_an_overwrite_keeps_the_rows_of_a_stream_without_records(warehouse: Warehouse) -> None:
    """Taps send ACTIVATE_VERSION before the first record."""
    _run(warehouse, _lines({"id": 1}))
    activate = json.dumps({"type": "ACTIVATE_VERSION", "stream": "t", "version": 1}) + "\n"
    _run(warehouse, _lines() + activate, load_method="overwrite")
    assert warehouse.rows("t") == [{"id": 1}]
    _run(warehouse, _lines() + activate + _lines({"id": 2}), load_method="overwrite")
    assert warehouse.rows("t") == [{"id": 2}]


#: Ids of an overwrite in batches of one, "bad" for a record that is rejected, -1 for one that the database refuses; and
#: the ids in a table that had 1 and 2.
REJECTED = {
    "all": (["bad"], [1, 2]),
    "all, by the database": ([-1, -1], [1, 2]),
    "the first": (["bad", -1, 3], [3]),
    "the last": ([3, "bad", -1], [3]),
}


@pytest.mark.parametrize(("ids", "left"), list(REJECTED.values()), ids=REJECTED)
@pytest.mark.parametrize("batch_size_rows", [1, 100])
def test_an_overwrite_begins_with_the_first_record_that_is_not_rejected(
    ids: list[Any], left: list[int], batch_size_rows: int, warehouse: Warehouse
) -> None:
    """A stream whose records are all rejected keeps its rows, like one without records."""
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.t (id bigint PRIMARY KEY CHECK (id > 0))",
        "INSERT INTO melty.t VALUES (1), (2)",
    )
    config = {"load_method": "overwrite", "batch_size_rows": batch_size_rows, "max_rejected": 0 if left[0] == 1 else 2}
    with pytest.raises(RejectedRecordsError) if left[0] == 1 else nullcontext():
        _run(warehouse, _lines(*({"id": key} for key in ids)), **config)
    assert [row["id"] for row in warehouse.rows("t")] == left
    (history,) = warehouse.rows("_load_history")
    assert (history["deleted"], history["rejected"]) == (0 if left[0] == 1 else 2, len([i for i in ids if i != 3]))
    assert len(warehouse.rows("_rejected_records")) == history["rejected"]


def test_an_overwrite_of_a_table_that_a_foreign_key_refers_to_ends_with_the_reason(warehouse: Warehouse) -> None:
    """No record is to blame, so none is rejected."""
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.t (id bigint PRIMARY KEY)",
        "CREATE TABLE melty.child (id bigint REFERENCES melty.t (id))",
        "INSERT INTO melty.t VALUES (1), (2)",
        "INSERT INTO melty.child VALUES (1)",
    )
    with pytest.raises(LoadError, match="overwrite cannot delete the rows of the table t, because a foreign key"):
        _run(warehouse, _lines({"id": 1}, {"id": 3}), load_method="overwrite", max_rejected=9)
    assert [row["id"] for row in warehouse.rows("t")] == [1, 2]
    assert [row["rejected"] for row in warehouse.rows("_load_history")] == [0]


@pytest.mark.parametrize("method", METHODS)
def test_without_keys_only_overwrite_removes_rows(method: str, warehouse: Warehouse) -> None:
    for _ in range(2):
        _run(warehouse, _lines({"id": 1}, {"id": 1}, keys=()), load_method=method)
    assert [row["id"] for row in warehouse.rows("t")] == [1] * (2 if method == "overwrite" else 4)


def test_a_schema_without_properties_is_a_table_of_metadata_or_an_error(warehouse: Warehouse) -> None:
    empty = json.dumps({"type": "SCHEMA", "stream": "t", "key_properties": [], "schema": {"properties": {}}}) + "\n"
    record = json.dumps({"type": "RECORD", "stream": "t", "record": {"a": 1}}) + "\n"
    _run(warehouse, empty + record)
    assert len(warehouse.rows("t")) == 1
    with pytest.raises(Exception, match="has no properties, so there is no table to create"):
        _run(warehouse, empty.replace('"t"', '"u"'), add_record_metadata=False, activate_version=False)


ENUM = {"type": ["string", "null"], "enum": ["a", None]}
OBJECT = {"type": ["object", "null"], "properties": {"b": TEXT, "c": {"type": "object", "properties": {"d": TEXT}}}}

#: A setting, the record sent, and the row expected; some cases test what a setting does not do.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "validate_records": ({"validate_records": False}, {"v": ENUM}, {"v": "z"}, {"v": "z"}),
    "use_copy": ({"use_copy": True}, {"v": TEXT}, {"v": "1,2\t\\N\"'"}, {"v": "1,2\t\\N\"'"}),
    "dialect+driver": ({"dialect+driver": "postgresql+psycopg"}, {"v": TEXT}, {"v": "x"}, {"v": "x"}),
    "flattening": (
        {"flattening_enabled": True, "flattening_max_depth": 2},
        {"v": OBJECT},
        {"v": {"b": "x", "c": {"d": "y"}}},
        {"v__b": "x", "v__c__d": "y"},
    ),
    "stream_maps": (
        {"stream_maps": {"t": {"v": "v.upper()", "w": "v"}}},
        {"v": TEXT},
        {"v": "x"},
        {"v": "X", "w": "x"},
    ),
}


@pytest.mark.parametrize(("config", "properties", "sent", "row"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_of_the_sdk_or_of_target_postgres_means_what_it_says(
    config: dict[str, Any], properties: dict[str, Any], sent: dict[str, Any], row: dict[str, Any], warehouse: Warehouse
) -> None:
    _run(warehouse, _lines({"id": 1, **sent}, **properties), **config)
    assert [{name: value for name, value in stored.items() if name != "id"} for stored in warehouse.rows("t")] == [row]


@pytest.mark.parametrize("setting", ["activate_version", "process_activate_version_messages"])
def test_versions_are_ignored_if_set(setting: str, warehouse: Warehouse) -> None:
    lines = _lines().splitlines()
    for version, key in ((1, 1), (2, 2)):
        lines.append(json.dumps({"type": "RECORD", "stream": "t", "record": {"id": key}, "version": version}))
    lines.append(json.dumps({"type": "ACTIVATE_VERSION", "stream": "t", "version": 2}))
    _run(warehouse, "\n".join(lines), hard_delete=True, **{setting: False})
    assert [row["id"] for row in warehouse.rows("t")] == [1, 2]
    _run(warehouse, "\n".join(lines), hard_delete=True)
    assert [row["id"] for row in warehouse.rows("t")] == [2]


def test_metadata_columns_mean_what_the_sdk_says(warehouse: Warehouse) -> None:
    """Times of extraction, reception and batch in UTC, the version, the sequence in milliseconds, no deletion mark."""
    before = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    record = {"id": 1}
    line = {
        "type": "RECORD",
        "stream": "t",
        "record": record,
        "version": 7,
        "time_extracted": "2026-01-01T02:00:00+02:00",
    }
    _run(warehouse, _lines() + json.dumps(line) + "\n")
    after = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    (row,) = warehouse.query('SELECT * FROM "melty"."t"')
    assert row["_sdc_extracted_at"] == dt.datetime(2026, 1, 1)
    assert all(before <= row[f"_sdc_{name}_at"] <= after for name in ("received", "batched"))
    assert (row["_sdc_table_version"], row["_sdc_deleted_at"]) == (7, None)
    epoch = dt.datetime(1970, 1, 1)
    assert before <= epoch + dt.timedelta(milliseconds=row["_sdc_sequence"] + 1) <= after + dt.timedelta(milliseconds=1)
    assert before <= epoch + dt.timedelta(milliseconds=row["_sdc_sync_started_at"] + 10_000)


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_times_do_not_depend_on_the_time_zone_of_the_database(warehouse: Warehouse) -> None:
    """Where target-postgres stores a UTC time five hours off in a database set to New York, our times stay right."""
    import psycopg

    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        name = warehouse.url.rsplit("/", 1)[1]
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'America/New_York'")
        connection.execute(f"ALTER DATABASE {name} SET datestyle = 'German, DMY'")
    time = {"type": ["string", "null"], "format": "date-time"}
    values = {"at": "2026-07-01T12:00:00Z", "offset": "2026-07-01T14:00:00+02:00", "bare": "2026-07-01T12:00:00"}
    text = _lines({"id": 1, **values}, **dict.fromkeys(values, time))
    _run(warehouse, text)
    assert warehouse.rows("t") == [{"id": 1, **dict.fromkeys(values, "2026-07-01T12:00:00")}]
    _run(
        warehouse,
        _lines({"id": 1, "at": "text"}, at=TEXT)
        + json.dumps({"type": "ACTIVATE_VERSION", "stream": "t", "version": 9}),
    )
    (row,) = warehouse.query("SELECT * FROM melty.t")
    assert abs(row["_sdc_deleted_at"] - dt.datetime.now(dt.UTC).replace(tzinfo=None)) < dt.timedelta(minutes=1)
