"""Reading several things at once, into one bounded queue that one thread empties."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from queue import Full, Queue
from typing import TypeVar

Task = TypeVar("Task")
Item = TypeVar("Item")

_LOOK_UP_SECONDS = 0.2  # how soon a worker that waits for room notices that nobody reads any more


def in_parallel(
    tasks: Iterable[Task],
    read: Callable[[Task], Iterator[Item]],
    workers: int,
    permits: AbstractContextManager[object] | None = None,
) -> Iterator[tuple[Task, Item | None]]:
    """Yield (task, item) for every item that `read` finds for every task, and (task, None) when a task is done.

    Items of one task come in order and before its None; those of different tasks mix. `tasks` may be a generator:
    it is advanced by one worker at a time, when one is free. At most two items a worker wait in memory, one of them
    in its hands. `permits`, a semaphore that several calls may share, is held while an item is being made. The
    first error ends the reading and is raised here. Closing the generator lets the workers go; they are daemons,
    so a stalled connection cannot hold up the end of the process.
    """
    results: Queue[tuple[Task, Item | None] | BaseException | None] = Queue(maxsize=workers)
    source = iter(tasks)
    turn = threading.Lock()
    closed = threading.Event()
    permit = permits or nullcontext()

    def put(result: tuple[Task, Item | None] | BaseException | None) -> None:
        while not closed.is_set():
            try:
                return results.put(result, timeout=_LOOK_UP_SECONDS)
            except Full:
                continue
        return None

    def work() -> None:
        try:
            while not closed.is_set():
                with turn:
                    task = next(source, None)
                if task is None:
                    break
                items = read(task)
                while True:
                    with permit:
                        item = next(items, None)
                    if item is None:
                        break
                    put((task, item))
                    if closed.is_set():
                        return
                put((task, None))
        except BaseException as error:  # noqa: BLE001  it belongs to the thread that reads the results
            put(error)
        put(None)

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    try:
        working = workers
        while working:
            result = results.get()
            if result is None:
                working -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        closed.set()
