"""Passing the ids that one stream reads to other streams, while it is still reading."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime


class IdFeed:
    """The ids of one object type that this run reads: those changed since a timestamp, or all.

    One thread begins and ends the feed; any number of threads add ids, wait for them and read them. The thread that
    puts a feed into `Run.id_feeds` must end it on every exit path, or its readers wait for ever.
    """

    def __init__(self) -> None:
        self._ids = array("Q")
        self._begun = self._ended = self._complete = False
        self.since: datetime | None = None  # set by `begin`
        self._changed = threading.Condition()

    def begin(self, since: datetime | None) -> None:
        """Announce which ids will come: those changed since a timestamp, or all (None)."""
        with self._changed:
            self._begun, self.since = True, since
            self._changed.notify_all()

    def add(self, ids: Iterable[int]) -> None:
        """Add ids that were read."""
        with self._changed:
            self._ids.extend(ids)
            self._changed.notify_all()

    def end(self, *, complete: bool) -> None:
        """End the feed; `complete` if it has all ids that `begin` announced. Later calls change nothing."""
        with self._changed:
            if not self._ended:
                self._ended, self._complete = True, complete and self._begun
                self._changed.notify_all()

    def holds_all(self) -> bool:
        """Return whether the feed gets all ids of the object type; wait until that is known."""
        with self._changed:
            self._changed.wait_for(lambda: self._begun or self._ended)
            return self._begun and self.since is None and not (self._ended and not self._complete)

    def holds_since(self, since: datetime) -> bool:
        """Wait for the end; return whether the feed has every id changed since a timestamp."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
            return self._complete and (self.since is None or self.since <= since)

    def is_complete(self) -> bool:
        """Wait for the end; return whether the feed has all ids that `begin` announced."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended)
            return self._complete

    def arriving(self, size: int) -> Iterator[list[int]]:
        """Yield the ids as they come, `size` at a time, and the rest at the end, even of an incomplete feed."""
        read = 0
        while chunk := self._next(read, size):
            read += len(chunk)
            yield chunk

    def _next(self, read: int, size: int) -> list[int]:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._ids) - read >= size)
            return self._ids[read : read + size].tolist()
