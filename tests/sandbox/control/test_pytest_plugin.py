"""The pytest plugin as other projects use it: options, faults and clock in the marker, a clean portal per test."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from hubspot_sandbox.control.pytest_plugin import RunningSandbox, SandboxDefectError
from tests.sandbox.conftest import Api


@pytest.mark.sandbox(
    contacts=12,
    contact_properties=60,
    faults=[{"match": "list contacts", "nth": 2, "status": 503}],
    clock_offset_seconds=86_400 * 365,
    without_scope=["oauth", "crm.objects.owners.read"],
)
def test_the_marker_has_the_options_of_the_sandbox(sandbox: RunningSandbox, http: requests.Session) -> None:
    api = Api(sandbox, http)
    assert [api.get("/crm/v3/objects/contacts").status_code for _ in range(3)] == [200, 503, 200]
    assert len(list(sandbox.truth("contacts"))) == 12
    assert api.get("/crm/v3/owners").status_code == 403
    created = sandbox.mutate([{"kind": "create", "type": "contacts"}])[0]
    ahead = datetime.fromisoformat(created["createdAt"]) - datetime.now(UTC)
    assert timedelta(days=364) < ahead < timedelta(days=366)
    assert sandbox.log()["byEndpoint"]["list contacts"] == {"200": 2, "503": 1}
    assert sandbox.fault_counts() == [{"met": 3, "fired": 1}]


def test_requests_are_counted_by_endpoint_and_status(api: Api) -> None:
    api.get("/crm/v3/objects/contacts?limit=1")
    api.get("/crm/v3/objects/contacts?limit=1000")
    api.search("deals")
    api.post("/crm/v4/associations/deals/contacts/batch/read", {"inputs": [{"id": "7"}]})
    api.get("/nowhere")
    log: dict[str, Any] = api.sandbox.log()
    assert log == {
        "total": 5,
        "byStatus": {"200": 2, "207": 1, "400": 1, "404": 1},
        "byEndpoint": {
            "associations batch read deals→contacts": {"207": 1},
            "list contacts": {"200": 1, "400": 1},
            "search deals": {"200": 1},
            "unknown path": {"404": 1},
        },
    }
    api.sandbox.reset()
    assert api.sandbox.log()["total"] == 0


BROKEN = """
from hubspot_sandbox.portal.reference import PIPELINES
PIPELINES["deals"][0].clear()
from hubspot_sandbox.control.cli import main
main(["serve", "--port", "0", "--json", "--contacts", "1"])
"""


def test_an_unexpected_exception_fails_the_test_that_stops_the_sandbox(http: requests.Session) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BROKEN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    running = RunningSandbox(process, json.loads(process.stdout.readline()))
    assert Api(running, http).get("/crm-pipelines/v1/pipelines/deals").status_code == 500
    running.reset()
    with pytest.raises(SandboxDefectError, match=r"GET /crm-pipelines/v1/pipelines/deals: KeyError"):
        running.stop()
    assert process.poll() is not None
