"""Many workers, one consumer: no item is lost, no error is hidden, and no thread waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from tap_hubspot_dw.reading.parallel import in_parallel


def test_every_item_arrives_in_its_tasks_order_before_the_task_is_done():
    seen: dict[int, list[int | None]] = {}
    for task, item in in_parallel(iter(range(1, 21)), lambda task: iter(range(task)), workers=4):
        seen.setdefault(task, []).append(item)
    assert seen == {task: [*range(task), None] for task in range(1, 21)}


def test_tasks_are_read_concurrently():
    meeting = threading.Barrier(3, timeout=5)

    def read(task):
        meeting.wait()
        yield task

    assert sorted(item for _, item in in_parallel([1, 2, 3], read, workers=3) if item) == [1, 2, 3]


@pytest.mark.parametrize("where", ["tasks", "items"])
def test_the_first_error_is_raised_in_the_consumer(where):
    def tasks():
        yield 1
        if where == "tasks":
            raise KeyError("broken")

    def read(task):
        yield task
        if where == "items":
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        list(in_parallel(tasks(), read, workers=2))


def test_workers_wait_for_a_slow_consumer_and_end_when_it_leaves():
    read_items: list[int] = []

    def read(task):
        for item in range(1000):
            read_items.append(item)
            yield item

    listening = in_parallel([1], read, workers=1)
    next(listening)
    time.sleep(0.3)
    assert len(read_items) < 10
    listening.close()
    time.sleep(0.5)
    assert len(read_items) < 10
