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

_MARGIN_SECONDS = 0.02  # where answers take a millisecond, half of it says little about the way back
_LOOK_SECONDS = 0.02  # how soon one looks again when all of a window's requests wait for their answers
_SEARCH_LIMIT = 5
_LEAST_LIMIT = 10  # a tenth of HubSpot's lowest
_ASSOCIATIONS_BY_OBJECTS = {100: 100, 110: 100, 190: 150, 250: 200}  # the tiers' limits (documented)


class Budget:
    """At most `limit` requests (None: any number) reach HubSpot in any `window_seconds`; safe from several threads.

    When a request reaches HubSpot nobody here knows: between its sending and its answer. It counts from the answer,
    less half of the shortest time that one took, which is the least that the way back took. A margin by guess would
    be too much when all is quiet, and too little when this machine is busy.
    """

    def __init__(self, limit: int | None, window_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._window_seconds = window_seconds + _MARGIN_SECONDS
        self._clock = clock
        self._under_way = 0
        self._counted: deque[float] = deque()
        self._shortest = window_seconds
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take one request if there is one: return 0, or the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            while self._counted and self._counted[0] <= now - self._window_seconds:
                self._counted.popleft()
            if now < self._closed_until:
                return self._closed_until - now
            excess = 0 if self.limit is None else self._under_way + len(self._counted) + 1 - self.limit
            if excess > 0:
                if excess > len(self._counted):
                    return _LOOK_SECONDS
                return max(self._counted[excess - 1] + self._window_seconds - now, 0.001)
            self._under_way += 1
            return 0.0

    def answered(self, seconds: float) -> None:
        """Say that a request which was taken has its answer, or is given up, so many seconds after its sending."""
        with self._lock:
            self._under_way -= 1
            self._shortest = min(self._shortest, seconds)
            self._counted.append(self._clock() - self._shortest / 2)

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
        self._is_named = False

    def __getitem__(self, name: str) -> Budget:
        """Return a budget by name."""
        return self._by_name[name]

    def learn(self, objects_limit: int | None) -> None:
        """Take over the limit that a reply about objects named.

        None: it names none, and so does one that names less than any account has. As long as no reply did, nothing
        is known of the other limits either, and only 429s tell; what one has named stays, as some endpoints may be
        exempt (documented for those of associations).
        """
        if objects_limit is not None and objects_limit < _LEAST_LIMIT:
            objects_limit = None
        if objects_limit is None and self._is_named:
            return
        self._is_named = objects_limit is not None
        self._by_name[OBJECTS].limit = objects_limit
        self._by_name[SEARCH].limit = None if objects_limit is None else _SEARCH_LIMIT
        if objects_limit is None:
            self._by_name[ASSOCIATIONS].limit = None
        else:
            tiers = [limit for tier, limit in _ASSOCIATIONS_BY_OBJECTS.items() if tier <= objects_limit]
            self._by_name[ASSOCIATIONS].limit = tiers[-1] if tiers else objects_limit
