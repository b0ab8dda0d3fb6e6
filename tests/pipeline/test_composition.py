"""The tap and the target with third-party plugins, and with two portals at the same time."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from os import environ
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.conftest import DuckDBWarehouse, PostgresWarehouse
from tests.pipeline.copy_check import comparable, object_differences
from tests.pipeline.project import Project
from tests.pipeline.truth import type_ids

pytestmark = pytest.mark.slow

SIZES = {
    "contacts": 60,
    "appointments": 20,
    "divisions": 5,
    "deals": 30,
    "associations": 100,
    "contact_properties": 40,
    "tier": "unlimited",
}
UV_CACHE = environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")  # the project has an empty home


def differences(sandbox, rows_of: Callable[[str, dict[str, str]], list[dict[str, Any]]]) -> list[str]:
    """Return the first differences of every type between a portal and the rows that `rows_of` returns for a stream."""
    sentences = []
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    for type_id, stream in type_ids(sandbox).items():
        reply = requests.get(f"{sandbox.url}/crm/properties/2026-09/{type_id}", headers=headers, timeout=10).json()
        types = {row["name"]: row["type"] for row in reply["results"]}
        rows = rows_of(stream, types)
        first = islice(object_differences(sandbox.truth(type_id), rows, types), 5)
        sentences += [f"{stream}: {difference}" for difference in first]
    return sentences


def jsonl_rows(file: Path, types: dict[str, str]) -> list[dict[str, Any]]:
    """Return the records of a file with dates and times as a database returns them."""
    time_types = {name: type_ for name, type_ in types.items() if type_ in {"date", "datetime"}}
    time_types |= {"created_at": "datetime", "updated_at": "datetime"}
    parse = {"date": date.fromisoformat, "datetime": datetime.fromisoformat}
    rows = []
    for line in file.read_text().splitlines():
        row = json.loads(line, parse_float=Decimal)
        dates = {name: parse[type_](row[name]) for name, type_ in time_types.items() if row.get(name) is not None}
        rows.append(row | dates | {"_sdc_deleted_at": row.get("_sdc_deleted_at")})
    return rows


@pytest.mark.sandbox(**SIZES)
def test_the_tap_feeds_another_target_from_the_registry(sandbox, tmp_path):
    """Meltano installs only that target, and neither of our two plugins."""
    project = Project(
        tmp_path,
        TAP_HUBSPOT_DW_API_URL=sandbox.url,
        TAP_HUBSPOT_DW_ACCESS_TOKEN=sandbox.token,
        UV_CACHE_DIR=UV_CACHE,
    )
    project.declare(
        "loaders",
        "target-jsonl",
        namespace="target_jsonl",
        pip_url="target-jsonl",
        executable="target-jsonl",
        settings=[{"name": "destination_path"}, {"name": "do_timestamp_file", "kind": "boolean"}],
        config={"destination_path": "output", "do_timestamp_file": False},
    )
    log = project.run("tap-hubspot-dw", "target-jsonl")
    assert differences(sandbox, lambda stream, types: jsonl_rows(tmp_path / "output" / f"{stream}.jsonl", types)) == []
    assert "Installed loader 'target-jsonl'" in log
    assert [folder.parent.name for folder in tmp_path.glob(".meltano/*/*/venv")] == ["target-jsonl"]
    saved = project.state("dev:tap-hubspot-dw-to-target-jsonl")
    assert saved["contacts"]["full_pass_at"] == saved["contacts"]["replication_key_value"]


VISITS = [
    (1, "Zoë O'Neil", Decimal("1234.5"), datetime.fromisoformat("2026-01-31T08:00:00.123+02:00"), True, {"a": [1]}),
    (2, "tab\tquote\" 日本 🎉", Decimal("-0.25"), datetime.fromisoformat("1999-12-31T23:59:59+00:00"), False, {}),
    (3, None, None, None, None, None),
    (2**60, "", Decimal(0), datetime.fromisoformat("2026-01-31T08:00:00+00:00"), True, {"a": {"b": None}}),
]  # fmt: skip


def test_another_tap_from_the_registry_feeds_the_target(postgres_url, tmp_path):
    with psycopg.connect(postgres_url) as source:
        source.execute(
            "CREATE TABLE public.visits "
            "(id bigint PRIMARY KEY, name text, amount numeric, seen_at timestamptz, ok boolean, document jsonb)"
        )
        for visit in VISITS:
            values = (*visit[:-1], None if visit[-1] is None else json.dumps(visit[-1]))
            source.execute("INSERT INTO public.visits VALUES (%s, %s, %s, %s, %s, %s)", values)
    project = Project(tmp_path, SOURCE_URL=postgres_url, UV_CACHE_DIR=UV_CACHE)
    project.declare(
        "extractors",
        "tap-postgres",
        namespace="tap_postgres",
        pip_url="meltanolabs-tap-postgres",
        executable="tap-postgres",
        capabilities=["catalog", "discover", "state"],
        settings=[
            {"name": "sqlalchemy_url", "sensitive": True},
            {"name": "filter_schemas", "kind": "array"},
            {"name": "json_as_object", "kind": "boolean"},
        ],
        config={"sqlalchemy_url": "$SOURCE_URL", "filter_schemas": ["public"], "json_as_object": True},
    )
    for warehouse in (DuckDBWarehouse(tmp_path / "copy.duckdb"), PostgresWarehouse(postgres_url)):
        project.env |= {"TARGET_WAREHOUSE_WAREHOUSE": warehouse.url, "TARGET_WAREHOUSE_DEFAULT_TARGET_SCHEMA": "copied"}
        project.run("tap-postgres", "target-warehouse")
        rows = warehouse.query("SELECT id, name, amount, seen_at, ok, document FROM copied.visits ORDER BY id")
        loaded = [tuple(comparable(value) for value in row.values()) for row in rows]
        assert loaded == [tuple(comparable(value) for value in visit) for visit in VISITS]


@pytest.mark.sandbox(**SIZES)
def test_two_portals_run_at_the_same_time_without_mixing(sandbox, sandbox_factory, postgres_url, tmp_path):
    """Each has its own schema in one PostgreSQL database, and its own state."""
    other = sandbox_factory(**SIZES | {"contacts": 45, "seed": 2, "token": "pat-of-portal-b"})
    portals = {"": sandbox, "--portal-b": other}
    project = Project(
        tmp_path, URL_A=sandbox.url, TOKEN_A=sandbox.token, URL_B=other.url, TOKEN_B=other.token, DATABASE=postgres_url
    )
    # The environment dev has its own settings for the two plugins, which take precedence over these.
    project.declare("extractors", "tap-hubspot-dw--portal-b", inherit_from="tap-hubspot-dw",
                    config={"api_url": "$URL_B", "access_token": "$TOKEN_B"})  # fmt: skip
    project.declare("loaders", "target-warehouse--portal-b", inherit_from="target-warehouse",
                    config={"default_target_schema": "hubspot_b", "warehouse": "$DATABASE"})  # fmt: skip
    project.env |= {
        "TAP_HUBSPOT_DW_API_URL": sandbox.url,
        "TAP_HUBSPOT_DW_ACCESS_TOKEN": sandbox.token,
        "TARGET_WAREHOUSE_WAREHOUSE": postgres_url,
    }
    warehouse = PostgresWarehouse(postgres_url)

    def run_both() -> None:
        with ThreadPoolExecutor(2) as pool:
            for run in [pool.submit(project.run, f"tap-hubspot-dw{s}", f"target-warehouse{s}") for s in portals]:
                run.result()

    def read(schema: str) -> dict[str, tuple[str, int]]:
        history = warehouse.query(f"SELECT * FROM {schema}.sync_history ORDER BY started_at")
        return {row["stream"]: (row["mode"], row["records"]) for row in history}

    project.meltano("state", "list")  # otherwise both commands would create Meltano's database at the same time
    run_both()
    contact = next(other.truth("contacts"))["id"]
    other.mutate([{"kind": "edit", "type": "contacts", "id": contact, "properties": {"lastname": "Of B alone"}}])
    run_both()
    assert read("hubspot")["contacts"] == ("incremental", 0)
    assert read("hubspot_b")["contacts"] == ("incremental", 1)
    for schema, portal in (("hubspot", sandbox), ("hubspot_b", other)):
        assert (
            differences(portal, lambda name, _, schema=schema: warehouse.query(f"SELECT * FROM {schema}.{name}")) == []
        )
    ids = [f"dev:tap-hubspot-dw{suffix}-to-target-warehouse{suffix}" for suffix in portals]
    assert sorted(project.meltano("state", "list").stdout.split()) == sorted(ids)
    versions = [project.state(state_id)["contacts"]["version"] for state_id in ids]
    assert versions[0] != versions[1]
    for schema, version in zip(("hubspot", "hubspot_b"), versions, strict=True):
        versions_in_table = warehouse.query(f"SELECT DISTINCT _sdc_table_version AS version FROM {schema}.contacts")
        assert versions_in_table == [{"version": version}]
