"""Every odd value, and every change of a portal's properties between two runs, through tap and target into tables."""

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
    return [each["id"] for each in sandbox.truth("0-1")]


def define(name: str, kind: str) -> dict[str, str]:
    return {"kind": "define-property", "type": "0-1", "name": name, "propertyType": kind}


def edit(record: str, **properties: str) -> dict[str, object]:
    return {"kind": "edit", "type": "0-1", "id": record, "properties": properties}


def as_read(value: object) -> object:
    """A number that a database keeps as text, for its size, as the number that it is."""
    return Decimal(value) if isinstance(value, str) else comparable(value)


@pytest.mark.sandbox(**SIZES, no_oddities=True)
def test_every_odd_value_lands_as_it_is_or_is_kept_as_text_and_counted(sandbox, warehouse, tmp_path):
    kinds = list(dict.fromkeys(kind for kind, _, _ in VALUES))
    columns = {kind: f"odd_{place}" for place, kind in enumerate(kinds)}
    sandbox.mutate([define(columns[kind], kind) for kind in kinds])
    of_record = dict(zip(ids(sandbox), VALUES, strict=False))
    assert len(of_record) == len(VALUES)
    sandbox.mutate([edit(record, **{columns[kind]: text}) for record, (kind, text, _) in of_record.items()])
    sandbox.clock.advance(60)  # what changed as a pass began comes twice
    pair = Pair(sandbox, warehouse, tmp_path, objects=["contacts"], associations=False)
    assert pair.run() == (0, 0), (tmp_path / "log").read_text()[-3000:]

    rows = {row["id"]: row for row in warehouse.query("SELECT * FROM hubspot.contacts")}
    for record, (kind, text, expected) in of_record.items():
        value, kept = rows[record][columns[kind]], rows[record]["invalid_properties"]
        kept = json.loads(kept) if isinstance(kept, str) else kept
        if expected is DOES_NOT_FIT:
            assert (value, kept) == (None, {columns[kind]: text})
            continue
        if warehouse.engine == "postgres" and isinstance(expected, str):
            expected = expected.replace("\u0000", "\ufffd")  # PostgreSQL has no NUL: a declared limit
        assert kept is None
        found = as_read(value) if kind == "number" and value is not None else comparable(value)
        assert found == expected, f"{kind} {text[:50]!r}"

    counts = {}
    for kind, _, expected in VALUES:
        if expected is DOES_NOT_FIT:
            counts[columns[kind]] = counts.get(columns[kind], 0) + 1
    (history,) = warehouse.query("SELECT invalid_properties FROM hubspot.sync_history WHERE stream = 'contacts'")
    told = history["invalid_properties"]
    assert (json.loads(told) if isinstance(told, str) else told) == counts
    log = (tmp_path / "log").read_text()
    assert all(f"{name} ({count})" in log for name, count in counts.items())


@pytest.mark.sandbox(**SIZES, no_oddities=True)
def test_properties_may_come_change_their_type_and_their_case_and_go_and_no_value_is_lost(sandbox, warehouse, tmp_path):
    first, second, third = ids(sandbox)[:3]
    pair = Pair(sandbox, warehouse, tmp_path, objects=["contacts"], associations=False)

    def values(*changes: object) -> dict[str, list[object]]:
        """Run after these changes; the shoe sizes of three contacts, column by column."""
        sandbox.mutate(list(changes))
        assert pair.run() == (0, 0), (tmp_path / "log").read_text()[-3000:]
        rows = {row["id"]: row for row in warehouse.query("SELECT * FROM hubspot.contacts")}
        assert len(rows) == len(ids(sandbox))
        sizes = [name for name in rows[first] if name.lower().startswith("shoe_size")]
        return {name: [rows[each][name] for each in (first, second, third)] for name in sizes}

    assert values() == {}
    came = values(define("shoe_size", "number"), edit(first, shoe_size="42.5"))
    assert came == {"shoe_size": [Decimal("42.5"), None, None]}
    retyped = values(define("shoe_size", "string"), edit(second, shoe_size="large"))
    everything = [each for column in retyped.values() for each in column if each is not None]
    assert sorted(map(str, everything)) == ["42.5", "large"], "in one column of text, or in one of each type"
    cased = values(define("Shoe_Size", "string"), edit(third, Shoe_Size="XL"))
    assert sum(len(column) - column.count(None) for column in cased.values()) == 3
    gone = values(
        {"kind": "remove-property", "type": "0-1", "name": "shoe_size"},
        {"kind": "remove-property", "type": "0-1", "name": "Shoe_Size"},
        edit(first, email="new@example.com"),
    )
    assert gone == cased, "what HubSpot no longer has keeps its last values"
