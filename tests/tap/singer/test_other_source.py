"""A state belongs to one HubSpot account, and the state of a stream to one object type."""

from __future__ import annotations

import copy

import pytest

from tests.tap.running import run_tap


@pytest.fixture
def settings(clean_portal):
    return {
        "api_url": clean_portal.url,
        "access_token": clean_portal.token,
        "objects": ["contacts", "divisions"],
        "object_type_ids": {"divisions": "0-3"},
    }


@pytest.fixture
def first(clean_portal, settings, tmp_path):
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    return run


def test_the_state_of_another_account_ends_the_run_before_anything_is_written(first, settings, tmp_path):
    """Also if a stream's state is the only one that names the account."""
    streams = [stream for stream, saved in first.state["bookmarks"].items() if saved]
    assert {"owners", "contacts", "divisions", "associations"} < set(streams)
    for stream in streams:
        state = copy.deepcopy(first.state)
        for saved in state["bookmarks"].values():
            saved.pop("portal", None)
        state["bookmarks"][stream]["portal"] = 999
        run = run_tap(tmp_path, settings, state=state)
        assert run.returncode == 1
        assert "The state belongs to HubSpot's account 999, and the token to account 20858235" in run.log
        assert "meltano state clear" in run.log
        assert run.messages == []


def test_the_state_of_another_object_type_ends_the_run(first, settings, tmp_path):
    """The setting that gave the stream its type was removed."""
    del settings["object_type_ids"]
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 1
    assert "The state of divisions belongs to HubSpot's object type 0-3, and divisions is now 2-" in run.log
    assert run.messages == []


def test_a_state_of_an_older_release_is_continued_and_gets_its_account_and_type(first, settings, tmp_path):
    for saved in first.state["bookmarks"].values():
        saved.pop("portal", None)
        saved.pop("object_type", None)
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    assert not run.records("contacts")
    saved = run.state["bookmarks"]["divisions"]
    assert (saved["portal"], saved["object_type"]) == (20858235, "0-3")


@pytest.mark.parametrize("fault", [{"status": 403}, {"body": "{}"}, {"body": '{"portalId": "x"}'}])
def test_a_token_that_may_not_ask_for_the_account_reads_as_before_and_keeps_its_state(
    clean_portal, first, settings, tmp_path, fault
):
    clean_portal.faults([{"match": "account details", **fault}])
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    assert clean_portal.fault_counts()[0]["fired"] == 1
    assert {saved["portal"] for saved in run.state["bookmarks"].values() if saved} == {20858235}
