"""If settings change the form of records, everything is read anew: all rows have one form."""

from __future__ import annotations

import json
from zlib import crc32

import pytest

from tap_hubspot_dw.reading import property_checksums
from tests.tap.running import run_tap

MAP = {"stream_maps": {"divisions": {"hs_createdate": "__NULL__"}}}
CONFIGURED = {"stream_maps": {"divisions": {"more": "config['x']"}}}
#: Settings, and others that give records another form.
CHANGES = {
    "a column for all properties": ({}, {"properties_as_json": True}),
    "a map": ({}, MAP),
    "another map": (MAP, {"stream_maps": {"divisions": {"hs_createdate": "'x'"}}}),
    "a filter": ({}, {"stream_maps": {"divisions": {"__filter__": "int(id) % 2 == 0"}}}),
    "a map by pattern": ({}, {"stream_maps": {"div*": {"hs_createdate": "__NULL__"}}}),
    "another name": ({}, {"stream_maps": {"divisions": {"__alias__": "regions"}}}),
    "a copy": ({}, {"stream_maps": {"copy": {"__source__": "divisions"}}}),
    "no stream": ({}, {"stream_maps": {"divisions": None}}),
    "no other stream": ({}, {"stream_maps": {"deals": {}, "__else__": None}}),
    "the configuration of maps": (
        CONFIGURED | {"stream_map_config": {"x": "1"}},
        CONFIGURED | {"stream_map_config": {"x": "2"}},
    ),
    "flattening": ({}, {"flattening_enabled": True, "flattening_max_depth": 1}),
}
ALIKE = {
    "a map of another stream": ({}, {"stream_maps": {"deals": {"dealname": "__NULL__"}}}),
    "the same map": (MAP, MAP),
    "the configuration of no map": ({}, {"stream_map_config": {"x": "1"}}),
}
ANEW = "properties_as_json or stream_maps changed since the last run: reading everything"


@pytest.fixture
def settings(config):
    return config | {"objects": ["divisions"], "associations": False, "lookback_minutes": 0}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_another_form_of_records_leads_to_a_full_pass(settings, tmp_path, before, after, backwards):
    before, after = (after, before) if backwards else (before, after)
    first = run_tap(tmp_path, settings | before)
    run = run_tap(tmp_path, settings | after, state=first.state)
    assert run.returncode == 0, run.log
    assert f"divisions: {ANEW}" in run.log
    saved, earlier = (each.state["bookmarks"]["divisions"] for each in (run, first))
    assert saved["full_pass_at"] > earlier["full_pass_at"]
    assert saved["version"] > earlier["version"]
    assert saved["records"] == 6


@pytest.mark.parametrize(("before", "after"), ALIKE.values(), ids=ALIKE)
def test_the_same_form_of_records_leads_to_no_full_pass(settings, tmp_path, before, after):
    first = run_tap(tmp_path, settings | before)
    run = run_tap(tmp_path, settings | after, state=first.state)
    assert run.returncode == 0, run.log
    assert ANEW not in run.log
    assert run.records("divisions") == []


def test_an_interrupted_full_pass_begins_again_with_a_new_version(settings, tmp_path):
    """Otherwise rows of two forms would be in one version."""
    first = run_tap(tmp_path, settings)
    last = max(int(each["id"]) for each in first.records("divisions"))
    saved = first.state["bookmarks"]["divisions"]
    begun = {"version": saved["version"] + 1, "started_at": saved["full_pass_at"], "ranges": [[0, last - 1, 5]]}
    saved["full_pass"] = begun
    run = run_tap(tmp_path, settings | MAP, state=first.state)
    assert len(run.records("divisions")) == 6
    assert run.state["bookmarks"]["divisions"]["version"] > begun["version"]


def test_a_stream_that_began_with_a_start_date_only_gets_a_warning(settings, tmp_path):
    first = run_tap(tmp_path, settings | {"start_date": "2026-11-30"})
    run = run_tap(tmp_path, settings | MAP, state=first.state)
    assert "stream_maps changed since the last run: unchanged records keep their rows" in run.log
    assert run.message_types("divisions").count("ACTIVATE_VERSION") == 0


def test_a_state_of_an_older_release_is_continued(settings, tmp_path):
    first = run_tap(tmp_path, settings)
    del first.state["bookmarks"]["divisions"]["form"]
    run = run_tap(tmp_path, settings | MAP, state=first.state)
    assert ANEW not in run.log
    assert run.state["bookmarks"]["divisions"]["form"] > 0


def test_associations_in_another_form_are_read_in_full(config, tmp_path):
    settings = config | {"objects": ["divisions", "deals"], "lookback_minutes": 0}
    first = run_tap(tmp_path, settings)
    maps = {"stream_maps": {"associations": {"label": "__NULL__"}}}
    run = run_tap(tmp_path, settings | maps, state=first.state)
    assert "associations: stream_maps changed since the last run: reading everything." in run.log
    read = [json.dumps(each, sort_keys=True) for each in run.records("associations")]
    assert len(read) == len(first.records("associations")) > 0
    assert len(run_tap(tmp_path, settings | maps, state=run.state).records("associations")) == 0


TYPES = {"a": "", "b": "number", "c": "date"}


@pytest.mark.parametrize(
    ("types", "changed"),
    [
        (TYPES, []),
        (TYPES | {"a": "number"}, ["a"]),
        (TYPES | {"b": ""}, ["b"]),
        (TYPES | {"c": "date-time", "d": "number"}, ["c"]),
        ({"a": "", "d": "date"}, []),
    ],
)
def test_a_property_of_another_type_is_recognised_by_its_checksums(types, changed):
    """A property that is new is none."""
    assert property_checksums.retyped(property_checksums.checksums_of(TYPES, TYPES), types) == changed


def test_a_state_with_names_only_says_nothing_about_types():
    names = {crc32(name.encode()) for name in TYPES}
    assert property_checksums.retyped(names, TYPES | {"a": "number"}) == []
    assert property_checksums.knows(names, "a")


def test_a_property_that_lost_its_column_has_no_other_type():
    """It is no longer listed by HubSpot, or all properties are in one column."""
    before = property_checksums.checksums_of(TYPES, TYPES)
    assert property_checksums.retyped(before, {"a": ""}) == []
    assert property_checksums.retyped(property_checksums.checksums_of(TYPES, {}), {}) == []
