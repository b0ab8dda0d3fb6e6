"""Properties of any name are read; patterns without a match are reported, and unlisted names are requested anyway."""

from __future__ import annotations

import json

import pytest

from tests.tap.running import discover, run_tap

ODD_NAMES = ['say "hello"', "back\\slash", "line\nbreak", "bell\x07", "esc\x1b[31m", "a,b", "p" * 3_000, " ", "é" * 900]


@pytest.fixture
def contacts(clean_portal):
    return {
        "api_url": clean_portal.url,
        "access_token": clean_portal.token,
        "objects": ["contacts"],
        "associations": False,
    }


def test_a_property_of_any_name_does_not_fail_the_stream(clean_portal, contacts, tmp_path):
    first, second, *_ = (each["id"] for each in clean_portal.truth("contacts"))
    clean_portal.mutate(
        [{"kind": "define-property", "type": "contacts", "name": name, "propertyType": "number"} for name in ODD_NAMES]
    )
    values = {name: f"{number}.5" for number, name in enumerate(ODD_NAMES)}
    clean_portal.mutate([{"kind": "edit", "type": "contacts", "id": first, "properties": values}])
    clean_portal.mutate([{"kind": "edit", "type": "contacts", "id": second, "properties": {ODD_NAMES[0]: "none"}}])
    run = run_tap(tmp_path, contacts)
    assert run.returncode == 0, run.log
    records = {each["id"]: each for each in run.records("contacts")}
    assert len(records) == 450
    assert {name: records[first][name] for name in ODD_NAMES} == {name: float(text) for name, text in values.items()}
    assert records[second]["invalid_properties"][ODD_NAMES[0]] == "none"
    assert set(ODD_NAMES) <= {each["name"] for each in run.records("properties")}
    assert "\x1b" not in run.log
    again = run_tap(tmp_path, contacts, state=run.state)
    assert {name: again.records("contacts")[0][name] for name in ODD_NAMES}


@pytest.mark.parametrize("name", ["", None, 5, ["email"], {}])
def test_a_property_without_a_name_is_left_out_with_a_warning(clean_portal, contacts, tmp_path, name):
    clean_portal.faults([{"match": "properties", "edit": {"results.0.name": name, "results.1.label": name}}])
    run = run_tap(tmp_path, contacts)
    assert run.returncode == 0, run.log
    assert "contacts: 1 of HubSpot's properties have no name and are left out" in run.log
    assert len(run.records("contacts")) == 450
    assert len(run.records("properties")) == 59


def test_a_property_without_a_type_is_text(clean_portal, contacts, tmp_path):
    clean_portal.faults([{"match": "properties", "remove": ["results.*.type"]}])
    run = run_tap(tmp_path, contacts)
    assert run.returncode == 0, run.log


# Merges


def test_a_record_is_not_marked_as_merged_into_itself(clean_portal, contacts, tmp_path):
    ids = [each["id"] for each in clean_portal.truth("contacts")]
    gone = "999999999901"
    texts = {
        ids[0]: ids[0],
        ids[1]: f" {gone} ;;{ids[1]}; {gone};",
        ids[2]: "x;-5;0;1e3;²;null;" + "9" * 5000,
        ids[3]: ";",
        ids[4]: f"{ids[4]} ; 999999999902;999999999901",
    }
    clean_portal.mutate(
        [
            {"kind": "edit", "type": "contacts", "id": id_, "properties": {"hs_merged_object_ids": text}}
            for id_, text in texts.items()
        ]
    )
    clean_portal.clock.advance(60)  # what changed as a pass began comes twice
    for settings in (contacts, contacts | {"properties_as_json": True}):
        run = run_tap(tmp_path, settings)
        assert run.returncode == 0, run.log
        deletes = [(each["id"], each["merged_into_id"]) for each in run.deletes("contacts")]
        assert sorted(deletes) == sorted([(gone, ids[1]), (gone, ids[4]), ("999999999902", ids[4])])
        assert len(run.records("contacts")) == 450
    clean_portal.mutate([{"kind": "archive", "type": "contacts", "id": ids[1]}])
    after = run_tap(tmp_path, contacts, state=run.state)
    assert {each["id"] for each in after.deletes("contacts") if not each.get("merged_into_id")} == {ids[1]}


# Patterns


@pytest.mark.sandbox(contacts=60, deals=30, divisions=3, contact_properties=40, api_quirk=["unlisted-properties=email"])
def test_a_name_that_hubspot_does_not_list_is_requested_as_text(sandbox, tmp_path):
    wanted = {"contacts": ["firstname", "email", "hs_v2_date_entered_123"]}
    settings = {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts"], "associations": False}
    settings |= {"include_properties": wanted}
    catalog = discover(tmp_path, settings)
    schema = next(each for each in catalog["streams"] if each["tap_stream_id"] == "contacts")["schema"]["properties"]
    assert schema["email"] == schema["hs_v2_date_entered_123"] == {"type": ["string", "null"]}
    truth = {each["id"]: each["properties"]["email"] for each in sandbox.truth("contacts")}
    for run in (run_tap(tmp_path, settings), run_tap(tmp_path, settings, catalog=catalog)):
        assert run.returncode == 0, run.log
        assert run.log.count("HubSpot lists no property email, hs_v2_date_entered_123 of contacts") == 1
        assert {each["id"]: each["email"] for each in run.records("contacts")} == truth
        assert {each["hs_v2_date_entered_123"] for each in run.records("contacts")} == {None}


def test_patterns_that_match_nothing_are_named(portal, config, tmp_path):
    include = {"contacts": ["email", "fistname*", "hs_x?"], "*": ["createdat", "hs_object_id"]}
    exclude = {"deals": ["amout", "hs_*"], "*": ["nothing_*"]}
    settings = config | {"objects": ["contacts", "deals"], "include_properties": include, "exclude_properties": exclude}
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    for sentence in (
        "The setting include_properties has fistname*, hs_x?, which matches no property of contacts.",
        "The setting include_properties has createdat, which matches no property of any object.",
        "The setting exclude_properties has amout, which matches no property of deals.",
        "The setting exclude_properties has nothing_*, which matches no property of any object.",
    ):
        assert run.log.count(sentence) == 1, run.log
    assert "lists no property" not in run.log
    assert "createdat" not in run.records("contacts")[0]


def test_an_excluded_name_is_not_requested(config, tmp_path):
    both = {"include_properties": {"contacts": ["email", "hs_secret"]}, "exclude_properties": {"*": ["hs_sec*"]}}
    run = run_tap(tmp_path, config | both | {"objects": ["contacts"], "associations": False})
    assert run.returncode == 0, run.log
    assert "hs_secret" not in json.dumps(run.messages[:20])
