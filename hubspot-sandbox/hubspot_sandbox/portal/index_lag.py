"""The lag of the search index: which changes it has not seen yet, and the old states that it still holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hubspot_sandbox.timestamps import Clock


@dataclass(frozen=True)
class Snapshot:
    """A record before a change; the search index holds it until the lag has passed."""

    at_ms: int
    state: int | None
    modified_ms: int
    overrides: dict[str, str | None]


class IndexLag:
    """The records of one type whose last changes, of the last `milliseconds`, the index has not seen."""

    def __init__(self, clock: Clock) -> None:
        self.milliseconds = 0
        self._clock = clock
        self._waiting: dict[int, deque[Snapshot]] = {}
        self._queue: deque[tuple[int, int]] = deque()

    def add(self, number: int, before: Snapshot) -> None:
        """Keep the state of a record that is about to change until the lag has passed."""
        self._waiting.setdefault(number, deque()).append(before)
        self._queue.append((before.at_ms, number))

    def caught_up(self) -> Iterator[int]:
        """Remove and yield the records whose change is older than the lag; the index must evaluate them again."""
        limit = self._clock.now_ms() - self.milliseconds
        while self._queue and self._queue[0][0] <= limit:
            _, number = self._queue.popleft()
            waiting = self._waiting[number]
            waiting.popleft()
            if not waiting:
                del self._waiting[number]
            yield number

    def snapshot(self, number: int) -> Snapshot | None:
        """The state of a record that the index holds, None if it is the current one."""
        waiting = self._waiting.get(number)
        return waiting[0] if waiting else None

    def numbers(self) -> Iterable[int]:
        """The numbers of the records whose last changes the index has not seen."""
        return self._waiting
