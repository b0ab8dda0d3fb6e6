"""Errors as users see them: one sentence, no traceback, no record contents, exit code 1."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import ConnectionFailedError, sentence_of
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Warehouse

    RunTarget = Callable[..., subprocess.CompletedProcess[str]]

SECRET = "jane.doe@example.com"


def _schema(**properties: Any) -> str:
    schema = {"properties": {"id": {"type": ["integer", "null"]}, **properties}}
    return json.dumps({"type": "SCHEMA", "stream": "contacts", "key_properties": ["id"], "schema": schema})


def _record(**record: Any) -> str:
    return json.dumps({"type": "RECORD", "stream": "contacts", "record": record})


NAME = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
TIME = {"type": ["string", "null"], "format": "date-time"}
ENUM = {"type": ["string", "null"], "enum": ["a", None]}
STRICT = {"type": "string"}

#: The lines on standard input, and words that the message must contain.
INPUTS = {
    "not JSON": ([_schema(name=NAME), f"hello {SECRET}"], ["Line 2", "not JSON"]),
    "a JSON array": (["[1]"], ["Line 1", "not a JSON object"]),
    "nesting that is too deep": ([_schema(name=NAME), "[" * 9_999], ["Line 2", "nests lists and objects"]),
    "a record that is not an object": (
        [_schema(name=NAME), json.dumps({"type": "RECORD", "stream": "contacts", "record": 1})],
        ["Line 2", "record", "not an object"],
    ),
    "a stream without a name": ([json.dumps({"type": "RECORD", "stream": 1, "record": {}})], ["Line 1", "stream"]),
    "no type": ([json.dumps({"stream": SECRET})], ["Line 1", "no message type"]),
    "an unknown type": ([json.dumps({"type": "RECROD", "record": {"a": SECRET}})], ["RECROD", "SCHEMA, RECORD"]),
    "a record before its schema": ([_record(id=1, name=SECRET)], ["contacts", "before", "schema"]),
    "a version before its schema": (
        [json.dumps({"type": "ACTIVATE_VERSION", "stream": "contacts", "version": 1})],
        ["contacts", "before its SCHEMA"],
    ),
    **{
        f"the version {version!r}": (
            [_schema(), json.dumps({"type": "ACTIVATE_VERSION", "stream": "contacts", "version": version})],
            ["version of the ACTIVATE_VERSION", "contacts", "not an integer"],
        )
        for version in ([], {}, "", "5", 5.5, True, None)
    },
    **{
        f"a scope that is {about}": (
            [_schema(), json.dumps({"type": "ACTIVATE_VERSION", "stream": "contacts", "version": 0, "scope": scope})],
            words,
        )
        for about, (scope, words) in {
            "null": (None, ["contacts", "scope", "not an object"]),
            "a list": ([], ["contacts", "scope", "not an object"]),
            "without a version": ({"columns": ["id"], "values": [["1"]]}, ["contacts", "scope"]),
            "without columns": ({"version": 1, "columns": [], "values": [[]]}, ["contacts", "scope"]),
            "too narrow": ({"version": 1, "columns": ["id"], "values": [[]]}, ["contacts", "scope"]),
            "of values that are not keys": (
                {"version": 1, "columns": ["id"], "values": [[[]]]},
                ["contacts", "scope", "id"],
            ),
            "of null": ({"version": 1, "columns": ["id"], "values": [[None]]}, ["contacts", "scope"]),
            "of a text for a number": ({"version": 1, "columns": ["id"], "values": [["x"]]}, ["contacts", "scope"]),
            "of a fraction": ({"version": 1.5, "columns": ["id"], "values": [["1"]]}, ["contacts", "scope"]),
            "of an unknown column": (
                {"version": 1, "columns": ["x"], "values": [["1"]]},
                ["contacts", "x", "not a key"],
            ),
        }.items()
    },
    "a record without stream": ([json.dumps({"type": "RECORD", "record": {"a": SECRET}})], ["RECORD", "lacks stream"]),
    "a schema without properties": (
        [json.dumps({"type": "SCHEMA", "stream": "contacts", "key_properties": [], "schema": {"type": "object"}})],
        ["has no properties"],
    ),
    "a key that the schema lacks": (
        [json.dumps({"type": "SCHEMA", "stream": "c", "key_properties": ["x"], "schema": {"properties": {"y": {}}}})],
        ["stream c", "key x"],
    ),
    "a missing key": ([_schema(name=NAME), _record(name=SECRET)], ["contacts", "id", "missing"]),
    "a null key": ([_schema(name=NAME), _record(id=None, name=SECRET)], ["contacts", "id", "null"]),
    "text for an integer": ([_schema(), _record(id=SECRET)], ["contacts", "id", "not an integer"]),
    "a fraction for an integer": ([_schema(), _record(id=5.7)], ["contacts", "id", "fraction"]),
    "true for a number": ([_schema(n=NUMBER), _record(id=1, n=True)], ["contacts", "n", "not a number"]),
    "a number for a string": ([_schema(name=NAME), _record(id=1, name=5)], ["contacts", "name", "not a string"]),
    "the year 10000": (
        [_schema(at=TIME), _record(id=1, at="10000-01-01T00:00:00Z")],
        ["contacts", "at", "between the years 1 and 9999"],
    ),
    "the year 0": ([_schema(at=TIME), _record(id=1, at="0000-01-01T00:00:00Z")], ["contacts", "at", "the years 1"]),
    "half a surrogate pair": ([_schema(name=NAME), _record(id=1, name="\ud800")], ["contacts", "name", "Unicode"]),
    "a value outside an enum": ([_schema(name=ENUM), _record(id=1, name=SECRET)], ["contacts", "name", "enum"]),
    "null where the schema forbids it": (
        [_schema(name=STRICT), _record(id=1, name=None)],
        ["contacts", "name", "null"],
    ),
}


@pytest.mark.parametrize(("lines", "words"), INPUTS.values(), ids=INPUTS.keys())
def test_bad_input_is_one_sentence_and_leaves_no_rows(
    lines: list[str], words: list[str], warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the sentence is what counts; its words are checked
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO("\n".join(lines) + "\n"))
    sentence = sentence_of(raised.value)
    for word in words:
        assert word in sentence
    assert SECRET not in sentence
    assert "\n" not in sentence
    assert capsys.readouterr().out == ""
    if "contacts" in lines[0] and '"properties": {"id"' in lines[0]:
        assert warehouse.rows("contacts") == []
        (history,) = warehouse.rows("_load_history")
        assert (history["status"], history["error"], history["inserted"]) == ("failed", sentence, 0)


def _assert_one_sentence(process: subprocess.CompletedProcess[str], *words: str) -> None:
    assert process.returncode == 1, process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""
    last = process.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last


GOOD = [_schema(name=NAME), _record(id=1, name=SECRET), json.dumps({"type": "STATE", "value": {"at": 1}})]


def test_the_command_prints_the_sentence_and_fails(run_target: RunTarget) -> None:
    process = run_target("\n".join([*GOOD, "{"]), warehouse="duckdb:///w.duckdb")
    _assert_one_sentence(process, "Line 4", "not JSON")
    assert SECRET not in process.stderr


def test_a_value_outside_the_schema_is_not_logged(run_target: RunTarget) -> None:
    lines = [_schema(name=ENUM), _record(id=1, name=SECRET)]
    process = run_target("\n".join(lines), warehouse="duckdb:///w.duckdb")
    _assert_one_sentence(process, "name", "enum")
    assert SECRET not in process.stderr


def test_a_locked_file_is_waited_for_and_then_named(run_target: RunTarget, tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect(str(tmp_path / "w.duckdb")):
        process = run_target("\n".join(GOOD), warehouse="duckdb:///w.duckdb", lock_timeout_seconds=0.5)
    _assert_one_sentence(process, "w.duckdb", "locked by another process")


def test_a_warehouse_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """The error comes before any input is read."""
    (tmp_path / "notes.duckdb").write_text("buy milk\n" * 1000)
    (tmp_path / "file").write_text("")
    cases = {
        f"duckdb:///{tmp_path}/notes.duckdb": "notes.duckdb is not a DuckDB database",
        f"duckdb:///{tmp_path}/file/w.duckdb": "folder of the DuckDB file .*file/w.duckdb cannot be created",
        f"duckdb:///{tmp_path}": "cannot be opened",
        "postgresql://me:hunter2@127.0.0.1:1/db": "127.0.0.1:1/db cannot be reached",
    }
    for url, words in cases.items():
        with pytest.raises(ConnectionFailedError, match=words) as raised:
            TargetWarehouse(config={"warehouse": url, "lock_timeout_seconds": 0}).run(io.StringIO("{"))
        assert "hunter2" not in str(raised.value)


def test_a_wrong_password_is_a_sentence_without_the_password(postgres_url: str) -> None:
    wrong = postgres_url.replace(":correct-horse@", ":hunter2@")
    if wrong == postgres_url:
        pytest.skip("the PostgreSQL given by WAREHOUSE_TEST_POSTGRES_URL has another password")
    with pytest.raises(ConnectionFailedError, match="password authentication failed") as raised:
        TargetWarehouse(config={"warehouse": wrong}).run(io.StringIO("{"))
    assert "hunter2" not in str(raised.value)
