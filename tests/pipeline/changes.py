"""A script of mixed changes to a portal, made from its own records: the same portal gives the same script."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

Mutation = dict[str, Any]
_EDITS = {
    "0-1": ["firstname", "lastname", "phone", "lifecyclestage"],
    "0-3": ["dealname", "amount", "dealstage"],
    "0-421": ["hs_appointment_name", "hs_appointment_status"],
}
_VALUES = {"amount": "1234.56", "dealstage": "closedwon", "lifecyclestage": "customer"}


def mixed_changes(ids: dict[str, list[str]], count: int, seed: int) -> Iterator[Mutation]:
    """Yield `count` edits, creations, archives, merges and association changes.

    `ids` are the live records by object type id; each record is used once. One end of every new association is
    edited too: HubSpot touches neither, and what touches neither shows at the next full association pass only.
    """
    rng = random.Random(seed)
    pools = {kind: rng.sample(found, len(found)) for kind, found in ids.items()}
    made = 0
    while made < count:
        kind = rng.choice(sorted(_EDITS))
        change = rng.choices(
            ["edit", "create", "archive", "merge", "associate", "dissociate"], [50, 12, 10, 6, 12, 10]
        )[0]
        for mutation in _change(change, kind, pools, rng):
            made += 1
            yield mutation


def in_parts(changes: Sequence[Mutation], count: int) -> list[Sequence[Mutation]]:
    """Return the changes in so many parts; none is left out: an association's edit may stand in the part after it."""
    size = len(changes) // count
    return [changes[part * size : (part + 1) * size if part < count - 1 else None] for part in range(count)]


def _change(change: str, kind: str, pools: dict[str, list[str]], rng: random.Random) -> list[Mutation]:
    values = {name: _VALUES.get(name, f"Changed {rng.random():.6f}") for name in rng.sample(_EDITS[kind], 2)}
    edit = {"kind": "edit", "type": kind, "id": pools[kind].pop(), "properties": values}
    if change == "edit":
        return [edit]
    if change == "create":
        return [{"kind": "create", "type": kind, "properties": values}]
    if change == "archive":
        return [{"kind": "archive", "type": kind, "id": edit["id"]}]
    if change == "merge":
        return [{"kind": "merge", "type": kind, "winner": edit["id"], "loser": pools[kind].pop()}]
    other = rng.choice([each for each in sorted(_EDITS) if each != kind])
    ends = {"fromType": kind, "fromId": edit["id"], "toType": other, "toId": pools[other].pop()}
    associate = {"kind": "associate", **ends}
    return [associate, edit] if change == "associate" else [associate, edit, {"kind": "dissociate", **ends}]
