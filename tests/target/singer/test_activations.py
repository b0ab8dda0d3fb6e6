"""ACTIVATE_VERSION before, between and after the records of its stream."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from target_warehouse.errors import InputError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Warehouse

PROPERTIES = {"id": {"type": "integer"}, "n": {"type": ["integer", "null"]}}


def _message(kind: str, stream: str = "t", **more: Any) -> str:
    return json.dumps({"type": kind, "stream": stream, **more}) + "\n"


def _schema(stream: str = "t") -> str:
    return _message("SCHEMA", stream, key_properties=["id"], schema={"properties": PROPERTIES})


def _records(ids: range, version: int, stream: str = "t") -> str:
    return "".join(_message("RECORD", stream, record={"id": id_, "n": id_}, version=version) for id_ in ids)


def _run(warehouse: Warehouse, text: str, **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


def _live(warehouse: Warehouse, table: str = "t") -> list[int]:
    sql = f"SELECT id FROM melty.{table} WHERE _sdc_deleted_at IS NULL ORDER BY id"
    return [row["id"] for row in warehouse.query(sql)]


ACTIVATE = _message("ACTIVATE_VERSION", version=2)
STATE = json.dumps({"type": "STATE", "value": {"x": 1}}) + "\n"
NO_STATE = json.dumps({"type": "STATE", "value": {}}) + "\n"
MIDDLE = [_records(range(2, 3), 2), STATE, _records(range(3, 4), 2)]  # one group for the fast path
WRONG = _message("RECORD", record={"id": 1, "n": "no number"}, version=2)
#: The messages after the SCHEMA, and the live ids afterwards; before, the ids are 0, 1 and 2.
ORDERS: dict[str, tuple[list[str], list[int]]] = {
    "after the records": ([_records(range(2, 4), 2), ACTIVATE, STATE], [2, 3]),
    "before the records": ([ACTIVATE, _records(range(2, 4), 2), STATE], [2, 3]),
    "before and after them": ([ACTIVATE, _records(range(2, 4), 2), ACTIVATE, STATE], [2, 3]),
    "before them, and a STATE between": ([ACTIVATE, STATE, _records(range(2, 4), 2), STATE], [2, 3]),
    "before them, without a STATE after them": ([ACTIVATE, STATE, _records(range(2, 4), 2)], [0, 1, 2, 3]),
    "before them, and a STATE in the middle": ([ACTIVATE, *MIDDLE], [0, 1, 2, 3]),
    "before them, and a STATE in the middle and at the end": ([ACTIVATE, *MIDDLE, STATE], [2, 3]),
    "before them, with an empty STATE after them": ([ACTIVATE, _records(range(2, 4), 2), NO_STATE], [2, 3]),
    "before and after them, without a STATE": ([ACTIVATE, _records(range(2, 4), 2), ACTIVATE], [0, 1, 2, 3]),
    "between the records too": (
        [ACTIVATE, _records(range(2, 3), 2), ACTIVATE, _records(range(3, 4), 2), STATE],
        [0, 1, 2, 3],
    ),
    "alone": ([ACTIVATE], [0, 1, 2]),
    "without records": ([ACTIVATE, STATE], []),
    "without records, and another stream after it": ([ACTIVATE, STATE, _schema("u"), _records(range(1), 2, "u")], []),
    "before the records of two streams": (
        [
            *(_schema("u"), _message("ACTIVATE_VERSION", "u", version=2), _records(range(1), 2, "u")),
            *(ACTIVATE, _records(range(2, 4), 2), _records(range(1, 2), 2, "u"), STATE),
        ],
        [2, 3],
    ),
    "after a rejected record": ([_records(range(2, 4), 2), WRONG, ACTIVATE, STATE], [0, 1, 2, 3]),
    "before a rejected record": ([ACTIVATE, _records(range(2, 4), 2), WRONG, STATE], [0, 1, 2, 3]),
    "before a STATE and a rejected record": ([ACTIVATE, STATE, WRONG, _records(range(2, 4), 2)], [0, 1, 2, 3]),
    "before a rejected record and others": ([ACTIVATE, WRONG, _records(range(2, 4), 2), STATE], [0, 1, 2, 3]),
}


@pytest.mark.parametrize("hard_delete", [False, True])
@pytest.mark.parametrize(("messages", "live"), ORDERS.values(), ids=ORDERS)
def test_a_version_deletes_older_rows_wherever_its_message_is_unless_a_record_is_rejected(
    messages: list[str], live: list[int], hard_delete: bool, warehouse: Warehouse
) -> None:
    _run(warehouse, _schema() + _records(range(3), 1))
    _run(warehouse, "".join([_schema(), *messages]), max_rejected=1, hard_delete=hard_delete)
    assert _live(warehouse) == live
    rows = warehouse.query("SELECT count(*) AS n FROM melty.t")[0]["n"]
    assert rows == (len(live) if hard_delete else len({0, 1, 2, *live}))


@pytest.mark.parametrize("between", ["", STATE, _schema("u") + _records(range(1), 2, "u")], ids=len)
def test_a_run_that_fails_after_an_early_version_deletes_nothing(between: str, warehouse: Warehouse) -> None:
    """Taps of the Singer SDK send the message first; the rows that they did not reach stay live."""
    _run(warehouse, _schema() + _records(range(3), 1))
    with pytest.raises(InputError):
        _run(warehouse, _schema() + ACTIVATE + between + _records(range(1), 2) + "no JSON\n", hard_delete=True)
    assert _live(warehouse) == [0, 1, 2]
    _run(warehouse, _schema() + ACTIVATE + _records(range(1), 3) + _message("ACTIVATE_VERSION", version=3) + STATE)
    assert _live(warehouse) == [0]


def test_no_state_is_printed_while_an_early_version_has_rows_to_delete(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that continued from that STATE would leave these rows live."""
    messages = _schema() + ACTIVATE + _records(range(2), 2) + STATE + _schema("u") + _records(range(1), 2, "u") + STATE
    with pytest.raises(InputError):
        _run(warehouse, messages + "no JSON\n", batch_size_rows=1)
    assert capsys.readouterr().out == '{"x":1}\n'  # a new table has no such rows
    _run(warehouse, _schema() + _records(range(5, 6), 1))
    with pytest.raises(InputError):
        _run(warehouse, messages + "no JSON\n", batch_size_rows=1)
    assert capsys.readouterr().out == ""
    _run(warehouse, messages, batch_size_rows=1)
    assert capsys.readouterr().out == '{"x":1}\n'
    assert _live(warehouse) == [0, 1]


def test_a_version_between_the_records_holds_no_state_back(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """The child streams of taps send one for each parent in every run: their older rows would hold it back for ever."""
    _run(warehouse, _schema() + _records(range(5, 6), 1))
    _run(warehouse, _schema() + 3 * (ACTIVATE + _records(range(1), 2) + STATE))
    assert capsys.readouterr().out == '{"x":1}\n'
    assert _live(warehouse) == [0, 5]


def test_a_version_deletes_nothing_of_a_stream_whose_files_carry_none(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All rows of the run would count as older."""
    pq.write_table(pa.table({"id": [2, 3], "n": [2, 3]}), tmp_path / "file.parquet")
    batch = _message("BATCH", encoding={"format": "parquet"}, manifest=[(tmp_path / "file.parquet").as_uri()])
    _run(warehouse, _schema() + _records(range(3), 1))
    wider = _schema().replace('"n"', '"m"')
    for messages in (batch + ACTIVATE, ACTIVATE + batch + STATE, batch + wider + ACTIVATE):
        caplog.clear()
        _run(warehouse, _schema() + messages, hard_delete=True)
        assert _live(warehouse) == [0, 1, 2, 3]
        assert "the files of BATCH messages carry no version" in caplog.text
