"""The schedules of meltano.yml: what they read, that they share one state, and two workers that share it.

WAREHOUSE_TEST_LONG=1 also shares the state through an S3 server, which takes a minute and installs packages.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from meltano.core.plugin.singer.catalog import MetadataExecutor, select_filter_metadata_rules, select_metadata_rules
from meltano.core.schedule import CRON_INTERVALS, is_valid_cron
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from tests.conftest import PostgresWarehouse
from tests.long import LONG
from tests.pipeline.declared_settings import about
from tests.pipeline.project import BIN, ROOT, STATE_ID, Project
from tests.tap.running import discover, run_tap

PROJECT = yaml.safe_load((ROOT / "meltano.yml").read_text())
SCHEDULES = {schedule["name"]: schedule for schedule in PROJECT["schedules"]}
OBJECTS = ("contacts", "appointments", "divisions", "deals")
REFERENCES = ("owners", "pipelines", "pipeline_stages", "properties")
EVERYTHING = {*OBJECTS, *REFERENCES, "associations", "sync_history"}
READS = {
    "all": EVERYTHING,
    "associations": {"associations", "sync_history"},
    "weekly-full-refresh": EVERYTHING,
} | {name: {name, "sync_history"} for name in OBJECTS}
SIZES = {
    "contacts": 60,
    "appointments": 20,
    "divisions": 5,
    "deals": 30,
    "associations": 40,
    "contact_properties": 40,
    "tier": "unlimited",
}


def selected(catalog: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Return a catalog as Meltano passes it to the tap: everything except what the variable filters out."""
    patterns = json.loads(env.get("TAP_HUBSPOT_DW__SELECT_FILTER", "[]"))
    copy: dict[str, Any] = json.loads(json.dumps(catalog))
    MetadataExecutor(select_metadata_rules(["*.*"]) + select_filter_metadata_rules(patterns)).visit(copy)
    return copy


@pytest.mark.sandbox(**SIZES)
def test_a_schedule_reads_the_streams_of_its_name(sandbox, tmp_path):
    config = {"api_url": sandbox.url, "access_token": sandbox.token}
    catalog = discover(tmp_path, config)
    streams = {
        name: set(run_tap(tmp_path, config, catalog=selected(catalog, schedule.get("env", {}))).by_stream())
        for name, schedule in SCHEDULES.items()
    }
    assert streams == READS


def test_every_schedule_runs_the_same_tap_and_target_so_that_all_share_one_state():
    jobs = {job["name"]: job["tasks"] for job in PROJECT["jobs"]}
    assert {tuple(jobs[schedule["job"]]) for schedule in SCHEDULES.values()} == {("tap-hubspot-dw target-warehouse",)}


def test_every_schedule_has_a_time_and_sets_only_settings_of_the_tap():
    settings = {f"TAP_HUBSPOT_DW_{name.upper()}" for name in about("tap-hubspot-dw")["settings"]["properties"]}
    for schedule in SCHEDULES.values():
        assert schedule["interval"] in CRON_INTERVALS or is_valid_cron(schedule["interval"])
        assert set(schedule.get("env", {})) <= settings | {"TAP_HUBSPOT_DW__SELECT_FILTER"}


def read(warehouse: PostgresWarehouse) -> dict[str, tuple[str, int]]:
    """Return the mode of the last run and its number of records, by stream."""
    last = "(SELECT run_id FROM hubspot.sync_history ORDER BY started_at DESC LIMIT 1)"
    rows = warehouse.query(f"SELECT stream, mode, records FROM hubspot.sync_history WHERE run_id = {last}")
    return {row["stream"]: (row["mode"], row["records"]) for row in rows}


@contextmanager
def suspended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Suspend a process and its children."""
    processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for suspended_process in processes:
        suspended_process.suspend()
    try:
        yield
    finally:
        for suspended_process in processes:
            suspended_process.resume()


def workers(tmp_path: Path, **shared: str) -> tuple[Project, Project]:
    """Return two projects that share only these variables."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return Project(tmp_path / "one", **shared), Project(tmp_path / "two", **shared)


@pytest.mark.slow
@pytest.mark.sandbox(**SIZES)
def test_workers_that_share_meltanos_database_take_turns_and_lose_nothing(sandbox, postgres_url, tmp_path):
    """One reads contacts, the other the associations made meanwhile; while one runs, Meltano refuses the other."""
    one, two = workers(
        tmp_path,
        TAP_HUBSPOT_DW_API_URL=sandbox.url,
        TAP_HUBSPOT_DW_ACCESS_TOKEN=sandbox.token,
        TARGET_WAREHOUSE_WAREHOUSE=postgres_url,
        MELTANO_DATABASE_URI=postgres_url,
    )
    warehouse = PostgresWarehouse(postgres_url)
    one.run("hubspot")
    deal = next(sandbox.truth("deals"))["id"]
    known = {edge["toId"] for edge in sandbox.truth_associations() if edge["fromId"] == deal}
    contact = next(record["id"] for record in sandbox.truth("contacts") if record["id"] not in known)
    new = {"fromType": "deals", "fromId": deal, "toType": "contacts", "toId": contact}
    sandbox.mutate(
        [
            {"kind": "edit", "type": "contacts", "id": contact, "properties": {"lastname": "Changed"}},
            {"kind": "associate", **new},
        ]
    )
    two.meltano("schedule", "run", "contacts")
    assert read(warehouse) == {"contacts": ("incremental", 1)}
    association = f"SELECT 1 FROM hubspot.associations WHERE from_id = '{deal}' AND to_id = '{contact}'"
    assert not warehouse.query(association)

    with one.started("schedule", "run", "associations") as run:
        while not warehouse.query("SELECT 1 FROM runs WHERE state = 'RUNNING'"):
            assert run.poll() is None
            time.sleep(0.2)
        with suspended(run):
            assert "already running" in two.meltano("run", "hubspot", code=1).stderr
    assert run.returncode == 0
    assert set(read(warehouse)) == {"associations"}
    assert warehouse.query(association)
    assert warehouse.query("SELECT state_id FROM state") == [{"state_id": STATE_ID}]


@pytest.fixture
def bucket(tmp_path) -> Iterator[dict[str, str]]:
    """Meltano's settings for a bucket on an S3 server of this test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [BIN / "uvx", "--from", "moto[server]", "moto_server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    retries = Retry(connect=20, backoff_factor=0.5, backoff_max=5)
    with requests.Session() as session:
        session.mount(address, HTTPAdapter(max_retries=retries))
        session.put(f"{address}/states", timeout=60).raise_for_status()
    yield {
        "MELTANO_STATE_BACKEND_URI": "s3://states/hubspot",
        "MELTANO_STATE_BACKEND_S3_AWS_ACCESS_KEY_ID": "key",
        "MELTANO_STATE_BACKEND_S3_AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "MELTANO_STATE_BACKEND_S3_ENDPOINT_URL": address,
    }
    server.terminate()
    server.wait(30)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason="WAREHOUSE_TEST_LONG=1 runs it")
@pytest.mark.sandbox(**SIZES)
def test_workers_that_share_a_bucket_continue_from_each_others_state(sandbox, bucket, postgres_url, tmp_path):
    shared = {
        "TAP_HUBSPOT_DW_API_URL": sandbox.url,
        "TAP_HUBSPOT_DW_ACCESS_TOKEN": sandbox.token,
        "TARGET_WAREHOUSE_WAREHOUSE": postgres_url,
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv"),
    }
    warehouse = PostgresWarehouse(postgres_url)
    uv = [BIN / "uv", "run", "--isolated", "--project", ROOT, "--extra", "s3", "meltano", "run", "hubspot"]
    reads = []
    for worker in workers(tmp_path, **shared, **bucket):
        done = subprocess.run(uv, cwd=worker.folder, env=worker.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        reads.append(read(warehouse)["contacts"])
        contact = next(sandbox.truth("contacts"))["id"]
        sandbox.mutate([{"kind": "edit", "type": "contacts", "id": contact, "properties": {"lastname": "Changed"}}])
    assert reads == [("full", 60), ("incremental", 1)]
