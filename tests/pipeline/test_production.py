"""The environment `prod` reads its token and its warehouse from .env and loads into PostgreSQL."""

from __future__ import annotations

import pytest

from tests.conftest import PostgresWarehouse
from tests.pipeline.project import ROOT, Project

TINY = {
    "contacts": 40,
    "appointments": 10,
    "divisions": 2,
    "deals": 10,
    "associations": 60,
    "contact_properties": 25,
    "tier": "unlimited",
}


def filled_in(example: str, values: dict[str, str]) -> str:
    """Return .env.example with these values; a variable that it does not have fails the test."""
    for name, value in values.items():
        lines = [line for line in example.splitlines() if line.startswith(f"{name}=")]
        assert len(lines) == 1, f".env.example does not name {name}"
        example = example.replace(lines[0], f"{name}={value}")
    return example


@pytest.mark.sandbox(**TINY)
def test_the_job_hubspot_loads_postgres_with_the_variables_of_env_example(sandbox, postgres_url, tmp_path):
    project = Project(tmp_path, TAP_HUBSPOT_DW_API_URL=sandbox.url)
    without = project.meltano("--environment=prod", "invoke", "warehouse:report", code=2).stderr
    assert "The setting warehouse is empty (in the Meltano project: WAREHOUSE_URL in .env)" in without
    secrets = {"HUBSPOT_ACCESS_TOKEN": sandbox.token, "WAREHOUSE_URL": postgres_url}
    (tmp_path / ".env").write_text(filled_in((ROOT / ".env.example").read_text(), secrets))
    log = project.meltano("--environment=prod", "run", "hubspot").stderr
    assert sandbox.token not in log
    assert postgres_url not in log
    assert PostgresWarehouse(postgres_url).query("SELECT count(*) AS n FROM hubspot.contacts") == [{"n": 40}]
    report = project.meltano("--environment=prod", "invoke", "warehouse:report").stdout
    assert "contacts" in report
    assert "contacts" not in project.meltano("invoke", "warehouse:report", code=None).stdout
