"""Titles and descriptions of a stream's schema become comments in the database, which database browsers show."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from target_warehouse.singer.target import TargetWarehouse
from target_warehouse.tables.table import comment_of, needs_validator
from tests.conftest import PostgresWarehouse

if TYPE_CHECKING:
    from conftest import Warehouse

ODD = 'it\'s 100% \\ "odd"; DROP'
SAYS = {"title": "First name", "description": "What a contact is called"}


def _run(warehouse: Warehouse, about: str | None, *, url: str = "", **properties: dict[str, Any]) -> None:
    columns = {"id": {"type": ["integer", "null"]}}
    columns |= {name: {"type": ["string", "null"], **texts} for name, texts in properties.items()}
    schema = {"properties": columns} | ({"description": about} if about else {})
    lines = [
        {"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema},
        {"type": "RECORD", "stream": "t", "record": {"id": 1}},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    TargetWarehouse(config={"warehouse": url or warehouse.url}).run(io.StringIO(text))


def _comments(warehouse: Warehouse) -> dict[str, str]:
    """The comments of the columns of the table `t`, and its own under `t`."""
    sql = "SELECT column_name AS name, comment FROM duckdb_columns() WHERE table_name = 't' UNION ALL "
    sql += "SELECT table_name, comment FROM duckdb_tables() WHERE table_name = 't'"
    if warehouse.engine == "postgres":
        sql = "SELECT attname AS name, col_description(attrelid, attnum) AS comment FROM pg_attribute "
        sql += "WHERE attrelid = 'melty.t'::regclass UNION ALL SELECT 't', obj_description('melty.t'::regclass)"
    return {row["name"]: row["comment"] for row in warehouse.query(sql) if row["comment"]}


def _transaction_of_comments(warehouse: PostgresWarehouse) -> list[Any]:
    sql = "SELECT CAST(xmin AS text) AS x FROM pg_description WHERE objoid = 'melty.t'::regclass ORDER BY objsubid"
    return [row["x"] for row in warehouse.query(sql)]


def test_comments_are_those_of_the_schema_and_follow_its_changes(warehouse: Warehouse) -> None:
    """A new column gets its comment at once; a column without a description in the schema keeps its comment."""
    _run(warehouse, "People", first=SAYS, odd={"title": ODD}, plain={})
    assert _comments(warehouse) == {"t": "People", "first": "First name: What a contact is called", "odd": ODD}
    by_hand = "COMMENT ON COLUMN melty.t.plain IS 'by hand'"
    if warehouse.engine == "postgres":
        with psycopg.connect(warehouse.url) as connection:
            connection.execute(by_hand)
    else:
        import duckdb

        with duckdb.connect(warehouse.url.removeprefix("duckdb:///")) as duck:
            duck.execute(by_hand)
    _run(warehouse, None, first={"title": "Name"}, odd={}, plain={}, more={"description": "later\0"})
    assert _comments(warehouse) == {
        "t": "People",
        "first": "Name",
        "odd": ODD,
        "plain": "by hand",
        "more": "later\ufffd",
    }


def test_existing_comments_are_not_written_again(postgres_url: str) -> None:
    warehouse = PostgresWarehouse(postgres_url)
    _run(warehouse, "People", first=SAYS)
    before = _transaction_of_comments(warehouse)
    _run(warehouse, "People", first=SAYS)
    assert _transaction_of_comments(warehouse) == before


def test_a_role_that_may_not_comment_gets_a_warning_and_loads(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For example into a table that another role owns."""
    warehouse, role = PostgresWarehouse(postgres_url), "loader_" + postgres_url[-12:]
    _run(warehouse, None, first={})
    statements = (
        f"CREATE ROLE {role} LOGIN PASSWORD 'choose-one'",
        f"GRANT ALL ON SCHEMA melty TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA melty TO {role}",
    )
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)
        _run(warehouse, "People", url=f"postgresql://{role}:choose-one@{postgres_url.split('@')[1]}", first=SAYS)
        warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert warnings == [
            "The comments on the table t cannot be written: must be owner of table t. Its rows are loaded anyway."
        ]
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("schema", "comment"),
    [
        ({}, ""),
        ({"title": "A", "description": "A"}, "A"),
        ({"title": "Street Address", "description": "Street address."}, "Street address."),
        ({"title": "Name", "description": ""}, "Name"),
        ({"title": " ", "description": "B "}, "B"),
        ({"title": "half \ud800", "description": None}, "half \ufffd"),
    ],
)
def test_a_comment_is_title_and_description(schema: dict[str, Any], comment: str) -> None:
    assert comment_of(schema) == comment


def test_titles_and_descriptions_add_no_validator() -> None:
    prop = {"type": ["string", "null"], **SAYS}
    assert not needs_validator({"type": "object", **SAYS, "properties": {"first": prop}})
