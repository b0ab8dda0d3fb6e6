"""How the records of one object type are written as JSON, fast: a plan for each set of properties is made once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from operator import getitem, itemgetter
from typing import TYPE_CHECKING

from hubspot_sandbox.portal import values
from hubspot_sandbox.portal.property_plan import Plan, encode
from hubspot_sandbox.portal.record_states import ARCHIVED
from hubspot_sandbox.timestamps import iso

if TYPE_CHECKING:
    from hubspot_sandbox.portal.records import Records

_MAX_PLANS = 64


class RecordJson:
    """Writes records in the forms of the endpoints."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._plans: OrderedDict[tuple[str, ...], Plan] = OrderedDict()

    def forget_plans(self) -> None:
        """Make new plans from now on: a definition changed."""
        self._plans.clear()

    def plan(self, asked: Iterable[str]) -> Plan:
        """The plan for the known names among `asked` plus the system properties, in alphabetical order."""
        known = {name for name in asked if name in self._records.definitions}
        names = tuple(sorted(known.union(self._records.type.system_properties)))
        plan = self._plans.get(names)
        if plan is None:
            plan = self._plans[names] = self._make_plan(names)
            if len(self._plans) > _MAX_PLANS:
                self._plans.popitem(last=False)
        return plan

    def _make_plan(self, names: tuple[str, ...]) -> Plan:
        definitions, seeded = self._records.definitions, self._records.seeded_values
        keys = tuple(encode(name) + b":" for name in names)
        computed = tuple(
            (place, definitions[name].generator)
            for place, name in enumerate(names)
            if definitions[name].generator in values.COMPUTED
        )
        computed_places = {place for place, _ in computed}
        pools = tuple(
            (b"",) * values.POOL_SIZE if place in computed_places else seeded.fragments(name, key)
            for place, (name, key) in enumerate(zip(names, keys, strict=True))
        )
        # There are never fewer than three names, so itemgetter always returns a tuple.
        pick = itemgetter(*(seeded.place(name) or values.DIGEST_HEAD for name in names))
        return Plan(
            {name: place for place, name in enumerate(names)},
            pick,
            pools,
            keys,
            computed,
            tuple(key + b"null" for key in keys),
        )

    def properties(self, number: int, plan: Plan) -> bytes:
        """`"email":"a@b.c","hs_object_id":"51",…` in the plan's order."""
        digest = self._records.seeded_values.digest(number)
        seeded = number < self._records.seeded
        parts = list(map(getitem, plan.pools, plan.pick(digest))) if seeded else list(plan.nulls)
        facts = self._records.facts(number, digest)
        for place, generator in plan.computed:
            if seeded or generator in values.SYSTEM_GENERATORS:
                parts[place] = plan.keys[place] + encode(values.COMPUTED[generator](facts))
        changed = self._records.overrides.get(number)
        if changed:
            for name, value in changed.items():
                if name in plan.place:
                    parts[plan.place[name]] = plan.keys[plan.place[name]] + encode(value)
        return b",".join(parts)

    def record(self, number: int, plan: Plan, more: bytes = b"") -> bytes:
        """One record as the object endpoints write it; `more` (`,"key":…`) is appended inside the object."""
        records = self._records
        record_id = records.id_of(number)
        archived = records.state[number] == ARCHIVED
        tail = b'true,"archivedAt":"%s"' % iso(records.archived_at[number]).encode() if archived else b"false"
        path = f"{records.portal_id}/record/{records.type.type_id}/{record_id}"
        return b'{"id":"%d","properties":{%s},"createdAt":"%s","updatedAt":"%s","archived":%s,"url":"%s"%s}' % (
            record_id,
            self.properties(number, plan),
            iso(records.created_ms(number)).encode(),
            iso(records.modified[number]).encode(),
            tail,
            f"https://app.hubspot.com/contacts/{path}".encode(),
            more,
        )

    def truth(self, number: int) -> bytes:
        """A record with its id, timestamps and every defined property, unformatted, as one JSON object."""
        records = self._records
        return b'{"id":"%d","createdAt":"%s","updatedAt":"%s","properties":{%s}}' % (
            records.id_of(number),
            iso(records.created_ms(number)).encode(),
            iso(records.modified[number]).encode(),
            self.properties(number, self.plan(records.definitions)),
        )
