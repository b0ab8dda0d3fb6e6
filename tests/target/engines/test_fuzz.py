"""No name and no value escapes its quoting: any input creates exactly one table with exactly these values.

Hypothesis searches for names and values that do escape, through the whole target and a real database;
WAREHOUSE_TEST_LONG=1 searches longer. Failures that it found are kept as examples.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from target_warehouse.singer.target import TargetWarehouse
from tests.fuzzing import TIMEOUT, examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Warehouse

NASTY = [
    *('"', "'", "`", "\\", ";", "--", "/*", "*/", "$$", "$1", "%", "%s", "%(x)s", ":p", "::text", "?", "{}", "{0}"),
    *("(", ")", ",", ".", "-", " ", "\t", "\n", "\r\n", "\0", "\ud800", "é", "😀", "E'", 'U&"', "\\x41", "\\N", "\\."),
    *("; DROP TABLE canary; --", '"; DROP TABLE canary; --', "'); DROP TABLE canary; --", "$$; DROP TABLE canary; $$"),
    *("_sdc_deleted_at", "id", "ID", "select", "t", "s", "public", "main", "x" * 70),
]
text = st.lists(st.sampled_from(NASTY) | st.text(max_size=4), min_size=1, max_size=4).map("".join)
json_values = st.recursive(
    text | st.none() | st.booleans() | st.integers(-(2**70), 2**70),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
TEXT = {"type": ["string", "null"]}
NUMBERS = itertools.count()
_OURS = {"id", "_sdc_deleted_at", "_sdc_table_version", "_sdc_overflow", "_sdc_extracted_at"}


@st.composite
def streams(draw: st.DrawFn) -> dict[str, Any]:
    """A stream of one to three records with a text, a JSON and an untyped property, with any names."""
    names = draw(st.lists(text.filter(lambda name: name not in _OURS), min_size=3, max_size=3, unique=True))
    records = draw(st.lists(st.tuples(text, text, json_values, json_values), min_size=1, max_size=3))
    return {"schema": draw(text), "stream": draw(text), "names": names, "records": records}


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _stored(value: Any, warehouse: Warehouse) -> Any:
    written = json.dumps(value)
    return json.loads(written.replace("\\u0000", "\\ufffd") if warehouse.engine == "postgres" else written)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def silence() -> Iterator[None]:
    """No log: pytest's workers cannot send on a log with half a surrogate pair."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def canary(warehouse: Warehouse, silence: None) -> Warehouse:
    """A warehouse with a table that must survive."""
    script = "CREATE TABLE canary (n integer)", "INSERT INTO canary VALUES (42)"
    if warehouse.engine == "duckdb":
        import duckdb

        with duckdb.connect(warehouse.url.removeprefix("duckdb:///")) as connection:
            for statement in script:
                connection.execute(statement)
    else:
        import psycopg

        with psycopg.connect(warehouse.url) as session:
            for statement in script:
                session.execute(statement)
    return warehouse


def _tables(warehouse: Warehouse) -> set[tuple[str, str]]:
    rows = warehouse.query(
        "SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    return {(row["s"], row["t"]) for row in rows}


@pytest.mark.timeout(TIMEOUT)
@examples(suite=15, long=1_000)
@given(streams())
@example({"schema": "s", "stream": "t", "names": ["a", "b", "c"], "records": [("k", "v", None, None)]})
@example({"schema": "s", "stream": "t", "names": ["a", "b", "c"], "records": [("k\0", "v\0", [1], ["\0"])]})
def test_any_names_and_values_create_one_table_with_these_values(canary: Warehouse, stream: dict[str, Any]) -> None:
    """Rejected is a record that is not Unicode, or whose key cannot be stored; every other is stored exactly."""
    one, two, three = stream["names"]
    properties = {"id": TEXT, one: TEXT, two: {"type": ["array", "null"]}, three: {}}
    lines: list[dict[str, Any]] = [
        {"type": "SCHEMA", "stream": stream["stream"], "key_properties": ["id"], "schema": {"properties": properties}}
    ]
    expected = {}
    for key, first, second, third in stream["records"]:
        record = {"id": key, one: first, two: [second], three: third}
        lines.append({"type": "RECORD", "stream": stream["stream"], "record": record})
        loses_a_key = canary.engine == "postgres" and "\0" in key
        if _is_unicode([key, first, second, third]) and not loses_a_key:
            stored = _stored([key, first, [second], third], canary)
            if third is not None and not isinstance(third, str):
                stored[3] = json.dumps(stored[3], separators=(",", ":"), ensure_ascii=False)
            expected[stored[0]] = stored
    before = _tables(canary)
    # Names that no database accepts for a schema are refused (see test_fitted_names.py), so they are made valid here.
    schema = stream["schema"].replace("\0", "").encode(errors="ignore")[:50].decode(errors="ignore")
    config = {
        "warehouse": canary.url,
        "default_target_schema": f"{next(NUMBERS)}{schema}",
        "max_rejected": 9,
        "add_record_metadata": False,
        "activate_version": False,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        TargetWarehouse(config=config).run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    assert canary.query("SELECT * FROM canary") == [{"n": 42}]
    new = {table for table in _tables(canary) - before if table[1] not in ("_load_history", "_rejected_records")}
    ((where, name),) = new
    rows = canary.query(f"SELECT * FROM {_quoted(where)}.{_quoted(name)}")
    assert {row["id"]: list(row.values()) for row in rows} == expected
    assert len(rows) == len(expected)
