"""Stream maps in the target: records of several streams in one table, and expressions that fail."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

PROPERTIES = {"k": {"type": "integer"}, "n": {"type": ["integer", "null"]}, "text": {"type": ["string", "null"]}}


def _message(kind: str, **more: Any) -> str:
    return json.dumps({"type": kind, **more}) + "\n"


def _schema(stream: str) -> str:
    return _message("SCHEMA", stream=stream, key_properties=["k"], schema={"properties": PROPERTIES})


def _record(stream: str, **values: Any) -> str:
    return _message("RECORD", stream=stream, record=values)


def _run(warehouse: Warehouse, lines: list[str], **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO("".join(lines)))


#: What is between the records of the streams: nothing, a STATE, or a SCHEMA that is read again.
BETWEEN = {"nothing": "", "a STATE": _message("STATE", value={"x": 1}), "a SCHEMA": _schema("a")}


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_streams_with_one_name_keep_the_order_of_their_records(between: str, size: int, warehouse: Warehouse) -> None:
    """The last record of a key counts, whichever of the streams it came from."""
    alias = {"__alias__": "both"}
    records = [(stream, key) for key in range(10) for stream in ("a", "b", "a" if key % 2 else "b")]
    lines = [_schema("a"), _record("a", k=0, n=-1), _schema("b"), _schema("other")]
    for number, (stream, key) in enumerate(records):
        lines += [_record(stream, k=key, n=number), _record("other", k=key, n=number), between]
    _run(warehouse, lines, stream_maps={"a": alias, "b": alias}, batch_size_rows=size)
    last = [(key, 3 * key + 2) for key in range(10)]
    for table in ("both", "other"):
        assert sorted((row["k"], row["n"]) for row in warehouse.rows(table)) == last


@pytest.mark.parametrize("hard_delete", [False, True])
@pytest.mark.parametrize("is_first", [False, True], ids=["after the records", "before the records"])
def test_a_version_of_one_stream_deletes_no_rows_of_another_one_with_the_same_name(
    is_first: bool, hard_delete: bool, warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of the streams has its own versions; the second one's SCHEMA comes after the first one's records."""
    alias = {"__alias__": "both"}

    def run(version: int, keys: range) -> None:
        lines = []
        for stream, own_version, key in zip("ab", (version, version + 1), keys, strict=True):
            activate = _message("ACTIVATE_VERSION", stream=stream, version=own_version)
            record = _message("RECORD", stream=stream, record={"k": key}, version=own_version)
            lines += [_schema(stream), *([activate, record] if is_first else [record, activate])]
        _run(warehouse, lines, stream_maps={"a": alias, "b": alias}, hard_delete=hard_delete)

    run(1, range(2))
    run(3, range(2, 4))
    live = warehouse.query("SELECT k FROM melty.both WHERE _sdc_deleted_at IS NULL ORDER BY k")
    assert [row["k"] for row in live] == [0, 1, 2, 3]
    assert "Stream b: rows of older versions are kept, because other streams are loaded into" in caplog.text


@pytest.mark.parametrize("expression", ["int(text)", "str(1 // n)", "text.upper()", "record['text'][7]"])
def test_a_record_for_which_an_expression_fails_is_rejected_and_its_values_are_not_shown(
    expression: str, warehouse: Warehouse, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lines = [_schema("s"), _record("s", k=1, n=1, text="12345678"), _record("s", k=2, n=0, text=None)]
    lines += [_record("s", k=3, n=2, text="87654321"), _message("STATE", value={"x": 1})]
    if expression == "int(text)":
        lines[2] = _record("s", k=2, text="a secret")
    _run(warehouse, lines, stream_maps={"s": {"made": expression}}, max_rejected=1)
    assert sorted(row["k"] for row in warehouse.rows("s")) == [1, 3]
    (rejected,) = warehouse.rows("_rejected_records")
    assert rejected["reason"].startswith("an expression of its stream map fails for its values (")
    shown = capsys.readouterr()
    assert '{"x":1}' in shown.out
    assert "a secret" not in shown.err + caplog.text
    assert "Traceback" not in shown.err + caplog.text
