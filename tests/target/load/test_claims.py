"""Streams that would share a table, and reserved names: both are refused before a row is written."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import InputError, SettingsError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import DuckDBWarehouse, Warehouse

TEXT = {"type": ["string", "null"]}


def lines(*streams: str, only: str = "", **more: Any) -> str:
    """The lines of each stream: its schema, a record and its version; `more` are properties of the last stream."""
    messages: list[dict[str, Any]] = []
    for stream in streams:
        properties = {"id": {"type": "integer"}, "v": TEXT} | (more if stream == streams[-1] else {})
        messages += [
            {"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": {"properties": properties}},
            {"type": "RECORD", "stream": stream, "version": 1, "record": {"id": 1, "v": stream}},
            {"type": "ACTIVATE_VERSION", "stream": stream, "version": 1},
        ]
    return "".join(json.dumps(message) + "\n" for message in messages if only in message["stream"])


def load(warehouse: Warehouse, text: str, **config: Any) -> None:
    """One run."""
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


#: Two streams, the table's name, and the setting default_target_schema.
PAIRS = {
    "by schema": ("public-users", "sales-users", "users", "melty"),
    "by a schema and none": ("sales-users", "users", "users", "melty"),
    "three parts": ("crm-public-users", "crm-sales-users", "users", "melty"),
    "with a dot": ("eu-a.b", "us-a.b", "a.b", "melty"),
    "quoted": ('eu-"users"', 'us-"users"', '""users""', "melty"),
    "schema and database": ("crm-sales-users", "sales-users", "users", ""),
}


@pytest.mark.parametrize(
    ("first", "second", "table", "schema", "runs"),
    [
        *((*pair, "one run") for pair in PAIRS.values()),
        *((*PAIRS[name], "two runs") for name in ("by schema", "with a dot", "schema and database")),
        (*PAIRS["by schema"], "a dry run"),
    ],
)
def test_a_second_stream_for_a_table_is_refused(
    first: str, second: str, table: str, schema: str, runs: str, warehouse: Warehouse
) -> None:
    """The records of the first stream are loaded; the second changes neither rows nor columns."""
    config: dict[str, Any] = {"default_target_schema": schema}
    if runs == "one run":
        text, words = lines(first, second, extra=TEXT), "is loaded into it, and each"
    else:
        load(warehouse, lines(first), **config)
        text, words = lines(second, extra=TEXT), "was loaded into it before"
    with pytest.raises(InputError, match=words) as refused:
        load(warehouse, text, **config, dry_run=runs == "a dry run")
    message = str(refused.value)
    assert f"The stream {second} " in message
    assert f"the stream {first} " in message
    assert "stream_maps" in message
    rows = warehouse.query(f'SELECT * FROM "{schema or "sales"}"."{table}"')
    assert [(row["id"], row["v"]) for row in rows] == [(1, first)]
    assert "extra" not in rows[0]


def test_aliases_give_both_a_table_and_a_renamed_stream_its_old_one(warehouse: Warehouse) -> None:
    """This is the advice in the errors."""
    maps: dict[str, Any] = {"sales-users": {"__alias__": "sales_users"}}
    load(warehouse, lines("public-users", "sales-users"), stream_maps=maps)
    assert [row["v"] for row in warehouse.rows("users") + warehouse.rows("sales_users")] == [
        "public-users",
        "sales-users",
    ]
    load(warehouse, lines("app-users"), stream_maps={"app-users": {"__alias__": "public-users"}})
    assert [row["v"] for row in warehouse.rows("users")] == ["app-users"]


def test_a_stream_comes_back_to_its_table(warehouse: Warehouse) -> None:
    """Also with another schema in one run, and after a stream of the table's name without records."""
    load(warehouse, lines("public-users") + lines("public-users", extra=TEXT))
    load(warehouse, lines("public-users"))
    assert [row["v"] for row in warehouse.rows("users")] == ["public-users"]


@pytest.mark.parametrize("schema", ["melty", ""], ids=["a schema", "each its own"])
def test_the_default_schema_has_one_table_under_two_names(schema: str, warehouse: Warehouse) -> None:
    """`main-users` and `users` without a schema are one table in DuckDB, as `public-users` in PostgreSQL."""
    default = "main" if warehouse.engine == "duckdb" else "public"
    with pytest.raises(InputError, match="each would overwrite"):
        load(warehouse, lines("users", f"{default}-users"), default_target_schema=schema)


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_schemas_that_differ_in_case_are_one_in_duckdb(warehouse: Warehouse) -> None:
    with pytest.raises(InputError, match="each would overwrite"):
        load(warehouse, lines("Sales-users", "sales-users"), default_target_schema="")
    load(warehouse, lines("SALES-people"), default_target_schema="")
    load(warehouse, lines("SALES-people"), default_target_schema="")
    assert warehouse.query("SELECT id FROM sales.people") == [{"id": 1}]


@pytest.mark.parametrize(
    "stream",
    [
        *("_load_history", "public-_Load_History", "crm-_Rejected_Records", "Target_Warehouse_Stage"),
    ],
)
def test_a_stream_called_as_a_table_of_the_target_is_refused(stream: str, warehouse: Warehouse) -> None:
    with pytest.raises(InputError, match=r"that name for its own tables.*stream_maps"):
        load(warehouse, lines("users", stream))
    assert [row["v"] for row in warehouse.rows("users")] == ["users"]
    load(warehouse, lines(stream), stream_maps={stream: {"__alias__": "history"}})
    assert [row["v"] for row in warehouse.rows("history")] == [stream]


@pytest.mark.parametrize("stream", ["stage", "t"])
def test_a_name_that_our_statements_use_is_free(stream: str, warehouse: Warehouse) -> None:
    for schema in ("", "melty"):
        for _ in range(2):
            load(warehouse, lines(stream), default_target_schema=schema)
        default = schema or ("main" if warehouse.engine == "duckdb" else "public")
        assert [row["v"] for row in warehouse.rows(f"{default}.{stream}")] == [stream]


#: The name of a DuckDB file, and a schema that DuckDB cannot distinguish from it.
NAMES = {
    "same": ("hubspot.duckdb", "hubspot"),
    "other case": ("HubSpot.duckdb", "hubspot"),
    "two dots": ("crm.v2.duckdb", "CRM"),
    "no dot": ("crm", "crm"),
    "hidden": (".crm.db", "crm"),
    "reserved": ("main.duckdb", "main_db"),
    "DuckDB's temporary": ("crm.duckdb", "temp"),
    "DuckDB's own": ("crm.duckdb", "SYSTEM"),
    "in memory": ("crm.duckdb", "memory"),
}


@pytest.mark.parametrize("setting", ["default_target_schema", "views_schema"])
@pytest.mark.parametrize(("name", "schema"), NAMES.values(), ids=NAMES)
def test_a_schema_with_the_name_of_the_duckdb_file_is_refused(
    name: str, schema: str, setting: str, file: DuckDBWarehouse
) -> None:
    """Before a row is written, because queries without the file's name would not find the tables."""
    path = file.path.with_name(name)
    config = {"warehouse": f"duckdb:///{path}", "default_target_schema": "tables", setting: schema}
    with pytest.raises(SettingsError, match=rf"{schema}.*default_target_schema"):
        Settings.from_config(config)


def test_a_stream_whose_schema_has_the_name_of_the_duckdb_file_is_refused(file: DuckDBWarehouse) -> None:
    with pytest.raises(SettingsError, match="CRM have the same name"):
        load(file, lines("users", "CRM-users"), default_target_schema="")
    assert file.query("SELECT v FROM main.users") == [{"v": "users"}]


@pytest.mark.parametrize("name", ["crm.duckdb", "main.duckdb", "hubspot2.duckdb", "my.hubspot.duckdb"])
def test_tables_are_found_by_schema_under_any_other_name(name: str, file: DuckDBWarehouse) -> None:
    other = type(file)(file.path.with_name(name))
    load(other, lines("users"), default_target_schema="hubspot", views_schema="main_views")
    assert other.query("SELECT id FROM hubspot.users") == other.query("SELECT id FROM main_views.users") == [{"id": 1}]
