"""Which STATE may be printed: the newest one older than the first uncommitted record of any stream.

Positions count messages. The rule, with records of two streams and two states, reading left to right:

    A1  B1  STATE-1  A2  STATE-2        nothing committed: nothing may be printed
    A commits (A1, A2)                  first uncommitted is B1: still nothing
    B commits (B1)                      nothing uncommitted: STATE-2

A state is dropped as soon as a later one supersedes it for good, so at most one per stream is kept however many
arrive. Pure: standard library only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any


class StateGate:
    """Follows records, commits and states of one run; not thread-safe."""

    def __init__(self) -> None:
        self._position = 0
        self._first_uncommitted: dict[str, int] = {}
        self._states: list[tuple[int, Any]] = []
        self._lost_at: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a STATE waits for rows to be committed."""
        return bool(self._states)

    def record(self, stream: str) -> None:
        """A record of this stream was read and is not committed."""
        self._position += 1
        self._first_uncommitted.setdefault(stream, self._position)

    def committed(self, stream: str) -> None:
        """Everything read of this stream so far is committed."""
        self._first_uncommitted.pop(stream, None)

    def lose(self) -> None:
        """A record was read that is not loaded, nor kept anywhere: no STATE after it may be printed."""
        self._position += 1
        self._lost_at = self._lost_at or self._position

    def state(self, value: Any) -> None:
        """A STATE message was read."""
        self._position += 1
        if self._lost_at:
            return
        self._states.append((self._position, value))
        # Of two states only the later one matters unless a first uncommitted record lies between them: those
        # records only ever move on.
        self._states = [
            (position, kept)
            for (position, kept), (following, _) in pairwise(self._states)
            if any(position < first < following for first in self._first_uncommitted.values())
        ] + self._states[-1:]

    def release(self) -> Any | None:
        """The newest state that everything before is committed of, once; None when there is none."""
        boundary = min(self._first_uncommitted.values(), default=self._position + 1)
        released = None
        while self._states and self._states[0][0] < boundary:
            released = self._states.pop(0)[1]
        return released
