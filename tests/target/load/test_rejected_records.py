"""A record that cannot become a row is kept in a separate table, and everything else is loaded."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import LoadError, RejectedRecordsError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Warehouse

PROPERTIES: dict[str, Any] = {
    "id": {"type": ["integer", "null"]},
    "whole": {"type": ["integer", "null"]},
    "number": {"type": ["number", "null"]},
    "name": {"type": ["string", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "day": {"type": ["string", "null"], "format": "date"},
    "time": {"type": ["string", "null"], "format": "time"},
    "object": {"type": ["object", "null"]},
}
SCHEMA = {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": PROPERTIES}}
STATE = '{"type": "STATE", "value": {"at": 1}}'

#: The record as JSON text, and words of the reason.
BAD = {
    '{"name": "no key"}': "id is missing",
    '{"id": null}': "id is null",
    '{"id": [1]}': "id is not an integer",
    '{"id": "abc"}': "id is not an integer",
    '{"id": 1, "whole": 5.7}': "whole is a number with a fraction",
    '{"id": 2, "whole": NaN}': "whole is not an integer",
    '{"id": 3, "number": NaN}': "number is not a number",
    '{"id": 4, "number": -Infinity}': "number is not a number",
    '{"id": 5, "number": 1e99999999999999999999}': "number is not a number",
    '{"id": 6, "number": 1e999999999}': "more digits than a database can hold",
    '{"id": 7, "number": 1e-20000}': "more digits than a database can hold",
    '{"id": 8, "number": "12"}': "number is not a number",
    '{"id": 9, "name": "\\ud800"}': "name contains half a surrogate pair",
    '{"id": 10, "name": 5}': "name is not a string",
    '{"id": 11, "flag": 1}': "flag is not a boolean",
    '{"id": 12, "at": "0000-01-01T00:00:00Z"}': "at is not a date and time between the years 1 and 9999",
    '{"id": 13, "at": "20225-01-01T00:00:00Z"}': "at is not a date and time",
    '{"id": 14, "at": "0001-01-01T00:00:00+01:00"}': "at is outside the years 1 to 9999",
    '{"id": 15, "at": "2026-02-30T00:00:00Z"}': "at is not a date and time",
    '{"id": 16, "day": "0000-01-01"}': "day is not a date",
    '{"id": 17, "day": "20225-01-01"}': "day is not a date",
    '{"id": 18, "time": "25:00:00"}': "time is not a time of day",
    '{"id": 118, "time": "20260101"}': "time is not a time of day",
    '{"id": 19, "object": {"deep": [NaN]}}': "object contains NaN",
    '{"id": 20, "object": {"deep": "\\udc00"}}': "object contains text that is not valid Unicode",
}


def _lines(*records: str, schema: dict[str, Any] = SCHEMA) -> str:
    stream = schema["stream"]
    return "\n".join(
        [
            json.dumps(schema),
            *(f'{{"type": "RECORD", "stream": "{stream}", "record": {record}}}' for record in records),
            STATE,
            "",
        ]
    )


def _run(warehouse: Warehouse, text: str, **config: Any) -> None:
    TargetWarehouse(config={"warehouse": warehouse.url, **config}).run(io.StringIO(text))


def test_every_record_that_fits_no_row_is_kept_with_its_reason(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """All other records are loaded, STATEs are printed, and the run fails at its end."""
    good = [f'{{"id": {key}, "name": "good"}}' for key in range(100, 100 + len(BAD))]
    mixed = [record for pair in zip(good, BAD, strict=True) for record in pair]
    with pytest.raises(RejectedRecordsError, match=rf"t {len(BAD)}\b.*melty\._rejected_records") as raised:
        _run(warehouse, _lines(*mixed))
    assert [row["id"] for row in warehouse.rows("t")] == list(range(100, 100 + len(BAD)))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"at": 1}
    kept = {_key(row["record"]): row for row in warehouse.rows("_rejected_records")}
    assert len(kept) == len(BAD)
    for record, words in BAD.items():
        row = kept[_key(record)]
        assert words in row["reason"]
        assert row["stream"] == "t"
        assert row["rejected_at"] > "2026"
    (history,) = warehouse.rows("_load_history")
    assert (history["rejected"], history["rows_read"], history["inserted"]) == (len(BAD), 2 * len(BAD), len(good))
    assert (history["status"], history["error"]) == ("failed", str(raised.value))
    assert {row["run_id"] for row in kept.values()} == {history["run_id"]}


def _key(record: str) -> str:
    """The parts of a record that are equal as sent and as kept."""
    value = json.loads(record, parse_constant=str, parse_float=str)
    return json.dumps({name: str(value[name]).lower() for name in PROPERTIES if name in value}).replace("e+", "e")


def test_an_empty_time_of_extraction_is_none_and_no_reason_to_reject(warehouse: Warehouse) -> None:
    lines = _lines('{"id": 1}', '{"id": 2}').replace('"record"', '"time_extracted": "", "record"', 1)
    _run(warehouse, lines)
    assert [(row["id"], row["_sdc_extracted_at"]) for row in warehouse.rows("t", metadata=True)] == [
        (1, None),
        (2, None),
    ]


def test_as_many_as_allowed_do_not_fail_the_run(warehouse: Warehouse) -> None:
    text = _lines('{"id": "a"}', '{"id": "b"}', '{"id": 1}')
    _run(warehouse, text, max_rejected=2)
    with pytest.raises(RejectedRecordsError):
        _run(warehouse, text, max_rejected=1)
    statuses = sorted((row["status"], row["rejected"]) for row in warehouse.rows("_load_history"))
    assert statuses == [("failed", 2), ("partial", 2)]
    assert len(warehouse.rows("_rejected_records")) == 4


def test_a_rejected_record_does_not_hide_an_earlier_one_of_its_key(warehouse: Warehouse) -> None:
    _run(warehouse, _lines('{"id": 1, "name": "earlier"}', '{"id": 1, "flag": "no"}'), max_rejected=1)
    assert [(row["id"], row["name"]) for row in warehouse.rows("t")] == [(1, "earlier")]


def test_rows_are_not_taken_for_deleted_because_their_records_were_rejected(warehouse: Warehouse) -> None:
    def versioned(record: str, version: int) -> str:
        line = {"type": "RECORD", "stream": "t", "record": json.loads(record), "version": version}
        return json.dumps(line)

    for version, flag in ((1, True), (2, "no")):
        record = json.dumps({"id": 1, "flag": flag})
        lines = [json.dumps(SCHEMA), versioned(record, version), versioned('{"id": 2}', version)]
        lines.append(json.dumps({"type": "ACTIVATE_VERSION", "stream": "t", "version": version}))
        _run(warehouse, "\n".join(lines), max_rejected=1, hard_delete=True)
    assert [row["id"] for row in warehouse.rows("t")] == [1, 2]


DELETED = "2026-01-02T00:00:00Z"
#: Records of one key, one of which a constraint of the database refuses, and the value and the mark of its row.
ONE_IS_REFUSED: dict[str, tuple[list[dict[str, Any]], tuple[str, bool] | None]] = {
    "the last": ([{"name": "good", "whole": 1}, {"name": "refused", "whole": 13}], ("good", False)),
    "the first": ([{"name": "refused", "whole": 13}, {"name": "good", "whole": 1}], ("good", False)),
    "before a deletion": ([{"name": "refused", "whole": 13}, {"_sdc_deleted_at": DELETED}], ("old", True)),
    "a deletion": ([{"name": "good", "whole": 1}, {"whole": 13, "_sdc_deleted_at": DELETED}], ("good", False)),
    "after a deletion": ([{"_sdc_deleted_at": DELETED}, {"name": "refused", "whole": 13}], ("old", True)),
    "alone": ([{"name": "refused", "whole": 13}], ("old", False)),
}


@pytest.mark.parametrize("batch_size_rows", [100, 1])
@pytest.mark.parametrize("case", ONE_IS_REFUSED)
def test_a_record_that_the_database_refuses_takes_no_other_record_of_its_key_with_it(
    case: str, batch_size_rows: int, warehouse: Warehouse
) -> None:
    warehouse.execute(
        "CREATE SCHEMA melty",
        "CREATE TABLE melty.t (id bigint PRIMARY KEY, whole bigint CHECK (whole <> 13), name varchar)",
        "INSERT INTO melty.t VALUES (1, 0, 'old')",
    )
    records, expected = ONE_IS_REFUSED[case]
    lines = [json.dumps({"id": 1, **record}) for record in records]
    others = [json.dumps({"id": number, "whole": number, "name": "other"}) for number in (2, 3)]
    text = _lines(others[0], *lines, others[1])
    _run(warehouse, text, max_rejected=1, batch_size_rows=batch_size_rows)
    loaded = {
        row["id"]: (row["name"], row["_sdc_deleted_at"] is not None) for row in warehouse.rows("t", metadata=True)
    }
    assert loaded == {1: expected, 2: ("other", False), 3: ("other", False)}
    is_superseded = case == "the first" and batch_size_rows > 1  # the database never sees the refused record
    if not is_superseded:
        (rejected,) = warehouse.rows("_rejected_records")
        assert json.loads(rejected["record"])["whole"] == 13
    (history,) = warehouse.rows("_load_history")
    assert (history["rows_read"], history["rejected"]) == (len(records) + 2, int(not is_superseded))


def test_records_that_only_the_database_refuses_are_found(warehouse: Warehouse) -> None:
    """A user's constraint refuses them: the batch is halved until they are isolated."""
    _run(warehouse, _lines('{"id": 0}'))
    _constrain(warehouse)
    _run(warehouse, _lines(*(json.dumps({"id": i, "whole": i % 50}) for i in range(200))), max_rejected=4)
    assert len(warehouse.rows("t")) == 196
    refused = warehouse.rows("_rejected_records")
    assert {json.loads(row["record"])["whole"] for row in refused} == {13}
    assert all("refuses one of its values" in row["reason"] for row in refused)
    with pytest.raises(LoadError):  # all records are refused, so the fault is not in single records
        _run(warehouse, _lines('{"id": "a"}', *(f'{{"id": {i}, "whole": 13}}' for i in range(300))), max_rejected=1000)
    failed = max(warehouse.rows("_load_history"), key=lambda row: row["started_at"])
    assert (failed["status"], failed["rejected"]) == ("failed", 0)  # as many as are kept of this run
    assert len(warehouse.rows("_rejected_records")) == 4


def _constrain(warehouse: Warehouse) -> None:
    if warehouse.engine == "duckdb":
        import duckdb

        with duckdb.connect(warehouse.url.removeprefix("duckdb:///")) as connection:
            columns = [row[0] for row in connection.execute("DESCRIBE melty.t").fetchall()]
            names = ", ".join(f'"{name}"' for name in columns)
            connection.execute("ALTER TABLE melty.t RENAME TO t_old")
            sql = connection.execute("SELECT sql FROM duckdb_tables() WHERE table_name = 't_old'").fetchone()
            assert sql is not None
            connection.execute(sql[0].replace("melty.t_old(", "melty.t(CHECK (whole <> 13), "))
            connection.execute(f"INSERT INTO melty.t ({names}) SELECT {names} FROM melty.t_old")
        return
    import psycopg

    with psycopg.connect(warehouse.url) as connection:
        connection.execute("ALTER TABLE melty.t ADD CHECK (whole <> 13)")


def test_the_command_fails_with_one_sentence(run_target: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    process = run_target(_lines('{"id": 1}', '{"id": "jane@example.com"}'), warehouse="duckdb:///w.duckdb")
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith("Error: Records that could not be loaded: t 1.")
    assert "jane" not in process.stderr
    assert json.loads(process.stdout) == {"at": 1}
