"""The grants that the README lists are enough for every run, and no other is needed."""

from __future__ import annotations

import io
import json
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from target_warehouse.errors import WarehouseError
from target_warehouse.singer.target import TargetWarehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[3] / "target-warehouse" / "README.md"


def _documented() -> list[str]:
    """The statements of the README's SQL block."""
    (block,) = re.findall(r"```sql\n(CREATE ROLE.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [statement.strip() for statement in block.split(";") if statement.strip()]


@pytest.fixture
def loader(postgres_url: str) -> Iterator[str]:
    """The URL of a role created by the README's statements, in a database without other grants."""
    role, database = f"loader_{uuid.uuid4().hex[:8]}", postgres_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for statement in _documented():
            connection.execute(statement.replace("loader", role).replace("DATABASE crm", f"DATABASE {database}"))
        yield re.sub(r"//.*@", f"//{role}:choose-one@", postgres_url)
        connection.execute(f"DROP OWNED BY {role} CASCADE")
        connection.execute(f"DROP ROLE {role}")


def _lines(version: int, **more: Any) -> str:
    properties = {"id": {"type": "integer"}, "v": {"type": ["string", "null"]}, **more}
    lines = [{"type": "SCHEMA", "stream": "t", "key_properties": ["id"], "schema": {"properties": properties}}]
    lines += [{"type": "RECORD", "stream": "t", "record": {"id": i, "v": str(i)}, "version": version} for i in range(3)]
    lines.append({"type": "RECORD", "stream": "t", "record": {"id": "no"}, "version": version})
    lines.append({"type": "ACTIVATE_VERSION", "stream": "t", "version": version})
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize("hard_delete", [False, True])
def test_a_role_with_the_documented_grants_can_do_everything(loader: str, postgres_url: str, hard_delete: bool) -> None:
    """It creates tables, adds and widens columns, loads, rejects, and deletes older rows, also in a dry run."""
    for version, more in enumerate(({}, {"n": {"type": ["integer", "null"]}}, {"n": {"type": ["string", "null"]}})):
        config = {
            "warehouse": loader,
            "default_target_schema": "hubspot",
            "max_rejected": 1,
            "hard_delete": hard_delete,
        }
        TargetWarehouse(config=config | {"dry_run": True}).run(io.StringIO(_lines(version, **more)))
        TargetWarehouse(config=config).run(io.StringIO(_lines(version, **more)))
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM hubspot.t").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM hubspot._rejected_records").fetchone() == (3,)
    with psycopg.connect(loader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE SCHEMA another")
    with psycopg.connect(loader) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE public.another (n integer)")


def test_a_reader_with_the_documented_grants_reads_every_table_and_changes_none(loader: str, postgres_url: str) -> None:
    """Also tables that are created later."""
    (line,) = (line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("For readers: "))
    role, reader = loader.split("//")[1].split(":")[0], f"reader_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {reader}")
        for statement in re.findall(r"`(.+?)`", line):
            connection.execute(statement.replace("reader", reader).replace("loader", role))
        TargetWarehouse(config={"warehouse": loader, "default_target_schema": "hubspot", "max_rejected": 1}).run(
            io.StringIO(_lines(1))
        )
        connection.execute(f"SET ROLE {reader}")
        assert connection.execute("SELECT count(*) FROM hubspot.t").fetchone() == (3,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM hubspot.t")
        connection.execute("RESET ROLE")
        connection.execute(f"DROP OWNED BY {reader}")
        connection.execute(f"DROP ROLE {reader}")


#: The statement that revokes a right, and the words of the error.
MISSING = {
    "TEMPORARY": ("REVOKE TEMPORARY ON DATABASE {database} FROM {role}", "temporary tables"),
    "the schema": ("ALTER SCHEMA hubspot OWNER TO CURRENT_USER", "schema hubspot"),
    "CONNECT": ("REVOKE CONNECT ON DATABASE {database} FROM {role}", "permission denied for database"),
}


@pytest.mark.parametrize(("statement", "words"), MISSING.values(), ids=MISSING)
def test_a_missing_grant_is_named(statement: str, words: str, loader: str, postgres_url: str) -> None:
    role = loader.split("//")[1].split(":")[0]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(statement.format(role=role, database=postgres_url.rsplit("/", 1)[1]))
    with pytest.raises(WarehouseError, match=words) as raised:
        TargetWarehouse(config={"warehouse": loader, "default_target_schema": "hubspot"}).run(io.StringIO(_lines(1)))
    assert "choose-one" not in str(raised.value)


def test_a_missing_schema_that_the_role_may_not_create_is_named(loader: str) -> None:
    with pytest.raises(WarehouseError, match="permission denied for database"):
        TargetWarehouse(config={"warehouse": loader, "default_target_schema": "other"}).run(io.StringIO(_lines(1)))


_ANOTHERS = "ALTER TABLE hubspot.t OWNER TO CURRENT_USER"
#: A change to the loader's table after its first run, the next input, and the right that the role lacks for it.
LACKING: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a new table": (
        [
            "DROP TABLE hubspot.t",
            "ALTER SCHEMA hubspot OWNER TO CURRENT_USER",
            "GRANT USAGE ON SCHEMA hubspot TO {role}",
        ],
        {},
        "the right to create it in the schema hubspot",
    ),
    "a new schema": (["ALTER SCHEMA hubspot RENAME TO other"], {}, "or to create that schema"),
    "rows": ([_ANOTHERS, "GRANT SELECT ON hubspot.t TO {role}"], {}, "lacks INSERT, UPDATE, DELETE on it"),
    "a new column": (
        [_ANOTHERS, "GRANT ALL ON hubspot.t TO {role}"],
        {"n": {"type": ["integer", "null"]}},
        "its ownership",
    ),
    "a wider column": ([_ANOTHERS, "GRANT ALL ON hubspot.t TO {role}"], {"id": {"type": "string"}}, "its ownership"),
}


@pytest.mark.parametrize(("statements", "more", "words"), LACKING.values(), ids=LACKING)
def test_a_dry_run_names_the_right_that_a_run_lacks(
    statements: list[str], more: dict[str, Any], words: str, loader: str, postgres_url: str
) -> None:
    config = {"warehouse": loader, "default_target_schema": "hubspot", "max_rejected": 3}
    TargetWarehouse(config=config).run(io.StringIO(_lines(1)))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.format(role=loader.split("//")[1].split(":")[0]))
    with pytest.raises(WarehouseError, match=words):
        TargetWarehouse(config=config | {"dry_run": True}).run(io.StringIO(_lines(2, **more)))
    with pytest.raises(WarehouseError, match="SQLSTATE 42501"):  # insufficient privilege
        TargetWarehouse(config=config).run(io.StringIO(_lines(2, **more)))
