"""Any values: each record becomes an equal row or a rejected record, and nothing else."""

from __future__ import annotations

import decimal
import io
import json
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Warehouse

TYPES = ("integer", "number", "string", "boolean", "object", "array")
#: JSON texts, so that numbers can be written in every form that a tap may use.
ATOMS = [
    *("null", "true", "false", "0", "-0", "-0.0", "1", "1.0", "1e3", "1E-7", "0.1", "1.10", "123456789.123456789"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e19", "1e20", "99999999999999999999.5"),
    *("1e-18", "1e-19", "1e400", "1e-400", "1e131071", "1e131072", "1e-16383", "1e-16384", "1e1000000000000000000"),
    *("NaN", "Infinity", "-Infinity", "9" * 39, "0." + "3" * 60, "9" * 4500),
    *('""', '" "', '"1"', '"N/A"', '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\\\u0000"'),
    *('"\'; DROP TABLE melty.t; --"', '"\\"\\\\"', '"\\t\\n\\r"', '"2026-01-01"', '"naïve"', '"' + "x" * 9000 + '"'),
]
RECORDS = 400


@pytest.fixture
def read_long_integers() -> Iterator[Callable[[], None]]:
    """Raise Python's limit for integers in JSON after the run, to read back what the databases hold."""
    limit = sys.get_int_max_str_digits()
    yield lambda: sys.set_int_max_str_digits(0)
    sys.set_int_max_str_digits(limit)


def _value(source: random.Random, depth: int = 0) -> str:
    choice = source.random()
    if depth < 3 and choice < 0.1:
        return "[" + ", ".join(_value(source, depth + 1) for _ in range(source.randrange(3))) + "]"
    if depth < 3 and choice < 0.2:
        names = source.sample(["a", "b", "\\u0000", "\\ud800", ""], source.randrange(3))
        return "{" + ", ".join(f'"{name}": {_value(source, depth + 1)}' for name in names) + "}"
    return source.choice(ATOMS)


@pytest.mark.parametrize("fixed_seed", [1, None], ids=["the same", "new"])
def test_a_record_becomes_an_equal_row_or_is_rejected(
    fixed_seed: int | None, warehouse: Warehouse, read_long_integers: Callable[[], None]
) -> None:
    """Properties of every type with values of every type; a failure shows the seed."""
    seed = fixed_seed or random.randrange(10**9)
    source = random.Random(seed)
    properties = {name: {"type": [name, "null"]} for name in TYPES}
    schema = {"properties": {"id": {"type": "integer"}, **properties}}
    lines = [json.dumps({"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema})]
    sent: dict[int, dict[str, str]] = {}
    for key in range(RECORDS):
        sent[key] = {name: _value(source) for name in source.sample(TYPES, source.randrange(1, 3))}
        values = "".join(f', "{name}": {text}' for name, text in sent[key].items())
        lines.append(f'{{"type": "RECORD", "stream": "t", "record": {{"id": {key}{values}}}}}')
    with pytest.raises(RejectedRecordsError):
        TargetWarehouse(config={"warehouse": warehouse.url, "batch_size_rows": 37}).run(io.StringIO("\n".join(lines)))
    read_long_integers()
    rows = {row["id"]: row for row in warehouse.rows("t")}
    rejected = [json.loads(row["record"])["id"] for row in warehouse.rows("_rejected_records")]
    assert sorted([*rows, *rejected]) == list(range(RECORDS)), f"seed {seed}"
    assert len(rows) > RECORDS / 8
    for key, row in rows.items():
        for name, text in sent[key].items():
            assert _equal(row[name], text, name), f"seed {seed}, id {key}, {name}: {text[:80]} became {row[name]!r:.80}"


def _equal(stored: Any, text: str, kind: str) -> bool:
    value = json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    if value is None or stored is None:
        return value is stored
    if kind in ("integer", "number"):
        return decimal.Decimal(stored) == value
    if kind == "string":
        return bool(stored in (value, value.replace("\0", "\ufffd")))
    if kind == "boolean":
        return stored is value
    # JSON is read back with floats, and a JSON column accepts any JSON value, so only the shape is compared.
    return len(stored) == len(value) if isinstance(value, list | dict) else not isinstance(stored, list | dict)
