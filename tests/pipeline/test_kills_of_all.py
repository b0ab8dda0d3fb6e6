"""Kill -9 any part of `meltano run` (Meltano, tap, target, PostgreSQL): the next run completes the tables.

After a kill the other parts of the run end by themselves, no table is half written, and no state is ahead of the
tables. WAREHOUSE_TEST_LONG=1 kills fifty times on each engine, which takes half an hour.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time

import psutil
import pytest

from tests.conftest import DuckDBWarehouse, PostgresWarehouse
from tests.long import LONG
from tests.pipeline.changes import in_parts, mixed_changes
from tests.pipeline.project import BIN
from tests.pipeline.truth import STREAMS, differences, edge_rows, edges, project_for
from tests.target.own_server import own_server

SIZES = {"contacts": 24_000, "deals": 12_000} if LONG else {"contacts": 4_000, "deals": 1_000}
#: The parts that the short form kills, in this order; the long form chooses from all parts.
VICTIMS = {"postgres": ["meltano", "server", "target"], "duckdb": ["meltano", "tap"]}


@pytest.fixture(scope="module")
def server():
    yield from own_server()


@pytest.fixture(params=["postgres", "duckdb"])
def killable(request, tmp_path):
    """A warehouse, and its server, if it has one."""
    if request.param == "duckdb":
        return DuckDBWarehouse(tmp_path / "crm.duckdb"), None
    server = request.getfixturevalue("server")
    return PostgresWarehouse(server.database("crm")), server


def _processes(meltano: subprocess.Popen) -> dict[str, psutil.Process]:
    """Return the plugins of this run that have started, by name."""
    plugins = {}
    for process in psutil.Process(meltano.pid).children(recursive=True):
        try:
            words = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "--discover" not in words:
            plugins |= {name: process for name in ("tap", "target") if f"/{name}-" in words and "--config" in words}
    return plugins


def _run_and_kill(project, victim: str, seconds: float, server) -> None:
    """Start a run, kill one part some time after both plugins have started, and wait for the end of all others."""
    with (project.folder / "log").open("ab") as log:
        meltano = subprocess.Popen(
            [BIN / "meltano", "run", "--force", "tap-hubspot-dw", "target-warehouse"],
            cwd=project.folder,
            env=project.env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 150
    plugins: dict[str, psutil.Process] = {}
    while len(plugins) < 2 and meltano.poll() is None:
        plugins |= _processes(meltano)
        assert time.monotonic() < deadline, "the plugins were not started"
        time.sleep(0.05)
    time.sleep(seconds)
    if victim == "server":
        server.kill()
    elif victim == "meltano":
        meltano.send_signal(signal.SIGKILL)
    elif victim in plugins and plugins[victim].is_running():
        plugins[victim].kill()
    meltano.wait(90)
    _, left = psutil.wait_procs(plugins.values(), timeout=60)
    assert not left, f"after the {victim} was killed these still run: {left}"
    if victim == "server":
        server.start()


@pytest.mark.slow
@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.sandbox(**SIZES, associations=1_500, contact_properties=40, tier="unlimited")
def test_after_any_kill_the_next_run_makes_the_tables_equal_to_the_portal(sandbox, killable, tmp_path):
    warehouse, server = killable
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    victims = VICTIMS[warehouse.engine]
    if LONG:
        parts = ["meltano", "tap", "target", *(["server"] if server else [])]
        victims = [rng.choice(parts) for _ in range(50)]
    project = project_for(sandbox, warehouse, tmp_path)
    ids = {type_id: [record["id"] for record in sandbox.truth(type_id)] for type_id in STREAMS}
    changes = in_parts(list(mixed_changes(ids, len(victims) * 10, seed=seed)), len(victims))
    for victim, part in zip(victims, changes, strict=True):
        _run_and_kill(project, victim, rng.uniform(0.2, 3.0), server)
        sandbox.mutate(part)
    project.run("--force", "tap-hubspot-dw", "target-warehouse")
    assert differences(sandbox, warehouse) == [], f"seed {seed}, killed {victims}"
    assert edges(sandbox) <= edge_rows(warehouse), f"seed {seed}, killed {victims}"  # removed edges: docs/limits.md
    for table in STREAMS.values():
        twice = warehouse.query(f"SELECT id FROM hubspot.{table} GROUP BY id HAVING count(*) > 1")
        assert twice == [], f"seed {seed}, killed {victims}"
