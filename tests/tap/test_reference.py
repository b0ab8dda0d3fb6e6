"""The streams that describe the portal: what HubSpot refuses is told, and nothing of it is marked as deleted."""

from __future__ import annotations

import pytest

from tests.tap.running import run_tap

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
