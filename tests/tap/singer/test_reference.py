"""The streams that describe the portal: refused lists are reported, and none of their rows is marked as deleted."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import responses

from tap_hubspot_dw.http.auth import StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import STANDARD_TYPES
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.settings import Settings
from tap_hubspot_dw.singer.events import Activation
from tap_hubspot_dw.singer.streams.reference import REFERENCES, ReferenceStream
from tap_hubspot_dw.singer.tap import TapHubSpotDW
from tap_hubspot_dw.timestamps import epoch_ms
from tests.tap.running import run_tap

DEALS = STANDARD_TYPES["deals"]
OF_PIPELINES = ("pipelines", "pipeline_stages")
LISTS = ("owners", "pipelines", "pipeline_stages", "properties")
STATUSES = (400, 403, 404)


@pytest.fixture
def settings(clean_portal):
    clean_portal.settings(quirks={"custom-pipelines": "one"})
    yield {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["deals", "divisions"]}
    clean_portal.settings(quirks={"custom-pipelines": "none"})


def activated(run, stream: str) -> set[str]:
    """Return the objects that a run activated as completely read; `owners` for the account's list."""
    messages = [each for each in run.messages if each["type"] == "ACTIVATE_VERSION" and each["stream"] == stream]
    return {values[0] for each in messages for values in each.get("scope", {"values": [["owners"]]})["values"]}


@pytest.mark.parametrize("status", STATUSES)
def test_refused_pipelines_of_a_custom_object_that_had_some_are_an_error(clean_portal, settings, tmp_path, status):
    first = run_tap(tmp_path, settings)
    clean_portal.faults([{"match": "pipelines divisions", "status": status}])
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 1
    deals = [each for each in first.records("pipelines") if each["object_type"] == "deals"]
    assert run.records("pipelines") == deals, "those of deals are read all the same"
    for stream in OF_PIPELINES:
        assert f"{stream}: The list of divisions could not be read: HubSpot refuses" in run.log
        assert activated(run, stream) == {"deals"}
    assert activated(run, "properties") == {"deals", "divisions"}
    clean_portal.faults([])
    again = run_tap(tmp_path, settings, state=run.state)
    assert again.returncode == 0, again.log
    assert all(activated(again, stream) == {"deals", "divisions"} for stream in OF_PIPELINES)


@pytest.mark.parametrize("status", STATUSES)
def test_pipelines_of_a_custom_object_that_were_always_refused_count_as_none(clean_portal, settings, tmp_path, status):
    """HubSpot may refuse them because there are none (observed); the run warns and marks nothing."""
    clean_portal.faults([{"match": "pipelines divisions", "status": status}])
    state = None
    for _ in range(2):
        run = run_tap(tmp_path, settings, state=state)
        state = run.state
        assert run.returncode == 0, run.log
        for stream in OF_PIPELINES:
            assert f"{stream}: divisions has none" in run.log
            assert activated(run, stream) == {"deals"}


def test_pipelines_that_an_older_release_may_have_read_do_not_fail(clean_portal, settings, tmp_path):
    """Its state also names objects that had none, so a refusal does not fail the stream; nothing is marked."""
    state = {"bookmarks": {stream: {"objects": ["deals", "divisions"]} for stream in OF_PIPELINES}}
    clean_portal.faults([{"match": "pipelines divisions", "status": 404}])
    run = run_tap(tmp_path, settings, state=state)
    assert run.returncode == 0, run.log
    assert all(activated(run, stream) == {"deals"} for stream in OF_PIPELINES)


def test_pipelines_of_a_standard_object_that_are_refused_are_an_error(clean_portal, settings, tmp_path):
    clean_portal.faults([{"match": "pipelines deals", "status": 403}])
    run = run_tap(tmp_path, settings)
    assert run.returncode == 1
    assert all(activated(run, stream) == {"divisions"} for stream in OF_PIPELINES)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("has_state", [True, False])
def test_a_list_that_is_too_short_once_is_requested_again(clean_portal, settings, tmp_path, rows, has_state):
    """Without state the earlier length of a list is unknown: an empty list, or one with pages, is requested again."""
    first = run_tap(tmp_path, settings)
    state = first.state if has_state else None
    matches = ("owners", "pipelines deals", *(["properties deals"] if has_state else []))
    clean_portal.faults([{"match": match, "times": 1, "rows": rows} for match in matches if has_state or rows == 0])
    if not has_state and rows:
        clean_portal.faults([{"match": "owners", "times": 1, "rows": rows}])
    run = run_tap(tmp_path, settings, state=state)
    assert run.returncode == 0, run.log
    assert all(fault["fired"] == 1 for fault in clean_portal.fault_counts())
    for stream in LISTS:
        assert run.records(stream) == first.records(stream)
        assert activated(run, stream) == activated(first, stream) != set()


@pytest.mark.parametrize("rows", [0, 1])
def test_a_list_that_hubspot_gives_twice_is_accepted(clean_portal, settings, tmp_path, rows):
    first = run_tap(tmp_path, settings)
    clean_portal.faults([{"match": match, "rows": rows} for match in ("owners", "pipelines deals")])
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    assert len(run.records("owners")) == 2 * rows, "active ones and archived ones"
    assert len([each for each in run.records("pipelines") if each["object_type"] == "deals"]) == rows
    assert activated(run, "owners") == {"owners"}
    assert activated(run, "pipelines") == {"deals", "divisions"}


def test_a_list_that_differs_each_time_fails_and_marks_nothing(clean_portal, settings, tmp_path):
    first = run_tap(tmp_path, settings)
    clean_portal.faults([{"match": "owners", "nth": nth, "rows": rows} for nth, rows in ((1, 1), (3, 2), (5, 3))])
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 1
    assert "owners: The list of owners could not be read: HubSpot gave a different list of owners" in run.log
    assert activated(run, "owners") == set()
    assert run.state["bookmarks"]["owners"] == first.state["bookmarks"]["owners"]


@pytest.mark.parametrize("objects", [["deals"], ["deals", "divisions"]])
def test_without_scopes_a_version_is_for_the_whole_table_if_all_of_it_was_read(settings, tmp_path, objects):
    """For targets without scopes; a run without state cannot know what the table has."""
    settings = settings | {"scoped_versions": False}
    first = run_tap(tmp_path, settings)
    assert all(activated(first, stream) == set() for stream in LISTS if stream != "owners")
    run = run_tap(tmp_path, settings | {"objects": objects}, state=first.state)
    messages = [each for each in run.messages if each["type"] == "ACTIVATE_VERSION" and each["stream"] in LISTS]
    is_all = objects == settings["objects"]
    assert {each["stream"] for each in messages} == {"owners", *(LISTS if is_all else ())}
    assert all(each["version"] > 1 and "scope" not in each for each in messages)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.name)
def test_a_version_comes_from_hubspots_clock_if_ours_is_ahead(reference):
    """A version from a fast clock would be above those of later runs, after the clock is set right."""
    began_at, logger = datetime.now(UTC), logging.getLogger("test")
    client = Client("http://hubspot.test", StaticToken("secret"), timeout_seconds=5, user_agent="test", logger=logger)
    with responses.RequestsMock() as hubspot:
        date = format_datetime(began_at - timedelta(hours=2), usegmt=True)
        hubspot.get(re.compile(".*"), json={"results": []}, headers={"Date": date})
        hubspot.post(re.compile(".*"), json={"results": []}, headers={"Date": date})
        tap = TapHubSpotDW(config={"api_url": "http://hubspot.test", "access_token": "secret", "objects": ["deals"]})
        run = Run(
            Settings.from_config(tap.config), Portal(Api(client, "2026-09", logger)), began_at, object_types=[DEALS]
        )
        reading = ReferenceStream(tap, run, reference).begin()
        (version,) = (event.version for event in reading.events() if isinstance(event, Activation))
    assert abs(version - epoch_ms(began_at - timedelta(hours=2))) < 5_000
