"""The records of one object type: a pure function of the seed, and what has been changed since.

Record number 0, 1, 2, … has an ascending, gapped id; numbers below `seeded` come from the seed, later ones were
created in this run. Memory per untouched record: 13 bytes (modified time, jitter of its creation time, state).
Changes are kept as texts over the seeded values. Whoever changes a record calls `before_change` first.
"""

from __future__ import annotations

import hashlib
import random
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import getitem, itemgetter

from hubspot_sandbox.moments import DAY_MS, SEED_END_MS, SEED_START_MS, Clock, iso
from hubspot_sandbox.portal import values
from hubspot_sandbox.portal.definition import Definition
from hubspot_sandbox.portal.index_lag import IndexLag, Snapshot
from hubspot_sandbox.portal.object_types import ObjectType
from hubspot_sandbox.portal.property_definitions import definitions_of
from hubspot_sandbox.portal.property_plan import Plan, encode, fragments

LIVE, ARCHIVED, MERGED, DELETED = range(4)
STATE_NAMES = {"live": LIVE, "archived": ARCHIVED, "merged": MERGED, "deleted": DELETED}
#: HubSpot keeps archived records for 90 days (documented).
ARCHIVE_DAYS = 90
_PLANS_KEPT = 64
_CHUNK = 65_536
_MASK = 0xFFFFFFFF


def mix(number: int, salt: int) -> int:
    """A well-spread 32-bit number; pure, and quick enough for a million records at start."""
    x = (number * 0x9E3779B1 + salt) & _MASK
    x ^= x >> 15
    x = (x * 0x85EBCA77) & _MASK
    return x ^ (x >> 13)


class Records:
    """All records of one type; see the module's text. Numbers are positions, ids are what HubSpot shows."""

    def __init__(
        self,
        object_type: ObjectType,
        count: int,
        *,
        seed: int,
        portal_id: int,
        clock: Clock,
        property_count: int | None = None,
        oddities: bool = True,
    ) -> None:
        self.type = object_type
        self.clock = clock
        self.seeded = count
        self.portal_id = portal_id
        self.oddities = oddities
        self.lag = IndexLag(clock)
        self.definitions = definitions_of(object_type, property_count or object_type.property_count)
        self._seeded_names = {name: place for place, name in enumerate(self.definitions)}
        self._key = f"{seed}/{object_type.type_id}"
        self._salt = mix(seed, sum(object_type.type_id.encode()))
        self._span = (SEED_END_MS - SEED_START_MS - 60 * DAY_MS) // max(1, count)
        self._hash = hashlib.shake_128(self._key.encode())
        self._digest_length = values.DIGEST_HEAD + len(self.definitions)
        self._pools: dict[str, tuple[str | None, ...]] = {}
        self._fragments: dict[str, tuple[bytes, ...]] = {}
        self._plans: OrderedDict[tuple[str, ...], Plan] = OrderedDict()
        self.created_later: array[int] = array("q")
        self._jitter, self.modified = self._seeded_times(random.Random(self._key))  # noqa: S311 - reproducible
        self.state = bytearray(count)
        self.overrides: dict[int, dict[str, str | None]] = {}
        self.archived_at: dict[int, int] = {}
        self.survivor: dict[int, int] = {}
        #: numbers in the order in which search must look at them again
        self.changes: list[int] = []

    # --- the pure part -------------------------------------------------------------------------------------------

    def id_of(self, number: int) -> int:
        """The id of a record number; ascending, with gaps."""
        step = self.type.id_step
        return self.type.first_id + number * step + (mix(number, self._salt) % step if number else 0)

    def number_of(self, record_id: str | int) -> int | None:
        """The record number of an id, None when no such record was ever made here."""
        try:
            wanted = int(record_id)
        except ValueError:
            return None
        number = (wanted - self.type.first_id) // self.type.id_step
        return number if 0 <= number < len(self.state) and self.id_of(number) == wanted else None

    def first_number_from(self, record_id: int) -> int:
        """The lowest record number whose id is not below `record_id`."""
        number = max(0, min((record_id - self.type.first_id) // self.type.id_step, len(self.state)))
        while number < len(self.state) and self.id_of(number) < record_id:
            number += 1
        return number

    def created_ms(self, number: int) -> int:
        """When the record was created; grows with the id, but not strictly (HubSpot promises no order either)."""
        if number >= self.seeded:
            return self.created_later[number - self.seeded]
        return SEED_START_MS + number * self._span + self._jitter[number] % (30 * DAY_MS)

    def _seeded_times(self, rng: random.Random) -> tuple[array[int], array[int]]:
        """Jitter of the creation times and the modified times of all seeded records; a million take half a second."""
        count, span, jitter_ms = self.seeded, self._span, 30 * DAY_MS
        jitter, share = array("I", rng.randbytes(4 * count)), array("I", rng.randbytes(4 * count))
        modified = array("q")
        for start in range(0, count, _CHUNK):
            created = [
                SEED_START_MS + number * span + one % jitter_ms
                for number, one in enumerate(jitter[start : start + _CHUNK], start)
            ]
            parts = share[start : start + _CHUNK]
            modified.extend([c + ((SEED_END_MS - c) * part >> 32) for c, part in zip(created, parts, strict=True)])
        return jitter, modified

    def digest(self, number: int) -> bytes:
        """The bytes that a seeded record's values are picked with."""
        hasher = self._hash.copy()
        hasher.update(b"%d" % number)
        return hasher.digest(self._digest_length)

    def pool(self, name: str) -> tuple[str | None, ...]:
        """The 256 values that seeded records have in a property that is not computed."""
        found = self._pools.get(name)
        if found is None:
            found = values.pool(f"{self._key}/{name}", self.definitions[name], oddities=self.oddities)
            self._pools[name] = found
        return found

    def facts(self, number: int, digest: bytes) -> values.Facts:
        """What computed kinds look at."""
        return values.Facts(
            self.type.plural,
            number,
            self.id_of(number),
            digest,
            self.created_ms(number),
            self.modified[number],
        )

    def value(self, number: int, name: str, changed: dict[str, str | None] | None = None) -> str | None:
        """The live value of one property, or its value under other changes (`changed`)."""
        if changed is None:
            changed = self.overrides.get(number)
        if changed is not None and name in changed:
            return changed[name]
        kind = self.definitions[name].kind
        if number >= self.seeded and kind not in values.SYSTEM_KINDS:
            return None
        if kind in values.COMPUTED:
            return values.COMPUTED[kind](self.facts(number, self.digest(number)))
        place = self._seeded_names.get(name)
        return None if place is None else self.pool(name)[self.digest(number)[values.DIGEST_HEAD + place]]

    # --- writing JSON --------------------------------------------------------------------------------------------

    def plan(self, asked: Iterable[str]) -> Plan:
        """The plan for the known names among `asked` plus the always-present ones, in alphabetical order."""
        names = tuple(sorted({n for n in asked if n in self.definitions}.union(self.type.system_properties)))
        found = self._plans.get(names)
        if found is None:
            found = self._plans[names] = self._make_plan(names)
            if len(self._plans) > _PLANS_KEPT:
                self._plans.popitem(last=False)
        return found

    def _make_plan(self, names: tuple[str, ...]) -> Plan:
        keys = tuple(encode(name) + b":" for name in names)
        computed = tuple(
            (place, self.definitions[name].kind)
            for place, name in enumerate(names)
            if self.definitions[name].kind in values.COMPUTED
        )
        taken = {place for place, _ in computed}
        pools = tuple(
            (b"",) * values.POOL_SIZE if place in taken else self._fragment_pool(name, key)
            for place, (name, key) in enumerate(zip(names, keys, strict=True))
        )
        # Never fewer than three names, so itemgetter always gives a tuple.
        pick = itemgetter(*(values.DIGEST_HEAD + self._seeded_names.get(name, 0) for name in names))
        return Plan(
            {name: place for place, name in enumerate(names)},
            pick,
            pools,
            keys,
            computed,
            tuple(key + b"null" for key in keys),
        )

    def _fragment_pool(self, name: str, key: bytes) -> tuple[bytes, ...]:
        if name not in self._seeded_names:
            return (key + b"null",) * values.POOL_SIZE
        found = self._fragments.get(name)
        if found is None:
            found = self._fragments[name] = fragments(key, self.pool(name))
        return found

    def properties_json(self, number: int, plan: Plan) -> bytes:
        """`"email":"a@b.c","hs_object_id":"51",…` in the plan's order."""
        digest = self.digest(number)
        seeded = number < self.seeded
        parts = list(map(getitem, plan.pools, plan.pick(digest))) if seeded else list(plan.nulls)
        facts = self.facts(number, digest)
        for place, kind in plan.computed:
            if seeded or kind in values.SYSTEM_KINDS:
                parts[place] = plan.keys[place] + encode(values.COMPUTED[kind](facts))
        changed = self.overrides.get(number)
        if changed:
            for name, value in changed.items():
                if name in plan.place:
                    parts[plan.place[name]] = plan.keys[plan.place[name]] + encode(value)
        return b",".join(parts)

    def record_json(self, number: int, plan: Plan, more: bytes = b"") -> bytes:
        """One record as the object APIs write it; `more` is appended inside the object (`,"key":…`)."""
        record_id = self.id_of(number)
        archived = self.state[number] == ARCHIVED
        tail = b'true,"archivedAt":"%s"' % iso(self.archived_at[number]).encode() if archived else b"false"
        return b'{"id":"%d","properties":{%s},"createdAt":"%s","updatedAt":"%s","archived":%s,"url":"%s"%s}' % (
            record_id,
            self.properties_json(number, plan),
            iso(self.created_ms(number)).encode(),
            iso(self.modified[number]).encode(),
            tail,
            f"https://app.hubspot.com/contacts/{self.portal_id}/record/{self.type.type_id}/{record_id}".encode(),
            more,
        )

    # --- state ---------------------------------------------------------------------------------------------------

    def numbers(self, state: int, start: int = 0) -> Iterator[int]:
        """Record numbers in a state, ascending, from `start`; looks at the state as it is when asked on."""
        place = self.state.find(state, start)
        while place >= 0:
            yield place
            place = self.state.find(state, place + 1)

    def drop_expired_archive(self) -> None:
        """Archived records older than HubSpot's 90 days are gone for good."""
        limit = self.clock.now_ms() - ARCHIVE_DAYS * DAY_MS
        for number in [n for n, at in self.archived_at.items() if at < limit]:
            self.before_change(number)
            del self.archived_at[number]
            self.state[number] = DELETED

    def before_change(self, number: int) -> None:
        """Note that a record is about to change: search looks again, now and when the index has caught up."""
        self.changes.append(number)
        if self.lag.milliseconds > 0:
            known = number < len(self.state)
            snapshot = Snapshot(
                self.clock.now_ms(),
                self.state[number] if known else None,
                self.modified[number] if known else 0,
                dict(self.overrides.get(number, {})),
            )
            self.lag.note(number, snapshot)

    def catch_up_index(self) -> None:
        """Let the index see changes older than its lag."""
        self.changes.extend(self.lag.caught_up())

    # --- changing ------------------------------------------------------------------------------------------------

    def create(self, properties: dict[str, str | None]) -> int:
        """A new live record, all properties empty but the given ones; gives its number."""
        number = len(self.state)
        self.before_change(number)
        now = self.clock.now_ms()
        self.created_later.append(now)
        self.modified.append(now)
        self.state.append(LIVE)
        self.overrides[number] = dict(properties)
        return number

    def write(self, number: int, properties: dict[str, str | None], *, touch: bool = True) -> None:
        """Set property values; last-modified becomes now unless `touch` is off (calculated properties)."""
        self.before_change(number)
        if properties:
            self.overrides.setdefault(number, {}).update(properties)
        if touch:
            self.modified[number] = self.clock.now_ms()

    def define(self, definition: Definition) -> None:
        """Add a property (seeded records have no value in it) or describe one anew (its values stay as they are)."""
        old = self.definitions.get(definition.name)
        self.definitions[definition.name] = replace(definition, kind=old.kind) if old else definition
        self._plans.clear()

    def undefine(self, name: str) -> None:
        """Remove a property definition; values stay stored, replies no longer carry them."""
        self.definitions.pop(name, None)
        self._plans.clear()

    def truth_json(self, number: int) -> bytes:
        """Every defined property of a record, raw, with its id and times; one JSON object."""
        return b'{"id":"%d","createdAt":"%s","updatedAt":"%s","properties":{%s}}' % (
            self.id_of(number),
            iso(self.created_ms(number)).encode(),
            iso(self.modified[number]).encode(),
            self.properties_json(number, self.plan(self.definitions)),
        )
