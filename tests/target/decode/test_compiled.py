"""Decoding lines in C gives the same columns as in Python, or leaves the lines to Python.

A table has a column of every form. Lines are JSON text, so that numbers and escapes can be written in any way. Damaged
lines must not be accepted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from target_warehouse.decode.extension import IS_COMPILED
from tests.fuzzing import DAMAGE, TIMEOUT, examples
from tests.target.decode.both_decoders import (
    DECODERS,
    FORMS,
    GOOD,
    PLAIN,
    TIMESTAMPS,
    VALUES,
    Decoders,
    line,
)


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
    is_wanted = os.environ.get("TARGET_WAREHOUSE_IMPLEMENTATION") != "python"
    can_compile = has_compiler and Path(sysconfig.get_path("include"), "Python.h").exists()
    assert IS_COMPILED or not (is_wanted and can_compile)


def test_the_implementation_is_a_choice() -> None:
    module = "target_warehouse.decode.extension"
    command = [sys.executable, "-c", f"from {module} import IMPLEMENTATION; print(IMPLEMENTATION)"]
    done = subprocess.run(
        command, env={**os.environ, "TARGET_WAREHOUSE_IMPLEMENTATION": "Python"}, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"Python"
