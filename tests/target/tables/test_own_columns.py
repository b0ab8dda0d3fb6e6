"""The target's own columns in tables whose source has columns of the same names, in any case, with another meaning."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.commands.report.history import read
from target_warehouse.engines import open_engine
from target_warehouse.errors import InputError, RejectedRecordsError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

TEXT: dict[str, Any] = {"type": ["string", "null"]}
NUMBER: dict[str, Any] = {"type": ["integer", "null"]}
FLAG: dict[str, Any] = {"type": ["boolean", "null"]}
TIME: dict[str, Any] = {"type": ["string", "null"], "format": "date-time"}

#: Properties with the names of our columns in another case, and a value that would mislead the target.
RESPELLED: dict[str, tuple[dict[str, Any], Any]] = {
    "_SDC_TABLE_VERSION": (NUMBER, 5),
    "_Sdc_Table_Version": (TEXT, "five"),
    "_SDC_DELETED_AT": (TIME, "2020-01-01T00:00:00Z"),
    "_Sdc_Deleted_At": (FLAG, False),
    "_SDC_EXTRACTED_AT": (TEXT, "long ago"),
    "_SDC_RECEIVED_AT": (NUMBER, 1),
    "_SDC_BATCHED_AT": ({"type": ["object", "null"]}, {"a": 1}),
    "_SDC_SEQUENCE": (TEXT, "first"),
    "_SDC_SYNC_STARTED_AT": (TIME, "2020-01-01T00:00:00Z"),
}
PROPERTIES = {name: schema for name, (schema, _) in RESPELLED.items()}
VALUES = {name: value for name, (_, value) in RESPELLED.items()}


def lines(ids: list[int], version: int, properties: dict[str, Any], values: dict[str, Any]) -> str:
    """A run with these ids as the whole stream."""
    schema = {"properties": {"id": {"type": "integer"}, **properties}}
    messages: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    messages += [{"type": "RECORD", "stream": "t", "version": version, "record": {"id": i, **values}} for i in ids]
    messages += [{"type": "ACTIVATE_VERSION", "stream": "t", "version": version}]
    return "".join(json.dumps(message) + "\n" for message in messages)


def load(warehouse: Warehouse, text: str, **config: Any) -> None:
    """One run."""
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


def alive(warehouse: Warehouse) -> tuple[list[int], int, int]:
    """The ids in the view, and the report's numbers of live and deleted rows."""
    engine = open_engine(Settings.from_config({"warehouse": warehouse.url}), read_only=True)
    try:
        stream = next(each for each in read(engine, "melty", location="").streams if each.stream == "t")
    finally:
        engine.close()
    ids = sorted(row["id"] for row in warehouse.query('SELECT id FROM "v"."t"'))
    return ids, stream.live_rows, stream.deleted_rows


@pytest.mark.parametrize("hard_delete", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("metadata_first", [False, True], ids=["theirs is new", "ours is there"])
def test_a_source_with_our_names_in_capitals_loses_no_row(
    metadata_first: bool, hard_delete: bool, warehouse: Warehouse
) -> None:
    """Versions, marks, the view and the report use our columns, even if the source's columns were there first."""
    config = {"hard_delete": hard_delete, "views_schema": "v"}
    if metadata_first:
        load(warehouse, lines([1, 9], 1, {}, {}), **config)
    else:
        load(
            warehouse,
            lines([1, 9], 1, PROPERTIES, VALUES),
            **config,
            add_record_metadata=False,
            activate_version=False,
        )
    load(warehouse, lines([1, 2, 3], 2, PROPERTIES, VALUES), **config)
    assert alive(warehouse) == ([1, 2, 3], 3, 0 if hard_delete else 1)
    load(warehouse, lines([2, 3], 3, PROPERTIES, VALUES), **config)
    assert alive(warehouse) == ([2, 3], 2, 0 if hard_delete else 2)
    rows = [row for row in warehouse.rows("t", metadata=True) if row["id"] in (2, 3)]
    for name, value in VALUES.items():
        (column,) = (each for each in rows[0] if each == name or each.startswith(f"{name}_"))
        expected = value.removesuffix("Z") if name in ("_SDC_DELETED_AT", "_SDC_SYNC_STARTED_AT") else value
        assert [row[column] for row in rows] == [expected, expected], name


@pytest.mark.parametrize("name", ["_SDC_DELETED_AT", "_SDC_TABLE_VERSION"])
def test_a_dry_run_counts_by_our_columns(name: str, warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    properties, values = {name: PROPERTIES[name]}, {name: VALUES[name]}
    for ids, version, config in (
        ([1, 2], 1, {"add_record_metadata": False, "activate_version": False}),
        ([1, 2, 3], 2, {}),
        ([3], 3, {"dry_run": True}),
    ):
        caplog.clear()
        with caplog.at_level("INFO"):
            load(warehouse, lines(ids, version, properties, values), **config)
    assert "t: 1 records read; 0 rows created, 1 updated, 2 deleted" in caplog.text


def test_columns_of_our_names_that_another_loader_made_are_left_alone(warehouse: Warehouse) -> None:
    """A boolean cannot be a time of deletion, nor a text a version: our columns get other names; old rows stay live."""
    warehouse.execute(
        "CREATE SCHEMA melty",
        'CREATE TABLE melty.t (id BIGINT, "_sdc_deleted_at" BOOLEAN, "_sdc_table_version" VARCHAR(20))',
        "INSERT INTO melty.t VALUES (1, false, 'seven'), (2, false, '100')",
    )
    load(warehouse, lines([1, 3], 8, {}, {}), views_schema="v")
    assert alive(warehouse) == ([1, 3], 2, 1)
    row = next(row for row in warehouse.rows("t", metadata=True) if row["id"] == 2)
    assert (row["_sdc_deleted_at"], row["_sdc_table_version"]) == (False, "100")


def test_a_mark_that_is_a_text_is_ours_as_pipelinewise_makes_it(warehouse: Warehouse) -> None:
    warehouse.execute(
        "CREATE SCHEMA melty",
        'CREATE TABLE melty.t (id BIGINT, "_sdc_deleted_at" VARCHAR)',
        "INSERT INTO melty.t VALUES (1, '2026-01-01T00:00:00Z'), (2, NULL)",
    )
    load(warehouse, lines([3], 8, {}, {}), views_schema="v", activate_version=False)
    assert alive(warehouse) == ([2, 3], 2, 1)
    load(warehouse, lines([3], 9, {}, {}), views_schema="v")
    assert alive(warehouse) == ([3], 1, 2)


@pytest.mark.parametrize("metadata", [True, False], ids=["with metadata", "without"])
@pytest.mark.parametrize("kind", ["boolean", "object"])
def test_a_mark_with_another_meaning_refuses_the_stream(kind: str, metadata: bool, warehouse: Warehouse) -> None:
    properties = {"_sdc_deleted_at": {"type": [kind, "null"]}}
    value = {"boolean": False, "object": {}}[kind]
    with pytest.raises(InputError, match=r"_sdc_deleted_at of the stream t is not a date and time.*stream_maps"):
        load(
            warehouse,
            lines([1], 1, properties, {"_sdc_deleted_at": value}),
            add_record_metadata=metadata,
            activate_version=metadata,
        )


@pytest.mark.parametrize("hard_delete", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("mark", [False, ""], ids=repr)
def test_a_record_whose_mark_is_no_time_deletes_nothing(mark: Any, hard_delete: bool, warehouse: Warehouse) -> None:
    load(warehouse, lines([1], 1, {}, {}))
    with pytest.raises(RejectedRecordsError, match="_sdc_deleted_at is not a date and time"):
        load(warehouse, lines([1], 1, {}, {"_sdc_deleted_at": mark}), hard_delete=hard_delete)
    (row,) = warehouse.rows("t", metadata=True)
    assert row["_sdc_deleted_at"] is None


def test_values_that_our_columns_replace_are_named(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    properties = {"_sdc_table_version": TEXT, "_sdc_sequence": NUMBER}
    load(warehouse, lines([1], 7, properties, {"_sdc_table_version": "a", "_sdc_sequence": 1}))
    assert "the values of _sdc_sequence and _sdc_table_version are not loaded" in caplog.text
    assert warehouse.rows("t", metadata=True)[0]["_sdc_table_version"] == 7


def test_a_key_with_the_name_of_our_column_is_refused(warehouse: Warehouse) -> None:
    schema = {"properties": {"_sdc_sequence": {"type": "integer"}}}
    message = {"type": "SCHEMA", "stream": "t", "key_properties": ["_sdc_sequence"], "schema": schema}
    with pytest.raises(InputError, match=r"has the key _sdc_sequence.*stream_maps"):
        load(warehouse, json.dumps(message) + "\n")


def test_a_property_with_the_name_of_the_overflow_column_has_its_own_column(warehouse: Warehouse) -> None:
    """In PostgreSQL, this is the name of the column for properties that have no column."""
    properties = {"_sdc_overflow": TEXT, **{f"p{i}": TEXT for i in range(1700)}}
    for _ in range(2):
        load(warehouse, lines([1], 1, properties, {"_sdc_overflow": "mine", "p1": "a", "p1699": "z"}))
    (row,) = warehouse.rows("t", metadata=True)
    (own,) = (name for name in row if name.startswith("_sdc_overflow_"))
    assert row[own] == "mine"
    assert row.get("p1699") == "z" or row["_sdc_overflow"] == {"p1699": "z"}


def test_delete_records_that_mark_no_row_are_warned_about_once(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    schema = {"properties": {"id": {"type": "integer"}}}
    messages: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    deleted = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    messages += [{"type": "RECORD", "stream": "t", "record": {"id": number, **deleted}} for number in range(3)]
    text = "".join(json.dumps(message) + "\n" for message in messages)
    load(warehouse, text, add_record_metadata=False, activate_version=False)
    assert caplog.text.count("its delete records mark no row") == 1
    caplog.clear()
    load(warehouse, text, add_record_metadata=False, activate_version=False, hard_delete=True)
    assert "mark no row" not in caplog.text
    assert warehouse.rows("t") == []


def test_without_metadata_records_still_clear_and_set_the_mark_of_a_table_that_has_one(warehouse: Warehouse) -> None:
    """A record that comes back is live, also if an earlier run wrote the metadata."""
    deleted = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
    first = lines([1, 2, 3], 1, {"v": TEXT}, {"v": "x"}).splitlines(keepends=True)[:-1]
    first.append(json.dumps({"type": "RECORD", "stream": "t", "record": {"id": 1, **deleted}}) + "\n")
    load(warehouse, "".join(first))
    again = lines([1, 4], 1, {"v": TEXT}, {"v": "back"}).splitlines(keepends=True)[:-1]
    again.append(json.dumps({"type": "RECORD", "stream": "t", "record": {"id": 2, **deleted}}) + "\n")
    load(warehouse, "".join(again), add_record_metadata=False, activate_version=False)
    live = warehouse.query("SELECT id, v FROM melty.t WHERE _sdc_deleted_at IS NULL ORDER BY id")
    assert live == [{"id": 1, "v": "back"}, {"id": 3, "v": "x"}, {"id": 4, "v": "back"}]
    assert warehouse.query("SELECT id, v FROM melty.t WHERE _sdc_deleted_at IS NOT NULL") == [{"id": 2, "v": "x"}]
