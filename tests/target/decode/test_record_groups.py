"""Which lines are grouped, and in which order: a table of blocks."""

from __future__ import annotations

import pytest

from target_warehouse.decode.record_groups import RecordGroup, _lines_alike, lines_alike, pieces

LINES = {
    "S": '{"type":"STATE","value":{}}',
    "V": '{"type":"ACTIVATE_VERSION","stream":"1","version":1}',
    "1": '{"type":"RECORD","stream":"1","record":{}}',
    "2": '{"type": "RECORD", "stream": "2", "record": {}}',
    "x": '{"stream":"1","type":"RECORD","record":{}}',
    "r": '{"record":{},"type":"RECORD","stream":"1"}',
    "b": "",
}
#: A block as letters, and its pieces: a group is given by the numbers of its lines.
BLOCKS = {
    "": [],
    "111": [[1, 2, 3]],
    "11S1S": [[1, 2, 4], "S", "S"],
    "11S21S": [[1, 2, 5], "S", [4], "S"],
    "1212": [[1, 3], [2, 4]],
    "1V1": [[1], "V", [3]],
    "S1": ["S", [2]],
    "1b1": [[1, 3]],
    "1x1": [[1, 2, 3]],
    "1r1": [[1], "r", [3]],
    "bb": [],
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "without"])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_cut_into_groups_and_lines(block: str, end: str) -> None:
    newline = end.replace("without", "\n")
    text = newline.join(LINES[letter] for letter in block) + ("" if end == "without" else newline)
    letters = {line: letter for letter, line in LINES.items()}
    cut, following = pieces(text.encode(), 1)
    found = [
        [number for number, _ in piece.lines()]
        if isinstance(piece, RecordGroup)
        else letters[piece.text.decode().strip()]
        for piece in cut
    ]
    assert found == BLOCKS[block]
    assert following == 1 + len(text.splitlines())


@pytest.mark.parametrize(("most", "rows"), [(3, [3, 3, 1]), (7, [7]), (1, [1] * 7), (100, [7])])
def test_a_group_is_split_to_fit_a_batch(most: int, rows: list[int]) -> None:
    block = (LINES["1"] + "\n") * 7
    (group,), _ = pieces(block.encode(), 1)
    assert isinstance(group, RecordGroup)
    parts = group.split(most)
    assert [part.rows for part in parts] == rows
    assert b"".join(span for part in parts for _, span in part.spans) == block.encode()


@pytest.mark.parametrize("beginning", [b"a", b"ab", b"abc\n"])
@pytest.mark.parametrize(
    "block", [b"", b"a", b"ab", b"ab\nab\n", b"ab\nac\nab", b"ab\n\nab\n", b"abc\nabc\nab", b"b\nab\n", b"a\0\nab"]
)
def test_lines_that_begin_alike_are_counted_in_c_as_in_python(block: bytes, beginning: bytes) -> None:
    for position in range(len(block) + 1):
        assert lines_alike(block, position, beginning) == _lines_alike(block, position, beginning)
