"""Change windows under all kinds of concurrent changes: no record is lost, and repeated ones are counted."""

from __future__ import annotations

import pytest

from tests.tap.running import run_tap

NARROW = {"appointments": 1, "divisions": 1, "deals": 1, "associations": 1, "contact_properties": 60}
NARROW |= {"tier": "unlimited"}


def settings_for(sandbox, **more):
    return {
        "api_url": sandbox.url,
        "access_token": sandbox.token,
        "objects": ["contacts"],
        "associations": False,
        "include_properties": {"contacts": ["email", "firstname"]},
        **more,
    }


def loaded(sandbox, folder, **more):
    """Return the state of a first full run."""
    run = run_tap(folder, settings_for(sandbox, **more))
    assert run.returncode == 0, run.log
    return run


def test_thirty_thousand_changes_in_one_millisecond(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=30_500, **NARROW)
    first = loaded(sandbox, tmp_path)
    touched = sandbox.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 30_000}])[0]
    assert touched["touched"] == 30_000
    run = run_tap(tmp_path, settings_for(sandbox), state=first.state)
    assert run.returncode == 0, run.log
    ids = [each["id"] for each in run.records("contacts")]
    assert len(ids) == len(set(ids)) == 30_000
    asked = sandbox.log()["byEndpoint"]["search contacts"]["200"]
    assert asked <= 30_000 / 200 + 24, "pages, and for each range of ids where it ends and what it counts, in both runs"
    sandbox.stop()


def test_edits_of_served_records_after_every_page_lose_nothing(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=5_000, **NARROW)
    first = loaded(sandbox, tmp_path)
    sandbox.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 5_000}])
    sandbox.mutate([{"kind": "edit-while-paging", "type": "0-1", "every": 1, "times": 20}])
    second = run_tap(tmp_path, settings_for(sandbox), state=first.state)
    third = run_tap(tmp_path, settings_for(sandbox), state=second.state)
    truth = {each["id"]: each["updatedAt"] for each in sandbox.truth("0-1")}
    seen = {}
    for record in second.records("contacts") + third.records("contacts"):
        seen[record["id"]] = max(record["updated_at"], seen.get(record["id"], ""))
    assert seen == truth
    repeated = len(second.records("contacts")) + len(third.records("contacts")) - len(truth)
    assert repeated <= 5_000 + 20, "more than the look-back repeats"
    bookmark = second.state["bookmarks"]["contacts"]["replication_key_value"]
    known = sum(each["updated_at"] < bookmark for each in third.records("contacts"))
    (history,) = [each for each in third.records("sync_history") if each["stream"] == "contacts"]
    assert history["repeated"] == known > 4_900
    assert f"{known:,} of them read before" in third.log
    sandbox.stop()


def test_records_created_and_archived_during_the_read_are_right_after_the_next_run(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=4_000, **NARROW)
    sandbox.mutate([{"kind": "churn-while-paging", "type": "0-1", "every": 2, "times": 15}])
    first = loaded(sandbox, tmp_path)
    sandbox.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 3_000}])
    sandbox.mutate([{"kind": "churn-while-paging", "type": "0-1", "every": 1, "times": 10}])
    second = run_tap(tmp_path, settings_for(sandbox), state=first.state)
    third = run_tap(tmp_path, settings_for(sandbox), state=second.state)
    live: dict[str, bool] = {}
    for run in (first, second, third):
        assert run.returncode == 0, run.log
        for message in run.messages:
            if message["type"] == "RECORD" and message["stream"] == "contacts":
                live[message["record"]["id"]] = not message["record"].get("_sdc_deleted_at")
    assert {each for each, is_live in live.items() if is_live} == {each["id"] for each in sandbox.truth("0-1")}
    sandbox.stop()


@pytest.mark.parametrize("lag_minutes", [1, 59])
def test_an_index_that_lags_loses_nothing(sandbox_factory, tmp_path, lag_minutes):
    sandbox = sandbox_factory(contacts=300, **NARROW, index_lag_seconds=lag_minutes * 60)
    first = loaded(sandbox, tmp_path)
    edited = [each["id"] for each in sandbox.truth("0-1")][:40]
    sandbox.mutate([{"kind": "edit", "type": "0-1", "id": each, "properties": {"firstname": "New"}} for each in edited])
    early = run_tap(tmp_path, settings_for(sandbox), state=first.state)
    assert early.records("contacts") == []
    sandbox.settings(indexLagSeconds=0)  # the index has caught up, and a run has passed in between
    late = run_tap(tmp_path, settings_for(sandbox), state=early.state)
    assert {each["id"] for each in late.records("contacts")} == set(edited)
    sandbox.stop()


def test_two_runs_a_minute_apart_share_no_gap(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=200, **NARROW)
    run, seen = loaded(sandbox, tmp_path), set()
    for number in range(3):
        target = [each["id"] for each in sandbox.truth("0-1")][number]
        sandbox.mutate([{"kind": "edit", "type": "0-1", "id": target, "properties": {"firstname": "New"}}])
        run = run_tap(tmp_path, settings_for(sandbox, lookback_minutes=0), state=run.state)
        seen |= {each["id"] for each in run.records("contacts")}
    assert len(seen) == 3
    sandbox.stop()


@pytest.mark.slow
def test_a_quarter_of_a_million_changes(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=250_000, **NARROW)
    state = {"bookmarks": {"contacts": {"replication_key_value": "2026-11-01T00:00:00.000Z"}}}
    sandbox.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 250_000}])
    run = run_tap(tmp_path, settings_for(sandbox), state=state, timeout=280)
    assert run.returncode == 0, run.log
    ids = {each["id"] for each in run.records("contacts")}
    assert len(ids) == 250_000
    sandbox.stop()
