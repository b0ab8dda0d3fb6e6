"""meltanolabs-target-postgres and our target in turn on one database: the same tables with the same meaning."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from target_postgres.target import TargetPostgres

from target_warehouse.singer.target import TargetWarehouse
from tests.target.engines.target_postgres_runs import login, run

if TYPE_CHECKING:
    from collections.abc import Callable


PROPERTIES: dict[str, Any] = {
    "id": {"type": "integer"},
    "text": {"type": ["string", "null"]},
    "short": {"type": ["string", "null"], "maxLength": 20},
    "small": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
    "medium": {"type": ["integer", "null"], "minimum": 0, "maximum": 100_000},
    "large": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "day": {"type": ["string", "null"], "format": "date"},
    "time": {"type": ["string", "null"], "format": "time"},
    "uuid": {"type": ["string", "null"], "format": "uuid"},
    "mail": {"type": ["string", "null"], "format": "email"},
    "object": {"type": ["object", "null"], "properties": {"a": {"type": "integer"}}},
    "texts": {"type": ["array", "null"], "items": {"type": "string"}},
    "integers": {"type": ["array", "null"], "items": {"type": "integer"}},
    "objects": {"type": ["array", "null"], "items": {"type": "object", "properties": {}}},
    "anything": {"type": ["array", "null"]},
    "union": {"type": ["string", "integer", "null"]},
    "any_of": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    "untyped": {},
    "Upper Case": {"type": ["string", "null"]},
    "hex": {"type": ["string", "null"], "contentEncoding": "base16"},
}
RECORDS: list[dict[str, Any]] = [
    {
        "id": 1,
        "text": "naïve \t\n '\"\\ text",
        "short": "short",
        "small": 100,
        "medium": 99_999,
        "large": 2**62,
        "number": 1234.5,
        "flag": True,
        "at": "2026-01-02T03:04:05.678Z",
        "day": "2026-01-02",
        "time": "03:04:05",
        "uuid": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "mail": "a@b.example",
        "object": {"a": 1},
        "texts": ["x", 'y,{}"'],
        "integers": [1, -2],
        "objects": [{"b": 2}, {}],
        "anything": [1, "x", None],
        "union": "five",
        "any_of": "2026-01-02T03:04:05Z",
        "untyped": "free",
        "Upper Case": "kept",
        "hex": "0xabc",
    },
    {"id": 2, "texts": [], "integers": [], "objects": [], "anything": []},
    {"id": 3, "text": "", "number": 0, "flag": False, "object": {"a": 1, "b": [1.5, None]}},
]


def _lines(*records: dict[str, Any], stream: str = "things", **properties: Any) -> str:
    schema = {"type": "object", "properties": {**PROPERTIES, **properties}}
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": schema}]
    lines += [
        {"type": "RECORD", "stream": stream, "record": record, "version": 7, "time_extracted": "2026-01-01T00:00:00Z"}
        for record in records
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _login(url: str, schema: str) -> dict[str, Any]:
    return login(url, schema) | {"interpret_content_encoding": True}


def _columns(url: str, schema: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            [f"{schema}.things"],
        ).fetchall()


def _rows(url: str, schema: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        names = ", ".join(f'"{name}"' for name in (*PROPERTIES, "_sdc_extracted_at", "_sdc_table_version"))
        return connection.execute(f'SELECT {names}, _sdc_deleted_at FROM "{schema}".things ORDER BY id').fetchall()


def test_the_same_input_makes_the_same_table(postgres_url: str) -> None:
    """Columns, their order and types, keys, and every value; only timestamps in the metadata differ."""
    run(TargetPostgres(config=_login(postgres_url, "theirs")), _lines(*RECORDS))
    run(TargetWarehouse(config=_login(postgres_url, "ours")), _lines(*RECORDS))
    assert _columns(postgres_url, "ours") == _columns(postgres_url, "theirs")
    assert _rows(postgres_url, "ours") == _rows(postgres_url, "theirs")


def test_a_table_of_target_postgres_keeps_working(postgres_url: str) -> None:
    """Its rows are updated in place, and new rows and a new column are added; everything else stays."""
    run(TargetPostgres(config=_login(postgres_url, "crm")), _lines(*RECORDS))
    before = _columns(postgres_url, "crm")
    changed = {**RECORDS[0], "text": "changed", "extra": 5}
    config = _login(postgres_url, "crm")
    run(TargetWarehouse(config=config), _lines(changed, {"id": 9}, extra={"type": ["integer", "null"]}))
    assert _columns(postgres_url, "crm") == [*before, ("extra", "bigint", False)]
    rows = {row[0]: row for row in _rows(postgres_url, "crm")}
    assert sorted(rows) == [1, 2, 3, 9]
    assert rows[1][1] == "changed"
    assert rows[3][1] == ""


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_two_concurrent_runs_both_succeed(
    warehouse: Any, run_target: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Batches with the same keys wait for each other instead of failing on the key."""
    text = _lines(*({"id": i % 500, "text": str(i)} for i in range(2000)), stream="shared")
    results: list[int] = []

    def run() -> None:
        results.append(run_target(text, warehouse=warehouse.url, batch_size_rows=100).returncode)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0]
    assert len(warehouse.rows("shared")) == 500
