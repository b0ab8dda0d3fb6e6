"""Random mutations: the same portal and seed give the same mutations."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hubspot_sandbox.changes.mutation_fields import Mutation
from hubspot_sandbox.portal import values
from hubspot_sandbox.portal.association_types import LABELS
from hubspot_sandbox.portal.portal import Portal
from hubspot_sandbox.portal.record_states import ARCHIVED, LIVE
from hubspot_sandbox.portal.records import Records

#: kind → weight; most changes are edits, as in real portals
WEIGHTS = {
    "edit": 50,
    "create": 12,
    "archive": 9,
    "restore": 2,
    "merge": 5,
    "gdpr-delete": 3,
    "recalculate": 3,
    "associate": 9,
    "dissociate": 7,
}
_TRIES = 60


def _pick(rng: random.Random, records: Records, state: int = LIVE) -> int | None:
    """Pick the number of a record in a state, None if there is none."""
    count = len(records.state)
    for _ in range(_TRIES if count else 0):
        number = rng.randrange(count)
        if records.state[number] == state:
            return number
    return next(records.numbers(state), None)


def _some_values(
    rng: random.Random, records: Records, count: int, *, calculated: bool = False
) -> dict[str, str | None]:
    """New values for some properties, picked from the pools of seeded values (nulls and irregular values included)."""
    names = [
        name
        for name, d in records.definitions.items()
        if d.generator not in values.COMPUTED and d.generator != "nothing" and d.calculated == calculated
    ]
    chosen = rng.sample(names, min(count, len(names)))
    return {name: rng.choice(records.seeded_values.pool(name)) for name in chosen}


def _on_record(kind: str, portal: Portal, rng: random.Random) -> Mutation | None:
    types = [r for r in portal.records.values() if r.state.count(LIVE) > 2 and r.type.plural != "divisions"]
    if not types:
        return None
    records = rng.choices(types, weights=[len(r.state) for r in types])[0]
    made: Mutation = {"kind": kind, "type": records.type.type_id}
    if kind == "create":
        return {**made, "properties": _some_values(rng, records, 12)}
    if kind == "restore":
        records.drop_expired_archive()
    number = _pick(rng, records, ARCHIVED if kind == "restore" else LIVE)
    if number is None:
        return None
    if kind == "merge":
        loser = _pick(rng, records)
        if loser is None or loser == number:
            return None
        return {**made, "winner": str(records.id_of(number)), "loser": str(records.id_of(loser))}
    made["id"] = str(records.id_of(number))
    if kind == "edit":
        made["properties"] = _some_values(rng, records, rng.randint(1, 5))
    elif kind == "recalculate":
        made["properties"] = _some_values(rng, records, 1, calculated=True)
        if not made["properties"]:
            return None
    return made


def _on_edge(kind: str, portal: Portal, rng: random.Random) -> Mutation | None:
    from_type, to_type = rng.choice(sorted(LABELS))
    source, target = portal.records[from_type], portal.records[to_type]
    number = _pick(rng, source)
    if number is None:
        return None
    type_id: int | None
    if kind == "associate":
        other = _pick(rng, target)
        type_id = rng.choice(list(LABELS[from_type, to_type]))
    else:
        edges = portal.associations.of(from_type, number, to_type)
        if not edges:
            return None
        other = rng.choice(list(edges))
        type_id = rng.choice([*edges[other], None])
    if other is None or (from_type == to_type and other == number):
        return None
    made = {
        "kind": kind,
        "fromType": from_type,
        "fromId": str(source.id_of(number)),
        "toType": to_type,
        "toId": str(target.id_of(other)),
    }
    return made if type_id is None else {**made, "typeId": type_id}


def random_mutations(portal: Portal, count: int, seed: int) -> Iterator[Mutation]:
    """Iterate over `count` mutations of the kinds in `WEIGHTS`.

    Apply each mutation before you take the next one, which depends on the state of the portal.
    """
    rng = random.Random(f"mutations/{seed}")  # noqa: S311 - made-up data, reproducible on purpose
    made = failed = 0
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    while made < count and failed < 1_000:
        kind = rng.choices(kinds, weights)[0]
        mutation = (_on_edge if kind in ("associate", "dissociate") else _on_record)(kind, portal, rng)
        if mutation is None:
            failed += 1
            continue
        made, failed = made + 1, 0
        yield mutation
