"""Random changes of a portal, made from its own records: the same portal and seed give the same changes."""

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
_EDITS_OF_DIVISIONS = ["manager_name", "city"]  # the type id of a custom object differs from portal to portal
_VALUES = {"amount": "1234.56", "dealstage": "closedwon", "lifecyclestage": "customer"}
#: Kind of change → weight: the common changes, and all.
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

    `ids` are the live records by object type id, `archived` those that can be restored; every record is used once.
    One end of every new association is edited too: HubSpot changes the modified time of neither end, and the tap finds
    an association whose ends did not change only in its next full pass.
    """
    rng = random.Random(seed)
    pools = {type_id: rng.sample(records, len(records)) for type_id, records in ids.items()}
    restorable = {type_id: rng.sample(records, len(records)) for type_id, records in (archived or {}).items()}
    made = 0
    while made < count:
        type_id = rng.choice(sorted(pools))
        change = rng.choices(list(weights), list(weights.values()))[0]
        for mutation in _change(change, type_id, pools, restorable, rng):
            made += 1
            yield mutation


def in_parts(changes: Sequence[Mutation], count: int) -> list[Sequence[Mutation]]:
    """Split the changes into `count` parts; the edit of an association may be in the part after it."""
    size = len(changes) // count
    return [changes[part * size : (part + 1) * size if part < count - 1 else None] for part in range(count)]


def _change(change: str, type_id: str, pools: Ids, restorable: Ids, rng: random.Random) -> list[Mutation]:
    if change == "restore":
        return [{"kind": change, "type": type_id, "id": restorable[type_id].pop()}] if restorable.get(type_id) else []
    names = rng.sample(_EDITS.get(type_id, _EDITS_OF_DIVISIONS), 2)
    values = {name: _VALUES.get(name, f"Changed {rng.random():.6f}") for name in names}
    edit = {"kind": "edit", "type": type_id, "id": pools[type_id].pop(), "properties": values}
    if change == "edit":
        return [edit]
    if change == "create":
        return [{"kind": "create", "type": type_id, "properties": values}]
    if change == "clear":
        return [edit | {"properties": dict.fromkeys(names)}]
    if change in {"archive", "gdpr-delete"}:
        return [{"kind": change, "type": type_id, "id": edit["id"]}]
    if change == "bulk-touch":
        return [{"kind": change, "type": type_id, "fromId": edit["id"], "count": _BULK, "properties": values}]
    if change == "merge":
        return [{"kind": "merge", "type": type_id, "winner": edit["id"], "loser": pools[type_id].pop()}]
    other = rng.choice([other for other in sorted(pools) if other != type_id])
    ends = {"fromType": type_id, "fromId": edit["id"], "toType": other, "toId": pools[other].pop()}
    associate = {"kind": "associate", **ends}
    return [associate, edit] if change == "associate" else [associate, edit, {"kind": "dissociate", **ends}]
