"""Both decoders of record groups side by side, a table with a column of every form, and lines with any values."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from target_warehouse.decode.arrow_columns import Losses
from target_warehouse.decode.extension import IS_COMPILED
from target_warehouse.decode.group_decoder import Decoded, GroupDecoder
from target_warehouse.decode.record_groups import RecordGroup
from target_warehouse.tables.table import Table, table_of

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
            pytest.skip("there is no C extension")
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
