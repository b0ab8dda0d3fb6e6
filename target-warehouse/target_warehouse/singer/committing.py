"""A target that commits through one `Committer`, and prints each STATE after its rows.

A STATE waits at most `commit_interval_seconds` for the commit. Sinks use only this part of the target.
"""

from __future__ import annotations

import sys
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.json import serialize_json
from singer_sdk.target_base import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_warehouse.load.committer import Committer

#: Maximum input in memory, over all streams; as Python objects and Arrow data it takes about six times as much.
PENDING_BYTES = 28 << 20
_state_json = msgspec.json.Encoder(decimal_format="number")


class CommittingTarget(Target):
    """A target with a committer, which `commit_with` sets."""

    committer: Committer
    _interval: float
    _next_commit: float

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        #: Called with each STATE that is printed: the newest one whose records are committed, and none in a dry run.
        self.write_state: Callable[[dict[str, Any]], None] = _print_message
        self._printed_state: Any = None

    def commit_with(self, committer: Committer) -> None:
        """Use this committer, and its settings."""
        self.committer = committer
        self._interval = committer.settings.commit_interval_seconds
        self._next_commit = time.monotonic() + self._interval

    def commit_all(self) -> None:
        """Commit every pending record, then print the STATE."""
        self.drain_all()
        self.print_state()
        self._next_commit = time.monotonic() + self._interval

    def commit_if_much_or_due(self) -> None:
        """If too much input is pending, commit the stream with most of it, so that the other batches can grow."""
        if self.committer.pending_bytes >= PENDING_BYTES:
            self.drain_one(max(self._sinks_active.values(), key=attrgetter("load.pending_bytes")))
            self.print_state()
            if not self.committer.pending_bytes:
                self._next_commit = time.monotonic() + self._interval
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Commit every pending record if a STATE has waited long enough for it."""
        if self.committer.gate.is_waiting and time.monotonic() >= self._next_commit:
            self.commit_all()

    def print_state(self) -> None:
        """Print the newest STATE whose records are committed, unless it is printed already."""
        state = self.committer.gate.release()
        if state is not None and state != self._printed_state and not self.committer.settings.dry_run:
            self.write_state(state)
            self._printed_state = state


def _print_message(state: dict[str, Any]) -> None:
    try:
        text = _state_json.encode(state).decode()
    except UnicodeEncodeError:  # a lone surrogate, which must be escaped
        text = serialize_json(state)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
