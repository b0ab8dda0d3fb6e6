"""The input in blocks, through a real pipe: whole lines, nothing lost, and the order of preparation."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from target_warehouse.decode.read_ahead import BLOCK_BYTES, ReadAhead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

LINES = {
    "nothing": b"",
    "one line": b"x\n",
    "no newline at the end": b"x\ny",
    "blank lines": b"\n\n\n",
    "many lines": b"".join(b"%d\n" % number for number in range(900_000)),
    "a line longer than a block": b"a\n" + b"b" * (3 * BLOCK_BYTES) + b"\nc\n" + b"d\n" * (3 * BLOCK_BYTES // 2),
    "nothing but one long line": b"b" * (2 * BLOCK_BYTES + 1),
    "a line as long as a block": b"b" * (BLOCK_BYTES - 1) + b"\n" + b"c\n",
}


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        yield source, sink


@pytest.mark.parametrize("name", LINES)
def test_blocks_are_whole_lines_and_nothing_is_lost(name: str, pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source, sink = pipe

    def write() -> None:
        left = memoryview(LINES[name])
        while left:
            left = left[sink.write(left) :]
        sink.close()

    writer = threading.Thread(target=write)
    writer.start()
    with ReadAhead(source, lambda block, number: (bytes(block), number), lambda _: False) as ahead:
        blocks = [block for block in ahead.blocks(1) if block is not None]
    writer.join()
    assert b"".join(blocks) == LINES[name]
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    longest = max(map(len, LINES[name].split(b"\n")))
    assert all(len(block) <= max(BLOCK_BYTES, 2 * longest) for block in blocks)
    assert len(blocks) < 2 or len(blocks[-2]) <= BLOCK_BYTES  # a long line does not make later blocks longer


def test_a_block_can_be_awaited_before_the_next_is_prepared(pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    source, sink = pipe
    prepared: list[int] = []

    def cut(block: bytes | bytearray, number: int) -> tuple[int, int]:
        return number, number + block.count(b"\n")

    def prepare(number: int) -> bool:
        prepared.append(number)
        return number == 1

    with ReadAhead(source, cut, prepare) as ahead:
        blocks = ahead.blocks(5)
        sink.write(b"a\n")
        assert next(blocks) == 1
        sink.write(b"b\n")
        time.sleep(0.3)
        assert prepared == [1]  # the first block has been processed when the second is requested
        assert next(blocks) == 2
        sink.write(b"c\n")
        assert next(blocks) == 3
        sink.close()
        assert list(blocks) == []
