"""Later runs read the changes since the bookmark, the deletions, and the associations of changed records."""

from __future__ import annotations

import copy
import re

import pytest

from tests.tap.conftest import SMALL
from tests.tap.running import run_tap


@pytest.fixture
def settings(clean_portal):
    return {"api_url": clean_portal.url, "access_token": clean_portal.token}


@pytest.fixture(scope="module")
def first_run(changeable, tmp_path_factory):
    """A first run over the clean portal."""
    changeable.reset()
    run = run_tap(tmp_path_factory.mktemp("first"), {"api_url": changeable.url, "access_token": changeable.token})
    assert run.returncode == 0, run.log
    return run


@pytest.fixture
def first(first_run):
    return copy.deepcopy(first_run)


def ids(clean_portal, object_type: str) -> list[str]:
    return [each["id"] for each in clean_portal.truth(object_type)]


def test_a_run_without_changes_reads_no_objects_and_few_requests(clean_portal, settings, first, tmp_path):
    before = clean_portal.log()["total"]
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    assert not {"contacts", "appointments", "divisions", "deals", "associations"} & run.by_stream().keys()
    assert clean_portal.log()["total"] - before <= 35
    for stream in ("contacts", "deals"):
        assert (
            run.state["bookmarks"][stream]["replication_key_value"]
            > (first.state["bookmarks"][stream]["replication_key_value"])
        )
        assert run.state["bookmarks"][stream]["version"] == first.state["bookmarks"][stream]["version"]
        assert run.message_types(stream) == ["SCHEMA"]


def test_edits_creations_archives_and_merges_are_read_once_each(clean_portal, settings, first, tmp_path):
    edited, archived, winner, loser = ids(clean_portal, "0-1")[:4]
    done = clean_portal.mutate(
        [
            {"kind": "edit", "type": "0-1", "id": edited, "properties": {"firstname": "Changed"}},
            {"kind": "create", "type": "0-1", "properties": {"email": "new@example.com"}},
            {"kind": "archive", "type": "0-1", "id": archived},
            {"kind": "merge", "type": "0-1", "winner": winner, "loser": loser},
        ]
    )
    created = done[1]["id"]
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 0, run.log
    assert {record["id"] for record in run.records("contacts")} == {edited, created, winner}
    assert next(each for each in run.records("contacts") if each["id"] == edited)["firstname"] == "Changed"
    deletes = {each["id"]: each for each in run.deletes("contacts")}
    assert deletes.keys() == {archived, loser}
    assert deletes[archived].keys() == {"id", "archived", "archived_at", "_sdc_deleted_at"}
    assert deletes[archived]["archived_at"] == done[2]["archivedAt"]
    assert deletes[loser].keys() == {"id", "merged_into_id", "_sdc_deleted_at"}
    assert deletes[loser]["merged_into_id"] == winner


def test_what_was_read_within_the_look_back_is_read_again_and_older_changes_are_not(
    clean_portal, settings, first, tmp_path
):
    edited = ids(clean_portal, "0-1")[0]
    clean_portal.mutate([{"kind": "edit", "type": "0-1", "id": edited, "properties": {"firstname": "Changed"}}])
    second = run_tap(tmp_path, settings, state=first.state)
    third = run_tap(tmp_path, settings, state=second.state)
    without = run_tap(tmp_path, settings | {"lookback_minutes": 0}, state=second.state)
    assert [record["id"] for record in third.records("contacts")] == [edited]
    assert without.records("contacts") == []


@pytest.mark.parametrize("side", ["deals", "contacts"])
def test_a_new_association_is_read_when_either_record_changed(clean_portal, settings, first, tmp_path, side):
    contact, deal = ids(clean_portal, "0-1")[-1], ids(clean_portal, "0-3")[-1]
    touched = {"deals": ("0-3", deal, "dealname"), "contacts": ("0-1", contact, "firstname")}[side]
    kind, record_id, name = touched
    clean_portal.mutate(
        [
            {"kind": "associate", "fromType": "0-1", "fromId": contact, "toType": "0-3", "toId": deal},
            {"kind": "edit", "type": kind, "id": record_id, "properties": {name: "Changed"}},
        ]
    )
    run = run_tap(tmp_path, settings, state=first.state)
    edges = [(each["from_object_type"], each["from_id"], each["to_id"]) for each in run.records("associations")]
    assert ("deals", deal, contact) in edges


def test_a_removed_association_is_gone_after_the_next_full_association_pass(clean_portal, settings, first, tmp_path):
    edge = next(
        each for each in clean_portal.truth_associations() if (each["fromType"], each["toType"]) == ("0-3", "0-1")
    )
    ends = {name: edge[name] for name in ("fromType", "fromId", "toType", "toId")}
    clean_portal.mutate([{"kind": "dissociate", **ends}])
    state = first.state
    state["bookmarks"]["associations"]["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    run = run_tap(tmp_path, settings, state=state)
    assert run.message_types("associations")[-1] == "ACTIVATE_VERSION"
    edges = {(each["from_id"], each["to_id"]) for each in run.records("associations")}
    assert len(edges) > 100
    assert (edge["fromId"], edge["toId"]) not in edges
    assert run.state["bookmarks"]["associations"]["version"] > first.state["bookmarks"]["associations"]["version"]


def test_a_pass_that_is_too_old_is_repeated_with_a_new_version(clean_portal, settings, first, tmp_path):
    gone = ids(clean_portal, "0-421")[0]
    clean_portal.mutate([{"kind": "gdpr-delete", "type": "0-421", "id": gone}])
    state = first.state
    for saved in state["bookmarks"].values():
        saved["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    run = run_tap(tmp_path, settings, state=state)
    assert gone not in {record["id"] for record in run.records("appointments")}
    assert len(run.records("appointments")) == SMALL["appointments"] - 1
    assert run.message_types("appointments") == ["SCHEMA", "RECORD", "ACTIVATE_VERSION"]


def test_a_start_date_reads_the_changes_since_then_and_never_everything(clean_portal, settings, tmp_path):
    timestamps = sorted(each["updatedAt"] for each in clean_portal.truth("0-1"))
    since = timestamps[len(timestamps) // 2]
    run = run_tap(tmp_path, settings | {"start_date": since, "lookback_minutes": 0, "objects": ["contacts"]})
    assert run.returncode == 0, run.log
    assert len(run.records("contacts")) == sum(timestamp >= since for timestamp in timestamps)
    assert run.message_types("contacts") == ["SCHEMA", "RECORD"]
    again = run_tap(
        tmp_path, settings | {"start_date": since, "lookback_minutes": 0, "objects": ["contacts"]}, state=run.state
    )
    assert again.records("contacts") == []


def test_an_interrupted_pass_continues_where_it_stopped(clean_portal, settings, tmp_path):
    everything = ids(clean_portal, "0-1")
    half = int(everything[len(everything) // 2])
    version = 1_800_000_000_000
    begun = {
        "version": version,
        "started_at": "2026-11-01T00:00:00.000Z",
        "ranges": [[0, half, len(everything) // 2 + 1]],
    }
    state = {"bookmarks": {"contacts": {"full_pass": begun}}}
    run = run_tap(tmp_path, settings | {"objects": ["contacts"]}, state=state)
    assert run.returncode == 0, run.log
    assert [record["id"] for record in run.records("contacts")] == [each for each in everything if int(each) > half]
    saved = run.state["bookmarks"]["contacts"]
    assert (saved["version"], saved["full_pass_at"]) == (version, "2026-11-01T00:00:00.000Z")
    assert saved["replication_key_value"] > "2026-11-20", "what changed since the pass began is read as well"
    assert "full_pass" not in saved


def test_one_failing_stream_does_not_stop_the_rest(clean_portal, settings, first, tmp_path):
    state = first.state
    clean_portal.faults([{"match": "search appointments", "nth": 1, "status": 403}])
    run = run_tap(tmp_path, settings, state=state)
    assert run.returncode == 1
    assert "1 stream(s) could not be read: appointments" in run.log
    history = {each["stream"]: each for each in run.records("sync_history")}
    assert (history["appointments"]["status"], history["deals"]["status"]) == ("failed", "success")
    assert run.state["bookmarks"]["appointments"] == state["bookmarks"]["appointments"]
    assert (
        run.state["bookmarks"]["deals"]["replication_key_value"]
        > (first.state["bookmarks"]["deals"]["replication_key_value"])
    )


def test_an_unknown_object_is_named_with_what_exists(settings, tmp_path):
    run = run_tap(tmp_path, settings | {"objects": ["contacts", "widgets"]})
    assert run.returncode == 1
    assert 'no object called "widgets"' in run.log
    assert "division (2-" in run.log
    assert run.messages == []


def test_a_wrong_token_is_one_sentence(settings, tmp_path):
    run = run_tap(tmp_path, settings | {"access_token": "pat-wrong"})
    assert run.returncode == 1
    assert "HubSpot does not accept the token" in run.log
    assert "Traceback" not in run.log
    assert "pat-wrong" not in run.log


def test_a_bookmark_in_the_future_is_not_trusted_in_silence(clean_portal, settings, tmp_path):
    state = {"bookmarks": {"contacts": {"replication_key_value": "2037-01-01T00:00:00.000Z"}}}
    run = run_tap(tmp_path, settings | {"objects": ["contacts"]}, state=state)
    assert len(run.records("contacts")) == SMALL["contacts"] or "2037-01-01" in run.log


def test_the_history_has_a_failed_row_for_an_object_left_out(clean_portal, settings, tmp_path):
    clean_portal.settings(withoutScopes=["crm.objects.deals.read", "crm.schemas.deals.read"])
    run = run_tap(tmp_path, settings)
    history = {each["stream"]: each["status"] for each in run.records("sync_history")}
    assert history.get("deals") == "failed"


def test_a_run_that_had_to_stop_still_writes_its_history(clean_portal, settings, tmp_path):
    clean_portal.faults([{"match": "list contacts", "status": 429, "policy": "DAILY"}])
    run = run_tap(tmp_path, settings)
    history = {each["stream"]: each["status"] for each in run.records("sync_history")}
    assert run.returncode == 75
    assert history.get("contacts") == "partial"


def test_an_object_type_without_a_modified_property_is_an_error(sandbox_factory, tmp_path):
    """HubSpot would find nothing by it, without an error."""
    sandbox = sandbox_factory(contacts=50, deals=20, contact_properties=20, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["deals"]}
    first = run_tap(tmp_path, settings)
    sandbox.settings(quirks={"unlisted-properties": "hs_lastmodifieddate"})
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 1
    assert "HubSpot lists no property hs_lastmodifieddate for deals" in run.log
    assert run.state["bookmarks"]["deals"] == first.state["bookmarks"]["deals"]
    sandbox.stop()


def test_associations_of_a_type_without_a_modified_property_are_an_error_too(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=50, deals=20, contact_properties=20, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"]}
    first = run_tap(tmp_path, settings)
    sandbox.settings(quirks={"unlisted-properties": "hs_lastmodifieddate"})
    run = run_tap(tmp_path, settings, state=first.state)
    assert run.returncode == 1
    (names,) = re.findall("associations: (.*) could not be read: HubSpot lists no property", run.log)
    assert sorted(names.split(", ")) == ["deals:contacts", "deals:deals"]
    before, after = (each.state["bookmarks"]["associations"]["pairs"] for each in (first, run))
    assert {pair for pair in before if after[pair] != before[pair]} == {"contacts:contacts"}
    sandbox.stop()
