"""Writing to standard output, also when its reader has stopped reading.

A write to a full pipe waits for the reader, even after a signal: Python continues it, because half a message must not
be left behind. If the reader never reads, only ending the process ends the wait.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Sequence

_PIECE_BYTES = 65_536  # the capacity of a pipe
_UNREAD_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_CUT_MESSAGE = b"Stopped by a signal; nobody reads the output, so the current message is truncated: run again.\n"

_written = 0  # pieces written; changed by the main thread only


def write_all(parts: Sequence[bytes]) -> None:
    """Write to standard output; if unbuffered (PYTHONUNBUFFERED), it may accept only a part of a write."""
    global _written
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[sys.stdout.buffer.write(left[:_PIECE_BYTES]) :]
            _written += 1
    sys.stdout.buffer.flush()


def end_when_unread(code: int) -> None:
    """Start a watch that ends the process with `code` once nobody has read its output or log for five seconds."""
    threading.Thread(target=_watch, args=(code,), daemon=True).start()


def _watch(code: int) -> None:
    written, since = _written, time.monotonic()
    while True:
        time.sleep(_LOOK_SECONDS)
        if (_has_room(1) and _has_room(2)) or _written != written:
            written, since = _written, time.monotonic()
        elif time.monotonic() - since > _UNREAD_SECONDS:
            if _has_room(2):
                os.write(2, _CUT_MESSAGE)
            os._exit(code)


def _has_room(descriptor: int) -> bool:
    """Return whether a write would not block."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
