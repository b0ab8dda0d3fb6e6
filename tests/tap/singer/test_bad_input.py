"""A mistake in the settings ends in one clear sentence and a non-zero exit code, before anything is written."""

from __future__ import annotations

import pytest

from tap_hubspot_dw.setting_types import OWN_STREAMS
from tap_hubspot_dw.singer.streams.reference import REFERENCES
from tests.tap.running import GOOD, SECRET, UNREACHABLE, command, run_tap

MISTAKES = [
    ({"api_url": UNREACHABLE}, "No token: set access_token"),
    ({"client_id": "x", "refresh_token": "y"}, "No token: set access_token"),
    ({**GOOD, "start_date": "yesterday"}, 'start_date is "yesterday"; write a date such as'),
    ({**GOOD, "start_date": "2026-02-30"}, 'start_date is "2026-02-30"'),
    ({**GOOD, "api_url": "api.hubapi.com"}, 'api_url is "api.hubapi.com"; it must look like'),
    ({**GOOD, "objects": []}, "The setting objects is empty"),
    ({**GOOD, "objects": ["deals", "deals"]}, "names deals more than once"),
    (
        {**GOOD, "objects": ["deals", "owners"]},
        "The setting objects has owners, which is the name of one of the tap's own",
    ),
    ({**GOOD, "association_pairs": ["contacts-deals"]}, 'association_pairs has "contacts-deals"'),
    ({**GOOD, "association_pairs": ["contacts:tickets"]}, 'association_pairs has "contacts:tickets"'),
    ({**GOOD, "object_type_ids": {"divisions": "division"}}, 'gives "division" for "divisions"'),
    ({**GOOD, "api_version": "v5"}, "v5"),
    ({**GOOD, "workers": 0}, "0 is less than the minimum"),
    (GOOD, "No answer to GET http://127.0.0.1:9/crm"),
]


RUNS = [
    *[(config, said, ()) for config, said in MISTAKES],
    *[(config, said, ("--discover",)) for config, said in (MISTAKES[2], MISTAKES[-2], MISTAKES[-1])],
]


@pytest.mark.parametrize(("config", "said", "arguments"), RUNS)
def test_a_mistake_is_reported_in_one_sentence(tmp_path, config, said, arguments):
    run = run_tap(tmp_path, config, *arguments)
    assert run.returncode != 0
    assert said in run.log
    assert run.messages == []
    assert "Traceback" not in run.log
    assert SECRET not in run.log


def test_no_object_can_have_the_name_of_one_of_the_taps_own_streams():
    assert {reference.name for reference in REFERENCES} | {"associations", "sync_history"} == OWN_STREAMS


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET}\u2019"], ids=["newline", "curly quote"])
def test_a_token_with_extra_characters_is_reported_and_never_shown(tmp_path, token):
    run = run_tap(tmp_path, GOOD | {"access_token": token})
    assert run.returncode != 0
    assert "Traceback" not in run.log
    assert SECRET not in run.log


@pytest.mark.parametrize("setting", [{"request_timeout_seconds": 0}, {"full_refresh_hours": 10**14}])
def test_an_invalid_number_is_reported_in_one_sentence(tmp_path, setting):
    run = run_tap(tmp_path, GOOD | setting)
    assert run.returncode != 0
    assert "Traceback" not in run.log


@pytest.mark.parametrize("text", ["[1]", "null", '"x"', "", "[" * 100_000])
def test_a_configuration_that_is_not_a_json_object_ends_in_one_sentence(tmp_path, text):
    file = tmp_path / "broken.json"
    file.write_text(text)
    code, out, log = command(tmp_path, ["--config", str(file), "--discover"])
    assert (code, out) == (1, "")
    assert f"The configuration {file} is not" in log
    assert "Traceback" not in log
