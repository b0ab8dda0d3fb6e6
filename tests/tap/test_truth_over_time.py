"""After archiving, restoring, merging, merging again or deleting for good, the next run makes the table correct."""

from __future__ import annotations

import json

import pytest

from tap_hubspot_dw.singer.events import Block, Checkpoint
from tap_hubspot_dw.singer.tap import TapHubSpotDW
from tests.tap.running import run_tap
from tests.tap.table import Table


@pytest.fixture
def table(clean_portal, tmp_path):
    made = Table({"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["contacts"]}, tmp_path)
    made.run()
    return made


def ids(clean_portal) -> list[str]:
    return [each["id"] for each in clean_portal.truth("0-1")]


def test_an_archived_record_is_marked_keeps_its_values_and_comes_back_when_restored(clean_portal, table):
    victim = ids(clean_portal)[5]
    email = table.rows[victim].get("email")
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    table.run()
    assert victim not in table.live()
    assert (table.rows[victim]["archived"], table.rows[victim].get("email")) == (True, email)
    clean_portal.mutate([{"kind": "restore", "type": "0-1", "id": victim}])
    table.run()
    assert table.live() == set(ids(clean_portal))
    assert table.rows[victim]["archived"] is False


def test_a_restored_record_that_hubspot_does_not_touch_is_back_after_the_next_run(clean_portal, table):
    clean_portal.settings(quirks={"restore-bumps": "false"})
    victim = ids(clean_portal)[5]
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    table.run()
    assert victim not in table.live()
    clean_portal.mutate([{"kind": "restore", "type": "0-1", "id": victim}])
    run = table.run()
    assert table.live() == set(ids(clean_portal))
    assert [each["id"] for each in run.records("contacts")] == [victim]


def test_a_merge_of_a_merged_record_leaves_one_survivor_and_names_it(clean_portal, table):
    first, second, third = ids(clean_portal)[:3]
    clean_portal.mutate([{"kind": "merge", "type": "0-1", "winner": second, "loser": first}])
    table.run()
    assert table.rows[first]["merged_into_id"] == second
    clean_portal.mutate([{"kind": "merge", "type": "0-1", "winner": third, "loser": second}])
    table.run()
    assert table.live() == set(ids(clean_portal))
    assert {table.rows[each]["merged_into_id"] for each in (first, second)} == {third}


def test_records_merged_into_a_record_that_is_then_archived_are_marked_too(clean_portal, table):
    first, second, third = ids(clean_portal)[:3]
    clean_portal.mutate(
        [
            {"kind": "merge", "type": "0-1", "winner": second, "loser": first},
            {"kind": "merge", "type": "0-1", "winner": third, "loser": second},
            {"kind": "archive", "type": "0-1", "id": third},
        ]
    )
    table.run()
    assert table.live() == set(ids(clean_portal))
    assert {table.rows[each]["merged_into_id"] for each in (first, second)} == {third}
    assert table.rows[third]["archived"] is True


def test_a_permanently_deleted_record_is_marked_by_the_next_full_pass(clean_portal, table):
    victim = ids(clean_portal)[7]
    clean_portal.mutate([{"kind": "gdpr-delete", "type": "0-1", "id": victim}])
    table.run()
    assert victim in table.live(), "HubSpot tells nobody: see docs/limits.md"
    table.run(full_pass_at="2026-01-01T00:00:00.000Z")
    assert table.live() == set(ids(clean_portal))


def test_a_pass_with_a_hole_deletes_nothing(clean_portal, table):
    before = table.live()
    clean_portal.mutate([{"kind": "gdpr-delete", "type": "0-1", "id": ids(clean_portal)[7]}])
    clean_portal.faults([{"match": "list contacts", "from": 3, "status": 404}])
    for saved in table.state["bookmarks"].values():
        saved["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    run = run_tap(table.folder, table.settings, state=table.state)
    assert run.returncode == 1
    assert "ACTIVATE_VERSION" not in run.message_types("contacts")
    assert table.live() == before
    clean_portal.faults([])
    table.state = run.state
    table.run()
    assert table.live() == set(ids(clean_portal))


def test_a_continued_pass_also_reads_changes_in_its_finished_ranges(clean_portal, table):
    everything = ids(clean_portal)
    edited, archived, loser = everything[3:6]
    half = int(everything[len(everything) // 2])
    begun = table.state["bookmarks"]["contacts"]["full_pass_at"]
    version = table.state["bookmarks"]["contacts"]["version"] + 1
    clean_portal.mutate(
        [
            {"kind": "edit", "type": "0-1", "id": edited, "properties": {"firstname": "Changed"}},
            {"kind": "archive", "type": "0-1", "id": archived},
            {"kind": "merge", "type": "0-1", "winner": everything[-1], "loser": loser},
        ]
    )
    for row in table.rows.values():
        row["version"] = version
    table.state = {
        "bookmarks": {
            "contacts": {"full_pass": {"version": version, "started_at": begun, "ranges": [[0, half, len(everything)]]}}
        }
    }
    table.run()
    assert table.live() == set(ids(clean_portal))
    assert table.rows[edited]["firstname"] == "Changed"
    assert "full_pass" not in table.state["bookmarks"]["contacts"]


def test_a_continued_pass_also_reads_records_restored_in_its_finished_ranges(clean_portal, table):
    clean_portal.settings(quirks={"restore-bumps": "false"})
    victim = ids(clean_portal)[5]
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    table.run()
    clean_portal.mutate([{"kind": "restore", "type": "0-1", "id": victim}])
    saved = table.state["bookmarks"]["contacts"]
    version, half = saved["version"] + 1, int(ids(clean_portal)[200])
    for row in table.rows.values():
        row["version"] = version
    table.run(full_pass={"version": version, "started_at": saved["replication_key_value"], "ranges": [[0, half, 201]]})
    assert table.live() == set(ids(clean_portal))


def test_a_record_restored_during_a_full_pass_is_read_again_if_its_range_is_finished(clean_portal, table):
    clean_portal.settings(quirks={"restore-bumps": "false"})
    victim = ids(clean_portal)[5]
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    table.run()
    table.state["bookmarks"]["contacts"]["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    reading = TapHubSpotDW(config=table.settings | {"workers": 1}, state=table.state).streams["contacts"].begin()
    read = []
    for event in reading.events():
        if isinstance(event, Block):
            read += [json.loads(line)["record"]["id"] for line in b"".join(event.lines).splitlines()]
        elif isinstance(event, Checkpoint) and event.state.get("full_pass", {}).get("ranges"):
            clean_portal.mutate([{"kind": "restore", "type": "0-1", "id": victim}])
    assert reading.done.is_complete
    assert set(read) == set(ids(clean_portal))


def test_a_property_that_is_selected_again_is_called_out_of_date(clean_portal, table):
    """A target keeps the values that it had; the record changed while the property was not selected."""
    for chosen in (["email", "firstname"], ["email"], ["email", "firstname"]):
        table.settings |= {"include_properties": {"*": chosen}}
        run = table.run()
    assert "until the next full pass they are null in unchanged records, or as an earlier run left them: " in run.log
    assert "as an earlier run left them: firstname." in run.log


def test_a_full_pass_begins_again_if_a_property_is_chosen_while_it_is_interrupted(clean_portal, table):
    everything = ids(clean_portal)
    table.settings |= {"include_properties": {"*": ["email"]}}
    table.run(full_pass_at="2026-01-01T00:00:00.000Z")
    saved = table.state["bookmarks"]["contacts"]
    half = int(everything[len(everything) // 2])
    table.settings |= {"include_properties": {"*": ["email", "firstname"]}}
    begun = {
        "version": saved["version"] + 1,
        "started_at": saved["full_pass_at"],
        "ranges": [[0, half, len(everything)]],
    }
    run = table.run(full_pass=begun)
    assert "because these properties were chosen since it began: firstname." in run.log
    assert len(run.records("contacts")) == len(everything)
    assert {
        each["version"] > begun["version"]
        for each in run.messages
        if each.get("stream") == "contacts" and "record" in each
    } == {True}
    assert table.live() == set(everything)


def test_properties_may_appear_vanish_and_change_type_between_runs(clean_portal, table):
    """After a change of the type everything is read, because unchanged records have values of the old type."""
    first, second = ids(clean_portal)[:2]
    values = {first: "042.50", second: "a pair"}
    clean_portal.mutate([{"kind": "define-property", "type": "0-1", "name": "shoe_size", "propertyType": "number"}])
    for target, value in values.items():
        clean_portal.mutate([{"kind": "edit", "type": "0-1", "id": target, "properties": {"shoe_size": value}}])
    run = table.run()
    assert {each["id"]: each["shoe_size"] for each in run.records("contacts")} == {first: 42.5, second: None}
    clean_portal.mutate([{"kind": "define-property", "type": "0-1", "name": "shoe_size", "propertyType": "string"}])
    run = table.run()
    assert (
        "contacts: the types of these properties changed since the last run: shoe_size; reading everything" in run.log
    )
    read = {each["id"]: each["shoe_size"] for each in run.records("contacts")}
    assert read == dict.fromkeys(ids(clean_portal)) | values
    clean_portal.mutate([{"kind": "remove-property", "type": "0-1", "name": "shoe_size"}])
    run = table.run()
    assert all("shoe_size" not in each for each in run.records("contacts"))
    assert "the types of these properties changed" not in run.log


def test_a_property_that_comes_back_in_another_case_is_another_column(clean_portal, table):
    target = ids(clean_portal)[0]
    for name in ("shoe_size", "Shoe_Size"):
        clean_portal.mutate(
            [
                {"kind": "define-property", "type": "0-1", "name": name, "propertyType": "string"},
                {"kind": "edit", "type": "0-1", "id": target, "properties": {name: name}},
            ]
        )
        run = table.run()
        assert [each[name] for each in run.records("contacts")] == [name]
        clean_portal.mutate([{"kind": "remove-property", "type": "0-1", "name": name}])


def test_objects_without_an_archived_list_are_warned_about_once_a_run(clean_portal, table):
    clean_portal.settings(quirks={"archived-unsupported": "0-1"})
    table.state = {}  # of a run that never had one
    table.run()
    victim = ids(clean_portal)[5]
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    run = table.run()
    assert run.log.count("contacts: HubSpot gives no list of archived records here") == 1
    assert victim in table.live(), "said in the log: deletions show after the next full pass"
    table.run(full_pass_at="2026-01-01T00:00:00.000Z")
    assert table.live() == set(ids(clean_portal))
