"""The character NUL: DuckDB stores it, PostgreSQL cannot."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    import pytest
    from conftest import Warehouse

PROPERTIES = {
    "id": {"type": ["string", "null"]},
    "text": {"type": ["string", "null"]},
    "any": {},
    "object": {"type": ["object", "null"]},
    "list": {"type": ["array", "null"], "items": {"type": "string"}},
}
RECORDS = [
    {"id": "a\0", "text": "x\0y", "any": ["\0"], "object": {"k\0": {"d": "\0"}, "k\ufffd": 1}, "list": ["\0", "é"]},
    {"id": "b", "text": "\\u0000", "any": "\0", "object": {"k": "\\u0000"}, "list": []},
    {"id": "c", "text": "\0"},
]


def test_nul_is_kept_or_replaced_and_the_run_continues(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    """Also in nested values and keys; text that only looks like an escape stays; each property gets one warning."""
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
            "id": "a\ufffd",
            "text": "x\ufffdy",
            "any": '["\ufffd"]',
            "object": {"k\ufffd": 1, "k\ufffd\ufffd": {"d": "\ufffd"}},
            "list": ["\ufffd", "é"],
        }
        assert third["text"] == second["any"] == "\ufffd"
        warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(warned) == 2 * len(PROPERTIES)
    assert (second["text"], second["object"]) == ("\\u0000", {"k": "\\u0000"})
