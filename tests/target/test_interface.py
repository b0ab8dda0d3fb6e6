"""The Python interface: messages from anywhere are loaded, the rows are read, and the process stays as it was."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import target_warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Warehouse

MESSAGES: list[dict[str, Any]] = [
    {
        "type": "SCHEMA",
        "stream": "t",
        "key_properties": ["id"],
        "schema": {"properties": {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}}},
    },
    {"type": "RECORD", "stream": "t", "record": {"id": 1, "name": "é"}},
    {"type": "RECORD", "stream": "t", "record": {"id": 2, "name": None}},
    {"type": "STATE", "value": {"read": 2}},
    {"type": "RECORD", "stream": "t", "record": {"id": 1, "name": "again"}},
    {"type": "STATE", "value": {"read": 3}},
]
LINES = "".join(json.dumps(message) + "\n" for message in MESSAGES)


def pipe(_: Path) -> Any:
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(LINES.encode())

    threading.Thread(target=write).start()
    return os.fdopen(reader, "rb")


def written(path: Path) -> Path:
    path.write_text(LINES, encoding="utf-8")
    return path


def zipped(path: Path) -> Any:
    path.write_bytes(gzip.compress(LINES.encode()))
    return gzip.open(path)


def generated() -> Iterator[dict[str, Any]]:
    yield from MESSAGES


SOURCES: dict[str, Callable[[Path], Any]] = {
    "a file of bytes": lambda path: written(path).open("rb"),
    "a file of text": lambda path: written(path).open(encoding="utf-8"),
    "a compressed file": zipped,
    "a pipe": pipe,
    "bytes in memory": lambda _: io.BytesIO(LINES.encode()),
    "text in memory": lambda _: io.StringIO(LINES),
    "dictionaries": lambda _: MESSAGES,
    "a generator of dictionaries": lambda _: generated(),
    "lines": lambda _: LINES.splitlines(),
    "lines with their ends": lambda _: io.StringIO(LINES).readlines(),
    "lines of bytes": lambda _: LINES.encode().splitlines(),
}


@pytest.mark.parametrize("source", SOURCES)
def test_messages_from_anywhere_are_loaded(
    source: str, warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = SOURCES[source](tmp_path / "messages")
    loaded = target_warehouse.load_messages(messages, {"warehouse": warehouse.url})
    if hasattr(messages, "close"):
        messages.close()
    assert warehouse.rows("t") == [{"id": 1, "name": "again"}, {"id": 2, "name": None}]
    assert (loaded.state, loaded.rejected) == ({"read": 3}, {})
    assert (loaded.counts["t"].inserted, loaded.counts["t"].updated) == (2, 0)
    assert capsys.readouterr().out == ""


def test_states_are_given_as_they_are_committed_also_before_an_error(warehouse: Warehouse) -> None:
    states: list[dict[str, Any]] = []
    messages = [*MESSAGES, {"type": "RECORD", "stream": "t", "record": {"id": "x"}}]
    with pytest.raises(target_warehouse.WarehouseError, match="id is not an integer"):
        target_warehouse.load_messages(messages, {"warehouse": warehouse.url}, on_state=states.append)
    assert states == [{"read": 3}]
    loaded = target_warehouse.load_messages(messages, {"warehouse": warehouse.url, "max_rejected": 1})
    assert loaded.rejected == {"t": 1}


def test_a_setting_of_another_type_is_refused() -> None:
    with pytest.raises(target_warehouse.WarehouseError, match="batch_size_rows must be of the type integer"):
        target_warehouse.load_messages([], {"batch_size_rows": "7"})


def test_the_rows_are_read(warehouse: Warehouse) -> None:
    config = {"warehouse": warehouse.url}
    gone = {"type": "RECORD", "stream": "t", "record": {"id": 2, "_sdc_deleted_at": "2026-01-01T00:00:00Z"}}
    target_warehouse.load_messages([*MESSAGES, gone], config)
    with target_warehouse.open_warehouse(config) as opened:
        assert {"t", "_load_history"} <= set(opened.tables())
        assert list(opened.columns("t"))[:2] == ["id", "name"]
        assert opened.columns("absent") == {}
        assert opened.query("SELECT count(*) FROM melty.t") == [(2,)]
        with opened.read("t", ["name", "id"]) as rows:
            assert rows.read_all().to_pylist() == [{"name": "again", "id": 1}]
        with opened.read("t", ["id"], live_only=False) as rows:
            assert sorted(row["id"] for row in rows.read_all().to_pylist()) == [1, 2]
        with pytest.raises(target_warehouse.WarehouseError):
            opened.query("SELECT * FROM absent")


def test_a_warehouse_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    config = {"warehouse": f"duckdb:///{tmp_path}/absent.duckdb"}
    with pytest.raises(target_warehouse.WarehouseError), target_warehouse.open_warehouse(config):
        pass


UNCHANGED = """
import gc, signal, sys
before = gc.get_threshold(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
import target_warehouse
assert not {"pyarrow", "duckdb", "singer_sdk"} & sys.modules.keys()
import adbc_driver_manager.dbapi, pyarrow
own = adbc_driver_manager.dbapi._blocking_call, pyarrow.default_memory_pool().backend_name
target_warehouse.load_messages([], {"warehouse": sys.argv[1]})
assert before == (gc.get_threshold(), signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
assert own == (adbc_driver_manager.dbapi._blocking_call, pyarrow.default_memory_pool().backend_name)
"""


def test_importing_and_loading_change_nothing_in_the_process(warehouse: Warehouse) -> None:
    done = subprocess.run([sys.executable, "-c", UNCHANGED, warehouse.url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
