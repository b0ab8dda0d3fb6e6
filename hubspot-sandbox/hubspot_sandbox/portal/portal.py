"""The portal: its options, the records of every type, the associations, and the clock they share."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field

from hubspot_sandbox.portal.associations import Associations
from hubspot_sandbox.portal.object_types import OBJECT_TYPES, ObjectType, resolve
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.portal.standing_changes import StandingChange
from hubspot_sandbox.timestamps import Clock

DEFAULT_COUNTS = {
    "contacts": 2_000,
    "companies": 100,
    "deals": 1_000,
    "tickets": 50,
    "appointments": 800,
    "divisions": 40,
}


@dataclass(frozen=True)
class PortalOptions:
    """The options of a portal; equal options give the same portal, value for value."""

    seed: int = 1
    counts: dict[str, int] = field(default_factory=lambda: dict(DEFAULT_COUNTS))
    associations: int = 6_000
    contact_properties: int = 300
    portal_id: int = 20_858_235
    oddities: bool = True
    index_lag_seconds: float = 0.0

    def __post_init__(self) -> None:
        negative = [name for name, count in self.counts.items() if count < 0]
        if negative or self.associations < 0:
            raise ValueError(f"The number of {(*negative, 'associations')[0]} cannot be negative.")

    @property
    def fingerprint(self) -> str:
        """A hash of the options; options that give the same portal have the same one, whatever the index lag."""
        plain = dataclasses.asdict(self) | {"index_lag_seconds": 0, "counts": sorted(self.counts.items())}
        return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]


class Portal:
    """The records made from the seed, with all later changes; `records` maps object type ids to records."""

    def __init__(self, options: PortalOptions, clock: Clock) -> None:
        self.options = options
        self.clock = clock
        self.records: dict[str, Records] = {
            t.type_id: Records(
                t,
                options.counts.get(t.plural, 0),
                seed=options.seed,
                portal_id=options.portal_id,
                clock=clock,
                property_count=options.contact_properties if t.plural == "contacts" else None,
                oddities=options.oddities,
            )
            for t in OBJECT_TYPES
        }
        # Drawing the values of 300 properties takes time; doing it now keeps the first reply fast.
        contacts = self.records["0-1"]
        contacts.json.plan(contacts.definitions)
        self.associations = Associations(self.records, options.associations)
        #: changes that happen when pages are served
        self.standing_changes: list[StandingChange] = []
        self.set_index_lag(options.index_lag_seconds)

    def resolve(self, text: str) -> ObjectType | None:
        """Return the object type that a path element or a mutation names, None if there is none."""
        return resolve(text, self.options.portal_id)

    def set_index_lag(self, seconds: float) -> None:
        """Set the lag of the search index; it applies to changes made from now on."""
        for records in self.records.values():
            records.lag.milliseconds = round(seconds * 1000)
