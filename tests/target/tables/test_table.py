"""The column of a property, the place of a table, and the schemas that need a validator."""

from __future__ import annotations

from typing import Any

import pytest

from target_warehouse.tables.table import kind_of, needs_validator, table_of

KINDS: list[tuple[dict[str, Any], str]] = [
    ({"type": "string"}, "string"),
    ({"type": ["null", "string"]}, "string"),
    ({"type": ["string", "null"], "format": "date-time"}, "date-time"),
    ({"type": "string", "format": "date"}, "date"),
    ({"type": "string", "format": "time"}, "time"),
    ({"type": "string", "format": "email"}, "string"),
    ({"type": "integer"}, "integer"),
    ({"type": ["null", "number"]}, "number"),
    ({"type": "boolean"}, "boolean"),
    ({"type": ["object", "null"], "properties": {}}, "json"),
    ({"type": "array"}, "json"),
    ({"type": ["string", "integer"]}, "text"),
    ({"type": ["integer", "number"]}, "number"),
    ({"type": ["string", "object"]}, "json"),
    ({"anyOf": [{"type": "null"}, {"type": "string", "format": "date-time"}]}, "date-time"),
    ({}, "text"),
    ({"type": "null"}, "text"),
]


@pytest.mark.parametrize(("prop", "kind"), KINDS, ids=[str(prop) for prop, _ in KINDS])
def test_a_property_has_a_kind(prop: dict[str, Any], kind: str) -> None:
    assert kind_of(prop) == kind


def test_base16_is_bytes_only_when_asked() -> None:
    prop = {"type": "string", "contentEncoding": "base16"}
    assert kind_of(prop) == "string"
    assert kind_of(prop, interpret_encoding=True) == "bytes"


@pytest.mark.parametrize(
    ("stream", "default", "where"),
    [
        ("contacts", "melty", ("melty", "contacts")),
        ("crm-contacts", "melty", ("melty", "contacts")),
        ("crm-contacts", "", ("crm", "contacts")),
        ("db-crm-contacts", "", ("crm", "contacts")),
        ("contacts", "", (None, "contacts")),
    ],
)
def test_a_table_is_named_as_target_postgres_names_it(stream: str, default: str, where: tuple[str | None, str]) -> None:
    table = table_of(stream, {"properties": {}}, [], default_schema=default, interpret_encoding=False)
    assert (table.schema, table.name) == where


@pytest.mark.parametrize(
    ("prop", "needed"),
    [
        ({"type": ["string", "null"], "title": "T", "description": "D"}, False),
        ({"type": ["string", "null"], "format": "date-time"}, False),
        ({"type": ["string", "null"], "enum": ["a"]}, True),
        ({"type": "string", "maxLength": 3}, True),
        ({"type": ["string", "integer"]}, True),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, True),
        ({"anyOf": [{"type": "string"}]}, True),
    ],
)
def test_only_schemas_with_constraints_other_than_types_need_a_validator(prop: dict[str, Any], needed: bool) -> None:
    assert needs_validator({"type": "object", "properties": {"a": prop}}) is needed
