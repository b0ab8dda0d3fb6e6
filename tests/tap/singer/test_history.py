"""The stream `sync_history`: a record for each stream of a run, however the run ended, without a secret."""

from __future__ import annotations

import json

from tests.tap.running import VERSION, discover, run_tap


def _history(run):
    return {each["stream"]: each for each in run.records("sync_history")}


def test_a_record_shows_what_the_run_cost(config, tmp_path):
    history = _history(run_tap(tmp_path, config))
    contacts = history["contacts"]
    assert contacts["bytes_received"] > contacts["records"]
    assert contacts["bytes_written"] > contacts["records"]
    assert 20 < contacts["peak_memory_mb"] < 2000
    assert {each["peak_memory_mb"] for each in history.values()} == {contacts["peak_memory_mb"]}


def test_the_daily_requests_are_recorded_if_hubspot_states_them(sandbox_factory, tmp_path):
    portal = sandbox_factory(contacts=5, appointments=0, divisions=1, deals=0, associations=0, tier="pro")
    run = run_tap(tmp_path, {"api_url": portal.url, "access_token": portal.token, "objects": ["contacts"]})
    contacts = _history(run)["contacts"]
    assert 0 < contacts["daily_remaining"] < contacts["daily_limit"]


def test_the_configuration_is_kept_without_its_secrets(config, portal, tmp_path):
    """It has the settings that differ from the defaults; settings that may contain anything are only named."""
    secret = "hush-not-in-the-history"
    settings = config | {
        "objects": ["contacts"],
        "include_properties": {"contacts": ["email"]},
        "workers": 8,
        "client_secret": secret,
        "stream_maps": {"deals": {"secret": f"'{secret}'"}},
        "not_a_setting": secret,
    }
    text = _history(run_tap(tmp_path, settings))["contacts"]["configuration"]
    assert secret not in text
    assert portal.token not in text
    assert json.loads(text) == VERSION | {
        "api_url": "127.0.0.1",
        "objects": ["contacts"],
        "include_properties": {"contacts": ["email"]},
        "stream_maps": "(set)",
    }


def test_a_url_with_a_password_is_refused_without_repeating_it(config, tmp_path):
    run = run_tap(tmp_path, config | {"api_url": "https://user:hush@proxy.example"})
    assert run.returncode == 1
    assert "The setting api_url has a user or a password" in run.log
    assert "hush" not in run.log


def test_a_sample_is_partial(config, tmp_path):
    history = _history(run_tap(tmp_path, config | {"max_records": 7}))
    assert (history["contacts"]["status"], history["contacts"]["records"]) == ("partial", 7)
    assert (history["divisions"]["status"], history["divisions"]["records"]) == ("success", 6)
    assert "max_records" in history["contacts"]["error"]


def test_a_stream_stopped_by_the_daily_reserve_is_partial_and_an_unread_one_is_no_success(sandbox, config, tmp_path):
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "associations": False}
    sandbox.faults([{"match": "list contacts", "status": 429, "policy": "DAILY"}])
    run = run_tap(tmp_path, settings)
    history = _history(run)
    assert run.returncode == 75
    assert history["contacts"]["status"] == "partial"
    assert "daily" in history["contacts"]["error"]
    for stream in history.values():
        assert stream["status"] == "partial" or stream["records"] == len(run.records(stream["stream"]))


def test_a_run_that_cannot_begin_says_so_in_its_history(config, tmp_path):
    """It has the catalog that Meltano keeps, but its token has been revoked."""
    catalog = discover(tmp_path, config)
    run = run_tap(tmp_path, config | {"access_token": "pat-revoked"}, catalog=catalog)
    assert run.returncode == 1
    assert {each["type"] for each in run.messages} <= {"SCHEMA", "RECORD", "STATE"}
    assert {each["stream"] for each in run.messages if "stream" in each} == {"sync_history"}
    history = _history(run)
    assert history.keys() == {"contacts", "appointments", "divisions", "deals"}
    assert {each["status"] for each in history.values()} == {"failed"}
    assert "does not accept the token" in history["deals"]["error"]


def test_a_catalog_of_an_older_release_still_takes_the_history(config, tmp_path):
    catalog = discover(tmp_path, config)
    entry = next(each for each in catalog["streams"] if each["tap_stream_id"] == "sync_history")
    for name in ("bytes_received", "configuration"):
        del entry["schema"]["properties"][name]
    run = run_tap(tmp_path, config | {"objects": ["divisions"]}, catalog=catalog)
    schema = next(
        each["schema"]["properties"]
        for each in run.messages
        if each["type"] == "SCHEMA" and each["stream"] == "sync_history"
    )
    (divisions,) = [each for each in run.records("sync_history") if each["stream"] == "divisions"]
    assert divisions.keys() <= schema.keys()
    assert divisions["status"] == "success"
