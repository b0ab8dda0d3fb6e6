"""BATCH messages: files of records as jsonl, gzip or parquet, which are loaded like RECORD lines."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from target_warehouse.errors import InputError, RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Warehouse

PROPERTIES = {
    "id": {"type": ["integer", "null"]},
    "text": {"type": ["string", "null"]},
    "number": {"type": ["number", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "day": {"type": ["string", "null"], "format": "date"},
    "flag": {"type": ["boolean", "null"]},
    "object": {"type": ["object", "null"]},
    "list": {"type": ["array", "null"], "items": {"type": "string"}},
}
RECORDS: list[dict[str, Any]] = [
    {
        "id": 1,
        "text": "naïve\t\n\"'\\",
        "number": Decimal("12345678901234567.123456789"),
        "at": "2026-01-02T03:04:05.678000+00:00",
        "day": "2026-01-02",
        "flag": True,
        "object": {"a": 1},
        "list": ["x", "y"],
    },
    {"id": 2, "text": "", "number": None, "at": None, "day": None, "flag": False, "object": None, "list": []},
]
ROWS = [
    {**RECORDS[0], "number": "12345678901234567.123456789", "at": "2026-01-02T03:04:05.678000"},
    RECORDS[1],
]


def _jsonl(records: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(record, default=lambda number: f"number {number}") for record in records]
    text = "".join(line + "\n" for line in lines)
    return text.replace('"number ', "").replace('456789"', "456789").encode()


def _parquet(records: list[dict[str, Any]]) -> bytes:
    schema = pa.schema(
        {
            "id": pa.int64(),
            "text": pa.string(),
            "number": pa.decimal128(38, 9),
            "at": pa.timestamp("us", "UTC"),
            "day": pa.date32(),
            "flag": pa.bool_(),
            "object": pa.struct({"a": pa.int64()}),
            "list": pa.list_(pa.string()),
        }
    )
    typed = [
        {
            **record,
            "at": record.get("at") and dt.datetime.fromisoformat(record["at"]),
            "day": record.get("day") and dt.date.fromisoformat(record["day"]),
        }
        for record in records
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(typed, schema), buffer)
    return buffer.getvalue()


#: Formats of files: the writer, and the encoding in the message.
FORMS: dict[str, tuple[Callable[[list[dict[str, Any]]], bytes], dict[str, str]]] = {
    "jsonl": (_jsonl, {"format": "jsonl", "compression": "none"}),
    "jsonl without a compression": (_jsonl, {"format": "jsonl"}),
    "gzip": (lambda records: gzip.compress(_jsonl(records)), {"format": "jsonl", "compression": "gzip"}),
    "parquet": (_parquet, {"format": "parquet", "compression": "none"}),
}


def _message(kind: str, **more: Any) -> str:
    return json.dumps({"type": kind, "stream": "t", **more}) + "\n"


SCHEMA = _message("SCHEMA", key_properties=["id"], schema={"properties": PROPERTIES})


def _batch(folder: Path, form: str, *files: list[dict[str, Any]]) -> str:
    write, encoding = FORMS[form]
    manifest = []
    for number, records in enumerate(files):
        file = folder / f"batch {number} {len(list(folder.iterdir()))}"
        file.write_bytes(write(records))
        manifest.append(f"file://{file}")
    return _message("BATCH", encoding=encoding, manifest=manifest)


def _run(warehouse: Warehouse, text: str, **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


@pytest.mark.parametrize("form", FORMS)
def test_the_files_of_a_batch_become_rows(
    form: str, warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order: an earlier record is overwritten, a later one overwrites, and the STATE follows."""
    before = _message("RECORD", record={"id": 1, "text": "older"})
    after = _message("RECORD", record={"id": 3, "text": "newer"})
    batch = _batch(tmp_path, form, [RECORDS[0], {**RECORDS[1], "id": 3}], [RECORDS[1]])
    _run(warehouse, SCHEMA + before + batch + after + _message("STATE", value={"read": 4}))
    one, two, three = warehouse.rows("t")
    if isinstance(two["object"], dict):  # a parquet struct is never null inside a list of records
        two["object"] = None
    assert [one, two] == ROWS
    assert three["text"] == "newer"
    assert three["flag"] is None
    assert json.loads(capsys.readouterr().out) == {"read": 4}
    (history,) = warehouse.rows("_load_history")
    assert (history["rows_read"], history["status"]) == (5, "success")


@pytest.mark.parametrize("form", ["jsonl", "gzip", "parquet"])
def test_a_record_of_a_file_that_fits_no_row_is_rejected_alone(form: str, warehouse: Warehouse, tmp_path: Path) -> None:
    bad = {**RECORDS[1], "id": None, "text": "no key"}
    with pytest.raises(RejectedRecordsError):
        _run(warehouse, SCHEMA + _batch(tmp_path, form, [RECORDS[0], bad]))
    assert [row["id"] for row in warehouse.rows("t")] == [1]
    (rejected,) = warehouse.rows("_rejected_records")
    assert rejected["reason"] == "its key property id is null"
    assert json.loads(rejected["record"])["text"] == "no key"


@pytest.mark.parametrize("declared", [{}, {"type": ["string", "null"]}], ids=["of any type", "a string"])
def test_binary_and_durations_of_a_parquet_file_are_texts_or_rejected(
    declared: dict[str, Any], warehouse: Warehouse, tmp_path: Path
) -> None:
    """How a value is stored does not depend on the others of its file; and a key finds its row."""
    files = []
    for number, keys in enumerate(([b"abc"], [b"abc", b"\xff", "ä".encode()])):
        columns = {
            "k": pa.array(keys, pa.binary()),
            "took": pa.array([dt.timedelta(seconds=90)] * len(keys), pa.duration("us")),
        }
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
        files.append((tmp_path / f"{number}.parquet").as_uri())
    schema = {"properties": {"k": declared, "took": declared}}
    text = _message("SCHEMA", stream="t", key_properties=["k"], schema=schema)
    text += _message("BATCH", encoding={"format": "parquet", "compression": "none"}, manifest=files)
    for _ in range(2):
        _run(warehouse, text, max_rejected=1)
    assert warehouse.rows("t") == [{"k": "abc", "took": "PT90S"}, {"k": "ä", "took": "PT90S"}]
    (first, second) = warehouse.rows("_rejected_records")
    assert first["reason"] == second["reason"]
    assert first["reason"] in (
        "its property k contains binary data that is not UTF-8 text",
        "its property k is not a string",
    )


def test_maps_and_times_at_the_ends_of_the_calendar_are_read_from_a_parquet_file(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    """A map is an object. A time that no column holds is a rejected record, not the end of the file."""
    zone, seconds = "Pacific/Apia", [-62135596800, 253402300799, 253402300800]  # years 1, 9999 and 10000
    columns = {
        "k": pa.array([1, 2, 3]),
        "at": pa.array(seconds, pa.timestamp("s", zone)),
        "several": pa.array([seconds[:1], [], None], pa.list_(pa.timestamp("s", zone))),
        "map": pa.array([[("a", 1), ("b", 2)], [], None], pa.map_(pa.string(), pa.int64())),
        "by_number": pa.array([[(7, "x")], [], None], pa.map_(pa.int64(), pa.string())),
    }
    pq.write_table(pa.table(columns), tmp_path / "file.parquet")
    properties = {name: {"type": ["object", "null"]} for name in columns}
    properties |= {"k": {"type": ["integer"]}, "at": {"type": ["string", "null"], "format": "date-time"}}
    text = _message("SCHEMA", key_properties=["k"], schema={"properties": {**properties, "several": {}}})
    text += _message("BATCH", encoding={"format": "parquet"}, manifest=[(tmp_path / "file.parquet").as_uri()])
    _run(warehouse, text, max_rejected=1)
    rows = sorted(warehouse.rows("t"), key=lambda row: int(row["k"]))
    assert [row["at"] for row in rows] == ["0001-01-01T00:00:00", "9999-12-31T23:59:59"]
    assert [(row["map"], row["by_number"]) for row in rows] == [({"a": 1, "b": 2}, {"7": "x"}), ({}, {})]
    (rejected,) = warehouse.rows("_rejected_records")
    assert rejected["reason"] == "its property at is not a date and time between the years 1 and 9999"


#: Types in which a time may be, and how the time is put into them.
CONTAINERS: dict[str, tuple[Callable[[pa.DataType], pa.DataType], Callable[[Any], Any]]] = {
    "a list": (pa.list_, lambda time: [time]),
    "a large list": (pa.large_list, lambda time: [time]),
    "a list of fixed size": (lambda kind: pa.list_(kind, 1), lambda time: [time]),
    "a map": (lambda kind: pa.map_(pa.string(), kind), lambda time: [("a", time)]),
    "an object": (lambda kind: pa.struct({"a": kind}), lambda time: {"a": time}),
    "an object in a large list": (lambda kind: pa.large_list(pa.struct({"a": kind})), lambda time: [{"a": time}]),
}
#: Times that Python does not have, and the beginning of their text: nanoseconds, and the year 1 in UTC.
TIMES = {
    "nanoseconds": (pa.timestamp("ns"), 1_000_000_001, "1970-01-01 00:00:01.000000001"),
    "a far year": (pa.timestamp("s", "America/New_York"), -62135596800, "0000-12-31"),
}


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)  # the engine does not matter
@pytest.mark.parametrize(("kind", "time", "text"), TIMES.values(), ids=TIMES)
@pytest.mark.parametrize(("container", "put"), CONTAINERS.values(), ids=CONTAINERS)
def test_a_time_that_python_does_not_have_is_text_wherever_it_is_in_a_parquet_file(
    container: Callable[[pa.DataType], pa.DataType],
    put: Callable[[Any], Any],
    kind: pa.DataType,
    time: int,
    text: str,
    warehouse: Warehouse,
    tmp_path: Path,
) -> None:
    table = pa.table({"k": pa.array([1]), "v": pa.array([put(time)], container(kind))})
    pq.write_table(table, tmp_path / "file.parquet")
    lines = _message("SCHEMA", key_properties=["k"], schema={"properties": {"k": {"type": "integer"}, "v": {}}})
    lines += _message("BATCH", encoding={"format": "parquet"}, manifest=[(tmp_path / "file.parquet").as_uri()])
    _run(warehouse, lines)
    (row,) = warehouse.rows("t")
    assert text in row["v"]


def _damaged(form: str, folder: Path) -> str:
    text = _batch(folder, form, [RECORDS[0]])
    (file,) = folder.glob("batch*")
    file.write_bytes(file.read_bytes()[:40])
    return text


BAD: dict[str, Callable[[Path], str]] = {
    "a missing file": lambda folder: _message(
        "BATCH", encoding={"format": "jsonl", "compression": "none"}, manifest=[f"file://{folder}/nowhere"]
    ),
    "half a jsonl": lambda folder: _damaged("jsonl", folder),
    "half a gzip": lambda folder: _damaged("gzip", folder),
    "half a parquet": lambda folder: _damaged("parquet", folder),
    "an unknown format": lambda folder: _message("BATCH", encoding={"format": "csv"}, manifest=[f"file://{folder}/x"]),
    "an unknown place": lambda _folder: _message(
        "BATCH", encoding={"format": "jsonl", "compression": "none"}, manifest=["gopher://host/x"]
    ),
    "no encoding": lambda _folder: _message("BATCH", encoding=None, manifest=[]),
}


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)  # the engine does not matter
@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_batch_that_cannot_be_read_is_a_sentence(
    text: Callable[[Path], str], warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later STATE is not printed, and an earlier STATE only if its rows are loaded."""
    before = _message("RECORD", record={"id": 9}) + _message("STATE", value={"read": 1})
    with pytest.raises(InputError, match="the stream t") as raised:
        _run(warehouse, SCHEMA + before + text(tmp_path) + _message("STATE", value={"read": 2}))
    assert "\n" not in str(raised.value)
    assert "naïve" not in str(raised.value)
    printed = [json.loads(line)["read"] for line in capsys.readouterr().out.splitlines()]
    assert (printed, [row["id"] for row in warehouse.rows("t")]) in [([1], [9]), ([], [])]


def test_the_command_ends_with_the_sentence(
    run_target: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = run_target(SCHEMA + BAD["a missing file"](tmp_path), warehouse="duckdb:///w.duckdb")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: A BATCH message of the stream t")


def test_records_of_files_are_mapped_and_flattened_as_lines_are(warehouse: Warehouse, tmp_path: Path) -> None:
    """A stream map that hides a property also hides it in files, and no flattened value is lost."""
    schema = {
        "properties": {
            "id": {"type": "integer"},
            "secret": {"type": "string"},
            "o": {"type": ["object", "null"], "properties": {"a": {"type": "string"}}},
        }
    }
    records = [{"id": 1, "secret": "s", "o": {"a": "x"}}, {"id": 2, "secret": "s"}, {"id": 3, "secret": "s", "o": "x"}]
    file = tmp_path / "records.jsonl"
    file.write_bytes(_jsonl(records))
    messages = [
        {"type": "SCHEMA", "stream": "people", "schema": schema, "key_properties": ["id"]},
        {"type": "SCHEMA", "stream": "left_out", "schema": schema, "key_properties": ["id"]},
        *(
            {"type": "BATCH", "stream": stream, "encoding": {"format": "jsonl"}, "manifest": [file.as_uri()]}
            for stream in ("people", "left_out")
        ),
    ]
    config = {
        "warehouse": warehouse.url,
        "flattening_enabled": True,
        "flattening_max_depth": 1,
        "stream_maps": {"people": {"secret": "'hidden'", "__filter__": "id != 2"}, "left_out": None},
        "max_rejected": 1,
    }
    TargetWarehouse(config=config).run(io.StringIO("".join(json.dumps(message) + "\n" for message in messages)))
    assert warehouse.rows("people") == [{"id": 1, "secret": "hidden", "o__a": "x"}]
    rejected = [(row["stream"], row["reason"]) for row in warehouse.rows("_rejected_records")]
    assert rejected == [("people", "its property o cannot be flattened, because it is not an object")]
