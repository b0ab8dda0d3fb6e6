"""HubSpot's request budgets: so many requests in a rolling window, each kept filled and not overrun.

Source: HubSpot's usage guidelines (documented): 100 to 250 requests in ten seconds for objects, 5 a second for
search, shared by the whole account, and 100 to 200 in ten seconds for associations. Replies about objects name
their limit in headers (observed); search replies do not, and no header tells the associations' limit.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

OBJECTS, SEARCH, ASSOCIATIONS = BUDGETS = "objects", "search", "associations"

_MARGIN_SECONDS = 0.25  # a request arrives later than it was sent: let the window have passed at HubSpot's end too
_SEARCH_LIMIT = 5
_ASSOCIATIONS_BY_OBJECTS = {100: 100, 110: 100, 190: 150, 250: 200}  # the tiers' limits (documented)


class Budget:
    """At most `limit` requests (None: any number) begin in any `window_seconds`; safe from several threads."""

    def __init__(self, limit: int | None, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._window_seconds = window_seconds + _MARGIN_SECONDS
        self._clock = clock
        self._begun: deque[float] = deque()
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one request if there is one: return 0, or the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            while self._begun and self._begun[0] <= now - self._window_seconds:
                self._begun.popleft()
            if now < self._closed_until:
                return self._closed_until - now
            if self.limit is not None and len(self._begun) >= self.limit:
                return self._begun[len(self._begun) - self.limit] + self._window_seconds - now
            self._begun.append(now)
            return 0.0

    def close(self, seconds: float) -> None:
        """Let nobody begin for a while: HubSpot said that the budget is used up, by us or by others."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)


class Budgets:
    """The three budgets of one account; a request belongs to exactly one."""

    def __init__(self) -> None:
        self._by_name = {
            OBJECTS: Budget(100, 10.0),
            SEARCH: Budget(_SEARCH_LIMIT, 1.0),
            ASSOCIATIONS: Budget(100, 10.0),
        }

    def __getitem__(self, name: str) -> Budget:
        """Return a budget by name."""
        return self._by_name[name]

    def learn(self, objects_limit: int | None) -> None:
        """Take over the limit that a reply about objects named.

        None: it names none, as HubSpot always does; then nothing is known of the other limits either, and only 429s
        tell.
        """
        self._by_name[OBJECTS].limit = objects_limit
        self._by_name[SEARCH].limit = None if objects_limit is None else _SEARCH_LIMIT
        if objects_limit is None:
            self._by_name[ASSOCIATIONS].limit = None
        else:
            tiers = [limit for tier, limit in _ASSOCIATIONS_BY_OBJECTS.items() if tier <= objects_limit]
            self._by_name[ASSOCIATIONS].limit = tiers[-1] if tiers else objects_limit
