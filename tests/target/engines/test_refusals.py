"""A refusal by PostgreSQL is one sentence with advice, whatever the server's language; no row is half written."""

from __future__ import annotations

import io
import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from target_warehouse.errors import ConnectionFailedError, LoadError, RejectedRecordsError, WarehouseError
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse
from tests.target.own_server import own_server

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER, TEXT = {"type": ["integer", "null"]}, {"type": ["string", "null"]}


def _load(url: str, *records: dict[str, Any], version: int | None = None, **config: Any) -> None:
    keys = config.pop("keys", ["id"])
    schema = {"properties": {"id": {"type": "integer"}, "n": config.pop("n", NUMBER)}}
    lines: list[dict[str, Any]] = [{"type": "SCHEMA", "stream": "t", "key_properties": keys, "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": record, "version": version} for record in records]
    lines += [{"type": "ACTIVATE_VERSION", "stream": "t", "version": version}] if version else []
    text = "".join(json.dumps(line) + "\n" for line in lines)
    TargetWarehouse(config={"warehouse": url, **config}).run(io.StringIO(text))


@pytest.fixture
def database(postgres_url: str) -> PostgresWarehouse:
    """A database with a loaded table of one row."""
    _load(postgres_url, {"id": 1, "n": 1})
    return PostgresWarehouse(postgres_url)


#: The SQLSTATE that a trigger raises, with a message in another language, and words of the user's error.
ADVICE = {
    "25006": "set the URL of the primary server",
    "40001": "another session interfered; run again",
    "40P01": "another session interfered; run again",
    "42501": "lists the grants that the role needs",
    "53100": "make room on the server's disk",
    "53200": "give the server more memory",
    "55P03": "another session held a lock on the table",
    "57014": "statement_timeout",
    "0A000": "drop the view, run again, and create it again",
    "55000": "REPLICA IDENTITY FULL",
}
ABOUT_DATA = {
    "22001": "22001",
    "23505": "23505",
    "54000": "its row is longer than",
    "22P05": "encoding",
    "P0001": "a trigger",
}


def _refuse(database: PostgresWarehouse, code: str) -> None:
    database.execute(
        "CREATE OR REPLACE FUNCTION melty.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'FEHLER: Sicht view ERROR: row is too big' USING ERRCODE = '{code}'; END $$",
        "DROP TRIGGER IF EXISTS refuse ON melty.t",
        "CREATE TRIGGER refuse BEFORE INSERT ON melty.t FOR EACH ROW EXECUTE FUNCTION melty.refuse()",
    )


def test_a_refusal_is_recognised_by_its_sqlstate_and_not_by_its_text(database: PostgresWarehouse) -> None:
    """The text names several objects, in another language."""
    for code, advice in ADVICE.items():
        _refuse(database, code)
        with pytest.raises(LoadError, match=re.escape(advice)) as raised:
            _load(database.url, {"id": 2})
        assert f"SQLSTATE {code}" in str(raised.value)
        assert "\n" not in str(raised.value)
    for code, reason in ABOUT_DATA.items():
        _refuse(database, code)
        with pytest.raises(RejectedRecordsError, match=reason) as rejected:
            _load(database.url, {"id": 2})
        assert "Sicht" not in str(rejected.value)
    assert database.rows("t") == [{"id": 1, "n": 1}]


@pytest.mark.parametrize("view", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_in_the_way_is_named(view: str, database: PostgresWarehouse) -> None:
    database.execute("CREATE SCHEMA theirs", f'CREATE {view} theirs."Sales 2026" AS SELECT id, n FROM melty.t')
    with pytest.raises(LoadError, match=r'view theirs\."Sales 2026" depends on column "n"; SQLSTATE 0A000'):
        _load(database.url, {"id": 1, "n": "x"}, n=TEXT)


@pytest.mark.parametrize("hard_delete", [False, True])
def test_a_publication_without_replica_identity_is_a_sentence(hard_delete: bool, postgres_url: str) -> None:
    """Tables with keys have a replica identity; for other tables the advice works."""
    database = PostgresWarehouse(postgres_url)
    _load(postgres_url, {"id": 1, "n": 1}, version=1, keys=[])
    database.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    config = {"keys": [], "hard_delete": hard_delete}
    with pytest.raises(LoadError, match=r"ALTER TABLE … REPLICA IDENTITY FULL .*SQLSTATE 55000"):
        _load(postgres_url, {"id": 1, "n": 2}, version=2, **config)
    database.execute("ALTER TABLE melty.t REPLICA IDENTITY FULL")
    _load(postgres_url, {"id": 1, "n": 2}, version=3, **config)
    mark = "WHERE _sdc_deleted_at IS NULL"
    assert database.query(f"SELECT n FROM melty.t {mark} AND _sdc_table_version = 3") == [{"n": 2}]
    assert database.query(f"SELECT n FROM melty.t {mark} AND _sdc_table_version < 3") == []


SETTINGS = {
    "read only": ("default_transaction_read_only", "on", "the server accepts no writes: set the URL of the primary"),
    "statement timeout": ("statement_timeout", "1", "statement_timeout ran out"),
}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("name", "value", "words"), SETTINGS.values(), ids=SETTINGS)
def test_settings_that_stop_a_run_are_sentences(
    name: str, value: str, words: str, dry_run: bool, database: PostgresWarehouse
) -> None:
    where = database.url.rsplit("/", 1)[1]
    database.execute(f"ALTER DATABASE {where} SET {name} = '{value}'")
    with pytest.raises(WarehouseError, match=words):
        _load(database.url, *({"id": i} for i in range(20_000)), dry_run=dry_run)


@pytest.fixture
def few(database: PostgresWarehouse) -> Iterator[str]:
    """The URL of a role that may open one session, and has no grants."""
    role = f"few_{uuid.uuid4().hex[:8]}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 1")
    yield re.sub(r"//.*@", f"//{role}:x@", database.url)
    database.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_too_few_connections_and_rights_are_sentences(few: str, database: PostgresWarehouse) -> None:
    with psycopg.connect(few), pytest.raises(ConnectionFailedError, match="too many connections"):
        _load(few, {"id": 2})
    role = few.partition("//")[2].partition(":")[0]
    database.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")
    with pytest.raises(LoadError, match=r"lists the grants that the role needs \(SQLSTATE 42501\)"):
        _load(few, {"id": 2})


def test_a_run_on_a_replica_stops_before_the_first_row_and_a_report_works() -> None:
    for server in own_server():
        database = PostgresWarehouse(server.database("replicated"))
        _load(database.url, {"id": 1, "n": 1})
        server.stop()
        server.own("standby.signal", "")
        server.start()
        for dry_run in (False, True):
            with pytest.raises(
                LoadError, match="set the URL of the primary server, not of a replica, in the setting warehouse"
            ):
                _load(database.url, {"id": 2}, dry_run=dry_run)
        assert database.rows("t") == [{"id": 1, "n": 1}]
