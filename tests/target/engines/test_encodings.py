"""Databases, roles, environments and URLs with an encoding other than UTF8: no text is garbled, no row duplicated."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from target_warehouse.engines import open_engine
from target_warehouse.errors import LoadError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse

TEXT = {"type": ["string", "null"]}
SCHEMA = {"k": TEXT, "v": TEXT, "größe": TEXT, "表": TEXT, "nested": {"type": ["object", "null"]}}
#: For each encoding, a character beyond ASCII, a character that it lacks, and its name.
ENCODINGS: dict[str, tuple[str, str | None]] = {
    "UTF8": ("Zoë 表 😀", None),
    "SQL_ASCII": ("Zoë 表 😀", None),
    "LATIN1": ("Zoë ÷", "€"),
    "LATIN9": ("Zoë €", "¤"),
    "WIN1252": ("Zoë € œ", "ł"),
    "WIN1251": ("Зоя №", "ë"),
    "EUC_JP": ("表 ゾエ é", "😀"),
    "EUC_KR": ("조이", "é😀"),
}


@pytest.fixture
def database(request: pytest.FixtureRequest, postgres_server: str) -> PostgresWarehouse:
    """An empty database with the encoding of the parameter."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{request.param}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    return PostgresWarehouse(postgres_server.rsplit("/", 1)[0] + f"/{name}")


def _lines(*records: dict[str, Any], stream: str = "t", key: str = "k", **properties: Any) -> str:
    schema = {"properties": {**SCHEMA, **properties}}
    lines = [{"type": "SCHEMA", "stream": stream, "key_properties": [key], "schema": schema}]
    lines += [{"type": "RECORD", "stream": stream, "record": record} for record in records]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _load(url: str, *records: dict[str, Any], max_rejected: int = 0, **more: Any) -> None:
    TargetWarehouse(config={"warehouse": url, "max_rejected": max_rejected}).run(io.StringIO(_lines(*records, **more)))


def _rows(database: PostgresWarehouse, table: str) -> list[dict[str, Any]]:
    with psycopg.connect(database.url, client_encoding="UTF8", row_factory=psycopg.rows.dict_row) as connection:
        rows: list[dict[str, Any]] = connection.execute(f'SELECT * FROM melty."{table}"').fetchall()
    return sorted(rows, key=str)


@pytest.mark.parametrize("line", ["fast", "slow"])
@pytest.mark.parametrize(("database", "pair"), ENCODINGS.items(), ids=ENCODINGS, indirect=["database"])
def test_texts_and_keys_are_stored_as_sent_or_rejected_if_the_encoding_lacks_them(
    pair: tuple[str, str | None], line: str, database: PostgresWarehouse
) -> None:
    """In every run, on both paths; an earlier record of a key stays when a later one is rejected."""
    stored, lacking = pair
    slow = {"n": {"type": ["string", "null"], "maxLength": 100}} if line == "slow" else {}
    good = [{"k": stored, "v": stored, "nested": {stored: [stored]}}, {"k": "plain", "v": "first"}]
    bad = [{"k": "plain", "v": f"x{lacking}"}, {"k": lacking}, {"k": "in a list", "nested": {"a": [lacking]}}]
    for _ in range(2):
        _load(database.url, *good, *(bad if lacking else []), max_rejected=9, **slow)
    rows = [{name: row[name] for name in ("k", "v", "nested")} for row in _rows(database, "t")]
    expected = [{"k": stored, "v": stored, "nested": {stored: [stored]}}, {"k": "plain", "v": "first", "nested": None}]
    assert rows == sorted(expected, key=str)
    if lacking:
        rejected = _rows(database, "_rejected_records")
        assert [json.loads(row["record"])["k"] for row in rejected].count(lacking) == 2
        assert {row["reason"].split(" has ")[0] for row in rejected} == {
            f"its property {name}" for name in ("k", "v", "nested")
        }


@pytest.mark.parametrize("database", ["LATIN1"], indirect=True)
def test_every_refused_text_is_rejected_even_if_a_batch_has_very_many(database: PostgresWarehouse) -> None:
    _load(database.url, *({"k": str(i), "v": "😀" if i % 2 else "ü"} for i in range(600)), max_rejected=300)
    assert len(_rows(database, "t")) == len(_rows(database, "_rejected_records")) == 300


@pytest.mark.parametrize("database", ["LATIN1", "EUC_JP"], indirect=True)
def test_names_that_the_encoding_lacks_are_fitted_in_every_run(
    database: PostgresWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Names of columns and tables, also if they are longer in the encoding than in UTF-8. A schema is refused."""
    emoji, long = "größe 😀", "é" * 30
    for _ in range(2):
        record = {"k": "1", emoji: "a", long: "b", "表": "c"}
        _load(database.url, record, stream="表😀", **{emoji: TEXT, long: TEXT})
    (table,) = (
        row["relname"] for row in database.query("SELECT relname FROM pg_class WHERE relname ~ '_[0-9a-f]{8}$'")
    )
    (row,) = _rows(database, table)
    assert [row[name] for name in row if row[name] in ("a", "b", "c")] == ["c", "a", "b"]
    assert f"the property {emoji} is in the column gre _" in caplog.text
    assert len(_rows(database, "_load_history")) == 2
    with pytest.raises(LoadError, match=r"The schema .* cannot be created"):
        TargetWarehouse(config={"warehouse": database.url, "default_target_schema": "s😀"}).run(
            io.StringIO(_lines({"k": "1"}))
        )


@pytest.mark.parametrize("database", ["LATIN1"], indirect=True)
def test_comments_have_question_marks_for_characters_that_the_encoding_lacks(database: PostgresWarehouse) -> None:
    _load(database.url, {"k": "1"}, v={**TEXT, "title": "Größe 表"}, größe={**TEXT, "title": "Maß"})
    rows = database.query("SELECT description AS d FROM pg_description WHERE objoid = 'melty.t'::regclass ORDER BY 1")
    assert [row["d"] for row in rows] == ["Größe ?", "Maß"]


#: Other ways to set the encoding of a session.
SETTINGS = {
    "role": lambda url: (
        f'ALTER ROLE "{conninfo_to_dict(url)["user"]}" IN DATABASE {conninfo_to_dict(url)["dbname"]}'
        " SET client_encoding = 'LATIN1'"
    ),
    "database": lambda url: f"ALTER DATABASE {conninfo_to_dict(url)['dbname']} SET client_encoding = 'SQL_ASCII'",
    "environment": None,
    "options": None,
    "parameter": None,
}
IN_URL: dict[str, dict[str, str]] = {
    "options": {"options": "-c client_encoding=LATIN1"},
    "parameter": {"client_encoding": "WIN1252"},
}


@pytest.mark.parametrize("how", SETTINGS)
def test_a_session_uses_utf8_whatever_else_is_set(how: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both connections, for writing and for reading."""
    database = PostgresWarehouse(postgres_url)
    url = postgres_url
    if statement := SETTINGS[how]:
        database.execute(statement(postgres_url))
    elif how == "environment":
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    else:
        url = make_url(postgres_url).update_query_dict(IN_URL[how]).render_as_string(hide_password=False)
    for _ in range(2):
        _load(url, {"k": "Zoë 表", "größe": "😀"}, {"k": "x"})
    engine = open_engine(Settings.from_config({"warehouse": url}), read_only=True)
    with engine.read("melty", "t", ["k", "größe"], live_only=True) as reader:
        read = sorted((row["k"], row["größe"]) for row in reader.read_all().to_pylist())
    engine.close()
    monkeypatch.delenv("PGCLIENTENCODING", raising=False)
    rows = sorted((row["k"], row["größe"]) for row in _rows(database, "t"))
    assert rows == read == [("Zoë 表", "😀"), ("x", None)]
