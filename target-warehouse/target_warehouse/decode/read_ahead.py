"""The input in blocks of whole lines, read and prepared ahead of time by two threads.

    input > read and cut > a block or two > prepare > at most `BLOCKS_AHEAD` > the main thread, which writes batches

The queues are bounded, and so is the memory. An error in `cut` or `prepare` is raised where the main thread asks for
the block.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from target_warehouse.decode.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Cut = TypeVar("Cut")

BLOCK_BYTES = 2 << 20  # the Python objects of two megabytes of lines still fit in a processor's cache
BLOCKS_AHEAD = 14  # a batch of 28 megabytes, which is prepared while the previous batch is written
_BLOCKS_UNPREPARED = 1
_LONGEST_WAIT_SECONDS = 0.25  # a block that is not full is passed on after this time
_SHORTEST_WAIT_SECONDS = 0.02
_LOOK_SECONDS = 0.2  # how often the threads check whether they should end
_GLANCE_SECONDS = 0.001
_END = object()


class ReadAhead(Generic[Cut]):
    """Blocks of the input, cut and prepared; a context manager.

    `cut` gets a block, which it must not keep, and the number of its first line; it returns the cut block and the
    number of the line after it. `prepare` gets the cut block; it returns whether the next block must wait until the
    main thread has processed this one. Each function is called by one thread, so that both cores are used while the
    main thread has nothing to write yet.
    """

    def __init__(
        self, source: IO[Any], cut: Callable[[bytes | bytearray, int], tuple[Cut, int]], prepare: Callable[[Cut], bool]
    ) -> None:
        self._source = source
        self._cut = cut
        self._prepare = prepare
        self._unprepared: queue.Queue[Any] = queue.Queue(_BLOCKS_UNPREPARED)
        self._ready: queue.Queue[Any] = queue.Queue(BLOCKS_AHEAD)
        self._is_over = threading.Event()
        self._is_asking = False  # whether a read is in progress that may never return and cannot be interrupted
        self._threads = [
            threading.Thread(target=self._pass_on, args=work, daemon=True)
            for work in ((self._cut_blocks, self._unprepared), (self._prepared_blocks, self._ready))
        ]

    def __enter__(self) -> ReadAhead[Cut]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(_LOOK_SECONDS)
            while thread.is_alive() and not (self._is_asking and thread is self._threads[0]):
                thread.join(_LOOK_SECONDS)

    def blocks(self, idle_seconds: float) -> Iterator[Cut | None]:
        """The blocks in order; None whenever no block arrived for `idle_seconds`."""
        return _items_of(self._ready, idle_seconds)

    def _cut_blocks(self) -> Iterator[Cut]:
        number = 1
        for block in self._blocks():
            cut_block, number = self._cut(block, number)
            yield cut_block

    def _prepared_blocks(self) -> Iterator[Cut]:
        for block in _items_of(self._unprepared, _LOOK_SECONDS):
            if self._is_over.is_set():
                return
            if block is not None:
                is_awaited = self._prepare(block)
                yield block
                while is_awaited and self._ready.unfinished_tasks and not self._is_over.is_set():
                    time.sleep(_GLANCE_SECONDS)

    def _pass_on(self, work: Callable[[], Iterator[Cut]], to: queue.Queue[Any]) -> None:
        try:
            for item in work():
                self._put(to, item)
            self._put(to, _END)
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            self._put(to, error)

    def _put(self, to: queue.Queue[Any], item: object) -> None:
        while not self._is_over.is_set():
            try:
                to.put(item, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def _blocks(self) -> Iterator[bytes | bytearray]:
        source = open_source(self._source)
        if source.descriptor is None:
            yield from self._whole_lines(source.chunks)
            return
        descriptor, is_end = source.descriptor, False
        end = source.ahead.rfind(b"\n") + 1
        if end:  # whole lines do not wait for more input
            yield source.ahead[:end]
        filled = len(source.ahead) - end
        buffer = bytearray(source.ahead[end:]) + bytes(max(BLOCK_BYTES, filled))
        while not is_end and not self._is_over.is_set():
            if not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
                continue
            if filled == len(buffer):  # part of one line fills the buffer
                buffer.extend(bytes(filled))
            filled, is_end = _fill(descriptor, buffer, filled)
            end = filled if is_end else buffer.rfind(b"\n", 0, filled) + 1
            if end:
                rest = buffer[end:filled]
                del buffer[end:]
                yield buffer
                filled = len(rest)
                buffer[:filled] = rest
                del buffer[max(filled, BLOCK_BYTES) :]
                buffer.extend(bytes(max(BLOCK_BYTES - len(buffer), 0)))

    def _whole_lines(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Blocks of whole lines from chunks of any size; the last line may lack its newline."""
        waiting: list[bytes] = []
        size, deadline = 0, time.monotonic() + _LONGEST_WAIT_SECONDS
        while not self._is_over.is_set():
            self._is_asking = True
            chunk = next(chunks, b"")
            self._is_asking = False
            end = chunk.rfind(b"\n") + 1 if chunk else 0
            waiting.append(chunk)
            size += len(chunk)
            if chunk and not (end and (size >= BLOCK_BYTES or time.monotonic() >= deadline)):
                continue
            block = b"".join(waiting)
            rest = b""
            if chunk and end < len(chunk):
                rest = chunk[end:]
                block = block[: len(block) - len(rest)]
            if block:
                yield block
            if not chunk:
                return
            waiting, size, deadline = [rest], len(rest), time.monotonic() + _LONGEST_WAIT_SECONDS


def _items_of(items: queue.Queue[Any], idle_seconds: float) -> Iterator[Any]:
    """The items of the queue, up to its end; None whenever no item arrived for `idle_seconds`."""
    while True:
        try:
            item = items.get(timeout=idle_seconds)
        except queue.Empty:
            yield None
            continue
        if item is _END:
            return
        if isinstance(item, BaseException):
            raise item
        yield item
        items.task_done()


def _fill(descriptor: int, buffer: bytearray, filled: int) -> tuple[int, bool]:
    """Fill the buffer with input that arrives soon; return the number of bytes in it, and whether the input ended."""
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
