"""A property changes its type, from every type to every other: between runs, within a stream, and back again."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

#: For each type its JSON schema, and a value that neighbouring types could lose.
TYPES: dict[str, tuple[dict[str, Any], Any]] = {
    "small": ({"type": ["integer", "null"], "minimum": 0, "maximum": 100}, 99),
    "integer": ({"type": ["integer", "null"]}, 2**62 + 1),
    "number": ({"type": ["number", "null"]}, Decimal("12345678901234567.123456789012345678")),
    "boolean": ({"type": ["boolean", "null"]}, True),
    "string": ({"type": ["string", "null"]}, "text"),
    "short": ({"type": ["string", "null"], "maxLength": 5}, "short"),
    "date_time": ({"type": ["string", "null"], "format": "date-time"}, "2026-01-02T03:04:05.678901Z"),
    "date": ({"type": ["string", "null"], "format": "date"}, "2026-01-02"),
    "time": ({"type": ["string", "null"], "format": "time"}, "03:04:05.678901"),
    "uuid": ({"type": ["string", "null"], "format": "uuid"}, "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    "object": ({"type": ["object", "null"]}, {"a": [1, {"b": None}]}),
    "array": ({"type": ["array", "null"]}, [1, "x", None]),
    "texts": ({"type": ["array", "null"], "items": {"type": "string"}}, ["x", 'y"']),
    "integers": ({"type": ["array", "null"], "items": {"type": "integer"}}, [1, 2**62 + 1]),
    "union": ({"type": ["string", "integer", "null"]}, 7),
    "untyped": ({}, {"any": 1}),
}
PAIRS = {f"{old}_to_{new}": (old, new) for old, new in itertools.product(TYPES, repeat=2)}


def _messages(which: int, key: int) -> str:
    """A schema in which each pair's column has its old type (0) or its new type (1), and a record of these types."""
    properties = {name: TYPES[pair[which]][0] for name, pair in PAIRS.items()}
    record = {name: TYPES[pair[which]][1] for name, pair in PAIRS.items()}
    schema = {"properties": {"id": {"type": "integer"}, **properties}}
    lines = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema},
        {"type": "RECORD", "stream": "t", "record": {"id": key, **record}},
    ]
    text = "".join(json.dumps(line, default=lambda number: f"number {number}") + "\n" for line in lines)
    return text.replace('"number ', "").replace('678"', "678")


def _means(stored: Any, sent: Any) -> bool:
    """Whether the stored value, of any type, equals the sent one."""
    if isinstance(sent, bool) or isinstance(stored, bool):
        return bool(str(stored).lower() == str(sent).lower())
    if isinstance(sent, int | Decimal):
        return Decimal(str(stored)) == sent
    if isinstance(sent, list | dict):
        return bool((json.loads(stored) if isinstance(stored, str) else stored) == sent)
    if isinstance(stored, dt.datetime | dt.date | dt.time):
        stored = stored.isoformat()
    stored = str(stored)
    if stored == json.dumps(sent):  # a text in a JSON column
        return True
    return stored.replace(" ", "T") in (sent, sent.removesuffix("Z"), f"{sent}T00:00:00")


@pytest.mark.parametrize("how", ["between runs", "mid-stream"])
def test_no_change_of_type_loses_a_value(how: str, warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    """Row 1 has the old types, row 2 the new ones, row 3 the old ones again; all values are stored and kept."""
    order = [(0, 1), (1, 2), (0, 3)]
    parts = [_messages(which, key) for which, key in order]
    for text in parts if how == "between runs" else ["".join(parts)]:
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    rows = warehouse.query('SELECT * FROM "melty"."t" ORDER BY id')
    assert [row["id"] for row in rows] == [1, 2, 3]
    lost = [
        f"{name}: {sent!r} became {row[name]!r}"
        for (which, _), row in zip(order, rows, strict=True)
        for name, pair in PAIRS.items()
        if not _means(row[name], sent := TYPES[pair[which]][1])
    ]
    assert lost == []
    assert "The column integer_to_string of the table t was of type bigint and becomes" in caplog.text
    columns = len(rows[0])
    before = caplog.text.count("becomes")
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO("".join(parts)))
    assert caplog.text.count("becomes") == before, "the next run changes no column again"
    assert len(warehouse.query('SELECT * FROM "melty"."t"')[0]) == columns


KEYS = {
    "integer to text": ({"type": "integer"}, 1, {"type": "string"}, "one"),
    "integer to number": ({"type": "integer"}, 1, {"type": "number"}, 1.5),
    "small to large": ({"type": "integer", "minimum": 0, "maximum": 9}, 1, {"type": "integer"}, 2**40),
    "date to date-time": (
        {"type": "string", "format": "date"},
        "2026-01-01",
        {"type": "string", "format": "date-time"},
        "2026-01-01T01:00:00Z",
    ),
}


@pytest.mark.parametrize(("old", "one", "new", "other"), KEYS.values(), ids=KEYS)
def test_a_key_that_changes_its_type_stays_a_key(
    old: dict[str, Any], one: Any, new: dict[str, Any], other: Any, warehouse: Warehouse
) -> None:
    for schema, value, payload in ((old, one, "first"), (new, other, "second"), (new, other, "third")):
        properties = {"id": schema, "v": {"type": ["string", "null"]}}
        lines = [
            {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": properties}},
            {"type": "RECORD", "stream": "t", "record": {"id": value, "v": payload}},
        ]
        TargetWarehouse(config={"warehouse": warehouse.url}).run(
            io.StringIO("".join(json.dumps(x) + "\n" for x in lines))
        )
    assert sorted(row["v"] for row in warehouse.rows("t")) == ["first", "third"]
