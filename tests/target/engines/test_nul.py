"""The character NUL: DuckDB stores it, PostgreSQL cannot."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

PROPERTIES = {
    "id": {"type": ["string", "null"]},
    "text": {"type": ["string", "null"]},
    "any": {},
    "object": {"type": ["object", "null"]},
    "list": {"type": ["array", "null"], "items": {"type": "string"}},
}
RECORDS = [
    {"id": "a", "text": "x\0y", "any": ["\0"], "object": {"k\0": {"d": "\0"}, "k\ufffd": 1}, "list": ["\0", "é"]},
    {"id": "b", "text": "\\u0000", "any": "\0", "object": {"k": "\\u0000"}, "list": []},
    {"id": "c", "text": "\0"},
]


def test_nul_is_kept_or_replaced_and_the_run_continues(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    """Also in nested values and names; text that only looks like an escape stays; each property gets one warning."""
    lines = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": PROPERTIES}}]
    lines += [{"type": "RECORD", "stream": "t", "record": record} for record in RECORDS]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for _ in range(2):
        TargetWarehouse(config={"warehouse": warehouse.url, "batch_size_rows": 1}).run(io.StringIO(text))
    first, second, third = warehouse.rows("t")
    if warehouse.engine == "duckdb":
        assert first == {**RECORDS[0], "any": '["\\u0000"]'}
        assert "U+FFFD" not in caplog.text
    else:
        assert first == {
            "id": "a",
            "text": "x\ufffdy",
            "any": '["\ufffd"]',
            "object": {"k\ufffd": 1, "k\ufffd\ufffd": {"d": "\ufffd"}},
            "list": ["\ufffd", "é"],
        }
        assert third["text"] == second["any"] == "\ufffd"
        warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warned) == 2 * (len(PROPERTIES) - 1)
    assert (second["text"], second["object"]) == ("\\u0000", {"k": "\\u0000"})


@pytest.mark.parametrize("sanitizes", [False, True], ids=["by default", "sanitized"])
@pytest.mark.parametrize("batch_size_rows", [1_000, 1])
def test_a_key_with_nul_is_kept_or_rejected_unless_its_replacement_is_wanted(
    batch_size_rows: int, sanitizes: bool, warehouse: Warehouse
) -> None:
    """As U+FFFD it could be another record's key; a deletion could remove another record's row."""
    schema = {"properties": {"id": {"type": "string"}, "v": {"type": "integer"}}}
    records: list[dict[str, Any]] = [{"id": key, "v": v} for v, key in enumerate(["a\0", "a\ufffd", "b\ufffd"])]
    records.append({"id": "b\0", "_sdc_deleted_at": "2026-01-01T00:00:00Z"})
    lines: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": record} for record in records]
    config = {"hard_delete": True, "max_rejected": 2, "batch_size_rows": batch_size_rows}
    target = TargetWarehouse(config={"warehouse": warehouse.url, "sanitize_null_text_characters": sanitizes, **config})
    target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    rows = {row["id"]: row["v"] for row in warehouse.rows("t")}
    if sanitizes:
        assert rows == {"a\ufffd": 1}
    elif warehouse.engine == "duckdb":
        assert rows == {"a\0": 0, "a\ufffd": 1, "b\ufffd": 2}
    else:
        assert rows == {"a\ufffd": 1, "b\ufffd": 2}
        reason = "its key property id has the character NUL, which the database does not store"
        assert [row["reason"] for row in warehouse.rows("_rejected_records")] == [reason] * 2
