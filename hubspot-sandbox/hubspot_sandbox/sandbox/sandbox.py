"""One running sandbox: options, the portal made from them, and everything that changes while it serves."""

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
from hubspot_sandbox.moments import Clock
from hubspot_sandbox.portal.object_types import OBJECT_TYPES
from hubspot_sandbox.portal.portal import Portal, PortalOptions
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.portal.standing_changes import STANDING
from hubspot_sandbox.sandbox.journal import Entry, Journal
from hubspot_sandbox.search.index import SearchIndex


@dataclass(frozen=True)
class SandboxOptions:
    """Everything that `serve` can be told about how HubSpot behaves (not where it listens)."""

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
    #: whether api.hubapi.com is imitated behind a proxy too; here so that `up` sees the difference
    proxy: bool = False

    def __post_init__(self) -> None:
        # Both refuse what they do not know.
        Quirks(dict(self.quirks))
        Limits(self.tier, self.portal.portal_id)


class Sandbox:
    """The state behind the server; `reset` gives it back its first state."""

    def __init__(self, options: SandboxOptions, journal: Journal | None = None) -> None:
        """JournalError when a change in the journal cannot be made again."""
        self.options = options
        self._journal: Journal | None = None
        #: requests that ended in an unexpected exception, `METHOD path: Exception`; a reset does not forget them
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
                    raise journal.broken_at(place, f"cannot be made again ({error})") from error

    def change(self, mutation: Mutation) -> Mutation:
        """Apply one mutation at one moment and note it in the journal; MutationError when it cannot be applied."""
        now = self.clock.now_ms()
        with self.clock.at(now):
            done = mutations.apply(self.portal, mutation, self.quirks)
        # What waits for pages is noted when it happens.
        if self._journal is not None and mutation["kind"] not in STANDING:
            self._journal.add(Entry(now, mutation, self.quirks.settings))
        return done

    def reset(self) -> None:
        """A clean portal with the same options: mutations, counts, issued tokens and the clock's offset are gone."""
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
        #: what the `Date` header is ahead of the clock; None: there is none
        self.date_offset_seconds: float | None = 0.0
        self.tokens = Tokens(self.clock, options.token, options.token_seconds, options.scopes)
        self.search_indexes = {
            t.type_id: SearchIndex(
                self.portal.records[t.type_id],
                # Observed: contacts have the property, and searching them on it finds nothing.
                blind=frozenset({"hs_lastmodifieddate"} if t.plural == "contacts" else ()),
            )
            for t in OBJECT_TYPES
        }

    @property
    def fingerprint(self) -> str:
        """Text that is equal for sandboxes started with equal options."""
        return self.fingerprint_of(self.options)

    @staticmethod
    def fingerprint_of(options: SandboxOptions) -> str:
        """The fingerprint of a sandbox that would be started with these options."""
        plain = dataclasses.asdict(options) | {"scopes": sorted(options.scopes)}
        return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]

    def daily_usage(self) -> tuple[int, int, int]:
        """(limit, used, when it starts anew in epoch milliseconds)."""
        return self.limits.daily_limit or 0, self.limits.daily_used, daily_reset_ms(self.clock.now_ms())

    def date_header(self) -> str | None:
        """The `Date` of a reply, which a proxy may leave out or a clock get wrong."""
        if self.date_offset_seconds is None:
            return None
        return formatdate(self.clock.now_ms() // 1000 + self.date_offset_seconds, usegmt=True)

    def search_asked(self, records: Records) -> None:
        """Let the changes happen that wait for searches, before this one is answered."""
        for standing in self.portal.standing:
            for mutation in standing.search_asked(records):
                self.change(mutation)

    def page_served(self, records: Records, page: list[int]) -> None:
        """Let the changes happen that wait for pages."""
        for standing in self.portal.standing:
            for mutation in standing.page_served(records, page):
                self.change(mutation)
