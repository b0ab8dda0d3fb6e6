"""The check of a copy finds every difference."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from tests.pipeline.copy_check import object_differences

TYPES = {"name": "string", "score": "number", "born": "date", "hs_object_id": "number"}
TRUTH = {
    "id": "7",
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-02T00:00:00.000Z",
    "properties": {"name": "Ann", "score": "1.50", "born": "N/A", "hs_object_id": "7"},
}
ROW = {
    "id": "7",
    "created_at": datetime(2026, 1, 1),
    "updated_at": datetime(2026, 1, 2),
    "invalid_properties": {"born": "N/A"},
    "name": "Ann",
    "score": Decimal("1.5"),
    "born": None,
    "hs_object_id": "7",
    "_sdc_deleted_at": None,
}


def test_a_correct_copy_has_no_differences():
    assert list(object_differences([TRUTH], [ROW], TYPES)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "Bob"}, "name is 'Bob'"),
        ({"score": Decimal("1.51")}, "score is"),
        ({"score": None}, "score is None"),
        ({"born": datetime(2026, 1, 1)}, "born is"),
        ({"invalid_properties": None}, "invalid_properties is None"),
        ({"updated_at": datetime(2026, 1, 3)}, "updated_at is"),
        ({"_sdc_deleted_at": datetime(2026, 1, 3)}, "7 is missing"),
        ({"id": "8"}, "7 is missing"),
    ],
)
def test_a_wrong_copy_is_found(change, sentence):
    assert sentence in next(object_differences([TRUTH], [ROW | change], TYPES))


def test_an_extra_row_is_found():
    assert list(object_differences([TRUTH], [ROW, ROW | {"id": "8"}], TYPES)) == [
        "8 is in the table and not in the portal"
    ]
