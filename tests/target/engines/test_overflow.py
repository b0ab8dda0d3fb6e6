"""PostgreSQL's overflow column: its members are kept, replaced and read as columns are."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)

TEXT: dict[str, Any] = {"type": ["string", "null"]}
NUMBER: dict[str, Any] = {"type": ["number", "null"]}
DELETED = {"_sdc_deleted_at": "2026-01-01T00:00:00Z"}
#: More numbers than a row of 8 kB holds, and one more: the last properties are members of the overflow column.
WIDE = {f"p{i}": NUMBER for i in range(360)}
LAST = [f"p{i}" for i in range(356, 360)]

Part = tuple[dict[str, Any], list[dict[str, Any]]]  # the properties of a SCHEMA, and the records after it


def load(warehouse: Warehouse, *parts: Part, **config: Any) -> None:
    """One run."""
    messages: list[dict[str, Any]] = []
    for properties, records in parts:
        schema = {"properties": {"id": {"type": "integer"}, **properties}}
        messages.append({"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema})
        messages += [{"type": "RECORD", "stream": "t", "record": record} for record in records]
    text = "".join(json.dumps(message) + "\n" for message in messages)
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


def overflow(warehouse: Warehouse) -> dict[int, dict[str, Any] | None]:
    """The overflow column by id."""
    rows = warehouse.query('SELECT id, "_sdc_overflow" AS members FROM melty.t')
    return {row["id"]: row["members"] for row in rows}


OLD = dict(zip(LAST, (1, 2, 3, 4), strict=True))
FIRST: Part = (WIDE, [{"id": number, "p0": number, **OLD} for number in range(3)])


def only(*names: str) -> dict[str, Any]:
    """A schema with these properties."""
    return dict.fromkeys(names, NUMBER)


#: A later schema, the later records of a row with the members OLD, and the members that it has then.
LATER: dict[str, tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any] | None]] = {
    "nothing": (WIDE, [], OLD),
    "one member": (only("p359"), [{"p359": -1}], {**OLD, "p359": -1}),
    "a member, and one that is null": (only("p358", "p359"), [{"p359": -1}], {"p356": 1, "p357": 2, "p359": -1}),
    "no member": (only("p0"), [{"p0": -1}], OLD),
    "all members": (WIDE, [{"p359": -1}], {"p359": -1}),
    "all members, which are null": (WIDE, [{}], None),
    "a new property, for which the row has room": ({"q": TEXT}, [{"q": "new"}], {**OLD, "q": "new"}),
    "a delete record with a member": (WIDE, [{"p359": -1, **DELETED}], {**OLD, "p359": -1}),
    "a delete record with null": (WIDE, [{"p359": None, **DELETED}], {"p356": 1, "p357": 2, "p358": 3}),
    "a delete record without members": (WIDE, [DELETED], OLD),
    "a record, then a delete record": (WIDE, [{"p356": 7}, {"p359": -1, **DELETED}], {"p356": 7, "p359": -1}),
}


@pytest.mark.parametrize("batch_size_rows", [1, 10_000])
def test_members_that_are_not_sent_keep_their_values(batch_size_rows: int, warehouse: Warehouse) -> None:
    """As columns do: a property that the schema has is replaced, also by null; any other is left alone."""
    first: Part = (WIDE, [{"id": number, **OLD} for number in range(len(LATER))])
    later = [
        (properties, [{"id": number, **record} for record in records])
        for number, (properties, records, _) in enumerate(LATER.values())
    ]
    for parts in [[first, *later]] if batch_size_rows == 1 else [[first], later]:
        load(warehouse, *parts, batch_size_rows=batch_size_rows)
    members = overflow(warehouse)
    assert {name: members[number] for number, name in enumerate(LATER)} == {n: case[2] for n, case in LATER.items()}


def test_rows_that_keep_members_are_counted_as_any_others(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    load(warehouse, FIRST)
    later: Part = (only("p359"), [{"id": 0, "p359": 4}, {"id": 1, "p359": -1}, {"id": 4, "p359": 1}])
    with caplog.at_level("INFO"):
        load(warehouse, later, dry_run=True)
    assert "t: 3 records read; 1 rows created, 2 updated" in caplog.text
    load(warehouse, later)
    counts = "SELECT inserted, updated, changed FROM melty._load_history ORDER BY started_at"
    assert [tuple(row.values()) for row in warehouse.query(counts)] == [(3, 0, 0), (1, 2, 1)]


def test_a_member_stays_one_when_columns_make_room(warehouse: Warehouse) -> None:
    """Numbers that become text take less of the row, but a column for the member would split its values."""
    load(warehouse, FIRST)
    load(warehouse, (dict.fromkeys(list(WIDE)[:20], TEXT), [{"id": 1, "p0": "text"}]), (only("p359"), [{"id": 2}]))
    assert overflow(warehouse) == {0: OLD, 1: OLD, 2: {"p356": 1, "p357": 2, "p358": 3}}
    assert "p359" not in warehouse.rows("t")[0]


def test_a_member_that_the_user_gave_a_column_leaves_the_overflow_with_its_next_value(warehouse: Warehouse) -> None:
    load(warehouse, FIRST)
    warehouse.execute("ALTER TABLE melty.t DROP COLUMN p9, ADD COLUMN p359 numeric")
    load(warehouse, (only(*LAST), [{"id": 1, "p358": 5, "p359": 6}]))
    assert overflow(warehouse) == {0: OLD, 1: {"p358": 5}, 2: OLD}
    assert [row["p359"] for row in warehouse.query("SELECT p359 FROM melty.t ORDER BY id")] == [None, 6, None]


def test_members_with_names_that_a_column_cannot_have_are_their_own(warehouse: Warehouse) -> None:
    names = ["x1", "X1", "x1_ec31682f", "ctid", "%s", "it's", "é", "", "n" * 70]
    expected = {name: number for number, name in enumerate(names)}
    load(warehouse, ({**WIDE, **only(*names)}, [{"id": 1, **expected}]))
    again = {name: -number for number, name in enumerate(names[::2])}
    load(warehouse, (only(*again), [{"id": 1, **again}]))
    assert overflow(warehouse) == {1: {**expected, **again}}
