"""Running several readers at once, into one bounded queue that one thread empties."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from queue import Full, Queue
from typing import TypeVar

Task = TypeVar("Task")
Item = TypeVar("Item")

_LOOK_UP_SECONDS = 0.2  # how soon a worker that waits for room in the queue notices that the consumer is gone


def in_parallel(
    tasks: Iterable[Task],
    read: Callable[[Task], Iterator[Item]],
    workers: int,
    permits: AbstractContextManager[object] | None = None,
) -> Iterator[tuple[Task, Item | None]]:
    """Yield (task, item) for every item that `read` yields for a task, and (task, None) when the task is done.

    Items of one task come in order and before its None; items of different tasks interleave. `tasks` may be a
    generator: a free worker advances it, one worker at a time. At most two items per worker wait in memory, one in the
    queue and one in the worker. `permits`, a semaphore that several calls may share, is held while an item is being
    made. The first error ends the reading and is raised here. Closing the generator releases the workers; they are
    daemons, so a stalled connection cannot delay the end of the process.
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
        except BaseException as error:  # noqa: BLE001  raised again in the consuming thread
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
