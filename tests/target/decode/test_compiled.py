"""Decoding lines in C gives the same columns as in Python, or leaves the lines to Python.

A table has a column of every form. Lines are JSON text, so that numbers and escapes can be written in any way. Damaged
lines must not be accepted.
"""

from __future__ import annotations

import json
import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from target_warehouse.decode.arrow_columns import Losses
from target_warehouse.decode.compiled import IS_COMPILED
from target_warehouse.decode.group_decoder import Decoded, GroupDecoder
from target_warehouse.decode.record_groups import RecordGroup
from target_warehouse.tables.table import Table, table_of
from tests.fuzzing import DAMAGE, TIMEOUT, examples

#: The JSON schema and the database type of each column.
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "id": ({"type": "integer"}, "bigint"),
    "integer": ({"type": ["integer", "null"]}, "bigint"),
    "decimal": ({"type": ["number", "null"]}, "decimal(38,18)"),
    "numeric": ({"type": ["number", "null"]}, "numeric"),
    "whole_decimal": ({"type": ["integer", "null"]}, "decimal(38,18)"),
    "whole_numeric": ({"type": ["integer", "null"]}, "numeric"),
    "plain": ({"type": ["number", "null"]}, "varchar"),
    "boolean": ({"type": ["boolean", "null"]}, "boolean"),
    "string": ({"type": ["string", "null"]}, "varchar"),
    "uuid": ({"type": ["string", "null"]}, "uuid"),
    "text": ({}, "varchar"),
    "json": ({"type": ["object", "null"]}, "json"),
    "date": ({"type": ["string", "null"], "format": "date"}, "date"),
    "time": ({"type": ["string", "null"], "format": "time"}, "time"),
    "timestamp": ({"type": ["string", "null"], "format": "date-time"}, "timestamp"),
    "never_null": ({"type": "string"}, "varchar"),
    "there": ({"type": ["string", "null"]}, "varchar"),
    "_sdc_extracted_at": ({"type": ["string", "null"], "format": "date-time"}, "timestamp"),
    "_sdc_table_version": ({"type": ["integer", "null"]}, "bigint"),
    "_sdc_deleted_at": ({"type": ["string", "null"], "format": "date-time"}, "timestamp"),
}
GOOD = {"id": "1", "never_null": '""', "there": "null"}


def table(keys: tuple[str, ...] = ("id",)) -> Table:
    schema = {"properties": {name: kind for name, (kind, _) in FORMS.items()}, "required": ["there"]}
    made = table_of("s", schema, keys, default_schema="x", interpret_encoding=False)
    return replace(made, columns=tuple(replace(each, stored=FORMS[each.property][1]) for each in made.columns))


class Decoders:
    """The decoders of one stream in Python and in C."""

    def __init__(self, *, replaces_nul: bool = False, keys: tuple[str, ...] = ("id",)) -> None:
        def decoder() -> GroupDecoder:
            return GroupDecoder("s", table(keys), ignored=("ignored",), replaces_nul=replaces_nul, sync_started_at=0)

        self.in_c, self.in_python = decoder(), decoder()
        self.in_python.compiled = None

    def decoded(self, lines: bytes) -> tuple[Decoded | None, bool]:
        """The result of both decoders for a group of lines, and whether C accepted them."""
        if not IS_COMPILED:
            pytest.skip("the target was installed without a compiler")
        group = RecordGroup("s")
        group.add(1, lines, len(lines.removesuffix(b"\n").split(b"\n")))
        expected, found = self.in_python.decode(group), self.in_c.decode(group)
        assert (found is None) == (expected is None)
        if found and expected:
            found.rows.validate(full=True)
            assert found.rows.schema == expected.rows.schema
            assert found.rows.to_pylist() == expected.rows.to_pylist()
            assert list(found.keys) == list(expected.keys)
            assert (found.losses.nul, found.losses.cut) == (expected.losses.nul, expected.losses.cut)
        return found, self._is_taken(group)

    def _is_taken(self, group: RecordGroup) -> bool:
        assert self.in_c.compiled
        try:
            return self.in_c.compiled.arrays(group, Losses(replaces_nul=False)) is not None
        except ValueError:  # a value does not fit; found by the converters that both use
            return True


DECODERS = Decoders()


def line(values: dict[str, str], more: str = ',"version":7,"time_extracted":"2026-01-02T03:04:05.678901Z"') -> bytes:
    record = ",".join(f"{json.dumps(name)}:{value}" for name, value in values.items())
    return f'{{"type":"RECORD","stream":"s","record":{{{record}}}{more}}}\n'.encode("utf-8", "surrogatepass")


NUMBERS = (
    *(
        "0",
        "-0",
        "7",
        "-7",
        "1.5",
        "-1.50",
        "0.0",
        "-0.0",
        "0.000000000000000001",
        "0.0000000000000000001",
        "1e5",
        "1E-2",
    ),
    *("9" * 18, "9" * 19, "-" + "9" * 18, "9" * 20, "9" * 21, "9" * 20 + "." + "9" * 18, "9" * 21 + ".5", "1" * 40),
    *("12345678901234567890123.5", "1.000000000000000000", "1.0000000000000000000", "5.0", "1e400"),
)
TIMESTAMPS = (
    *("2026-02-28T01:02:03Z", "2026-02-28T01:02:03.1Z", "2026-02-28T01:02:03.123456Z", "2026-02-28T01:02:03.1234567Z"),
    *("2026-02-28T01:02:03+00:00", "2026-02-28T01:02:03.5+02:00", "2026-02-28T01:02:03", "2026-02-28 01:02:03Z"),
    *("2026-02-29T00:00:00Z", "2024-02-29T23:59:59.999999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    *("0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1900-03-01T00:00:00Z", "2026-02-28T24:00:00Z"),
    *("2026-02-28T01:60:03Z", "2026-02-28T01:02:60Z", "2026-02-28T01:02:03.Z", "2026-02-28T01:02:03-00:00", "20260228"),
    *("2026-02-28", "2026-02-29", "0001-01-01", "9999-12-31", "0000-12-31", "2026-2-28", "2026-02-28x", "01:02:03"),
)
TEXTS = (
    *(
        '""',
        '"a"',
        '"\\""',
        '"\\\\"',
        '"\\/"',
        '"\\b\\f\\n\\r\\t"',
        '"\\u0041"',
        '"\\u00e9\\ud83d\\ude00"',
        '"\u00e9\U0001f600"',
    ),
    *(
        '"\\u0000"',
        '"a\\u0000b"',
        '"\\ud800"',
        '"\\udc00"',
        '"\\ud800x"',
        '"\\uDBFF\\uDFFF"',
        '"' + "x" * 100_000 + '"',
    ),
    *('"3f2504e0-4f89-11d3-9a0c-0305e82c3301"', '"null"', '"true"'),
)
OTHERS = (
    "null",
    "true",
    "false",
    "{}",
    "[]",
    '{"a": [1, -2.50, {"b": null}]}',
    '["\\u0000", "\u00e9"]',
    "[" * 150 + "]" * 150,
)
VALUES = (*NUMBERS, *(json.dumps(each) for each in TIMESTAMPS), *TEXTS, *OTHERS)
PLAIN = {
    "integer": ("0", "-0", "7", "-7", "9" * 18),
    "decimal": ("0", "-0.0", "1.5", "-1.50", "9" * 20 + "." + "9" * 18, "0.000000000000000001"),
    "boolean": ("true", "false"),
    "string": TEXTS[:11],
    "text": TEXTS[:11],
    "date": ('"2026-02-28"', '"2024-02-29"', '"0001-01-01"', '"9999-12-31"'),
    "timestamp": tuple(json.dumps(each) for each in (*TIMESTAMPS[:3], TIMESTAMPS[4], *TIMESTAMPS[9:12])),
    "json": ('{"a": [1, -2.50, {"b": null}]}', "[]"),
    "time": ('"01:02:03"',),
}


@pytest.mark.parametrize("name", [name for name in FORMS if not name.startswith("_")])
def test_any_value_in_any_column_is_the_same_both_ways(name: str) -> None:
    for decoders in (DECODERS, Decoders(replaces_nul=True)):
        for value in VALUES:
            decoders.decoded(line({**GOOD, name: value}))


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in PLAIN.items() for value in values])
def test_a_plain_value_is_taken(name: str, value: str) -> None:
    found, is_taken = DECODERS.decoded(line({**GOOD, name: value}))
    assert found is not None
    assert is_taken


@pytest.mark.timeout(TIMEOUT)
@examples(suite=200, long=50_000)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([name for name in FORMS if name not in {*GOOD, "_sdc_deleted_at"}] + ["ignored"]),
            st.sampled_from(VALUES)
            | st.integers().map(str)
            | st.decimals(allow_nan=False, allow_infinity=False).map(str),
            max_size=8,
        ),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
    st.booleans(),
)
@example([{}], False, False)
def test_any_group_is_the_same_both_ways(rows: list[dict[str, str]], replaces_nul: bool, is_first_last: bool) -> None:
    decoders = Decoders(replaces_nul=replaces_nul)
    made = [
        {**each, **GOOD, "id": str(number)} if is_first_last else {**GOOD, **each, "id": str(number)}
        for number, each in enumerate(rows)
    ]
    decoders.decoded(b"".join(map(line, made)))


@pytest.mark.parametrize(
    ("values", "is_row"),
    [
        ({**GOOD}, True),
        ({"never_null": '"a"', "id": "1", "there": '"b"'}, True),
        ({"id": "1", "there": "null"}, True),  # a property that must not be null may be missing
        ({**GOOD, "never_null": "null"}, False),
        ({"id": "1", "never_null": '""'}, False),
        ({**GOOD, "id": "null"}, False),
        ({"never_null": '""', "there": "null"}, False),
        ({**GOOD, "unknown": "1"}, False),
        ({**GOOD, "ignored": '{"a": 1}'}, True),
        ({**GOOD, "_sdc_deleted_at": "null"}, True),
        ({**GOOD, "_sdc_deleted_at": '"2026-01-01T00:00:00Z"'}, False),
        ({**GOOD, "_sdc_table_version": "99", "_sdc_sequence": "1"}, True),
        ({**GOOD, "strin\\u0067": '"x"'}, False),
    ],
)
def test_required_properties_are_checked_both_ways(values: dict[str, str], is_row: bool) -> None:
    found, _ = DECODERS.decoded(line(values) + line(GOOD))
    assert (found is not None) == is_row


MESSAGES = {
    "members in another order": '{"stream":"s","record":{%s},"type":"RECORD"}',
    "blanks": ' { "type" : "RECORD" , "stream":\t"s", "record" : { %s } , "version" : 7 } \r',
    "other members": '{"type":"RECORD","stream":"s","record":{%s},"more":[{"a":"\\u00e9"}],"version":null}',
    "no time": '{"type":"RECORD","stream":"s","record":{%s},"version":7}',
    "a null for a time": '{"type":"RECORD","stream":"s","record":{%s},"time_extracted":null}',
    "another offset": '{"type":"RECORD","stream":"s","record":{%s},"time_extracted":"2026-01-01T00:00:00+01:00"}',
    "a text for a version": '{"type":"RECORD","stream":"s","record":{%s},"version":"7"}',
    "another type": '{"type":"STATE","stream":"s","record":{%s}}',
    "another stream": '{"type":"RECORD","stream":"t","record":{%s}}',
    "no stream": '{"type":"RECORD","record":{%s}}',
    "no record": '{"type":"RECORD","stream":"s"}',
    "records twice": '{"type":"RECORD","stream":"s","record":{%s},"record":{%s}}',
    "a list for a record": '{"type":"RECORD","stream":"s","record":[]}',
    "two objects": '{"type":"RECORD","stream":"s","record":{%s}}{}',
    "two lines": '{"type":"RECORD","stream":"s",\n"record":{%s}}',
    "a property twice": '{"type":"RECORD","stream":"s","record":{%s,"string":"a","string":"b"}}',
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_message_of_any_build_is_read_alike(case: str) -> None:
    record = ",".join(f'"{name}":{value}' for name, value in GOOD.items())
    DECODERS.decoded(MESSAGES[case].replace("%s", record).encode() + b"\n" + line(GOOD))
    DECODERS.decoded(line(GOOD) + MESSAGES[case].replace("%s", record).encode())


WHOLE = line(
    {
        **GOOD,
        "string": '"\\u00e9\\n\u00e9"',
        "decimal": "-1.5",
        "timestamp": '"2026-02-28T01:02:03.5Z"',
        "json": '{"a":[1]}',
    }
)


@pytest.mark.timeout(TIMEOUT)
@examples(suite=500, long=300_000)
@given(st.integers(0, len(WHOLE)), st.integers(0, 6), st.sampled_from(DAMAGE))
def test_a_line_that_is_damaged_anywhere_is_read_alike(at: int, drop: int, put: bytes) -> None:
    assert DECODERS.decoded(WHOLE)[1]
    DECODERS.decoded(WHOLE[:at] + put + WHOLE[at + drop :])
    DECODERS.decoded(WHOLE[:at] + put)


@pytest.mark.parametrize("keys", [("id",), ("string", "id"), ("timestamp",), ("decimal", "date"), ()])
def test_keys_are_the_same_both_ways(keys: tuple[str, ...]) -> None:
    rows = [
        {
            **GOOD,
            "id": str(number),
            "string": f'"k{number % 3}"',
            "timestamp": json.dumps(TIMESTAMPS[number % 3]),
            "decimal": "1.50",
            "date": '"2026-02-28"',
        }
        for number in range(9)
    ]
    Decoders(keys=keys).decoded(b"".join(map(line, rows)))


def test_columns_outlive_the_lines_and_one_another() -> None:
    found, _ = DECODERS.decoded(
        b"".join(line({**GOOD, "id": str(number), "string": f'"{number}"'}) for number in range(1000))
    )
    assert found
    column = found.rows.column("string").slice(500, 2)
    del found
    assert column.to_pylist() == ["500", "501"]


def test_a_target_that_was_installed_with_a_compiler_is_compiled() -> None:
    has_compiler = shutil.which(str(sysconfig.get_config_var("CC")).split()[0])
    assert IS_COMPILED or not has_compiler or not Path(sysconfig.get_path("include"), "Python.h").exists()
