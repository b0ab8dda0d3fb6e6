"""The pairs of object types that have associations, and their association types (labels), one row each.

Type ids between standard objects are HubSpot's, documented or observed; deal to appointment (945) is a guess, which
the quirk `deal-to-appointment-type` changes. The ids of the custom object's associations and all user-defined labels
are this portal's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from hubspot_sandbox.portal.object_types import DIVISION_TYPE_ID

HUBSPOT, USER = "HUBSPOT_DEFINED", "USER_DEFINED"


@dataclass(frozen=True)
class Label:
    """One association type from one side, and its type id from the other side."""

    category: str
    type_id: int
    label: str | None
    inverse_type_id: int


@dataclass(frozen=True)
class Pair:
    """Two associated object types: their share of all edges and of hub edges in percent, and their labels."""

    left: str
    right: str
    share: int
    hub_percent: int
    #: (category, type id from left, label from left, type id from right, label from right); row 0 is unlabelled
    labels: tuple[tuple[str, int, str | None, int, str | None], ...]
    #: the row of `labels` for a left record's first edge, if the pair has a primary association
    primary: int | None = None


PAIRS: tuple[Pair, ...] = (
    Pair(
        "0-1",
        DIVISION_TYPE_ID,
        22,
        0,
        (
            (USER, 71, None, 72, None),
            (USER, 73, "Home branch", 74, "Home branch"),
            (USER, 75, "Past branch", 76, None),
        ),
    ),
    Pair(
        "0-421",
        "0-1",
        20,
        0,
        (
            (HUBSPOT, 906, None, 907, None),
            (USER, 31, "Patient", 32, "Patient"),
            (USER, 33, "Companion", 34, "Visit"),
        ),
    ),
    Pair(
        "0-3",
        "0-1",
        20,
        60,
        (
            (HUBSPOT, 3, None, 4, None),
            (USER, 28, "Billing contact", 29, "Billed deal"),
            (USER, 36, "Decision maker", 37, "Decides on"),
        ),
    ),
    Pair(
        "0-421",
        DIVISION_TYPE_ID,
        12,
        0,
        ((USER, 81, None, 82, None), (USER, 83, "Takes place at", 84, "Hosts")),
    ),
    Pair("0-3", DIVISION_TYPE_ID, 8, 0, ((USER, 91, None, 92, None),)),
    Pair("0-421", "0-3", 7, 0, ((HUBSPOT, 944, None, 945, None),)),
    Pair(
        "0-1",
        "0-1",
        5,
        10,
        (
            (HUBSPOT, 449, None, 449, None),
            (USER, 41, "Manager", 42, "Report"),
            (USER, 43, "Sibling", 43, "Sibling"),
        ),
    ),
    Pair(
        "0-1",
        "0-2",
        4,
        0,
        (
            (HUBSPOT, 279, None, 280, None),
            (HUBSPOT, 1, "Primary", 2, "Primary"),
            (USER, 45, "Insurer", 46, "Insured"),
        ),
        primary=1,
    ),
    Pair(
        "0-3",
        "0-2",
        1,
        0,
        ((HUBSPOT, 341, None, 342, None), (HUBSPOT, 5, "Primary", 6, "Primary")),
        primary=1,
    ),
    Pair("0-421", "0-2", 1, 0, ((HUBSPOT, 908, None, 909, None),)),
)


def _label_table() -> dict[tuple[str, str], dict[int, Label]]:
    table: dict[tuple[str, str], dict[int, Label]] = {}
    for pair in PAIRS:
        there = table.setdefault((pair.left, pair.right), {})
        back = table.setdefault((pair.right, pair.left), {})
        for category, left_id, left_label, right_id, right_label in pair.labels:
            there[left_id] = Label(category, left_id, left_label, right_id)
            back[right_id] = Label(category, right_id, right_label, left_id)
    return table


#: (from type, to type) → type id → label; records of other pairs cannot be associated
LABELS: dict[tuple[str, str], dict[int, Label]] = _label_table()
