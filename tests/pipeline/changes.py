"""A script of mixed changes to a portal, made from its own records: the same portal gives the same script."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Mutation = dict[str, Any]
Ids = Mapping[str, list[str]]
_EDITS = {
    "0-1": ["firstname", "lastname", "phone", "lifecyclestage"],
    "0-3": ["dealname", "amount", "dealstage"],
    "0-421": ["hs_appointment_name", "hs_appointment_status"],
}
_EDITS_OF_DIVISIONS = ["manager_name", "city"]  # the type id of a custom object is the portal's own
_VALUES = {"amount": "1234.56", "dealstage": "closedwon", "lifecyclestage": "customer"}
#: Each kind of change and its weight: the everyday ones, and all.
COMMON = {"edit": 50, "create": 12, "archive": 10, "merge": 6, "associate": 12, "dissociate": 10}
ALL = COMMON | {"clear": 10, "restore": 8, "gdpr-delete": 4, "bulk-touch": 2}
_BULK = 150


def mixed_changes(
    ids: Ids,
    count: int,
    seed: int,
    weights: Mapping[str, int] = COMMON,
    archived: Ids | None = None,
) -> Iterator[Mutation]:
    """Yield `count` changes, or a few more; by default edits, creations, archives, merges and association changes.

    `ids` are the live records by object type id, `archived` those that can be restored; each record is used once.
    One end of every new association is edited too: HubSpot touches neither, and what touches neither shows at the
    next full association pass only.
    """
    rng = random.Random(seed)
    pools = {kind: rng.sample(found, len(found)) for kind, found in ids.items()}
    restorable = {kind: rng.sample(found, len(found)) for kind, found in (archived or {}).items()}
    made = 0
    while made < count:
        kind = rng.choice(sorted(pools))
        change = rng.choices(list(weights), list(weights.values()))[0]
        for mutation in _change(change, kind, pools, restorable, rng):
            made += 1
            yield mutation


def in_parts(changes: Sequence[Mutation], count: int) -> list[Sequence[Mutation]]:
    """Return the changes in so many parts; none is left out: an association's edit may stand in the part after it."""
    size = len(changes) // count
    return [changes[part * size : (part + 1) * size if part < count - 1 else None] for part in range(count)]


def _change(change: str, kind: str, pools: Ids, restorable: Ids, rng: random.Random) -> list[Mutation]:
    if change == "restore":
        return [{"kind": change, "type": kind, "id": restorable[kind].pop()}] if restorable.get(kind) else []
    names = rng.sample(_EDITS.get(kind, _EDITS_OF_DIVISIONS), 2)
    values = {name: _VALUES.get(name, f"Changed {rng.random():.6f}") for name in names}
    edit = {"kind": "edit", "type": kind, "id": pools[kind].pop(), "properties": values}
    if change == "edit":
        return [edit]
    if change == "create":
        return [{"kind": "create", "type": kind, "properties": values}]
    if change == "clear":
        return [edit | {"properties": dict.fromkeys(names)}]
    if change in {"archive", "gdpr-delete"}:
        return [{"kind": change, "type": kind, "id": edit["id"]}]
    if change == "bulk-touch":
        return [{"kind": change, "type": kind, "fromId": edit["id"], "count": _BULK, "properties": values}]
    if change == "merge":
        return [{"kind": "merge", "type": kind, "winner": edit["id"], "loser": pools[kind].pop()}]
    other = rng.choice([each for each in sorted(pools) if each != kind])
    ends = {"fromType": kind, "fromId": edit["id"], "toType": other, "toId": pools[other].pop()}
    associate = {"kind": "associate", **ends}
    return [associate, edit] if change == "associate" else [associate, edit, {"kind": "dissociate", **ends}]
