"""The streams that describe the portal: what HubSpot refuses is told, and nothing of it is marked as deleted."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import responses

from tap_hubspot_dw.auth import StaticToken
from tap_hubspot_dw.client import Client
from tap_hubspot_dw.events import Activation
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tap_hubspot_dw.portal import Portal
from tap_hubspot_dw.run import Run
from tap_hubspot_dw.settings import Settings
from tap_hubspot_dw.streams.reference import REFERENCES, ReferenceStream
from tap_hubspot_dw.tap import TapHubSpotDW
from tap_hubspot_dw.timestamps import epoch_ms
from tests.tap.running import run_tap

DEALS = STANDARD_TYPES["deals"]
OF_PIPELINES = ("pipelines", "pipeline_stages")
REFUSED = [{"match": "pipelines divisions", "status": 403}]


@pytest.fixture
def settings(clean_portal):
    return {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["deals", "divisions"]}


def is_activated(run, stream: str) -> bool:
    return "ACTIVATE_VERSION" in run.kinds(stream)


def test_pipelines_of_a_custom_object_that_are_refused_all_at_once_are_not_taken_for_deleted(
    clean_portal, settings, tmp_path
):
    first = run_tap(tmp_path, settings)
    clean_portal.faults(REFUSED)
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    for stream in OF_PIPELINES:
        assert f"{stream}: none of divisions" in run.log
        assert run.records(stream) == first.records(stream), "those of deals are read all the same"
        assert not is_activated(run, stream)
    assert is_activated(run, "properties")
    clean_portal.faults([])
    again = run_tap(tmp_path, settings, state=run.state)
    assert all(is_activated(again, stream) for stream in OF_PIPELINES)


def test_pipelines_of_a_custom_object_that_were_refused_from_the_start_keep_nobody_elses(
    clean_portal, settings, tmp_path
):
    """HubSpot may refuse them because there are none (observed)."""
    clean_portal.faults(REFUSED)
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    for stream in OF_PIPELINES:
        assert f"{stream}: none of divisions" in run.log
        assert is_activated(run, stream)


def test_pipelines_of_a_standard_object_that_are_refused_are_an_error(clean_portal, settings, tmp_path):
    clean_portal.faults([{"match": "pipelines deals", "status": 403}])
    run = run_tap(tmp_path, settings)
    assert run.returncode == 1
    assert not any(is_activated(run, stream) for stream in OF_PIPELINES)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.name)
def test_a_version_is_told_by_hubspots_clock_where_ours_is_ahead(reference):
    """A version of a fast clock would be above those of the runs that follow once it is set."""
    began_at, logger = datetime.now(UTC), logging.getLogger("test")
    client = Client("http://hubspot.test", StaticToken("secret"), timeout_seconds=5, user_agent="test", logger=logger)
    with responses.RequestsMock() as hubspot:
        date = format_datetime(began_at - timedelta(hours=2), usegmt=True)
        hubspot.get(re.compile(".*"), json={"results": []}, headers={"Date": date})
        tap = TapHubSpotDW(config={"api_url": "http://hubspot.test", "access_token": "secret", "objects": ["deals"]})
        run = Run(Settings.from_config(tap.config), Portal(client, "2026-09", logger), began_at, kinds=[DEALS])
        stream = ReferenceStream(tap, run, reference)
        stream.begin()
        (version,) = (event.version for event in stream.events() if isinstance(event, Activation))
    assert abs(version - epoch_ms(began_at - timedelta(hours=2))) < 5_000
