"""Ids that one stream reads and another one needs, while the reading is still going on."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime


class IdFeed:
    """The ids of one object type that this run reads: those changed since a moment, or all of them.

    One thread begins and ends; any number add, wait and read. Whoever promises ids (puts this into
    `Run.seen`) has to end it on every way out, or its readers wait for ever.
    """

    def __init__(self) -> None:
        self._ids = array("Q")
        self._begun = self._ended = self._complete = False
        self.since: datetime | None = None  # as `begin` said
        self._changed = threading.Condition()

    def begin(self, since: datetime | None) -> None:
        """Say which ids will come: those changed since then, or all (None)."""
        with self._changed:
            self._begun, self.since = True, since
            self._changed.notify_all()

    def add(self, ids: Iterable[int]) -> None:
        """Add what was read."""
        with self._changed:
            self._ids.extend(ids)
            self._changed.notify_all()

    def end(self, *, complete: bool) -> None:
        """Say that no more ids come, and whether these are all that `begin` named; the first end counts."""
        with self._changed:
            if not self._ended:
                self._ended, self._complete = True, complete and self._begun
                self._changed.notify_all()

    def holds_all(self) -> bool:
        """Tell whether all ids of the object type come here; waits until that is known."""
        with self._changed:
            self._changed.wait_for(lambda: self._begun or self._ended)
            return self._begun and self.since is None and not (self._ended and not self._complete)

    def holds_since(self, since: datetime) -> bool:
        """Tell whether every id changed since then is here; waits for the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
            return self._complete and (self.since is None or self.since <= since)

    def is_complete(self) -> bool:
        """Tell whether the ids that `begin` named are here; waits for the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
            return self._complete

    def arriving(self, size: int) -> Iterator[list[int]]:
        """Yield the ids as they come, `size` at a time and the rest when it has ended, complete or not."""
        read = 0
        while chunk := self._next(read, size):
            read += len(chunk)
            yield chunk

    def _next(self, read: int, size: int) -> list[int]:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._ids) - read >= size)
            return self._ids[read : read + size].tolist()
