"""The records of one object type: a pure function of the seed, plus the changes since.

Records are numbered 0, 1, 2, …; their ids ascend with the numbers and have gaps. Records with numbers below `seeded`
come from the seed, the others were created in this run. An unchanged record takes 13 bytes of memory (modified time,
jitter of the creation time, state). Changed values are texts that replace the seeded values. Call `before_change`
before you change a record.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from dataclasses import replace

from hubspot_sandbox.portal import values
from hubspot_sandbox.portal.definition import Definition
from hubspot_sandbox.portal.index_lag import IndexLag, Snapshot
from hubspot_sandbox.portal.object_types import ObjectType
from hubspot_sandbox.portal.property_definitions import definitions_of
from hubspot_sandbox.portal.record_json import RecordJson
from hubspot_sandbox.portal.record_states import DELETED, LIVE
from hubspot_sandbox.portal.seeded_values import SeededValues
from hubspot_sandbox.timestamps import DAY_MS, SEED_END_MS, SEED_START_MS, Clock

#: HubSpot keeps archived records for 90 days (documented).
ARCHIVE_DAYS = 90
_CHUNK = 65_536
_MASK = 0xFFFFFFFF


def mix(number: int, salt: int) -> int:
    """A well-distributed 32-bit hash; pure, and fast enough for a million records at start."""
    x = (number * 0x9E3779B1 + salt) & _MASK
    x ^= x >> 15
    x = (x * 0x85EBCA77) & _MASK
    return x ^ (x >> 13)


class Records:
    """All records of one type. Numbers are positions in the arrays; ids are what HubSpot shows."""

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
        self.lag = IndexLag(clock)
        self.definitions = definitions_of(object_type, property_count or object_type.property_count)
        key = f"{seed}/{object_type.type_id}"
        self.seeded_values = SeededValues(key, self.definitions, oddities=oddities)
        self.json = RecordJson(self)
        self._salt = mix(seed, sum(object_type.type_id.encode()))
        self._span = (SEED_END_MS - SEED_START_MS - 60 * DAY_MS) // max(1, count)
        self.created_later: array[int] = array("q")
        self._jitter, self.modified = _seeded_times(count, self._span, random.Random(key))  # noqa: S311 - reproducible
        self.state = bytearray(count)
        self.overrides: dict[int, dict[str, str | None]] = {}
        self.archived_at: dict[int, int] = {}
        self.survivor: dict[int, int] = {}
        #: record numbers that the search index must evaluate again, in order
        self.changes: list[int] = []

    # --- the pure part -------------------------------------------------------------------------------------------

    def id_of(self, number: int) -> int:
        """The id of a record number; ids ascend, with gaps."""
        step = self.type.id_step
        return self.type.first_id + number * step + (mix(number, self._salt) % step if number else 0)

    def number_of(self, record_id: str | int) -> int | None:
        """The record number of an id, None if this portal never had such a record."""
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
        """The creation time; it grows with the id, but not strictly (HubSpot promises no order either)."""
        if number >= self.seeded:
            return self.created_later[number - self.seeded]
        return SEED_START_MS + number * self._span + self._jitter[number] % (30 * DAY_MS)

    def facts(self, number: int, digest: bytes) -> values.Facts:
        """The input of the computed generators."""
        return values.Facts(
            self.type.plural,
            number,
            self.id_of(number),
            digest,
            self.created_ms(number),
            self.modified[number],
        )

    def value(self, number: int, name: str, changed: dict[str, str | None] | None = None) -> str | None:
        """The current value of one property, or its value with the changes in `changed` instead of the current ones."""
        if changed is None:
            changed = self.overrides.get(number)
        if changed is not None and name in changed:
            return changed[name]
        generator = self.definitions[name].generator
        if number >= self.seeded and generator not in values.SYSTEM_GENERATORS:
            return None
        if generator in values.COMPUTED:
            return values.COMPUTED[generator](self.facts(number, self.seeded_values.digest(number)))
        place = self.seeded_values.place(name)
        return None if place is None else self.seeded_values.pool(name)[self.seeded_values.digest(number)[place]]

    # --- state ---------------------------------------------------------------------------------------------------

    def numbers(self, state: int, start: int = 0) -> Iterator[int]:
        """Iterate over the numbers of records in a state, ascending from `start`; changes made meanwhile are seen."""
        place = self.state.find(state, start)
        while place >= 0:
            yield place
            place = self.state.find(state, place + 1)

    def drop_expired_archive(self) -> None:
        """Delete for good what was archived more than 90 days ago, as HubSpot does."""
        limit = self.clock.now_ms() - ARCHIVE_DAYS * DAY_MS
        for number in [n for n, at in self.archived_at.items() if at < limit]:
            self.before_change(number)
            del self.archived_at[number]
            self.state[number] = DELETED

    def before_change(self, number: int) -> None:
        """Mark a record that is about to change, so that search evaluates it again, now and after the index lag."""
        self.changes.append(number)
        if self.lag.milliseconds > 0:
            known = number < len(self.state)
            snapshot = Snapshot(
                self.clock.now_ms(),
                self.state[number] if known else None,
                self.modified[number] if known else 0,
                dict(self.overrides.get(number, {})),
            )
            self.lag.add(number, snapshot)

    def catch_up_index(self) -> None:
        """Hand the changes older than the index lag to the index."""
        self.changes.extend(self.lag.caught_up())

    # --- changing ------------------------------------------------------------------------------------------------

    def create(self, properties: dict[str, str | None]) -> int:
        """Create a live record with only these properties set; return its number."""
        number = len(self.state)
        self.before_change(number)
        now = self.clock.now_ms()
        self.created_later.append(now)
        self.modified.append(now)
        self.state.append(LIVE)
        self.overrides[number] = dict(properties)
        return number

    def write(self, number: int, properties: dict[str, str | None], *, touch: bool = True) -> None:
        """Set property values, and the modified time to now; `touch` is off for calculated properties."""
        self.before_change(number)
        if properties:
            self.overrides.setdefault(number, {}).update(properties)
        if touch:
            self.modified[number] = self.clock.now_ms()

    def define(self, definition: Definition) -> None:
        """Add a property, without values in seeded records, or replace the definition of one; its values stay."""
        old = self.definitions.get(definition.name)
        self.definitions[definition.name] = replace(definition, generator=old.generator) if old else definition
        self.json.forget_plans()

    def undefine(self, name: str) -> None:
        """Remove a property definition; its values stay in memory, but replies no longer have them."""
        self.definitions.pop(name, None)
        self.json.forget_plans()


def _seeded_times(count: int, span: int, rng: random.Random) -> tuple[array[int], array[int]]:
    """The creation jitter and the modified time of every seeded record; takes half a second for a million."""
    jitter_ms = 30 * DAY_MS
    jitter, fractions = array("I", rng.randbytes(4 * count)), array("I", rng.randbytes(4 * count))
    modified = array("q")
    for start in range(0, count, _CHUNK):
        created = [
            SEED_START_MS + number * span + offset % jitter_ms
            for number, offset in enumerate(jitter[start : start + _CHUNK], start)
        ]
        chunk = fractions[start : start + _CHUNK]
        modified.extend([c + ((SEED_END_MS - c) * part >> 32) for c, part in zip(created, chunk, strict=True)])
    return jitter, modified
