"""`_load_history` and the report: counts are the database's own."""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from target_warehouse.cli import main
from target_warehouse.target import TargetWarehouse

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Warehouse

AT = "2026-01-01T00:00:00Z"
SCHEMA = {"properties": {"id": {"type": ["integer", "null"]}, "v": {"type": ["string", "null"]}}}


def _run(warehouse: Warehouse, stream: str, *records: dict[str, Any], **config: Any) -> None:
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": ["id"], "schema": SCHEMA}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
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


def test_the_report_shows_rows_and_the_last_run(warehouse: Warehouse) -> None:
    _run(warehouse, "people", *({"id": i} for i in range(1200)))
    _run(warehouse, "people", {"id": 5}, _deleted(6), {"id": 5000})
    _run(warehouse, "orders", {"id": 1})
    output = CliRunner().invoke(main, ["--warehouse", warehouse.url, "report"]).output
    lines = [line.split() for line in output.splitlines()]
    assert lines[0][:3] == ["table", "live", "deleted"]
    assert [line[:3] for line in lines[2:]] == [["melty.orders", "1", "0"], ["melty.people", "1,200", "1"]]
    assert lines[3][5:10] == ["success", "3", "1", "1", "1"]


def test_the_report_as_json_is_an_object_per_table(warehouse: Warehouse) -> None:
    _run(warehouse, "people", {"id": 1}, default_target_schema="crm")
    result = CliRunner().invoke(main, ["--warehouse", warehouse.url, "--schema", "crm", "report", "--json"])
    (entry,) = [json.loads(line) for line in result.output.splitlines()]
    assert (entry["table"], entry["live_rows"], entry["inserted"]) == ("crm.people", 1, 1)


def test_the_report_takes_the_targets_environment(warehouse: Warehouse) -> None:
    _run(warehouse, "people", {"id": 1}, default_target_schema="crm")
    environment = {"TARGET_WAREHOUSE_WAREHOUSE": warehouse.url, "TARGET_WAREHOUSE_DEFAULT_TARGET_SCHEMA": "crm"}
    result = CliRunner().invoke(main, ["report"], env=environment)
    assert "crm.people" in result.output
    assert result.exit_code == 0


def test_nothing_to_report_is_a_sentence(warehouse: Warehouse) -> None:
    _run(warehouse, "people", {"id": 1})
    result = CliRunner().invoke(main, ["--warehouse", warehouse.url, "--schema", "elsewhere", "report"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: There is no history of loads in the schema elsewhere yet")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--warehouse", "duckdb:///{tmp}/none.duckdb"], "There is no DuckDB file"),
        (["--warehouse", "duckdb:///{tmp}/text.duckdb"], "not a DuckDB database"),
        (["--warehouse", "x"], "The setting warehouse"),
        (["--config", "{tmp}/none.json"], "cannot be read"),
        (["--config", "{tmp}/text.duckdb"], "is not JSON"),
    ],
)
def test_a_report_that_cannot_be_made_is_a_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "text.duckdb").write_text("text\n" * 2000)
    result = CliRunner().invoke(main, [*(argument.format(tmp=tmp_path) for argument in arguments), "report"])
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.splitlines()) == 1
