"""Passwords and keys: any character works, and no secret is in a log, an error or the arguments of a process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import psycopg
import pytest
from psycopg import sql

from target_warehouse.engines import open_engine
from target_warehouse.errors import WarehouseError
from target_warehouse.settings import Settings
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

LINES = "".join(
    json.dumps(line) + "\n"
    for line in (
        {
            "type": "SCHEMA",
            "stream": "t",
            "key_properties": ["id"],
            "schema": {"properties": {"id": {"type": "integer"}}},
        },
        {"type": "RECORD", "stream": "t", "record": {"id": 1}},
        {"type": "STATE", "value": {"at": 1}},
    )
)
ODD = "Tr0ub4 dor+%41@:/?#&'\"\\=é"


@pytest.fixture
def odd_user(postgres_url: str) -> Iterator[str]:
    """A superuser whose name and password have every character that URLs and connection strings treat specially."""
    name = f"odd {postgres_url[-8:]}@:/?#%'\""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE USER {} SUPERUSER PASSWORD {}").format(sql.Identifier(name), sql.Literal(ODD))
        )
        yield name
        connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP USER {}").format(sql.Identifier(name)))


def _login(url: str, user: str, password: str) -> list[dict[str, Any]]:
    """The three ways to configure a login."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    host, port, database = str(parts["host"]), int(str(parts["port"])), str(parts["dbname"])
    by_url = f"{quote(user, safe='')}:{quote(password, safe='')}@{host}:{port}/{database}"
    return [
        {"warehouse": f"postgresql://{by_url}"},
        {"sqlalchemy_url": f"postgresql+psycopg://{by_url}"},
        {"host": host, "port": port, "user": user, "password": password, "database": database},
    ]


def test_a_password_may_have_any_character(postgres_url: str, odd_user: str) -> None:
    for config in _login(postgres_url, odd_user, ODD):
        engine = open_engine(Settings.from_config(config))
        assert engine.query("SELECT current_user") == [(odd_user,)]
        engine.close()


@pytest.mark.parametrize("way", [0, 1, 2], ids=["warehouse", "sqlalchemy_url", "settings"])
def test_a_wrong_password_is_nowhere_in_the_output_of_the_command(
    way: int,
    postgres_url: str,
    run_target: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the most verbose log level."""
    monkeypatch.setenv("TARGET_WAREHOUSE_LOGLEVEL", "DEBUG")
    config = _login(postgres_url, "nobody", ODD + "SECRET")[way]
    finished = run_target(LINES, **config)
    assert finished.returncode == 1
    assert "password authentication failed" in finished.stderr
    for part in ("SECRET", "ub4", "dor"):
        assert part not in finished.stderr + finished.stdout


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p@SECRET@127.0.0.1:1/db",
        "postgresql://me:p@:SECRET@127.0.0.1:1/db",
        "postgresql://me:p@SECRET/x@127.0.0.1:1/db",
        "postgresql://me:12/SECRET@127.0.0.1:1/db",
        "postgresql://me:SECRET:x@127.0.0.1:x/db",
        "postgresql://me:p#SECRET?x=@127.0.0.1:1/db",
        "postgresql://me:SECRET%@127.0.0.1:1/db",
        "postgresql://me:S E C SECRET R@127.0.0.1:1/db",
        "postgresql:// me:SECRET@127.0.0.1:1/db",
        "postgresql://me:SECRET@[::1/db",
        "postgres:/me:SECRET@127.0.0.1:1/db",
        "mysql://me:SECRET@127.0.0.1:1/db",
        "duckdb://me:SECRET@127.0.0.1:1/db",
    ],
)
@pytest.mark.parametrize("setting", ["warehouse", "sqlalchemy_url"])
def test_a_url_that_its_password_breaks_is_not_repeated(setting: str, url: str) -> None:
    """The message contains no part of the password."""
    with pytest.raises(WarehouseError) as raised:
        TargetWarehouse(config={setting: url}).run(io.StringIO(LINES))
    assert "SECRET" not in str(raised.value)


def test_secrets_are_not_in_the_arguments_of_any_process(
    postgres_url: str, start_target: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """They are not in the log of a successful run either, at the most verbose level."""
    password = str(psycopg.conninfo.conninfo_to_dict(postgres_url)["password"])
    process = start_target(warehouse=postgres_url, commit_interval_seconds=0.1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(LINES.encode())
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"at": 1}
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert not [each for each in family if password in " ".join(each.cmdline())]
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert password not in (tmp_path / "stderr").read_text()


def test_no_secret_is_in_the_tables(postgres_url: str) -> None:
    """The history keeps errors, which must not contain settings."""
    password = str(psycopg.conninfo.conninfo_to_dict(postgres_url)["password"])
    with pytest.raises(WarehouseError):
        TargetWarehouse(config={"warehouse": postgres_url}).run(io.StringIO(LINES + "{"))
    with psycopg.connect(postgres_url) as connection:
        (row,) = connection.execute("SELECT * FROM melty._load_history").fetchall()
    assert password not in str(row)
