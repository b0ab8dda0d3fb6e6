"""The SDK's own target tests on every engine, and checks of the rows in the tables.

PostgreSQL runs with `sanitize_null_text_characters`, because one of the SDK's files contains a NUL character.
"""

from __future__ import annotations

import importlib.resources
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import get_target_test_class

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Warehouse

DUCKDB_CONFIG: dict[str, Any] = {}
POSTGRES_CONFIG: dict[str, Any] = {"sanitize_null_text_characters": True}


OPENED: list[TargetWarehouse] = []


class Target(TargetWarehouse):
    """The target. SDK tests that expect an error leave it open, so every instance is kept in order to close it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        OPENED.append(self)


def _close_all() -> None:
    while OPENED:
        OPENED.pop().finish(RuntimeError())


@pytest.fixture
def duckdb_file(tmp_path: Path) -> Iterator[None]:
    DUCKDB_CONFIG["warehouse"] = f"duckdb:///{tmp_path}/warehouse.duckdb"
    yield
    _close_all()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[None]:
    POSTGRES_CONFIG["warehouse"] = postgres_url
    yield
    _close_all()


@pytest.mark.usefixtures("duckdb_file")
class TestDuckDB(get_target_test_class(Target, config=DUCKDB_CONFIG)):  # type: ignore[misc]
    """The SDK's tests into a DuckDB file."""


@pytest.mark.usefixtures("postgres_database")
class TestPostgres(get_target_test_class(Target, config=POSTGRES_CONFIG)):  # type: ignore[misc]
    """The SDK's tests into a PostgreSQL database."""


#: The SDK's files whose records are all loaded; the expected rows are read from the file itself.
ARRIVES = (
    "array_data",
    "camelcase",
    "duplicate_records",
    "encoded_string_data",
    "multiple_state_messages",
    "no_primary_keys",
    "no_primary_keys_append",
    "optional_attributes",
    "pk_updates",
    "record_missing_fields",
    "schema_no_properties",
    "schema_updates",
    "special_chars_in_attributes",
    "user_location_data",
    "user_location_upsert_data",
)


@pytest.mark.parametrize("name", ARRIVES)
def test_the_records_of_the_sdks_files_are_in_the_tables(name: str, warehouse: Warehouse) -> None:
    """The tables have the last record of each key, every column of every schema, and the values of the file."""
    file = importlib.resources.files("singer_sdk.testing.target_test_streams") / f"{name}.singer"
    text = file.read_text(encoding="utf-8")
    config = {"warehouse": warehouse.url, "sanitize_null_text_characters": warehouse.engine == "postgres"}
    TargetWarehouse(config=config).run(io.StringIO(text))
    expected = _expected(text)
    assert expected
    for stream, rows in expected.items():
        actual = warehouse.rows(stream)
        if warehouse.engine == "postgres":
            rows = json.loads(json.dumps(rows).replace(r"\u0000", r"\ufffd").replace(r"\\ufffd", r"\\u0000"))
        assert _comparable(actual) == _comparable(rows)


def _expected(text: str) -> dict[str, list[dict[str, Any]]]:
    keys: dict[str, list[str]] = {}
    columns: dict[str, dict[str, Any]] = {}
    rows: dict[str, dict[Any, dict[str, Any]]] = {}
    for line in text.splitlines():
        message = json.loads(line)
        stream = message.get("stream")
        if message["type"] == "SCHEMA":
            keys[stream] = message.get("key_properties") or []
            columns.setdefault(stream, {}).update(message["schema"]["properties"])
        elif message["type"] == "RECORD":
            record = message["record"]
            table = rows.setdefault(stream, {})
            key = tuple(record[name] for name in keys[stream]) if keys[stream] else len(table)
            table[key] = record
    return {
        stream: [
            {name: _as_stored(record.get(name), columns[stream][name]) for name in columns[stream]}
            for record in table.values()
        ]
        for stream, table in rows.items()
    }


def _as_stored(value: Any, prop: dict[str, Any]) -> Any:
    return str(value) if prop.get("type") == "number" and value is not None else value


def _comparable(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)
