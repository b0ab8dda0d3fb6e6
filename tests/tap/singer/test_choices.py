"""Each option of the older sync commands has a setting."""

from __future__ import annotations

import json
import re

import pytest

from tap_hubspot_dw.settings import CONFIG_JSONSCHEMA
from tests.tap.running import discover, run_tap


@pytest.fixture
def contacts(config):
    return config | {"objects": ["contacts"]}


def test_one_object_only(portal, contacts, tmp_path):
    run = run_tap(tmp_path, contacts)
    assert run.returncode == 0, run.log
    assert not {"deals", "appointments", "divisions"} & run.by_stream().keys()
    assert len(run.records("contacts")) == 450


def test_no_associations(contacts, tmp_path):
    run = run_tap(tmp_path, contacts | {"associations": False})
    assert run.returncode == 0, run.log
    assert "associations" not in run.by_stream()


@pytest.mark.parametrize("pair", ["contacts:deals", "deals:contacts"])
def test_associations_of_one_pair_only(config, tmp_path, pair):
    run = run_tap(tmp_path, config | {"association_pairs": [pair]})
    ends = {(each["from_object_type"], each["to_object_type"]) for each in run.records("associations")}
    assert ends == {("deals", "contacts")}


def test_a_sample_leaves_the_bookmarks_alone(contacts, tmp_path):
    run = run_tap(tmp_path, contacts | {"max_records": 7})
    assert run.returncode == 0, run.log
    assert set(run.by_stream().values()) <= set(range(8))
    assert run.by_stream()["contacts"] == 7
    assert "replication_key_value" not in run.state["bookmarks"].get("contacts", {})
    assert "ACTIVATE_VERSION" not in run.message_types("contacts")


def test_smaller_pages_give_the_same_records(portal, contacts, tmp_path):
    before = portal.log()["byEndpoint"]["list contacts"]["200"]
    run = run_tap(tmp_path, contacts | {"page_size": 30})
    assert len({each["id"] for each in run.records("contacts")}) == 450
    assert portal.log()["byEndpoint"]["list contacts"]["200"] - before >= 15


@pytest.mark.parametrize(("seconds", "is_logged"), [(0, False), (0.001, True)])
def test_progress_is_logged_at_the_chosen_interval(contacts, tmp_path, seconds, is_logged):
    run = run_tap(tmp_path, contacts | {"progress_seconds": seconds})
    assert (" of 450 records, " in run.log) is is_logged


def test_a_continued_pass_shows_its_progress_as_a_whole(portal, contacts, tmp_path):
    ids = [each["id"] for each in portal.truth("0-1")]
    begun = {"version": 9, "started_at": portal.clock.now(), "ranges": [[0, int(ids[399]), 400]]}
    state = {"bookmarks": {"contacts": {"full_pass": begun}}}
    run = run_tap(tmp_path, contacts | {"progress_seconds": 0.001, "page_size": 10}, state=state)
    assert run.returncode == 0, run.log
    assert "400 of 450 records were read before" in run.log
    lines = re.findall(r"contacts: (\d+) of 450 records, 400 of them read by earlier runs, ", run.log)
    assert lines
    assert all(400 <= int(each) <= 450 for each in lines)


def test_progress_is_logged_while_no_record_comes(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=1500, deals=1, associations=1, contact_properties=20, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    ids = [each["id"] for each in sandbox.truth("0-1")]
    sandbox.mutate([{"kind": "archive", "type": "0-1", "id": each, "daysAgo": 30} for each in ids])
    sandbox.settings(latencyMs=100)
    state = {"bookmarks": {"contacts": {"replication_key_value": sandbox.clock.now()}}}
    run = run_tap(tmp_path, settings | {"progress_seconds": 0.3}, state=state)
    sandbox.stop()
    assert run.returncode == 0, run.log
    assert len([line for line in run.log.splitlines() if "contacts: 0 records, 0/s" in line]) >= 2


def test_patterns_choose_the_properties(config, tmp_path):
    patterns = {"include_properties": {"contacts": ["email", "hs_*", "*name"]}, "exclude_properties": {"*": ["hs_l*"]}}
    catalog = discover(tmp_path, config | patterns)
    columns = {each["tap_stream_id"]: each["schema"]["properties"].keys() for each in catalog["streams"]}
    assert {"email", "firstname", "lastname", "hs_object_id"} <= columns["contacts"]
    assert not [name for name in columns["contacts"] if name.startswith("hs_l") or name in {"phone", "createdate"}]
    assert "hs_lastmodifieddate" not in columns["deals"]
    assert "dealname" in columns["deals"]
    run = run_tap(tmp_path, config | patterns | {"objects": ["contacts"], "exclude_properties": {}})
    assert run.returncode == 0, run.log
    assert "phone" not in run.records("contacts")[0]


def test_all_properties_in_one_column(portal, contacts, tmp_path):
    run = run_tap(tmp_path, contacts | {"properties_as_json": True})
    assert run.returncode == 0, run.log
    truth = {each["id"]: each["properties"] for each in portal.truth("0-1")}
    assert {each["id"]: each["properties"] for each in run.records("contacts")} == truth
    assert "email" not in run.records("contacts")[0]


def test_changes_since_a_date_are_read_again_and_the_bookmark_advances(portal, contacts, tmp_path):
    timestamps = sorted(each["updatedAt"] for each in portal.truth("0-1"))
    since = timestamps[-20]
    state = {"bookmarks": {"contacts": {"replication_key_value": "2026-11-01T00:00:00.000Z"}}}
    plain = run_tap(tmp_path, contacts, state=state)
    again = run_tap(tmp_path, contacts | {"reread_since": since}, state=state)
    assert again.returncode == 0, again.log
    assert len(again.records("contacts")) == 20 > len(plain.records("contacts"))
    assert again.state["bookmarks"]["contacts"]["replication_key_value"] > "2026-11-01T00:00:00.000Z"


def test_debug_shows_each_request_and_no_secret(portal, contacts, tmp_path):
    run = run_tap(tmp_path, contacts | {"api_version": "2026-03"}, env={"TAP_HUBSPOT_DW_LOGLEVEL": "DEBUG"})
    assert "GET /crm/objects/2026-03/0-1: 200" in run.log
    assert portal.token not in run.log
    assert "GET /crm" not in run_tap(tmp_path, contacts).log


def test_quiet_logs_only_problems(contacts, tmp_path):
    run = run_tap(tmp_path, contacts, env={"TAP_HUBSPOT_DW_LOGLEVEL": "ERROR"})
    assert run.returncode == 0
    assert run.log == ""


def test_the_daily_reserve_ends_the_run_with_its_own_exit_code(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=300, contact_properties=20, daily_limit=1000, daily_used=890)
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"]}
    run = run_tap(tmp_path, settings | {"daily_reserve_percent": 10.5})
    assert run.returncode == 75
    assert "less than the reserve" in run.log
    assert run_tap(tmp_path, settings | {"daily_reserve_percent": 1}, state=run.state).returncode == 0
    sandbox.stop()


def test_objects_may_be_named_in_any_case_throughout_the_settings(config, tmp_path):
    named = {"objects": ["Contacts", "Deals"], "association_pairs": ["Contacts:Deals"]}
    run = run_tap(tmp_path, config | named | {"include_properties": {"Contacts": ["email"]}})
    assert run.returncode == 0, run.log
    assert run.records("associations")
    contacts = run.records("contacts") or run.records("Contacts")
    assert "phone" not in contacts[0]


@pytest.mark.parametrize("setting", ["full_refresh_hours", "association_refresh_hours", "request_timeout_seconds"])
def test_hours_and_seconds_may_have_fractions(contacts, tmp_path, setting):
    run = run_tap(tmp_path, contacts | {setting: 1.5})
    assert run.returncode == 0


def test_a_delete_record_is_marked_whichever_columns_are_chosen(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(contacts=20, contact_properties=20, deals=1, associations=1, tier="unlimited")
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    catalog = discover(tmp_path, settings)
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            each["metadata"]["selected"] = each["breadcrumb"][-1:] in ([], ["id"], ["email"])
    first = run_tap(tmp_path, settings, catalog=catalog)
    victim = next(sandbox.truth("0-1"))["id"]
    sandbox.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    run = run_tap(tmp_path, settings, catalog=catalog, state=first.state)
    sandbox.stop()
    assert run.returncode == 0, run.log
    assert [each["id"] for each in run.deletes("contacts")] == [victim]
    assert run.records("contacts") == []


def test_a_run_in_which_no_stream_is_selected_fails(contacts, tmp_path):
    """A misspelt name in Meltano's filter deselects every stream; the run would succeed and read nothing."""
    catalog = discover(tmp_path, contacts)
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            each["metadata"]["selected"] = False
    run = run_tap(tmp_path, contacts, catalog=catalog)
    assert run.returncode == 1
    assert "No stream is selected, so there is nothing to read" in run.log
    assert run.by_stream() == {}


@pytest.mark.parametrize(
    ("filter_", "passed_over"),
    [
        ('["contacts", "contcats", "!deal*", "sync_history"]', "contcats, deal*"),
        ('["con*", "!sync_history", "contacts.*"]', ""),
        ("[]", ""),
        ("", ""),
        ("contacts", ""),
    ],
)
def test_a_name_of_no_stream_in_meltanos_filter_is_reported(contacts, filter_, passed_over, tmp_path):
    """Meltano applies the other names, and passes the filter to the tap."""
    run = run_tap(tmp_path, contacts, env={"MELTANO_EXTRACT__SELECT_FILTER": filter_})
    assert run.returncode == 0, run.log
    warning = f"TAP_HUBSPOT_DW__SELECT_FILTER has {passed_over}, which is the name of no stream and is ignored."
    assert (warning in run.log) is bool(passed_over)
    assert ("is ignored" in run.log) is bool(passed_over)


def test_a_column_that_is_chosen_later_is_read_for_every_record_or_reported(contacts, tmp_path):
    first = run_tap(tmp_path, contacts | {"include_properties": {"contacts": ["email"]}})
    run = run_tap(tmp_path, contacts | {"include_properties": {"contacts": ["email", "phone"]}}, state=first.state)
    assert run.returncode == 0, run.log
    assert len(run.records("contacts")) == 450 or "phone" in run.log


def test_every_number_may_be_an_environment_variable(contacts, tmp_path):
    """The SDK itself takes the text of one for a text."""
    numbers = [name for name, each in CONFIG_JSONSCHEMA["properties"].items() if "number" in each["type"]]
    assert len(numbers) > 4
    texts = {f"TAP_HUBSPOT_DW_{name.upper()}": "7.5" for name in numbers}
    run = run_tap(tmp_path, contacts, "--config", "ENV", env=texts)
    assert run.returncode == 0, run.log
    (row,) = [each for each in run.records("sync_history") if each["stream"] == "contacts"]
    assert {name: json.loads(row["configuration"])[name] for name in numbers} == dict.fromkeys(numbers, 7.5)


@pytest.mark.parametrize("text", ["many", "nan", "1e999"])
def test_a_variable_that_is_no_number_is_an_error_that_names_the_setting(contacts, tmp_path, text):
    run = run_tap(tmp_path, contacts, "--config", "ENV", env={"TAP_HUBSPOT_DW_PROGRESS_SECONDS": text})
    assert run.returncode == 1
    assert "config['progress_seconds']" in run.log


def test_a_start_date_in_the_future_is_reported(contacts, tmp_path):
    run = run_tap(tmp_path, contacts | {"start_date": "2062-01-01"})
    assert run.returncode == 0, run.log
    assert "contacts: the setting start_date 2062-01-01T00:00:00.000Z is in the future" in run.log
    assert run.records("contacts") == []
