"""The fast path in C gives the same bytes as the slow path in Python, or leaves the reply to it.

Every comparison covers a whole reply: its lines, the other fields of its records, and the fields beside the records.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_hubspot_dw.records.compiled_records import writer
from tap_hubspot_dw.records.extension import IS_COMPILED
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.records.record_forms import WrittenRecord
from tap_hubspot_dw.records.schemas import Column
from tests.fuzzing import DAMAGE, TIMEOUT, examples
from tests.tap.records.both_paths import GOOD, NAMES, WAYS, Ways, hubspot_object, reply_of, written
from tests.tap.records.property_texts import COLUMNS, TYPES, pages, texts


@pytest.mark.timeout(TIMEOUT)
@examples(suite=300, long=100_000)
@given(pages, st.booleans(), st.sampled_from([None, (",", ":"), (" ,\n", "\t: ")]))
@example([dict.fromkeys(TYPES, "")], True, None)
def test_any_text_of_any_type_gives_the_same_bytes(page: Any, is_ascii: bool, separators: Any) -> None:
    paging = {"next": {"after": "17", "link": "https://\u00e9"}}
    content = written(reply_of(page, paging=paging, total=len(page)), ensure_ascii=is_ascii, separators=separators)
    has_half_a_pair = any("\ud800" <= each <= "\udfff" for row in page for text in row.values() for each in text or "")
    assert WAYS.assert_alike(content) != has_half_a_pair


PLAIN = (
    *("", "a", '"', "\\", "/", "\b\f\n\r\t", "\x01\x1f", "\x7f", "\u00e9", "\u2028", "\uffff", "\U0001f600", "\0"),
    *("0", "-0", "7", "-7", "007", "1.50", "-1.5", "0.5", "00.5", "0.0000001", "0.000001", "0.0000000", "0.000000"),
    *("-0.0", "-0.0000000", "9" * 18, "9" * 19, "1." + "1" * 18, "1." + "1" * 19, "1e5", "+5", ".5", "5.", " 5 "),
    *("true", "false", "True", "truefalse", "tru", "2026-02-28", "2026-02-29", "2024-02-29", "1900-02-29"),
    *("2000-02-29", "0000-01-01", "0001-01-01", "9999-12-31", "2026-13-01", "2026-00-10", "2026-01-00", "2026-04-31"),
    *("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z", "2026-01-01T23:59:59.999Z", "2026-01-01T24:00:00Z"),
    *("2026-01-01T23:60:00Z", "2026-01-01T23:59:60Z", "2026-01-01T00:00:00.00Z", "2026-01-01t00:00:00.000Z"),
    *(
        "2026-01-01T00:00:00+00:00",
        "2026-01-01T00:00:00,000Z",
        "2026-01-01T00:00:00.0a0Z",
        "2026-1-01",
        "1767225600000",
    ),
    *("-62135596800000", "-62135596800001", "253402300799999", "253402300800000", "2026-01-01 00:00:00.000Z"),
)


@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("text", PLAIN)
def test_any_text_that_hubspot_may_write_is_accepted_in_every_type_of_column(text: str, is_ascii: bool) -> None:
    assert WAYS.assert_alike(written(reply_of([dict.fromkeys(NAMES, text)]), ensure_ascii=is_ascii))


OBJECTS: dict[str, Any] = {
    "no properties": {"properties": {}},
    "unknown properties": {
        "properties": {"number": "1", "new": {"a": [1, -2.5e3, True, False, None, "\u00e9\ud83d\ude00"]}}
    },
    "no timestamps": {"createdAt": None, "updatedAt": None},
    "unusual timestamps": {"createdAt": "1767225600000", "updatedAt": "never"},
    "archived": {"archived": True, "archivedAt": "2026-01-01T00:00:00Z"},
    "archived is null": {"archived": None},
    "no url": {"url": None},
    "an unusual url": {"url": 'https://"\u00e9\\/'},
    "merged": {"properties": {"hs_merged_object_ids": "7; 8;"}},
    "more": {"associations": {"contacts": {"results": [{"id": "1", "type": "x"}]}}, "": []},
}
LEFT_TO_PYTHON: dict[str, Any] = {
    "a number for a text": {"properties": {"number": 17}},
    "an object for a text": {"properties": {"string": {"a": [1]}}},
    "a truth for a text": {"properties": {"string": True}},
    "properties of null": {"properties": None},
    "a number for an id": {"id": 17},
    "an id that is escaped": {"id": "\u00e9\n"},
    "a number for a timestamp": {"createdAt": 1767225600000},
    "a text for archived": {"archived": "false"},
    "a number for archived": {"archived": 1},
    "half a pair": {"properties": {"string": "\ud83d"}},
    "half a pair beside": {"url": "\udc00"},
    "a name that is escaped": {"properties": {"\u00e9": "x"}},
    "nested beyond reason": {"more": json.loads("[" * 200 + "]" * 200)},
}


@pytest.mark.parametrize("case", [*OBJECTS, *LEFT_TO_PYTHON])
def test_an_object_of_any_shape_is_read_alike_on_both_paths(case: str) -> None:
    each = hubspot_object(1, {"string": "x"}) | (OBJECTS | LEFT_TO_PYTHON)[case]
    for options in ({}, {"separators": (",", ":")}):
        assert WAYS.assert_alike(written({"results": [each, hubspot_object(2, {})]}, **options)) == (case in OBJECTS)


def test_a_missing_field_is_null_and_of_a_repeated_one_the_last_counts() -> None:
    without = [{"id": "1", "properties": {}}, {"id": "2", "properties": {"string": "x"}}]
    assert WAYS.assert_alike(written({"results": without}))
    last = '"properties":{"date":"x","number":"1","number":"2"}'
    twice = b'{"results":[{"id":"1","id":"2","properties":{"string":"a"},%s}]}' % last.encode()
    assert WAYS.assert_alike(twice)


NO_REPLIES = (
    *("", "null", "[]", "{}", '{"results":null}', '{"results":{}}', '{"results":[null]}', '{"results":[{}]}'),
    *('{"results":[],"results":[]}', '{"results":[]} x', '{"results":[],}', '{"results":[]}\0', '{"results":[}'),
    *('{"results":[{"id":"1"},]}', '{"results":[{"id":"1",}]}', '{"results":[{"id":"1"}', '{"results":[{"id":"1"'),
    *('{"results":[{"id":"\1"}]}', '{"results":[{"id":"\xff"}]}', '{"results":[{"id":1}]}', '{"results" []}'),
    *('{"a":01,"results":[]}', '{"a":1.,"results":[]}', '{"a":-,"results":[]}', '{"a":1e,"results":[]}'),
    *('{"a":nul,"results":[]}', '{"a":"\\x","results":[]}', '{"a":"\\u12g4","results":[]}', '{"a":[1,],"results":[]}'),
    *('{"a":{"b"},"results":[]}', '{"a":[1 2],"results":[]}', '{"results":[{"id":"1","properties":{"string":"\\'),
    *('{"results":[{"id":"1","properties":{"string":"\\u00', '{"results":[{"id":"1","properties":{"string":"x"'),
    *('{"results":[{"id":"1","properties":{"string"', '{"results":[{"id":"1","properties":{"string":"\xc3'),
    *('{"results":[{"id":"1","properties":{"string":"\xf0\x9f', '{"results":[{"id":"1","properties":{"string":tru'),
)


@pytest.mark.parametrize("content", [each.encode("latin-1") for each in NO_REPLIES])
def test_an_invalid_reply_is_left_to_python(content: bytes) -> None:
    assert not WAYS.assert_alike(content)


@pytest.mark.timeout(TIMEOUT)
@examples(suite=500, long=300_000)
@given(st.integers(0, len(GOOD)), st.integers(0, 6), st.sampled_from(DAMAGE))
def test_a_reply_that_is_damaged_anywhere_is_read_alike_or_left_to_python(at: int, drop: int, put: bytes) -> None:
    assert WAYS.assert_alike(GOOD)
    WAYS.assert_alike(GOOD[:at] + put + GOOD[at + drop :])
    WAYS.assert_alike(GOOD[:at] + put)


@pytest.mark.timeout(TIMEOUT)
@examples(suite=100, long=20_000)
@given(st.lists(st.permutations(NAMES), min_size=1, max_size=5), st.data())
def test_properties_in_any_order_and_number_land_in_their_columns(orders: list[list[str]], data: st.DataObject) -> None:
    page = [{name: data.draw(texts) for name in order[: data.draw(st.integers(0, len(order)))]} for order in orders]
    WAYS.assert_alike(written(reply_of(page)))


@pytest.mark.parametrize("name", ["\u00e9", "a b", "p" * 300, ""])
def test_a_property_of_any_name_is_read(name: str) -> None:
    ways = Ways([Column(name, f"column {name}", None)])
    assert ways.assert_alike(written(reply_of([{name: "x"}]), ensure_ascii=False))


def test_a_name_that_json_has_to_escape_is_left_to_python() -> None:
    assert writer(["a"], [Column("a", 'c"', None)], 0) is None


@pytest.mark.skipif(not IS_COMPILED, reason="there is no C extension")
def test_written_records_need_no_second_parsing() -> None:
    decoder = PageDecoder(NAMES, COLUMNS, in_c=True)
    page = decoder.decode(written(reply_of([{"number": "x", "hs_merged_object_ids": "7"}])))["results"]
    (record,) = page.records
    assert isinstance(record, WrittenRecord)
    assert (record.id, record.updated_at, page.merged) == ("1", "2026-01-01T00:00:00.123Z", ["7"])
    assert record.invalid_properties == {"number": "x"}


def test_a_tap_installed_with_a_compiler_has_the_fast_path() -> None:
    has_compiler = shutil.which(sysconfig.get_config_var("CC").split()[0])
    is_wanted = os.environ.get("TAP_HUBSPOT_DW_IMPLEMENTATION") != "python"
    can_compile = has_compiler and Path(sysconfig.get_path("include"), "Python.h").exists()
    assert IS_COMPILED or not (is_wanted and can_compile)


def test_the_implementation_is_a_choice() -> None:
    module = "tap_hubspot_dw.records.extension"
    command = [sys.executable, "-c", f"from {module} import IMPLEMENTATION; print(IMPLEMENTATION)"]
    done = subprocess.run(
        command, env={**os.environ, "TAP_HUBSPOT_DW_IMPLEMENTATION": "Python"}, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"Python"
