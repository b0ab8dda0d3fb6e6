"""Owners, teams and pipelines with their stages; the same in every portal."""

from __future__ import annotations

from typing import Any

from hubspot_sandbox.portal import words

_EPOCH = "1970-01-01T00:00:00Z"
_BORN = "2019-08-06T02:41:09.377Z"

OWNER_IDS = tuple(str(41_629_779 + 613 * n) for n in range(24))


def owner(number: int, *, archived: bool = False) -> dict[str, Any]:
    """One owner as the owners API returns it; owner 0 is archived."""
    first, last = words.FIRST_NAMES[number * 2], words.LAST_NAMES[number * 2]
    user_id = 9_586_504 + number
    body: dict[str, Any] = {
        "id": OWNER_IDS[number],
        "email": f"owner{number}@hubspot-sandbox.example",
        "type": "PERSON",
        "firstName": first,
        "lastName": last,
        "userIdIncludingInactive": user_id,
        "createdAt": f"20{17 + number % 7}-0{1 + number % 9}-11T08:30:00.{number:03d}Z",
        "updatedAt": f"2024-0{1 + number % 9}-17T16:05:12.{number:03d}Z",
        "archived": archived,
    }
    if not archived:
        body["userId"] = user_id
        body["teams"] = [
            {
                "id": str(178_588 + number % 3),
                "name": ("Sales", "Front desk", "Care")[number % 3],
                "primary": True,
            }
        ]
    return body


OWNERS = tuple(owner(n) for n in range(1, len(OWNER_IDS)))
ARCHIVED_OWNERS = (owner(0, archived=True),)

#: object type plural → pipelines: (id, label, ((stage id, label, metadata), …))
_STAGES: dict[str, tuple[tuple[str, str, tuple[tuple[str, str, dict[str, str]], ...]], ...]] = {
    "deals": (
        (
            "default",
            "Sales Pipeline",
            (
                (
                    "appointmentscheduled",
                    "Appointment scheduled",
                    {"isClosed": "false", "probability": "0.2"},
                ),
                ("qualifiedtobuy", "Qualified to buy", {"isClosed": "false", "probability": "0.4"}),
                ("contractsent", "Contract sent", {"isClosed": "false", "probability": "0.9"}),
                ("closedwon", "Closed won", {"isClosed": "true", "probability": "1.0"}),
                ("closedlost", "Closed lost", {"isClosed": "true", "probability": "0.0"}),
            ),
        ),
        (
            "8412093",
            "Renewals",
            (
                ("8412094", "Due", {"isClosed": "false", "probability": "0.6"}),
                ("8412095", "Negotiation", {"isClosed": "false", "probability": "0.8"}),
                ("8412096", "Renewed", {"isClosed": "true", "probability": "1.0"}),
                ("8412097", "Churned", {"isClosed": "true", "probability": "0.0"}),
            ),
        ),
    ),
    "tickets": (
        (
            "0",
            "Support Pipeline",
            (
                ("1", "New", {"ticketState": "OPEN", "isClosed": "false"}),
                ("2", "Waiting on contact", {"ticketState": "OPEN", "isClosed": "false"}),
                ("4", "Closed", {"ticketState": "CLOSED", "isClosed": "true"}),
            ),
        ),
    ),
    "appointments": (
        (
            "b5a5ee83-0d6b-4a5d-8f0b-a9f1b3f3a1a4",
            "Appointments Pipeline",
            (
                ("7c1f3e0a-2e53-4c34-a1a7-0f5f3b1f9f01", "Booked", {"isClosed": "false"}),
                ("7c1f3e0a-2e53-4c34-a1a7-0f5f3b1f9f02", "Confirmed", {"isClosed": "false"}),
                ("7c1f3e0a-2e53-4c34-a1a7-0f5f3b1f9f03", "Completed", {"isClosed": "true"}),
            ),
        ),
    ),
}


def _pipeline(order: int, row: tuple[str, str, tuple[tuple[str, str, dict[str, str]], ...]]) -> dict[str, Any]:
    pipeline_id, label, stages = row
    return {
        "id": pipeline_id,
        "label": label,
        "displayOrder": order,
        "archived": False,
        "createdAt": _EPOCH if order == 0 else _BORN,
        "updatedAt": _EPOCH if order == 0 else _BORN,
        "stages": [
            {
                "id": stage_id,
                "label": stage_label,
                "displayOrder": place,
                "metadata": metadata,
                "archived": False,
                "createdAt": _BORN,
                "updatedAt": _BORN,
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
            }
            for place, (stage_id, stage_label, metadata) in enumerate(stages)
        ],
    }


PIPELINES: dict[str, list[dict[str, Any]]] = {
    plural: [_pipeline(order, row) for order, row in enumerate(rows)] for plural, rows in _STAGES.items()
}

#: the pipeline of custom objects under the quirk `custom-pipelines=one`
CUSTOM_PIPELINE = _pipeline(0, ("default", "Default", (("open", "Open", {}), ("done", "Done", {}))))

#: object type plural → every (pipeline id, stage id, metadata) that a record may have
STAGE_CHOICES: dict[str, tuple[tuple[str, str, dict[str, str]], ...]] = {
    plural: tuple((row[0], stage[0], stage[2]) for row in rows for stage in row[2]) for plural, rows in _STAGES.items()
}
