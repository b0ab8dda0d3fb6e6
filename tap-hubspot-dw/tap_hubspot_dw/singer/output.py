"""Writing messages to the output, also when its reader has stopped reading.

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
from typing import IO, TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter

if TYPE_CHECKING:
    from singer_sdk.singerlib import Message

_PIECE_BYTES = 65_536  # the capacity of a pipe
_UNREAD_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_CUT_MESSAGE = b"Stopped by a signal; nobody reads the output, so the current message is truncated: run again.\n"


class MessageWriter(MsgSpecWriter):
    """Writes messages to a file of bytes, which is standard output by default; used by one thread."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = file
        self._written = 0  # pieces

    def write_message(self, message: Message) -> None:
        """Write a message."""
        self.write_lines([self.format_message(message)])

    def write_lines(self, parts: Sequence[bytes | bytearray]) -> None:
        """Write messages that are lines already; an unbuffered file may accept only a part of a write."""
        file = sys.stdout.buffer if self._file is None else self._file
        for part in parts:
            left = memoryview(part)
            while left:
                left = left[file.write(left[:_PIECE_BYTES]) :]
                self._written += 1
        file.flush()

    def end_when_unread(self, code: int) -> None:
        """Start a watch that ends the process with `code` once nobody has read its output or log for five seconds."""
        threading.Thread(target=self._watch, args=(code,), daemon=True).start()

    def _watch(self, code: int) -> None:
        written, since = self._written, time.monotonic()
        while True:
            time.sleep(_LOOK_SECONDS)
            if (_has_room(1) and _has_room(2)) or self._written != written:
                written, since = self._written, time.monotonic()
            elif time.monotonic() - since > _UNREAD_SECONDS:
                if _has_room(2):
                    os.write(2, _CUT_MESSAGE)
                os._exit(code)


def _has_room(descriptor: int) -> bool:
    """Return whether a write would not block."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
