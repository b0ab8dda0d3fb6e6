"""Which lines of the input can be taken together: runs of RECORD lines of one stream.

`pieces` cuts a block of whole lines:

    R1a R1b S1 R2a R1c S2 V1 R1d        R: record of stream 1 or 2, S: STATE, V: anything else

    run of stream 1: a b c · S1 · run of stream 2: a · S2 · V1 · run of stream 1: d

A record joins the run of its stream even if a STATE came in between, which then waits for a row more than it must; it
never waits for a stream of which nothing came before it. Every other line keeps its place. What a line is, is judged
by how it begins; that it is so is proved when it is decoded. Pure: standard library only, and the count in C.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPE, _STREAM = rb'"type"\s*:\s*"RECORD"', rb'"stream"\s*:\s*"([^"\\]+)"'
_RECORD = re.compile(rb"\{\s*(?:" + _TYPE + rb"\s*,\s*" + _STREAM + rb"|" + _STREAM + rb"\s*,\s*" + _TYPE + rb")")
_STATE = re.compile(rb'\{\s*"type"\s*:\s*"STATE"')


def _lines_alike(block: bytes | bytearray, position: int, beginning: bytes) -> tuple[int, int]:
    """Where the lines end that begin so, from the one at this position on, and how many they are."""
    rows = 0
    while block.startswith(beginning, position):
        position = _next_line(block, position)
        rows += 1
    return position, rows


try:
    from target_warehouse.decode._decode import lines_alike
except ImportError:  # there was no compiler when the target was installed
    lines_alike = _lines_alike


def stream_of(line: bytes) -> str | None:
    """The stream of a RECORD line, judged by how it begins."""
    record = _RECORD.match(line)
    return (record[1] or record[2]).decode(errors="replace") if record else None


@dataclass
class RecordGroup:
    """RECORD lines of one stream: spans of whole lines, each with the number of its first line.

    `decoded` is what a decoder made of it, and `decoded_by` is that decoder; the reader fills them in.
    """

    stream: str
    spans: list[tuple[int, bytes]] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    decoded_by: Any = None
    decoded: Any = None

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line with its number."""
        for first, span in self.spans:
            yield from enumerate(span.removesuffix(b"\n").split(b"\n"), first)

    def split(self, rows: int) -> list[RecordGroup]:
        """The lines in parts of `rows` lines; none is decoded."""
        found = [RecordGroup(self.stream)]
        for number, line in self.lines():
            if found[-1].rows == rows:
                found.append(RecordGroup(self.stream))
            found[-1].add(number, line + b"\n", 1)
        return found

    def add(self, number: int, span: bytes, rows: int) -> None:
        """Put whole lines at the end."""
        self.spans.append((number, span))
        self.rows += rows
        self.size += len(span)


@dataclass(frozen=True)
class InputLine:
    """A line that is taken by itself."""

    number: int
    text: bytes


def pieces(block: bytes | bytearray, number: int) -> tuple[list[RecordGroup | InputLine], int]:
    """The runs and the other lines of a block whose first line has this number, and the number of the line after it.

    They are copies; the block may be used for something else then.
    """
    with memoryview(block) as view:
        return _pieces(block, view, number)


def _pieces(block: bytes | bytearray, view: memoryview, number: int) -> tuple[list[RecordGroup | InputLine], int]:
    found: list[RecordGroup | InputLine] = []
    groups: dict[str, RecordGroup] = {}
    position, end = 0, len(block)
    while position < end:
        record = _RECORD.match(block, position)
        if record:
            start = position
            position, rows = lines_alike(block, start, record[0])
            stream = (record[1] or record[2]).decode(errors="replace")
            if stream not in groups:
                groups[stream] = RecordGroup(stream)
                found.append(groups[stream])
            groups[stream].add(number, bytes(view[start:position]), rows)
            number += rows
            continue
        following = _next_line(block, position)
        line = InputLine(number, bytes(view[position:following]))
        if _STATE.match(line.text):
            found.append(line)
        elif line.text.strip():
            found.append(line)
            groups = {}
        position = following
        number += 1
    return found, number


def _next_line(block: bytes | bytearray, position: int) -> int:
    return block.find(b"\n", position) + 1 or len(block)
