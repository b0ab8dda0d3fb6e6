"""One running sandbox: its options, the portal made from them, and all state that changes while it serves."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from email.utils import formatdate

from hubspot_sandbox.behaviour.faults import Fault, Faults
from hubspot_sandbox.behaviour.limits import Limits, daily_reset_ms
from hubspot_sandbox.behaviour.quirks import Quirks
from hubspot_sandbox.behaviour.request_log import RequestLog
from hubspot_sandbox.behaviour.tokens import ALL_SCOPES, DEFAULT_TOKEN, Tokens
from hubspot_sandbox.changes import mutations
from hubspot_sandbox.changes.mutation_fields import Mutation
from hubspot_sandbox.portal.object_types import OBJECT_TYPES
from hubspot_sandbox.portal.portal import Portal, PortalOptions
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.portal.standing_changes import STANDING
from hubspot_sandbox.sandbox.journal import Entry, Journal
from hubspot_sandbox.search.index import SearchIndex
from hubspot_sandbox.timestamps import Clock


@dataclass(frozen=True)
class SandboxOptions:
    """All options of `serve` except those about where it listens."""

    portal: PortalOptions = field(default_factory=PortalOptions)
    token: str = DEFAULT_TOKEN
    token_seconds: int = 1_800
    scopes: frozenset[str] = ALL_SCOPES
    tier: str = "pro"
    daily_limit: int | None = None
    daily_used: int = 0
    latency_ms: float = 0.0
    faults: tuple[Fault, ...] = ()
    quirks: dict[str, str] = field(default_factory=dict)
    #: whether the proxy for api.hubapi.com runs too; an option here, so that `up` compares it
    proxy: bool = False

    def __post_init__(self) -> None:
        # Both raise ValueError for what they do not know.
        Quirks(dict(self.quirks))
        Limits(self.tier, self.portal.portal_id)


class Sandbox:
    """The state behind the server; `reset` restores its first state."""

    def __init__(self, options: SandboxOptions, journal: Journal | None = None) -> None:
        """Raise JournalError if an entry of the journal cannot be applied again."""
        self.options = options
        self._journal: Journal | None = None
        #: requests that ended in an unexpected exception, `METHOD path: Exception`; a reset keeps them
        self.defects: list[str] = []
        self.reset()
        if journal is not None:
            self._replay(journal)
            self._journal = journal

    def _replay(self, journal: Journal) -> None:
        for place, entry in journal.take_entries():
            with self.clock.at(entry.at_ms):
                try:
                    mutations.apply(self.portal, entry.mutation, Quirks(entry.quirks))
                except ValueError as error:
                    raise journal.broken_at(place, f"cannot be applied again ({error})") from error

    def change(self, mutation: Mutation) -> Mutation:
        """Apply a mutation with the clock stopped and add it to the journal; MutationError if it is not possible."""
        now = self.clock.now_ms()
        with self.clock.at(now):
            done = mutations.apply(self.portal, mutation, self.quirks)
        # A standing change gets into the journal when it happens.
        if self._journal is not None and mutation["kind"] not in STANDING:
            self._journal.add(Entry(now, mutation, self.quirks.settings))
        return done

    def reset(self) -> None:
        """Start a clean portal with the same options; drops mutations, counts, issued tokens and the clock's offset."""
        options = self.options
        if self._journal is not None:
            self._journal.empty()
        self.clock = Clock()
        self.portal = Portal(options.portal, self.clock)
        self.quirks = Quirks(dict(options.quirks))
        self.log = RequestLog()
        self.limits = Limits(
            options.tier,
            options.portal.portal_id,
            daily_limit=options.daily_limit,
            daily_used=options.daily_used,
        )
        self.faults = Faults(options.faults)
        self.latency_ms = options.latency_ms
        #: by how much the `Date` header is ahead of the clock; None: replies have no `Date` header
        self.date_offset_seconds: float | None = 0.0
        self.tokens = Tokens(self.clock, options.token, options.token_seconds, options.scopes)
        self.search_indexes = {
            t.type_id: SearchIndex(
                self.portal.records[t.type_id],
                # Observed: contacts have the property, but a search by it finds nothing.
                unsearchable=frozenset({"hs_lastmodifieddate"} if t.plural == "contacts" else ()),
            )
            for t in OBJECT_TYPES
        }

    @property
    def fingerprint(self) -> str:
        """A text that is equal for sandboxes with equal options."""
        return self.fingerprint_of(self.options)

    @staticmethod
    def fingerprint_of(options: SandboxOptions) -> str:
        """Return the fingerprint of a sandbox with these options."""
        plain = dataclasses.asdict(options) | {"scopes": sorted(options.scopes)}
        return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]

    def daily_usage(self) -> tuple[int, int, int]:
        """Return (limit, used, time of the next reset in epoch milliseconds)."""
        return self.limits.daily_limit or 0, self.limits.daily_used, daily_reset_ms(self.clock.now_ms())

    def date_header(self) -> str | None:
        """Return the `Date` header of a reply; tests shift it or leave it out, as a wrong clock or a proxy does."""
        if self.date_offset_seconds is None:
            return None
        return formatdate(self.clock.now_ms() // 1000 + self.date_offset_seconds, usegmt=True)

    def search_asked(self, records: Records) -> None:
        """Apply the standing changes that are due before this search is answered."""
        for standing in self.portal.standing_changes:
            for mutation in standing.search_asked(records):
                self.change(mutation)

    def page_served(self, records: Records, page: list[int]) -> None:
        """Apply the standing changes that are due after this page."""
        for standing in self.portal.standing_changes:
            for mutation in standing.page_served(records, page):
                self.change(mutation)
