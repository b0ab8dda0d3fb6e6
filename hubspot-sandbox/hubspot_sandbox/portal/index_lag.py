"""What search's index does not know yet: how far it is behind, and what it still believes about changed records."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hubspot_sandbox.moments import Clock


@dataclass(frozen=True)
class Snapshot:
    """What search's index still believes about a record until its lag has passed."""

    at_ms: int
    state: int | None
    modified_ms: int
    overrides: dict[str, str | None]


class IndexLag:
    """The records of one type on which the index is behind, by `milliseconds`; numbers are record numbers."""

    def __init__(self, clock: Clock) -> None:
        self.milliseconds = 0
        self._clock = clock
        self._waiting: dict[int, deque[Snapshot]] = {}
        self._queue: deque[tuple[int, int]] = deque()

    def note(self, number: int, before: Snapshot) -> None:
        """A record is about to change; until the lag has passed the index believes `before`."""
        self._waiting.setdefault(number, deque()).append(before)
        self._queue.append((before.at_ms, number))

    def caught_up(self) -> Iterator[int]:
        """Take the records whose change is older than the lag; the index looks at them again."""
        limit = self._clock.now_ms() - self.milliseconds
        while self._queue and self._queue[0][0] <= limit:
            _, number = self._queue.popleft()
            waiting = self._waiting[number]
            waiting.popleft()
            if not waiting:
                del self._waiting[number]
            yield number

    def believed(self, number: int) -> Snapshot | None:
        """What the index believes about a record, None when it agrees with the live record."""
        waiting = self._waiting.get(number)
        return waiting[0] if waiting else None

    def numbers(self) -> Iterable[int]:
        """The records on which the index is behind."""
        return self._waiting
