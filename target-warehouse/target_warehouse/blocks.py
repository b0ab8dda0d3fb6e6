"""The input in blocks of whole lines, read ahead by a thread of its own.

While one block is being written to the database, the following ones are read and prepared. At most `BLOCKS_AHEAD`
wait, so memory stays bounded. What `prepare` raises is raised where the block is asked for.
"""

from __future__ import annotations

import io
import os
import queue
import select
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Prepared = TypeVar("Prepared")

BLOCK_BYTES = 2 << 20  # what Python makes of two megabytes of lines still finds room in a processor's cache
BLOCKS_AHEAD = 8  # half a batch of 32 megabytes: it is prepared while the one before is written
_READ_BYTES = 1 << 20
_LONGEST_WAIT_SECONDS = 0.25  # a line that was read is passed on after this time, though its block is not full
_SHORTEST_WAIT_SECONDS = 0.02
_LOOK_SECONDS = 0.2  # how soon the thread notices that it is to end
_END = object()


class ReadAhead(Generic[Prepared]):
    """Blocks of the input, each as `prepare(block, number of its first line)` gives it; use it as a context."""

    def __init__(self, source: IO[Any], prepare: Callable[[bytes, int], Prepared]) -> None:
        self._source = getattr(source, "buffer", source)
        self._prepare = prepare
        self._ready: queue.Queue[Any] = queue.Queue(BLOCKS_AHEAD)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="read ahead", daemon=True)

    def __enter__(self) -> ReadAhead[Prepared]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def blocks(self, idle_seconds: float) -> Iterator[Prepared | None]:
        """Each block in its order; None whenever none came for `idle_seconds`."""
        while True:
            try:
                found = self._ready.get(timeout=idle_seconds)
            except queue.Empty:
                yield None
                continue
            if found is _END:
                return
            if isinstance(found, BaseException):
                raise found
            yield found

    def _read_on(self) -> None:
        try:
            number = 1
            for block in self._whole_lines():
                self._put(self._prepare(block, number))
                number += block.count(b"\n")
            self._put(_END)
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            self._put(error)

    def _put(self, item: object) -> None:
        while not self._is_over.is_set():
            try:
                self._ready.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def _whole_lines(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        for chunk in self._chunks():
            head, newline, tail = chunk.rpartition(b"\n")
            if newline:
                yield b"".join((*parts, head, newline))
                parts = [tail]
            else:
                parts.append(chunk)
        last = b"".join(parts)
        if last:
            yield last

    def _chunks(self) -> Iterator[bytes]:
        try:
            descriptor = self._source.fileno()
        except (AttributeError, io.UnsupportedOperation):
            while lines := self._source.readlines(BLOCK_BYTES):
                yield b"".join(line.encode() if isinstance(line, str) else line for line in lines)
            return
        while not self._is_over.is_set():
            if select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
                chunk, is_end = _chunk(descriptor)
                if chunk:
                    yield chunk
                if is_end:
                    return


def _chunk(descriptor: int) -> tuple[bytes, bool]:
    """What can be read now or comes soon, up to a block; and whether it is the end."""
    parts: list[bytes] = []
    size = 0
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while size < BLOCK_BYTES and time.monotonic() < deadline:
        if parts and not select.select([descriptor], [], [], _SHORTEST_WAIT_SECONDS)[0]:
            break
        part = os.read(descriptor, _READ_BYTES)
        if not part:
            return b"".join(parts), True
        parts.append(part)
        size += len(part)
    return b"".join(parts), False
