"""`_load_history`: the counts come from the database, and each row has the outcome of its run."""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from target_warehouse.commands.cli import main
from target_warehouse.engines.sql_access import MOST_COMPARED
from target_warehouse.errors import RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Warehouse

AT = "2026-01-01T00:00:00Z"
SCHEMA = {"properties": {"id": {"type": ["integer", "null"]}, "v": {"type": ["string", "null"]}}}


def _run(warehouse: Warehouse, stream: str, *records: dict[str, Any], **config: Any) -> None:
    lines: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": SCHEMA}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    _feed(warehouse, lines, **config)


def _feed(warehouse: Warehouse, lines: list[dict[str, Any]], **config: Any) -> None:
    target = TargetWarehouse(config={"warehouse": warehouse.url, **config})
    target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))


def _deleted(key: int) -> dict[str, Any]:
    return {"id": key, "_sdc_deleted_at": AT}


def _history(warehouse: Warehouse) -> list[tuple[int, int, int, int]]:
    rows = sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    return [(row["rows_read"], row["inserted"], row["updated"], row["deleted"]) for row in rows]


def test_counts_are_what_happened_to_rows(warehouse: Warehouse) -> None:
    """Duplicates within a batch are one row; marking twice deletes once; an unknown deleted key is a new row."""
    _run(warehouse, "t", {"id": 1}, {"id": 2}, {"id": 2}, {"id": 3})
    _run(warehouse, "t", {"id": 2}, {"id": 4})
    _run(warehouse, "t", _deleted(1), _deleted(9), {"id": 3}, _deleted(3))
    _run(warehouse, "t", _deleted(1), {"id": 3})
    _run(warehouse, "t", _deleted(1), _deleted(77), hard_delete=True)
    _run(warehouse, "t")
    assert _history(warehouse) == [(4, 3, 0, 0), (2, 1, 1, 0), (4, 1, 0, 2), (2, 0, 2, 0), (2, 0, 0, 1), (0, 0, 0, 0)]


def test_the_file_of_a_batch_message_is_loaded_after_the_records_before_it(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    file = tmp_path / "batch.jsonl.gz"
    file.write_bytes(gzip.compress(b"".join(json.dumps({"id": i, "v": "file"}).encode() + b"\n" for i in range(3))))
    lines = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": SCHEMA},
        {"type": "RECORD", "stream": "t", "record": {"id": 0, "v": "record"}},
        {
            "type": "BATCH",
            "stream": "t",
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "manifest": [file.as_uri()],
        },
    ]
    target = TargetWarehouse(config={"warehouse": warehouse.url})
    target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    assert warehouse.rows("t") == [{"id": i, "v": "file"} for i in range(3)]
    assert _history(warehouse) == [(4, 3, 1, 0)]


def test_a_row_of_history_is_complete(warehouse: Warehouse) -> None:
    _run(warehouse, "t", {"id": 1, "v": "x"})
    (row,) = warehouse.rows("_load_history")
    assert row["stream"] == row["table_name"] == "t"
    assert row["table_schema"] == "melty"
    assert row["status"] == "success"
    assert row["error"] is None
    assert row["rejected"] == 0
    assert row["started_at"] <= row["finished_at"]
    assert row["bytes"] > 50
    assert float(row["peak_memory_mb"]) > 10
    assert float(row["seconds"]) >= 0


SECRET = "hush-not-in-the-history"
SETTINGS = {
    "max_rejected": 7,
    "hard_delete": False,
    "sqlalchemy_url": f"postgresql://someone:{SECRET}@db.example/x?sslpassword={SECRET}",
    "ssh_tunnel": {"host": "bastion.example", "private_key": SECRET, "private_key_password": SECRET},
    "ssl_client_private_key": SECRET,
    "ssl_client_certificate": f"-----BEGIN CERTIFICATE-----{SECRET * 5}",
    "stream_maps": {"t": {"v": f"md5(v + '{SECRET}')"}},
    "stream_map_config": {"hash_seed": SECRET},
    "password": SECRET,
    "not_a_setting": SECRET,
}


def test_the_configuration_is_kept_without_its_secrets(warehouse: Warehouse) -> None:
    """Values other than the defaults; settings of any form are only marked as set."""
    _run(warehouse, "t", {"id": 1, "v": "x"}, **SETTINGS)
    (row,) = warehouse.rows("_load_history")
    configuration = json.loads(row["configuration"])
    assert SECRET not in row["configuration"]
    assert "correct-horse" not in row["configuration"]  # the password in the URL of the test's PostgreSQL
    assert configuration.pop("warehouse").split("/")[-1] == warehouse.url.split("/")[-1]
    assert configuration == {
        "max_rejected": 7,
        "ssh_tunnel.host": "bastion.example",
        "ssl_client_certificate": "(set)",
        "stream_maps": "(set)",
        "stream_map_config": "(set)",
    }


def test_a_stream_whose_records_were_all_loaded_is_a_success_beside_one_with_too_many_rejects(
    warehouse: Warehouse,
) -> None:
    lines = [
        {"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": SCHEMA} for stream in ("good", "bad")
    ]
    lines += [{"type": "RECORD", "stream": "good", "record": {"id": 1}}]
    lines += [{"type": "RECORD", "stream": "bad", "record": {"id": None}}]
    with pytest.raises(RejectedRecordsError):
        _feed(warehouse, lines)
    statuses = {row["stream"]: row["status"] for row in warehouse.rows("_load_history")}
    assert statuses == {"good": "success", "bad": "failed"}


def test_a_row_is_written_before_the_first_record_is_committed(warehouse: Warehouse) -> None:
    """So a run that is killed early is recorded, too; the next run marks it as interrupted."""
    target = TargetWarehouse(config={"warehouse": warehouse.url})
    target.get_sink("t", schema=SCHEMA, key_properties=["id"])
    target.committer.engine.close()  # like the end of a process
    assert [(row["status"], row["rows_read"]) for row in warehouse.rows("_load_history")] == [("running", 0)]
    _run(warehouse, "u", {"id": 1})
    statuses = {row["stream"]: row["status"] for row in warehouse.rows("_load_history")}
    assert statuses == {"t": "interrupted", "u": "success"}


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)  # a DuckDB file has one writer
def test_a_run_that_is_alive_is_not_called_interrupted(warehouse: Warehouse) -> None:
    alive = TargetWarehouse(config={"warehouse": warehouse.url})
    alive.get_sink("t", schema=SCHEMA, key_properties=["id"])
    _run(warehouse, "u", {"id": 1})
    statuses = {row["stream"]: row["status"] for row in warehouse.rows("_load_history")}
    assert statuses == {"t": "running", "u": "success"}
    alive.process_endofpipe()
    assert {row["status"] for row in warehouse.rows("_load_history")} == {"success"}


def test_a_history_without_the_newer_columns_gets_them(warehouse: Warehouse) -> None:
    """The rows of older runs do not change."""
    _run(warehouse, "t", {"id": 1})
    warehouse.execute('ALTER TABLE "melty"."_load_history" DROP COLUMN configuration')
    _run(warehouse, "t", {"id": 1})
    rows = sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert [row["configuration"] is None for row in rows] == [True, False]


KINDS: dict[str, Any] = {
    "id": {"type": "integer"},
    "text": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "day": {"type": ["string", "null"], "format": "date"},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "thing": {"type": ["object", "null"]},
    "list": {"type": ["array", "null"], "items": {"type": "string"}},
}
VALUES: dict[str, Any] = {
    "text": "Zoë",
    "number": 1.50,
    "flag": True,
    "day": "2026-01-31",
    "at": "2026-01-31T08:00:00.123Z",
    "thing": {"b": [1, None], "a": "x"},
    "list": ["x", "y"],
}


def _load(warehouse: Warehouse, *records: dict[str, Any]) -> None:
    head = {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": KINDS}}
    _feed(warehouse, [head, *({"type": "RECORD", "stream": "t", "record": record} for record in records)])


def _changed(warehouse: Warehouse) -> tuple[int, int | None]:
    row = max(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    return row["updated"], row["changed"]


def test_rows_that_are_rewritten_with_equal_values_are_not_counted_as_changed(warehouse: Warehouse) -> None:
    """A look-back window reads the same records in every run."""
    before = [{"id": i, **VALUES} for i in range(20)] + [{"id": 20, **dict.fromkeys(VALUES)}]
    _load(warehouse, *before)
    assert _changed(warehouse) == (0, 0)
    _load(warehouse, *before[::-1])
    assert _changed(warehouse) == (21, 0)
    others = {"text": "z", "number": 2, "flag": False, "day": None, "at": None, "thing": {}, "list": ["y", "x"]}
    different = [row | {name: value} for row, (name, value) in zip(before, others.items(), strict=False)]
    _load(warehouse, *different, *before[7:20], before[20] | {"text": ""}, {"id": 99})
    assert _changed(warehouse) == (21, 8)


def test_a_mark_that_comes_again_changes_nothing_and_one_that_goes_does(warehouse: Warehouse) -> None:
    _load(warehouse, {"id": 1, **VALUES}, {"id": 2, **VALUES})
    _load(warehouse, _deleted(1))
    assert _changed(warehouse) == (0, 0)
    _load(warehouse, _deleted(1))
    assert _changed(warehouse) == (1, 0)
    _load(warehouse, {"id": 1, **VALUES}, {"id": 2, **VALUES})
    assert _changed(warehouse) == (2, 1)


def test_a_batch_of_very_many_values_is_not_compared(warehouse: Warehouse) -> None:
    """The comparison would take a third of the load's time, so the count is null."""
    columns = {f"c{i}": {"type": ["string", "null"]} for i in range(400)}
    schema = {"properties": {"id": {"type": "integer"}, **columns}}
    head = {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}
    rows = [{"type": "RECORD", "stream": "t", "record": {"id": i}} for i in range(MOST_COMPARED // 400)]
    for _ in range(2):
        _feed(warehouse, [head, *rows])
    assert _changed(warehouse) == (len(rows), None)
    answer = CliRunner().invoke(main, ["--warehouse", warehouse.url, "--schema", "melty", "report"])
    assert "≤2,500" in answer.output, answer.output


def test_a_postgresql_column_without_equality_is_compared_as_text(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty.t (id bigint PRIMARY KEY, thing json, text point)")
    for text in ("(1,2)", "(1,2)", "(3,4)"):
        _load(warehouse, {"id": 1, "thing": {"a": 1}, "text": text})
    history = sorted(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert [(row["updated"], row["changed"]) for row in history] == [(0, 0), (1, 0), (1, 1)]
