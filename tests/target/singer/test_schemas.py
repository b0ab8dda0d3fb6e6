"""The normalisation of a tap's schemas: limits of references, numbers and patterns. See also `streams/`."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from target_warehouse.errors import SchemaError
from target_warehouse.singer.schemas import MOST_LEVELS, modern
from target_warehouse.singer.validation import RecordValidator, is_multiple, matches
from target_warehouse.tables.unions import column_schema

#: Each definition refers twice to the next one: thirty of them expand to a billion schemas.
DOUBLING = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(30)}


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return {"properties": {"a": schema}}


BOMBS = {
    "references that double": {"$defs": {**DOUBLING, "d30": {}}, "properties": {"a": {"$ref": "#/$defs/d0"}}},
    "too deep": deep(MOST_LEVELS + 1),
    "far too deep": deep(300),
}


@pytest.mark.parametrize("schema", BOMBS.values(), ids=BOMBS)
def test_a_schema_that_expands_endlessly_is_refused_at_once(schema: dict[str, Any]) -> None:
    began = time.monotonic()
    with pytest.raises(SchemaError, match=r"expands to more than|nested too deeply"):
        modern(schema)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("reference", ["#", "#/", "#/properties/a", "#/$defs/b"])
def test_a_recursive_reference_accepts_any_value(reference: str) -> None:
    schema = {"$defs": {"b": {"items": {"$ref": reference}}}, "properties": {"a": {"$ref": "#/$defs/b"}}}
    read, _ = modern(schema)
    RecordValidator(read)
    assert read["properties"]["a"]


REFERENCES = ("#/definitions/a~1b", "#/definitions/a%2Fb".replace("%2F", "~1"), "#named", "x.json#/definitions/a~1b")


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_within_the_schema_is_followed_however_it_is_written(reference: str) -> None:
    target = {"$anchor": "named", "type": "integer"}
    schema = {"$id": "http://host/x.json", "definitions": {"a/b": target}, "properties": {"a": {"$ref": reference}}}
    read, notes = modern(schema)
    assert read["properties"]["a"] == {"type": "integer"}
    assert not notes


MULTIPLES: list[tuple[Any, Any, bool]] = [
    (Decimal("19.99"), Decimal("0.01"), True),
    (Decimal("0.07"), Decimal("0.01"), True),
    (0.07, 0.01, True),
    (Decimal("1e-38"), Decimal("1e-38"), True),
    (Decimal("12345678901234567890.12345678901234567801"), Decimal("1e-20"), True),
    (Decimal("0.123456789012345678"), Decimal("1e-17"), False),
    (10**40 + 1, 10, False),
    (10**40, 10, True),
    (Decimal("1e100000"), 3, False),
    (Decimal("1e100000"), 2, True),
    (5, Decimal("1e999999"), False),
    (0, Decimal("1e999999"), True),
    (Decimal("7.5"), Decimal("2.5"), True),
    (-6, 4, False),
]


@pytest.mark.parametrize(("value", "of", "expected"), MULTIPLES)
def test_multiples_are_those_of_the_decimals_as_written(value: Any, of: Any, expected: bool) -> None:
    assert is_multiple(value, of) is expected


#: A pattern, a text, and whether they match; patterns that need backtracking always match.
PATTERNS = [
    ("^a+$", "aaa", True),
    ("^a+$", "b", False),
    ("(a+)+$", "a" * 5_000 + "!", False),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5_000, False),
    ("^(a|aa)+$", "a" * 5_000 + "b", False),
    (r"^[\u00e0-\u00ff]+$", "éè", True),
    (r"^\d{4}\Z", "2026", True),
    (r"(\w)\1", "ab", True),
    (r"(?=x)y", "z", True),
    ("(", "z", True),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), PATTERNS, ids=[pattern for pattern, _, _ in PATTERNS])
def test_a_pattern_is_searched_in_bounded_time(pattern: str, text: str, expected: bool) -> None:
    began = time.monotonic()
    assert matches(pattern, text) is expected
    assert time.monotonic() - began < 2


def test_many_items_are_compared_in_bounded_time() -> None:
    checker = RecordValidator({"properties": {"a": {"type": "array", "uniqueItems": True}}})
    began = time.monotonic()
    items: list[Any] = [{"n": [number]} for number in range(20_000)]
    assert checker.reason_against({"a": items}) is None
    assert checker.reason_against({"a": [*items, {"n": [Decimal("5.0")]}]}) is not None
    assert time.monotonic() - began < 10


ANY_OF_TEXT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}
COLUMNS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": ["integer", "null"]}),
    ({"anyOf": [{"type": "integer", "maximum": 5}, {"type": "integer"}]}, {"type": "integer"}),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}], "title": "T"}, {"title": "T"}),
    ({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}, {"type": "string"}),
    ({"allOf": [{"type": ["number", "null"]}, {"type": "integer"}]}, {"type": "integer"}),
    ({"const": "x"}, {"type": "string"}),
    ({"enum": [1, 2.5, None]}, {"type": ["number", "null"]}),
    ({"type": "string", "x-sql-datatype": "integer"}, {"type": "string"}),
    ({"type": "integer", "x-sql-datatype": "smallint"}, {"type": "integer", "x-sql-datatype": "smallint"}),
    (ANY_OF_TEXT, {"type": "string", "format": "date-time", "x-is-loose": True}),
]


@pytest.mark.parametrize(("prop", "column"), COLUMNS, ids=[str(prop) for prop, _ in COLUMNS])
def test_a_column_has_a_schema_of_one_type(prop: dict[str, Any], column: dict[str, Any]) -> None:
    assert column_schema(prop) == column
