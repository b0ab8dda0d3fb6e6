"""HubSpot's rate limits: the client uses each limit fully and does not exceed it.

Source: HubSpot's usage guidelines (documented): 100 to 250 requests in ten seconds for objects, 5 a second for
search, shared by the whole account, and 100 to 200 in ten seconds for associations. Replies about objects state
their limit in headers (observed). Search replies do not, and no header states the associations' limit.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

OBJECTS, SEARCH, ASSOCIATIONS = BUDGETS = "objects", "search", "associations"

_MARGIN_SECONDS = 0.02  # where replies take a millisecond, half of that says little about the way back
_LOOK_SECONDS = 0.02  # between two looks while all requests of a window still wait for their replies
_SEARCH_LIMIT = 5
_LEAST_LIMIT = 10  # a tenth of HubSpot's lowest limit; a reply that states less is not believed
_ASSOCIATIONS_BY_OBJECTS = {100: 100, 110: 100, 190: 150, 250: 200}  # associations' limit by objects' (documented)


class Budget:
    """At most `limit` requests (None: any number) reach HubSpot in any `window_seconds`. Thread-safe.

    A request reaches HubSpot at an unknown time between sending and reply. It counts from the reply, less half of the
    shortest round trip so far, which is the least time that the way back took. A fixed margin would waste requests on
    a quiet machine and be too small on a busy one.
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
        """Take one request and return 0; if none is left, return the seconds after which to ask again."""
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
        """Report that a taken request was answered, or given up, `seconds` after it was sent."""
        with self._lock:
            self._under_way -= 1
            self._shortest = min(self._shortest, seconds)
            self._counted.append(self._clock() - self._shortest / 2)

    def close(self, seconds: float) -> None:
        """Hold back all requests for a time: HubSpot said that the limit is reached, by us or by others."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._clock() + seconds)


class Budgets:
    """The three budgets of one account; each request counts against exactly one."""

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
        """Adopt the limit that a reply about objects states; None if it states none.

        A limit below that of any account counts as none. While no reply has stated a limit, all three are unknown, and
        only 429s slow the client down. A stated limit stays in force when later replies state none: some endpoints may
        be exempt (documented for those of associations).
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
