"""The STATE that may be printed: the newest one before the first uncommitted record of any stream.

Positions count messages. An example with records of two streams and two states, in the order of the input:

    A1  B1  STATE-1  A2  STATE-2        no commit yet: no STATE may be printed
    A commits (A1, A2)                  first uncommitted record is B1: still no STATE
    B commits (B1)                      no uncommitted record: STATE-2

An ACTIVATE_VERSION message that waits counts as an uncommitted record. A state is dropped as soon as a later state
supersedes it, so at most one state per stream is kept. Pure: standard library only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any


class StateGate:
    """Tracks the records, commits and states of one run; not thread-safe."""

    def __init__(self) -> None:
        self._position = 0
        #: By the stream, and whether it is the position of a version that waits.
        self._first_uncommitted: dict[tuple[str, bool], int] = {}
        self._states: list[tuple[int, Any]] = []
        self._lost_at: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether a STATE waits for rows to be committed."""
        return bool(self._states)

    def record(self, stream: str) -> None:
        """Note that a record of this stream was read and is not committed."""
        self._position += 1
        self._first_uncommitted.setdefault((stream, False), self._position)

    def committed(self, stream: str) -> None:
        """Note that all records of this stream read so far are committed."""
        self._first_uncommitted.pop((stream, False), None)

    def wait_for_version(self, stream: str) -> None:
        """Note that an ACTIVATE_VERSION of this stream was read, by which rows will be deleted later."""
        self._position += 1
        self._first_uncommitted.setdefault((stream, True), self._position)

    def version_applied(self, stream: str) -> None:
        """Note that no ACTIVATE_VERSION of this stream waits."""
        self._first_uncommitted.pop((stream, True), None)

    def lose(self) -> None:
        """Note that a record was read that is neither loaded nor kept: no later STATE may be printed."""
        self._position += 1
        self._lost_at = self._lost_at or self._position

    def state(self, value: Any) -> None:
        """Note that a STATE message was read; an empty one has nothing to print, and Meltano would warn about it."""
        self._position += 1
        if self._lost_at or not value:
            return
        self._states.append((self._position, value))
        # The earlier of two states is superseded unless a first uncommitted record is between them, because first
        # uncommitted records only move forward.
        self._states = [
            (position, kept)
            for (position, kept), (following, _) in pairwise(self._states)
            if any(position < first < following for first in self._first_uncommitted.values())
        ] + self._states[-1:]

    def release(self) -> Any | None:
        """The newest state whose preceding records are all committed, returned once; None if there is none."""
        boundary = min(self._first_uncommitted.values(), default=self._position + 1)
        released = None
        while self._states and self._states[0][0] < boundary:
            released = self._states.pop(0)[1]
        return released
