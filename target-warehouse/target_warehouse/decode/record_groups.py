"""Groups of RECORD lines of one stream, which are decoded and loaded as a whole.

`pieces` cuts a block of whole lines:

    R1a R1b S1 R2a R1c S2 V1 R1d        R: record of stream 1 or 2, S: STATE, V: any other message

    group of stream 1: a b c · S1 · group of stream 2: a · S2 · V1 · group of stream 1: d

A record joins the group of its stream even if there is a STATE between them. That STATE then waits for more rows than
necessary, but never for a stream that has no record before it. All other lines keep their order. The beginning of a
line decides what it is taken for; decoding proves it. Pure: standard library only, except that C counts the lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from target_warehouse.decode.extension import extension

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_TYPE, _STREAM = rb'"type"\s*:\s*"RECORD"', rb'"stream"\s*:\s*"([^"\\]+)"'
_RECORD = re.compile(rb"\{\s*(?:" + _TYPE + rb"\s*,\s*" + _STREAM + rb"|" + _STREAM + rb"\s*,\s*" + _TYPE + rb")")
_STATE = re.compile(rb'\{\s*"type"\s*:\s*"STATE"')


def _lines_alike(block: bytes | bytearray, position: int, beginning: bytes) -> tuple[int, int]:
    """The end and the number of the lines from this position on that start with `beginning`."""
    rows = 0
    while block.startswith(beginning, position):
        position = _next_line(block, position)
        rows += 1
    return position, rows


lines_alike = extension.lines_alike if extension else _lines_alike


def stream_of(line: bytes) -> str | None:
    """The stream of a RECORD line, judged by the beginning of the line; None if it is another line."""
    record = _RECORD.match(line)
    return (record[1] or record[2]).decode(errors="replace") if record else None


@dataclass
class RecordGroup:
    """RECORD lines of one stream: spans of whole lines, each with the number of its first line.

    `size` is in bytes. The reader sets `decoded` to the decoder's result, and `decoded_by` to that decoder.
    """

    stream: str
    spans: list[tuple[int, bytes]] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    decoded_by: Any = None
    decoded: Any = None

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines with their numbers."""
        for first, span in self.spans:
            yield from enumerate(span.removesuffix(b"\n").split(b"\n"), first)

    def split(self, rows: int) -> list[RecordGroup]:
        """The lines in groups of at most `rows` lines, not decoded."""
        groups = [RecordGroup(self.stream)]
        for number, line in self.lines():
            if groups[-1].rows == rows:
                groups.append(RecordGroup(self.stream))
            groups[-1].add(number, line + b"\n", 1)
        return groups

    def add(self, number: int, span: bytes, rows: int) -> None:
        """Append whole lines."""
        self.spans.append((number, span))
        self.rows += rows
        self.size += len(span)


@dataclass(frozen=True)
class InputLine:
    """A line that is not part of a group."""

    number: int
    text: bytes


def pieces(block: bytes | bytearray, number: int) -> tuple[list[RecordGroup | InputLine], int]:
    """The groups and other lines of a block whose first line has this number, and the number of the line after it.

    They are copies, so the caller may reuse the block.
    """
    with memoryview(block) as view:
        return _pieces(block, view, number)


def _pieces(block: bytes | bytearray, view: memoryview, number: int) -> tuple[list[RecordGroup | InputLine], int]:
    cut: list[RecordGroup | InputLine] = []
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
                cut.append(groups[stream])
            groups[stream].add(number, bytes(view[start:position]), rows)
            number += rows
            continue
        following = _next_line(block, position)
        line = InputLine(number, bytes(view[position:following]))
        if _STATE.match(line.text):
            cut.append(line)
        elif line.text.strip():
            cut.append(line)
            groups = {}
        position = following
        number += 1
    return cut, number


def in_order(block: Sequence[RecordGroup | InputLine], mixed: Collection[str]) -> Iterator[RecordGroup | InputLine]:
    """The pieces of a block; of the groups of `mixed` streams, the lines one by one in the order of the input.

    Groups of different streams pass one another, which matters to streams that share a table. `mixed` may change while
    the pieces are processed.
    """
    done: set[int] = set()
    for place, piece in enumerate(block):
        if not isinstance(piece, RecordGroup) or piece.stream not in mixed:
            yield piece
        elif place not in done:
            together = []
            for other, each in enumerate(block[place:], place):
                if isinstance(each, RecordGroup):
                    if each.stream in mixed:
                        together.append(each)
                        done.add(other)
                elif not _STATE.match(each.text):
                    break  # groups do not reach beyond such a line
            lines = sorted(line for group in together for line in group.lines())
            yield from (InputLine(number, line + b"\n") for number, line in lines)


def _next_line(block: bytes | bytearray, position: int) -> int:
    return block.find(b"\n", position) + 1 or len(block)
