"""Sessions behind a pool, sessions that end when idle, and sessions with unusual settings all load the same rows."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from target_warehouse.engines import open_engine
from target_warehouse.errors import ConnectionFailedError, SettingsError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse
from tests.conftest import PostgresWarehouse
from tests.target.feeding import assert_consistent, feed, load, numbers
from tests.target.pooler import needs_pgbouncer, pooled

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    StartTarget = Callable[..., subprocess.Popen[bytes]]

TEXT = {"type": ["string", "null"]}


def _lines(*records: dict[str, Any], **properties: Any) -> str:
    schema = {"properties": {"id": {"type": "integer"}, **properties}}
    lines = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": schema}]
    lines += [{"type": "RECORD", "stream": "t", "record": record} for record in records]
    return "".join(json.dumps(line) + "\n" for line in lines)


@needs_pgbouncer
@pytest.mark.parametrize("sessions", [1, 3])
def test_a_run_through_a_transaction_pool_loads_rows_and_leaves_nothing_in_its_sessions(
    sessions: int, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With new columns, views, changes, rejects and a killed earlier run; no setting, lock or statement stays."""
    caplog.set_level("INFO")
    database = PostgresWarehouse(postgres_url)
    with pooled(postgres_url, sessions=sessions) as url:
        for number in range(3):
            records = [{"id": i, f"c{number}": f"v{i}"} for i in range(2_500)]
            records.append({"id": "no number"})
            TargetWarehouse(
                config={
                    "warehouse": url,
                    "batch_size_rows": 1_000,
                    "views_schema": "live",
                    "max_rejected": 1,
                    "lock_timeout_seconds": 7,
                }
            ).run(io.StringIO(_lines(*records, **{f"c{number}": TEXT})))
        engine = open_engine(Settings.from_config({"warehouse": url}), read_only=True)
        with engine.read("melty", "t", ["c0", "c2"], live_only=True) as reader:
            assert {tuple(row.values()) for row in reader.read_all().to_pylist()} == {
                (f"v{i}", f"v{i}") for i in range(2_500)
            }
        engine.close()
        rows = database.query("SELECT count(*) AS n, count(DISTINCT id) AS keys FROM live.t")
        assert rows == [{"n": 2_500, "keys": 2_500}]
        assert {row["status"] for row in database.rows("_load_history")} == {"partial"}
        assert "behind a connection pool" in caplog.text
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as client:
            left = "SELECT name, setting FROM pg_settings WHERE source = 'session' AND name <> 'application_name'"
            assert client.execute(left).fetchall() == []
            assert client.execute("SELECT name FROM pg_prepared_statements").fetchall() == []
            assert client.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'").fetchall() == [(0,)]
        held = "SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory'"
        assert database.query(f"{held} AND d.datname = current_database()") == []


@needs_pgbouncer
def test_two_concurrent_runs_through_a_pool_load_and_neither_is_marked_interrupted(
    postgres_url: str, start_target: StartTarget
) -> None:
    lines = numbers(2_000)
    with pooled(postgres_url, sessions=2) as url:
        processes = [start_target(warehouse=url, batch_size_rows=300) for _ in range(2)]
        for process in processes:
            feed(process, lines)
        for process in processes:
            process.communicate(timeout=60)
        assert [process.returncode for process in processes] == [0, 0]
    database = PostgresWarehouse(postgres_url)
    assert assert_consistent(database, 2_000) == 2_000
    assert {row["status"] for row in database.rows("_load_history")} == {"success"}


@needs_pgbouncer
def test_a_dry_run_through_a_pool_is_refused_before_the_first_row(postgres_url: str) -> None:
    with (
        pooled(postgres_url, sessions=2) as url,
        pytest.raises(ConnectionFailedError, match="A dry run needs a session of its own"),
    ):
        TargetWarehouse(config={"warehouse": url, "dry_run": True}).run(io.StringIO(_lines({"id": 1})))
    assert PostgresWarehouse(postgres_url).query("SELECT 1 FROM pg_namespace WHERE nspname = 'melty'") == []


PARAMETERS = {
    "prepare_threshold": ({"prepare_threshold": "0"}, None),
    "libpq's own": ({"application_name": "meltano", "keepalives": "1", "connect_timeout": "10"}, None),
    "unknown": ({"statement_cache_size": "0", "pgbouncer": "true"}, "know: pgbouncer, statement_cache_size. Remove"),
    "of psycopg": ({"autocommit": "true"}, "know: autocommit. Remove them"),
    "odd": ({"hunter2@ho st": "x"}, "know: one whose name is not a word. Remove"),
}


@pytest.mark.parametrize("setting", ["warehouse", "sqlalchemy_url"])
@pytest.mark.parametrize(("query", "words"), PARAMETERS.values(), ids=PARAMETERS)
def test_parameters_of_the_url_are_understood_or_named(
    query: dict[str, str], words: str | None, setting: str, postgres_url: str
) -> None:
    config = {setting: make_url(postgres_url).update_query_dict(query).render_as_string(hide_password=False)}
    if words:
        with pytest.raises(SettingsError, match=words) as raised:
            TargetWarehouse(config=config).run(io.StringIO(_lines({"id": 1})))
        assert "hunter2" not in str(raised.value)
    else:
        TargetWarehouse(config=config).run(io.StringIO(_lines({"id": 1})))
        assert PostgresWarehouse(postgres_url).rows("t") == [{"id": 1}]


TIMEOUTS = ("idle_session_timeout", "idle_in_transaction_session_timeout")


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_a_session_that_the_server_ends_when_idle_is_reopened(
    timeout: str, warehouse: PostgresWarehouse, start_target: StartTarget, tmp_path: Path
) -> None:
    """A tap may be silent for longer between two batches; the run stays alive."""
    warehouse.execute(f"ALTER DATABASE {warehouse.url.rsplit('/', 1)[1]} SET {timeout} = '300ms'")
    lines = numbers(300)
    process = start_target(warehouse=warehouse.url, commit_interval_seconds=0.05)
    assert process.stdin is not None
    assert process.stdout is not None
    for part in (lines[:102], lines[102:203], lines[203:]):
        process.stdin.write("".join(part).encode())
        process.stdin.flush()
        process.stdout.readline()
        time.sleep(0.7)
    load(warehouse, lines[:1])  # which marks dead runs as interrupted
    process.communicate(timeout=30)
    said = (tmp_path / "stderr").read_text()
    assert process.returncode == 0, said
    assert ("it was reopened" in said) is (timeout == "idle_session_timeout")
    assert assert_consistent(warehouse, 300) == 300
    assert {row["status"] for row in warehouse.rows("_load_history")} == {"success"}


UNUSUAL = {
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "IntervalStyle": "iso_8601",
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Kathmandu",
    "extra_float_digits": "-15",
    "default_transaction_isolation": "repeatable read",
    "search_path": "nowhere",
}


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
def test_settings_of_a_role_or_a_database_change_no_value_and_no_type(
    warehouse: PostgresWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    """All types are read back as created, so the second run alters nothing; a widened float keeps its digits."""
    database = warehouse.url.rsplit("/", 1)[1]
    for name, value in UNUSUAL.items():
        warehouse.execute(f"""ALTER DATABASE {database} SET {name} = '{value}'""")
    formats = ("date", "date-time", "time", "uuid")
    properties: dict[str, Any] = {name: {"type": ["string", "null"], "format": name} for name in formats}
    properties |= {"o": {"type": ["object", "null"]}, "a": {"type": ["array", "null"], "items": {"type": "string"}}}
    properties |= {"s": {**TEXT, "title": "a \\ b"}, "n": {"type": ["number", "null"]}}
    warehouse.execute("CREATE SCHEMA melty", "CREATE TABLE melty.t (id bigint PRIMARY KEY, f double precision)")
    warehouse.execute("INSERT INTO melty.t VALUES (7, 0.1234567890123456)")
    record = {
        "id": 1,
        "date": "2026-01-02",
        "date-time": "2026-01-02T03:04:05.678901+05:45",
        "time": "03:04:05.678901",
        "uuid": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        "o": {"a": "\\"},
        "a": ["x\\", 'y"'],
        "s": "back\\slash",
        "n": 1.5,
    }
    config = {"warehouse": warehouse.url, "views_schema": "live"}
    TargetWarehouse(config=config).run(io.StringIO(_lines(record, **properties, f={"type": ["number", "null"]})))
    assert caplog.text.count("becomes") == 1
    TargetWarehouse(config=config).run(io.StringIO(_lines(record, {**record, "id": 2}, **properties)))
    assert caplog.text.count("becomes") == 1
    one, two, seven = warehouse.rows("t")
    assert seven["f"] == "0.1234567890123456"
    assert {**one, "id": 2} == two
    assert one["date-time"] == "2026-01-01T21:19:05.678901"
    assert {name: one[name] for name in ("date", "time", "o", "a", "s", "n")} == {
        name: record[name] if name != "n" else "1.5" for name in ("date", "time", "o", "a", "s", "n")
    }
    comments = warehouse.query("SELECT description AS d FROM pg_description WHERE objoid = 'melty.t'::regclass")
    assert comments == [{"d": "a \\ b"}]
