"""Column types: which type holds the values of which others, and which type a column becomes."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.engines.type_widening import holds, widened
from target_warehouse.errors import LoadError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

#: The type of the column, the type that the stream needs, and the resulting type; PostgreSQL's and DuckDB's names.
POSTGRES = [
    ("bigint", "bigint", "bigint"),
    ("smallint", "bigint", "bigint"),
    ("bigint", "smallint", "bigint"),
    ("bigint", "numeric", "numeric"),
    ("numeric", "bigint", "numeric"),
    ("numeric(10,2)", "numeric", "numeric"),
    ("double precision", "numeric", "numeric"),
    ("double precision", "bigint", "numeric"),
    ("character varying(20)", "character varying(10)", "character varying(20)"),
    ("character varying(20)", "character varying(50)", "character varying(50)"),
    ("character varying(20)", "text", "text"),
    ("character varying", "jsonb", "character varying"),
    ("date", "timestamp without time zone", "timestamp without time zone"),
    ("timestamp without time zone", "date", "timestamp without time zone"),
    ("timestamp with time zone", "timestamp without time zone", "timestamp with time zone"),
    ("bigint[]", "text[]", "jsonb"),
    ("bigint[]", "jsonb", "jsonb"),
    ("jsonb", "bigint[]", "jsonb"),
    ("bigint[]", "text", "text"),
    ("boolean", "bigint", "text"),
    ("uuid", "text", "text"),
    ("bytea", "text", "text"),
    ("jsonb", "boolean", "text"),
]
DUCKDB = [
    ("BIGINT", "DECIMAL(38,18)", "decimal(38,18)"),
    ("DECIMAL(38,18)", "BIGINT", "decimal(38,18)"),
    ("DECIMAL(18,3)", "DECIMAL(38,18)", "decimal(38,18)"),
    ("DECIMAL(38,2)", "DECIMAL(38,18)", "varchar"),
    ("HUGEINT", "BIGINT", "hugeint"),
    ("HUGEINT", "DECIMAL(38,18)", "varchar"),
    ("DOUBLE", "DECIMAL(38,18)", "double"),
    ("DATE", "TIMESTAMP", "timestamp"),
    ("JSON", "VARCHAR", "varchar"),
    ("VARCHAR", "JSON", "varchar"),
    ("BOOLEAN", "VARCHAR", "varchar"),
]


@pytest.mark.parametrize(("existing", "wanted", "becomes"), [*POSTGRES, *DUCKDB])
def test_a_column_becomes_the_narrowest_type_that_holds_both(existing: str, wanted: str, becomes: str) -> None:
    is_duckdb = (existing, wanted, becomes) in DUCKDB
    types = {"number": "decimal(38,18)", "json": "json", "text": "varchar"}
    if not is_duckdb:
        types = {"number": "numeric", "json": "jsonb", "text": "text"}
    assert widened(existing, wanted, **types) == becomes
    assert holds(becomes, existing)
    assert holds(becomes, wanted)
    assert widened(becomes, wanted, **types) == becomes  # the next run changes nothing


def _text(*records: dict[str, Any], **properties: Any) -> str:
    schema = {"properties": {"id": {"type": ["integer", "null"]}, **properties}}
    lines = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": record} for record in records]
    return "".join(json.dumps(line) + "\n" for line in lines)


def _types(warehouse: Warehouse) -> dict[str, str]:
    rows = warehouse.query(
        "SELECT column_name AS n, data_type AS t FROM information_schema.columns WHERE table_name='t'"
    )
    return {row["n"]: row["t"].lower() for row in rows if not row["n"].startswith("_sdc_")}


def test_tables_of_other_makers_keep_their_values_to_the_last_digit(warehouse: Warehouse) -> None:
    """Floats, short texts, decimals of other sizes, bytes: types that an earlier loader has chosen."""
    script = (
        'CREATE SCHEMA melty; CREATE TABLE melty.t (id integer NOT NULL PRIMARY KEY, "f" double precision, '
        '"d" decimal(10,2), "s" varchar(5), "b" {blob}, "day" date, "ts" timestamp); '
        "INSERT INTO melty.t VALUES (1, 0.1234567890123456, 1.10, 'short', {bytes}, "
        "'2026-01-02', '2026-01-02 03:04:05')"
    )
    if warehouse.engine == "duckdb":
        import duckdb

        with duckdb.connect(warehouse.url.removeprefix("duckdb:///")) as connection:
            connection.execute(script.format(blob="blob", bytes="'\\xAB'::blob").replace(" PRIMARY KEY", ""))
    else:
        import psycopg

        with psycopg.connect(warehouse.url) as session:
            session.execute(script.format(blob="bytea", bytes="'\\xab'::bytea"))
    number, string = {"type": ["number", "null"]}, {"type": ["string", "null"]}
    record = {
        "id": 2**40,
        "f": 12345678901.25,
        "d": 123456789.125,
        "s": "much longer",
        "b": "text",
        "day": "soon",
        "ts": "x",
    }
    text = _text(record, f=number, d=number, s=string, b=string, day=string, ts=string)
    for _ in range(2):
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    one, other = warehouse.rows("t")
    assert one == {
        "id": 1,
        "f": 0.1234567890123456 if warehouse.engine == "duckdb" else "0.1234567890123456",
        "d": "1.1",
        "s": "short",
        "b": "ab",
        "day": "2026-01-02",
        "ts": "2026-01-02 03:04:05",
    }
    assert other == {
        **record,
        "f": record["f"] if warehouse.engine == "duckdb" else "12345678901.25",
        "d": "123456789.125",
    }


def test_each_type_is_the_narrowest_that_holds_its_values(warehouse: Warehouse) -> None:
    schemas = {name: {"type": [name, "null"]} for name in ("integer", "number")}
    text = _text({"id": 1, "i": 2**63, "n": 1.5}, i=schemas["integer"], n=schemas["number"])
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    number = "numeric" if warehouse.engine == "postgres" else "decimal(38,18)"
    assert _types(warehouse) == {"id": "bigint", "i": number, "n": number}


def test_a_key_that_is_a_uuid_is_one_row_however_it_is_spelled(warehouse: Warehouse) -> None:
    """A text that is not a UUID is rejected."""
    key = {"type": ["string", "null"], "format": "uuid"}
    schema = {"properties": {"id": key, "n": {"type": ["integer", "null"]}}}
    lines: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    spellings = ["f47ac10b-58cc-4372-a567-0e02b2c3d479", "F47AC10B58CC4372A5670E02B2C3D479", "no uuid"]
    lines += [{"type": "RECORD", "stream": "t", "record": {"id": s, "n": i}} for i, s in enumerate(spellings)]
    target = TargetWarehouse(config={"warehouse": warehouse.url, "max_rejected": 1})
    target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    rows = [(str(row["id"]), row["n"]) for row in warehouse.rows("t")]
    assert rows == [(spellings[0], 1)]
    assert "not a UUID" in warehouse.rows("_rejected_records")[0]["reason"]


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_a_view_in_the_way_is_a_sentence_that_says_what_to_do(warehouse: Warehouse) -> None:
    import psycopg

    TargetWarehouse(config={"warehouse": warehouse.url}).run(
        io.StringIO(_text({"id": 1, "n": 1}, n={"type": "integer"}))
    )
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("CREATE VIEW melty.v AS SELECT n FROM melty.t")
    text = _text({"id": 1, "n": 1.5}, n={"type": "number"})
    with pytest.raises(LoadError, match=r"used by a view.*drop the view, run again, and create it again"):
        TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("DROP VIEW melty.v")
    TargetWarehouse(config={"warehouse": warehouse.url}).run(io.StringIO(text))
    assert warehouse.rows("t") == [{"id": 1, "n": "1.5"}]


def test_whole_numbers_of_a_list_may_have_a_point(warehouse: Warehouse) -> None:
    """In JSON schema 1.0 is an integer: it is loaded, and the type of its column does not change."""
    text = _text({"id": 1, "i": [1, None]}, i={"type": "array", "items": {"type": ["integer", "null"]}})
    config = {"warehouse": warehouse.url}
    TargetWarehouse(config=config).run(io.StringIO(text))
    before = _types(warehouse)
    TargetWarehouse(config=config).run(io.StringIO(text.replace("[1, null]", "[1.0, 1e2, null]")))
    assert _types(warehouse) == before
    assert [row["i"] for row in warehouse.rows("t")] == [[1, 100, None]]


def test_keys_that_only_json_tells_apart_end_the_run_before_the_table_changes(warehouse: Warehouse) -> None:
    rows = [{"id": 5}, {"id": "5"}]
    lines = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": {"id": {"type": types}}}}
        for types in (["object", "string", "number"], ["string"])
    ]
    lines[1:1] = [{"type": "RECORD", "stream": "t", "record": row} for row in rows]
    target = TargetWarehouse(config={"warehouse": warehouse.url})
    with pytest.raises(LoadError, match="key column id of the table t would become text"):
        target.run(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
    assert warehouse.rows("t") == sorted(rows, key=str)
