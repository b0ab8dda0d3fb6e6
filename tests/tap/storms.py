"""Random fault rules for the sandbox."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

TROUBLES: list[dict[str, Any]] = [
    *({"status": status} for status in (400, 401, 403, 404, 414, 423, 500, 502, 503, 504, 520, 524, 530)),
    *({"status": 429, "policy": policy} for policy in ("SECONDLY", "TEN_SECONDLY_ROLLING", "DAILY")),
    {"status": 477, "retryAfter": 1},
    {"status": 477, "retryAfter": 86_400},
    {"cut": "before"},
    {"cut": "body"},
    {"stallSeconds": 2},
    {"expireTokens": True},
    *({"rows": rows} for rows in (0, 7)),
    *({"rows": rows, "paging": False} for rows in (0, 7, 100)),
    {"rows": 3, "paging": False, "total": 3},
]
PLACES = [
    *(
        "",
        "",
        "list",
        "list contacts",
        "list contacts archived",
        "search",
        "search deals",
        "associations batch read",
        "association labels",
    ),
    *("properties", "owners", "pipelines", "schemas", "oauth token"),
]


def storm(rng: random.Random, troubles: Sequence[dict[str, Any]] = TROUBLES) -> list[dict[str, Any]]:
    """Return up to three rules that end after a few requests, so that a run takes seconds."""
    timings = [
        {"nth": rng.randint(1, 12)},
        {"every": rng.randint(2, 6)},
        {"probability": 0.2},
        {"from": rng.randint(1, 30)},
    ]
    return [
        {"match": rng.choice(PLACES), "times": rng.randint(1, 3), "seed": rng.randint(1, 9999)}
        | rng.choice(timings)
        | rng.choice(troubles)
        for _ in range(rng.choice([0, 1, 1, 2, 3]))
    ]
