"""The outcome of the records of a batch for each key."""

from __future__ import annotations

from typing import Any

import pytest

from target_warehouse.load.last_per_key import outcomes_by_key

AT = "2026-01-01T00:00:00Z"


def _full(key: int, value: str) -> dict[str, Any]:
    return {"id": key, "value": value, "archived": False, "_sdc_deleted_at": None}


def _delete(key: int, **carried: Any) -> dict[str, Any]:
    return {"id": key, "_sdc_deleted_at": AT, **carried}


@pytest.mark.parametrize(
    ("records", "rows", "partial"),
    [
        ([_full(1, "a"), _full(1, "b")], [_full(1, "b")], []),
        (
            [_full(1, "a"), _delete(1, archived=True)],
            [{"id": 1, "value": "a", "archived": True, "_sdc_deleted_at": AT}],
            [],
        ),
        ([_delete(1, archived=True), _full(1, "a")], [_full(1, "a")], []),
        ([_delete(1, archived=True)], [], [_delete(1, archived=True)]),
        ([_delete(1, archived=True), _delete(1, into=2)], [], [_delete(1, archived=True, into=2)]),
        ([_full(1, "a"), _delete(1), _full(1, "b")], [_full(1, "b")], []),
        ([_full(1, "a"), _full(2, "b")], [_full(1, "a"), _full(2, "b")], []),
    ],
    ids=["last wins", "full, delete", "delete, full", "delete", "two deletes", "back and forth", "two keys"],
)
def test_soft_deletes(records: list[Any], rows: list[Any], partial: list[Any]) -> None:
    settled = outcomes_by_key(records, ["id"], hard_delete=False)
    assert settled.rows == rows
    assert [record for group in settled.partial.values() for record in group] == partial
    assert settled.removed == []


def test_partial_rows_are_grouped_by_their_columns() -> None:
    settled = outcomes_by_key([_delete(1), _delete(2, into=1), _delete(3)], ["id"], hard_delete=False)
    assert {names: [record["id"] for record in group] for names, group in settled.partial.items()} == {
        ("_sdc_deleted_at", "id"): [1, 3],
        ("_sdc_deleted_at", "id", "into"): [2],
    }


def test_hard_deletes_remove_unless_a_full_record_follows() -> None:
    records = [_full(1, "a"), _delete(1), _delete(2), _full(2, "b"), _delete(3)]
    settled = outcomes_by_key(records, ["id"], hard_delete=True)
    assert settled.rows == [_full(2, "b")]
    assert [record["id"] for record in settled.removed] == [1, 3]


def test_without_keys_every_record_stays() -> None:
    assert outcomes_by_key([_full(1, "a"), _full(1, "a")], [], hard_delete=True).rows == [_full(1, "a")] * 2


def test_a_row_that_was_deleted_and_came_again_is_removed_first_by_hard_deletes() -> None:
    records = [_delete(1), _full(1, "a"), _full(2, "b"), _full(3, "c"), _delete(3), _full(3, "d"), _delete(4)]
    outcomes = outcomes_by_key(records, ["id"], hard_delete=True)
    assert outcomes.renewed == [_full(1, "a"), _full(3, "d")]
    assert outcomes.rows == [_full(1, "a"), _full(2, "b"), _full(3, "d")]
    assert outcomes_by_key(records, ["id"], hard_delete=False).renewed == []
