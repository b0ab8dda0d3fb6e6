"""Under Meltano a wrong token ends a run before the target starts: the report shows it, and the next run records it."""

from __future__ import annotations

import pytest

from tests.pipeline.project import Project

pytestmark = pytest.mark.slow


@pytest.mark.sandbox(contacts=20, appointments=0, divisions=2, deals=5, associations=5, tier="unlimited")
def test_a_run_whose_discovery_fails_is_in_the_report_and_in_the_history(sandbox, tmp_path):
    project = Project(tmp_path, TAP_HUBSPOT_DW_API_URL=sandbox.url, TAP_HUBSPOT_DW_OBJECTS='["contacts", "divisions"]')
    right = project.env.get("TAP_HUBSPOT_DW_ACCESS_TOKEN", sandbox.token)
    project.env["TAP_HUBSPOT_DW_ACCESS_TOKEN"] = "pat-wrong"
    project.run("tap-hubspot-dw", "target-warehouse", code=None)
    project.env["TAP_HUBSPOT_DW_ACCESS_TOKEN"] = right
    report = project.meltano("invoke", "warehouse:report", code=None)
    assert "tap-hubspot-dw could not start at" in report.stdout + report.stderr
    project.run("tap-hubspot-dw", "target-warehouse")
    rows = project.query("SELECT stream, status, error FROM hubspot.sync_history WHERE status = 'failed' ORDER BY 1")
    assert [row[0] for row in rows] == ["contacts", "divisions"]
    assert all("could not start: HubSpot does not accept the token" in row[2] for row in rows)
    assert "could not start at" not in project.meltano("invoke", "warehouse:report").stdout
