"""Runs of one project at the same time: which ones Meltano's files allow, and that the tables are right afterwards."""

from __future__ import annotations

import pytest

from tests.conftest import PostgresWarehouse
from tests.pipeline.project import Project

pytestmark = pytest.mark.slow
PLAIN = ("run", "--force", "tap-hubspot-dw", "target-warehouse")
OWN = ("run", "tap-hubspot-dw--b", "target-warehouse--b")


@pytest.mark.sandbox(contacts=40, appointments=0, divisions=2, deals=10, associations=10, tier="unlimited")
def test_runs_of_plugins_with_other_names_run_together_and_the_next_run_repairs_forced_twins(
    sandbox, postgres_url, tmp_path
):
    """Forced runs of the same plugins overwrite each other's catalog; the next run completes the tables in any case."""
    project = Project(tmp_path, TAP_HUBSPOT_DW_API_URL=sandbox.url)
    project.declare("extractors", "tap-hubspot-dw--b", inherit_from="tap-hubspot-dw")
    project.declare(
        "loaders", "target-warehouse--b", inherit_from="target-warehouse", config={"default_target_schema": "b"}
    )
    project.env["TARGET_WAREHOUSE_WAREHOUSE"] = postgres_url
    project.meltano("state", "list")  # creates Meltano's database
    twins = [project.started(*PLAIN), project.started(*PLAIN)]
    own = project.started(*OWN)
    for run in (own, *twins):
        run.wait(240)
    assert own.returncode == 0
    project.meltano(*PLAIN)
    warehouse = PostgresWarehouse(postgres_url)
    for schema in ("hubspot", "b"):
        counted = f"SELECT count(*) AS n, count(_sdc_deleted_at) AS gone FROM {schema}.contacts"
        assert warehouse.query(counted) == [{"n": 40, "gone": 0}]
