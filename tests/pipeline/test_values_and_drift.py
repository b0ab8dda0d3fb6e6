"""Irregular values, and changes of a portal's properties between two runs, through tap and target into the tables."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tests.pipeline.copy_check import comparable
from tests.pipeline.pair import Pair

SIZES = {"contacts": 60, "appointments": 1, "divisions": 1, "deals": 1, "associations": 1, "contact_properties": 20}
DOES_NOT_FIT = object()
EPOCH_MS = 1_774_872_000_000
VALUES = [
    ("number", "17", 17),
    ("number", "1234.5", Decimal("1234.5")),
    ("number", "", None),
    ("number", "N/A", DOES_NOT_FIT),
    ("number", "1;2", DOES_NOT_FIT),
    ("number", "NaN", DOES_NOT_FIT),
    ("number", "Infinity", DOES_NOT_FIT),
    ("number", "9223372036854775808", 2**63),
    ("number", "-92233720368547758080000", -92233720368547758080000),
    ("number", "0.123456789012345678901234567891", Decimal("0.123456789012345678901234567891")),
    ("number", "1e3", 1000),
    ("bool", "true", True),
    ("bool", "false", False),
    ("bool", "", None),
    ("bool", "maybe", DOES_NOT_FIT),
    ("date", "2026-11-30", date(2026, 11, 30)),
    ("date", "1774828800000", date(2026, 3, 30)),
    ("date", "0000-00-00", DOES_NOT_FIT),
    ("date", "20225-01-01", DOES_NOT_FIT),
    ("date", "9999-12-31", date(9999, 12, 31)),
    ("datetime", "2022-02-17T18:00:01Z", datetime(2022, 2, 17, 18, 0, 1, tzinfo=UTC)),
    ("datetime", str(EPOCH_MS), datetime.fromtimestamp(EPOCH_MS / 1000, UTC)),
    ("datetime", "", None),
    ("datetime", "0000-01-01T00:00:00Z", DOES_NOT_FIT),
    ("datetime", "20225-01-01T00:00:00Z", DOES_NOT_FIT),
    ("datetime", "0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("datetime", "soon", DOES_NOT_FIT),
    ("enumeration", "a;b;c", "a;b;c"),
    ("enumeration", "", ""),
    ("json", '{"a": [1, null]}', '{"a": [1, null]}'),
    ("json", '{"a": ', '{"a": '),
    ("string", "", ""),
    ("string", "N/A", "N/A"),
    ("string", "line\nbreak\ttab \\ \" ' ; -- $1 %s", "line\nbreak\ttab \\ \" ' ; -- $1 %s"),
    ("string", "x" * 60_000, "x" * 60_000),
    ("string", "\U0001f600 \u2028 \u0000 end", "\U0001f600 \u2028 \u0000 end"),
    ("phone_number", "+49 30 1234", "+49 30 1234"),
    ("object_coordinates", "1;2", "1;2"),
    ("a type of 2030", "whatever", "whatever"),
]


def ids(sandbox) -> list[str]:
    return [record["id"] for record in sandbox.truth("0-1")]


def define(name: str, property_type: str) -> dict[str, str]:
    return {"kind": "define-property", "type": "0-1", "name": name, "propertyType": property_type}


def edit(record: str, **properties: str) -> dict[str, object]:
    return {"kind": "edit", "type": "0-1", "id": record, "properties": properties}


def as_read(value: object) -> object:
    """Return a value from a database, and the number in a text that the database keeps because it is too large."""
    return Decimal(value) if isinstance(value, str) else comparable(value)


@pytest.mark.sandbox(**SIZES, no_oddities=True)
def test_an_irregular_value_is_loaded_unchanged_or_kept_as_text_and_counted(sandbox, warehouse, tmp_path):
    types = list(dict.fromkeys(type_ for type_, _, _ in VALUES))
    columns = {type_: f"value_{place}" for place, type_ in enumerate(types)}
    sandbox.mutate([define(columns[type_], type_) for type_ in types])
    of_record = dict(zip(ids(sandbox), VALUES, strict=False))
    assert len(of_record) == len(VALUES)
    sandbox.mutate([edit(record, **{columns[type_]: text}) for record, (type_, text, _) in of_record.items()])
    sandbox.clock.advance(60)  # a record that changes as a pass begins is read twice
    pair = Pair(sandbox, warehouse, tmp_path, objects=["contacts"], associations=False)
    assert pair.run() == (0, 0), (tmp_path / "log").read_text()[-3000:]

    rows = {row["id"]: row for row in warehouse.query("SELECT * FROM hubspot.contacts")}
    for record, (type_, text, expected) in of_record.items():
        value, kept = rows[record][columns[type_]], rows[record]["invalid_properties"]
        kept = json.loads(kept) if isinstance(kept, str) else kept
        if expected is DOES_NOT_FIT:
            assert (value, kept) == (None, {columns[type_]: text})
            continue
        if warehouse.engine == "postgres" and isinstance(expected, str):
            expected = expected.replace("\u0000", "\ufffd")  # PostgreSQL has no NUL: a declared limit
        assert kept is None
        loaded = as_read(value) if type_ == "number" and value is not None else comparable(value)
        assert loaded == expected, f"{type_} {text[:50]!r}"

    counts = {}
    for type_, _, expected in VALUES:
        if expected is DOES_NOT_FIT:
            counts[columns[type_]] = counts.get(columns[type_], 0) + 1
    (history,) = warehouse.query("SELECT invalid_properties FROM hubspot.sync_history WHERE stream = 'contacts'")
    reported = history["invalid_properties"]
    assert (json.loads(reported) if isinstance(reported, str) else reported) == counts
    log = (tmp_path / "log").read_text()
    assert all(f"{name} ({count})" in log for name, count in counts.items())


@pytest.mark.sandbox(**SIZES, no_oddities=True)
def test_no_value_is_lost_when_properties_come_change_type_or_case_and_go(sandbox, warehouse, tmp_path):
    first, second, third = ids(sandbox)[:3]
    pair = Pair(sandbox, warehouse, tmp_path, objects=["contacts"], associations=False)

    def values(*changes: object) -> dict[str, list[object]]:
        """Make these changes and run; return the shoe sizes of three contacts by column."""
        sandbox.mutate(list(changes))
        assert pair.run() == (0, 0), (tmp_path / "log").read_text()[-3000:]
        rows = {row["id"]: row for row in warehouse.query("SELECT * FROM hubspot.contacts")}
        assert len(rows) == len(ids(sandbox))
        sizes = [name for name in rows[first] if name.lower().startswith("shoe_size")]
        return {name: [rows[record][name] for record in (first, second, third)] for name in sizes}

    assert values() == {}
    added = values(define("shoe_size", "number"), edit(first, shoe_size="42.5"))
    assert added == {"shoe_size": [Decimal("42.5"), None, None]}
    retyped = values(define("shoe_size", "string"), edit(second, shoe_size="large"))
    everything = [value for column in retyped.values() for value in column if value is not None]
    assert sorted(map(str, everything)) == ["42.5", "large"], "one column of text, or one column per type"
    recased = values(define("Shoe_Size", "string"), edit(third, Shoe_Size="XL"))
    assert sum(len(column) - column.count(None) for column in recased.values()) == 3
    removed = values(
        {"kind": "remove-property", "type": "0-1", "name": "shoe_size"},
        {"kind": "remove-property", "type": "0-1", "name": "Shoe_Size"},
        edit(first, email="new@example.com"),
    )
    assert removed == recased, "a property that HubSpot no longer has keeps its last values"
