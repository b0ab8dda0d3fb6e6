"""Any line among good lines becomes a row, a rejected record or one sentence, and no STATE is ahead of a row.

Hypothesis generates lines: truncated lines, bytes that are not text, unusual JSON. Each is sent to a real DuckDB twice,
by the fast and by the slow path; the tables and the outcome of the run must be the same. WAREHOUSE_TEST_LONG=1 tries
more examples.
"""

from __future__ import annotations

import contextlib
import io
import json
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from target_warehouse.decode.record_groups import InputLine, pieces
from target_warehouse.errors import InputError, SettingsError, user_errors
from target_warehouse.singer.message_reader import LineReader
from target_warehouse.singer.target import TargetWarehouse
from tests.fuzzing import TIMEOUT, examples

NULLABLE = {name: {"type": [name, "null"]} for name in ("integer", "number", "string", "boolean", "object", "array")}
SCHEMA: dict[str, Any] = {"id": {"type": "integer"}, **NULLABLE, "any": {}}


def message(**parts: Any) -> bytes:
    return json.dumps(parts).encode() + b"\n"


SCHEMA_LINE = message(type="SCHEMA", stream="s", key_properties=["id"], schema={"properties": SCHEMA})


def good(number: int) -> bytes:
    return message(type="RECORD", stream="s", record={"id": number, **dict.fromkeys(NULLABLE), "any": None})


def state(number: int) -> bytes:
    return message(type="STATE", value={"at": number})


DEEP = 100_000
atoms = st.sampled_from(
    [
        *(b"null", b"true", b"0", b"-0", b"1", b"1.0", b"1e3", b"1E400", b"1e-400", b"1e99999999999999999999", b"01"),
        *(b"9" * 30, b"9" * 4_500, b"9223372036854775808", b"NaN", b"-Infinity", b"+1", b".5", b"0x1", b"'x'", b"tru"),
        *(
            b'""',
            b'"x"',
            b'"\\u0000"',
            b'"\\ud800"',
            b'"\\ud83d\\ude00"',
            b'"\\x"',
            b'"\xff"',
            b'"\x00"',
            b'"\t"',
            b'"',
        ),
        *(
            b"[]",
            b"{}",
            b"[1,]",
            b'{"a":1,"a":2}',
            b'{"a"}',
            *(b"[" * depth + b"]" * depth for depth in (200, 500)),
            b"[" * DEEP + b"]" * DEEP,
        ),
        *(b'{"a":' * DEEP + b"1" + b"}" * DEEP, b"[" * DEEP, b"", b"1 2", b"1}\n{", b"\xef\xbb\xbf1"),
    ]
)
space = st.sampled_from([b"", b"", b" ", b"\t", b"\r"])
properties = st.sampled_from(
    [*(name.encode() for name in SCHEMA), b"new", b"", b"\\u0069d", b"_sdc_deleted_at", b"\xff"]
)


@st.composite
def json_objects(draw: st.DrawFn, names: st.SearchStrategy[bytes], values: st.SearchStrategy[bytes]) -> bytes:
    members = draw(st.lists(st.tuples(space, names, space, values), max_size=4))
    return b"{" + b",".join(a + b'"' + name + b'":' + b + value for a, name, b, value in members) + b"}"


records = st.one_of(
    json_objects(properties, atoms),
    st.tuples(properties, atoms).map(lambda pair: b'{"id":7,"' + pair[0] + b'":' + pair[1] + b"}"),
    atoms,
)
kinds = st.sampled_from(
    [b"RECORD", b"RECORD", b"STATE", b"SCHEMA", b"ACTIVATE_VERSION", b"BATCH", b"record", b"\\u0052ECORD"]
)
members = st.one_of(
    records.map(lambda value: b'"record":' + value),
    st.sampled_from([b"s", b"t", b"", b"\\u0073", b"\xff", b"a\\\\"]).map(lambda name: b'"stream":"' + name + b'"'),
    kinds.map(lambda kind: b'"type":"' + kind + b'"'),
    st.tuples(st.sampled_from([b"version", b"time_extracted", b"value", b"other", b"type", b"stream"]), atoms).map(
        lambda pair: b'"' + pair[0] + b'":' + pair[1]
    ),
)
messages = st.one_of(
    records.map(lambda value: b'{"type":"RECORD","stream":"s","record":' + value + b"}"),
    records.map(lambda value: b'{"type": "RECORD", "stream": "s", "record": ' + value + b', "version": 1}'),
    st.lists(members, max_size=5).map(lambda parts: b"{" + b",".join(parts) + b"}"),
    st.tuples(kinds, st.lists(members, max_size=3)).map(
        lambda pair: b'{"type":"' + pair[0] + b'","stream":"s",' + b",".join(pair[1]) + b"}"
    ),
    st.binary(max_size=12),
    atoms,
)
cuts = st.none() | st.integers(0, 60)
lines = st.tuples(space, messages, cuts, st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n"])).map(
    lambda parts: parts[0] + parts[1][: parts[2]] + parts[3]
)


class Result:
    """The outcome of a run: its error, the states that it printed, and its rows."""

    def __init__(self, text: bytes, folder: Any, *, is_fast: bool) -> None:
        class Target(TargetWarehouse):
            has_fast_path = is_fast

        file = folder / f"{is_fast}.duckdb"
        file.unlink(missing_ok=True)
        config = {"warehouse": f"duckdb:///{file}", "max_rejected": 1_000, "add_record_metadata": False}
        config["activate_version"] = False
        out = io.StringIO()
        self.ended = ""
        with contextlib.redirect_stdout(out):
            try:
                Target(config=config).run(io.TextIOWrapper(io.BytesIO(text)))
            except SettingsError:
                raise
            except user_errors() as error:
                self.ended = f"{type(error).__name__}: {error}"
        self.states = [json.loads(line) for line in out.getvalue().splitlines()]
        with duckdb.connect(str(file)) as connection:
            names = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
            self.tables = {
                f"{schema}.{name}": sorted(connection.execute(f'SELECT * FROM "{schema}"."{name}"').fetchall(), key=str)
                for schema, name in names
                if name not in ("_load_history", "_rejected_records")
            }
            if ("melty", "_rejected_records") in names:
                query = "SELECT stream, record, reason FROM melty._rejected_records"
                self.tables["melty._rejected_records"] = sorted(connection.execute(query).fetchall(), key=str)
            is_there = "melty.s" in self.tables
            self.ids = (
                {Decimal(key) for (key,) in connection.execute("SELECT id FROM melty.s").fetchall()}
                if is_there
                else set()
            )


@pytest.mark.timeout(TIMEOUT)
@examples(suite=20, long=1_000)
@given(st.lists(lines, min_size=1, max_size=3))
@example([b'{"type":"RECORD","stream":"s","record":{"id":7,"array":' + b"[" * DEEP + b"]" * DEEP + b"}}\n"])
@example([b"[" * DEEP + b"\n"])
@example([b'{"type":"RECORD","stream":"s","record":1}\n'])
@example([b'{"type":"RECORD","stream":"s","record":{"id":7,"id":' + b"9" * 30 + b"}}\n"])
def test_any_line_among_good_ones_is_loaded_rejected_or_reported(tmp_path_factory: Any, drawn: list[bytes]) -> None:
    folder = tmp_path_factory.getbasetemp()
    before, after = range(100, 110), range(200, 210)
    text = SCHEMA_LINE + b"".join(map(good, before)) + state(1)
    text += b"".join(drawn) + b"".join(map(good, after)) + state(2)
    fast, slow = (Result(text, folder, is_fast=is_fast) for is_fast in (True, False))
    for result in (fast, slow):
        own = [state for state in result.states if state in ({"at": 1}, {"at": 2})]
        assert "\n" not in result.ended
        if not result.ended:
            assert own[-1:] == [{"at": 2}]
        if {"at": 1} in own or {"at": 2} in own:
            assert set(before) <= result.ids
        if {"at": 2} in own:
            assert set(after) <= result.ids
    assert (fast.ended, fast.tables, fast.states[-1:]) == (slow.ended, slow.tables, slow.states[-1:])


@pytest.mark.timeout(TIMEOUT)
@examples(suite=200, long=50_000)
@given(st.lists(lines | st.sampled_from([SCHEMA_LINE, good(1), state(1), b"\n"]), max_size=12), st.booleans())
def test_the_pieces_of_a_block_are_its_lines(block: list[bytes], ends_with_newline: bool) -> None:
    """Each line occurs once, with its number, and in order within a group; only blank lines are in no piece."""
    text = b"".join(block)
    text = text if ends_with_newline else text.removesuffix(b"\n")
    expected = dict(enumerate(text.removesuffix(b"\n").split(b"\n") if text else [], 5))
    found, following = pieces(text, 5)
    assert following == 5 + len(expected)
    taken: list[tuple[int, bytes]] = []
    for piece in found:
        own = [(piece.number, piece.text.removesuffix(b"\n"))] if isinstance(piece, InputLine) else list(piece.lines())
        assert own == sorted(own, key=lambda each: each[0])
        if not isinstance(piece, InputLine):
            assert piece.rows == len(own)
            assert piece.size == sum(len(span) for _, span in piece.spans)
        taken += own
    assert len(taken) == len(dict(taken))
    missing = expected.items() - dict(taken).items()
    assert dict(taken).items() <= expected.items()
    assert all(not line.strip() for _, line in missing)


@pytest.mark.timeout(TIMEOUT)
@examples(suite=200, long=50_000)
@given(lines)
@example(b"[" * DEEP + b"\n")
@example(b'{"a":' * DEEP + b"\n")
def test_any_line_is_a_message_or_a_sentence(line: bytes) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(LineReader().deserialize_json(line), dict)
