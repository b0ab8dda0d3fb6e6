"""Input that expands endlessly, refers to other places or never answers is an error, in bounded time and memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from target_warehouse.errors import InputError, RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse
from tests.target.listener import Listener

if TYPE_CHECKING:
    import socket
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Warehouse


class Ears(Listener):
    """A server that counts its connections."""

    connections = 0

    def serve(self, client: socket.socket) -> None:
        """Count, and hang up."""
        self.connections += 1
        client.close()


TEXT = {"type": ["string", "null"]}
PROPERTIES: dict[str, Any] = {"id": {"type": "integer"}, "deep": {"type": ["object", "null"]}, "any": {}}
CHECKED = {**PROPERTIES, "deep": {"type": ["object", "null"], "additionalProperties": {"type": ["array", "object"]}}}


def message(kind: str, **more: Any) -> str:
    return json.dumps({"type": kind, "stream": "t", **more}) + "\n"


def schema(properties: dict[str, Any]) -> str:
    return message("SCHEMA", key_properties=["id"], schema={"properties": properties})


def deep(number: int, name: str, levels: int) -> str:
    nested = '{"a":[' * (levels // 2) + "]}" * (levels // 2)
    return f'{{"type": "RECORD", "stream": "t", "record": {{"id": {number}, "{name}": {nested}}}}}\n'


@pytest.mark.parametrize("levels", [200, 900, 980, 2_000, 200_000])
@pytest.mark.parametrize(
    ("properties", "config"),
    [
        (PROPERTIES, {}),
        (CHECKED, {}),
        (PROPERTIES, {"stream_maps": {"t": {"more": "id"}}}),
        (PROPERTIES, {"flattening_enabled": True, "flattening_max_depth": 3}),
    ],
    ids=["plain", "checked", "mapped", "flattened"],
)
def test_a_record_too_deep_to_be_a_row_is_rejected_alone(
    properties: dict[str, Any], config: dict[str, Any], levels: int, warehouse: Warehouse
) -> None:
    lines = [schema(properties), deep(1, "deep", 4), deep(2, "deep", levels), deep(3, "any", levels), deep(4, "any", 2)]
    state = json.dumps({"type": "STATE", "value": {"read": 4}}) + "\n"
    settings = {"warehouse": warehouse.url, "max_rejected": 9, **config}
    TargetWarehouse(config=settings).run(io.StringIO("".join(lines) + state))
    texts = warehouse.query('SELECT id, CAST(deep AS VARCHAR) AS deep, CAST("any" AS VARCHAR) AS "any" FROM melty.t')
    loaded = {row["id"] for row in texts}
    (history,) = warehouse.query("SELECT rows_read, rejected FROM melty._load_history")
    assert {1, 4} <= loaded
    assert (history["rows_read"], history["rejected"]) == (4, 4 - len(loaded))
    if config.get("flattening_enabled") is None:  # how deep a Python reads differs: what it reads is loaded as it came
        assert all(f"{row['deep']}{row['any']}".count("[") == levels // 2 for row in texts if row["id"] in {2, 3})
    if levels >= 200_000:
        assert loaded == {1, 4}
    rejected = warehouse.query("SELECT record FROM melty._rejected_records") if len(loaded) < 4 else []
    assert all(row["record"].count("[") >= levels // 2 for row in rejected)


def batch(url: str, **encoding: str) -> str:
    return message("BATCH", encoding={"format": "jsonl", **encoding}, manifest=[url])


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)  # the engine does not matter
@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://{}/x",
            "https://{}/x",
            "ftp://{}/x",
            "s3://{}/x",
            "gs://b/x",
            "memory://b/x",
            "data:,x",
            "HTTP://{}/x",
        ),
        *("file://host.example/x", "github://o:r@main/x", "sftp://{}/x", "local:///x", "http+unix://x", "zip://x"),
    ],
)
def test_only_files_of_this_machine_are_read(url: str, warehouse: Warehouse) -> None:
    ears = Ears()
    text = schema(PROPERTIES) + batch(url.format(f"127.0.0.1:{ears.port}"))
    with pytest.raises(InputError, match="the stream t"):
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    ears.close()
    assert ears.connections == 0


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_only_regular_files_are_opened(kind: str, warehouse: Warehouse, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = {"device": "/dev/zero", "pipe": f"{tmp_path}/pipe", "folder": str(tmp_path)}[kind]
    with pytest.raises(InputError, match="not a regular file"):
        TargetWarehouse(config={"warehouse": warehouse.url}).run(
            io.StringIO(schema(PROPERTIES) + batch(f"file://{path}"))
        )


MEMBER = gzip.compress(bytes(64 << 20), 1)  # a gzip file may have many members
BLANK = gzip.compress(b"\n" * (64 << 20), 1)


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_a_line_without_end_is_refused(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(MEMBER * 1_000)  # 64 gigabytes
    text = schema(PROPERTIES) + batch(f"file://{tmp_path}/bomb.gz", compression="gzip")
    with pytest.raises(InputError, match="longer than 256 megabytes"):
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))


def test_a_signal_ends_the_reading_of_a_bomb(
    start_target: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """64 gigabytes of blank lines do not stay in memory, and SIGTERM ends the run while they are read."""
    (tmp_path / "bomb.gz").write_bytes(BLANK * 1_000)
    process = start_target(warehouse="duckdb:///w.duckdb")
    assert process.stdin
    process.stdin.write((schema(PROPERTIES) + batch(f"file://{tmp_path}/bomb.gz", compression="gzip")).encode())
    process.stdin.flush()
    time.sleep(4)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    process.communicate()


def test_many_parts_of_a_file_are_loaded_as_one(warehouse: Warehouse, tmp_path: Path) -> None:
    """In order: the last record of each key wins, also across parts."""
    lines = [json.dumps({"id": number % 100_000, "any": f"{number}{'x' * 100}"}) + "\n" for number in range(130_000)]
    (tmp_path / "many.gz").write_bytes(gzip.compress("".join(lines).encode(), 1))
    text = schema(PROPERTIES) + batch(f"file://{tmp_path}/many.gz", compression="gzip")
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    (counted,) = warehouse.query(
        'SELECT count(*) AS n, count(DISTINCT id) AS ids, max(CASE WHEN id = 7 THEN "any" END) AS seven FROM melty.t'
    )
    assert (counted["n"], counted["ids"], counted["seven"].rstrip("x")) == (100_000, 100_000, "100007")


def test_nanoseconds_of_a_parquet_file_are_those_of_a_line(
    warehouse: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A column cuts them with a warning, text keeps them, and as a key they are rejected."""
    timestamps = pa.array(
        [1_767_225_600_123_456_789, 1_767_225_600_123_456_000, None], pa.timestamp("ns", "Europe/Berlin")
    )
    table = pa.table(
        {
            "id": pa.array([1, 2, 3]),
            "at": timestamps,
            "text": timestamps,
            "time": timestamps.cast(pa.timestamp("ns", "UTC")).cast(pa.time64("ns")),
            "list": pa.array([[1_767_225_600_123_456_789], [], None], pa.list_(pa.timestamp("ns"))),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    timestamp = {"type": ["string", "null"], "format": "date-time"}
    properties = {
        "id": {"type": "integer"},
        "at": timestamp,
        "text": TEXT,
        "time": {**timestamp, "format": "time"},
        "list": {"type": ["array", "null"]},
    }
    file = message("BATCH", encoding={"format": "parquet"}, manifest=[f"file://{tmp_path}/x.parquet"])
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(schema(properties) + file))
    one, two, three = warehouse.rows("t")
    assert (one["at"], one["time"]) == ("2026-01-01T00:00:00.123456", "00:00:00.123456")
    assert "00:00:00.123456789" in one["text"]
    assert "00:00:00.123456789" in one["list"][0]
    assert two["at"] == "2026-01-01T00:00:00.123456"
    assert three == {"id": 3, "at": None, "text": None, "time": None, "list": None}
    warnings = [record.getMessage() for record in caplog.records if "cut" in record.getMessage()]
    assert [sum(f"property {name}:" in line for line in warnings) for name in ("at", "time", "text")] == [2, 2, 0]
    keyed = message("SCHEMA", key_properties=["at"], schema={"properties": properties}).replace('"t"', '"k"')
    with pytest.raises(RejectedRecordsError, match="k 2"):  # one of them is null
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(keyed + file.replace('"t"', '"k"')))
    assert [row["id"] for row in warehouse.rows("k")] == [2]
