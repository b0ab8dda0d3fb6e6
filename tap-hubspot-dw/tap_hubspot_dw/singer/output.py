"""Standard output, and what to do when nobody reads it.

A write to a pipe that is full waits for the reader, also after a signal: Python goes on with it, as half a message
must not be left behind. If the reader does not read, only the end of the process ends that.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Sequence

_PIECE_BYTES = 65_536  # as much as a pipe holds
_UNREAD_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_CUT_MESSAGE = (
    b"Stopped by a signal; nobody reads the output, so the message that was being written is cut; run again.\n"
)

_written = 0  # pieces; the main thread alone counts


def write_all(parts: Sequence[bytes]) -> None:
    """Write to standard output, which may be unbuffered and then takes less than it is given (PYTHONUNBUFFERED)."""
    global _written
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[sys.stdout.buffer.write(left[:_PIECE_BYTES]) :]
            _written += 1
    sys.stdout.buffer.flush()


def end_when_unread(code: int) -> None:
    """From now on end the process with this code once nobody has read its output, or its log, for five seconds."""
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
    """Whether a write would not wait."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
