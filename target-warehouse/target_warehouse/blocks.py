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
BLOCKS_AHEAD = 14  # a batch of 28 megabytes: it is prepared while the one before is written
_LONGEST_WAIT_SECONDS = 0.25  # a line that was read is passed on after this time, though its block is not full
_SHORTEST_WAIT_SECONDS = 0.02
_LOOK_SECONDS = 0.2  # how soon the thread notices that it is to end
_GLANCE_SECONDS = 0.001
_END = object()


class ReadAhead(Generic[Prepared]):
    """Blocks of the input, each as `prepare` gives it; use it as a context.

    `prepare` gets a block and the number of its first line, and gives the block prepared, the number of the line after
    it, and whether the next block is to be prepared only when this one has been dealt with.
    """

    def __init__(self, source: IO[Any], prepare: Callable[[bytes, int], tuple[Prepared, int, bool]]) -> None:
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
            self._ready.task_done()

    def _read_on(self) -> None:
        try:
            number = 1
            for block in self._blocks():
                prepared, number, is_awaited = self._prepare(block, number)
                self._put(prepared)
                while is_awaited and self._ready.unfinished_tasks and not self._is_over.is_set():
                    time.sleep(_GLANCE_SECONDS)
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

    def _blocks(self) -> Iterator[bytes]:
        try:
            descriptor = self._source.fileno()
        except (AttributeError, io.UnsupportedOperation):
            while lines := self._source.readlines(BLOCK_BYTES):
                yield b"".join(line.encode() if isinstance(line, str) else line for line in lines)
            return
        buffer, filled, is_end = bytearray(BLOCK_BYTES), 0, False
        while not is_end and not self._is_over.is_set():
            if not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
                continue
            if filled == len(buffer):  # one line, and not all of it
                buffer.extend(bytes(filled))
            filled, is_end = _fill(descriptor, buffer, filled)
            end = filled if is_end else buffer.rfind(b"\n", 0, filled) + 1
            if end:
                yield bytes(memoryview(buffer)[:end])
                buffer[: filled - end] = buffer[end:filled]
                filled -= end
                del buffer[max(filled, BLOCK_BYTES) :]


def _fill(descriptor: int, buffer: bytearray, filled: int) -> tuple[int, bool]:
    """Read what can be read now or comes soon, as far as there is room; how much is there then, and is it the end."""
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    start = filled
    with memoryview(buffer) as view:
        while filled < len(buffer) and time.monotonic() < deadline:
            if filled > start and not select.select([descriptor], [], [], _SHORTEST_WAIT_SECONDS)[0]:
                break
            size = os.readv(descriptor, [view[filled:]])
            if not size:
                return filled, True
            filled += size
    return filled, False
