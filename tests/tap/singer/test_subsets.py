"""A run deletes nothing that it did not read: objects outside a subset, or an object that could not be read."""

from __future__ import annotations

from typing import Any

import pytest
from meltano.core.utils import merge

from tests.tap.conftest import SMALL
from tests.tap.running import discover, is_gone, run_tap

LONG_AGO = "2026-01-01T00:00:00.000Z"
KEYS = {
    "associations": ("from_object_type", "from_id", "to_object_type", "to_id", "association_type_id"),
    "properties": ("object_type", "name"),
}


class Tables:
    """The keys of the live rows that a target with versions would have, for the streams in `KEYS`."""

    def __init__(self, clean_portal, folder) -> None:
        self.settings = {"api_url": clean_portal.url, "access_token": clean_portal.token}
        self.folder, self.state = folder, {}
        self.rows: dict[tuple[object, ...], tuple[dict[str, Any], int]] = {}

    def run(self, *, full_refresh: bool = False, **settings: object):
        """Run the tap; with `full_refresh` as Meltano does it: without state, merging the new state into the old."""
        run = run_tap(self.folder, self.settings | settings, state=None if full_refresh else self.state)
        self.state = merge(run.state, self.state) if full_refresh else run.state
        for message in run.messages:
            stream = message.get("stream")
            if message["type"] == "RECORD" and stream in KEYS:
                key = (stream, *(message["record"][name] for name in KEYS[stream]))
                self.rows[key] = message["record"], message["version"]
            elif message["type"] == "ACTIVATE_VERSION":
                self.rows = {
                    key: row for key, row in self.rows.items() if key[0] != stream or not is_gone(message, *row)
                }
        return run

    def live(self, stream: str) -> set[tuple[object, ...]]:
        return {key for key in self.rows if key[0] == stream}


@pytest.fixture
def tables(clean_portal, tmp_path):
    made = Tables(clean_portal, tmp_path)
    assert made.run().returncode == 0
    return made


def make_old(state) -> None:
    state["bookmarks"]["associations"]["full_pass_at"] = LONG_AGO


SUBSETS = [{"objects": ["contacts"]}, {"objects": ["divisions", "deals"]}, {"association_pairs": ["contacts:deals"]}]


@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_a_run_without_state_marks_nothing_that_it_does_not_read(tables, subset):
    before = {stream: tables.live(stream) for stream in KEYS}
    for full_refresh in (True, False, True):
        assert tables.run(full_refresh=full_refresh, **subset).returncode == 0
        assert {stream: tables.live(stream) for stream in KEYS} == before
    assert tables.run().returncode == 0
    assert {stream: tables.live(stream) for stream in KEYS} == before


@pytest.mark.parametrize("subset", SUBSETS, ids=str)
def test_a_run_of_some_objects_marks_their_deletions_and_the_next_run_the_rest(clean_portal, tables, subset):
    gone = {
        (each["fromType"], each["fromId"], each["toType"], each["toId"]): each
        for each in clean_portal.truth_associations()
        if (each["fromType"], each["toType"]) in {("0-3", "0-1"), ("2-37778609", "0-3"), ("0-1", "0-1")}
    }
    clean_portal.mutate(
        [
            {"kind": "dissociate"} | {name: each[name] for name in ("fromType", "fromId", "toType", "toId")}
            for each in list(gone.values())[::40]
        ]
    )
    before = tables.live("associations")
    make_old(tables.state)
    assert tables.run(**subset).returncode == 0
    some = tables.live("associations")
    make_old(tables.state)
    assert tables.run().returncode == 0
    left = tables.live("associations")
    assert left < before
    read = {key[1:4:2] for key in before - some}
    assert read <= {("deals", "contacts"), ("divisions", "deals"), ("contacts", "contacts")}
    assert left <= some <= before


def test_rows_that_an_older_release_marked_without_reading_come_back_at_the_next_run(tables):
    """Its state has the pairs and objects of the table, and a recent full pass."""
    before = {stream: tables.live(stream) for stream in KEYS}
    for bookmark in tables.state["bookmarks"].values():
        bookmark.pop("pair_passes", None)
        if lists := bookmark.pop("lists", None):
            bookmark["objects"] = list(lists)
    tables.rows = {key: row for key, row in tables.rows.items() if "deals" in key}
    assert tables.live("associations") < before["associations"]
    assert tables.run().returncode == 0
    assert {stream: tables.live(stream) for stream in KEYS} == before
    assert tables.run().by_stream().get("associations", 0) == 0, "once"


def test_changes_in_a_pair_have_the_version_of_its_last_full_pass(clean_portal, tables):
    """So its rows show when the pair was last read in full, whichever pairs other runs have read since."""
    tables.run(full_refresh=True, association_pairs=["contacts:deals"])
    versions = {
        pair: each["version"] for pair, each in tables.state["bookmarks"]["associations"]["pair_passes"].items()
    }
    assert versions["deals:contacts"] > versions["contacts:contacts"] > 0
    contacts = [each["id"] for each in clean_portal.truth("0-1")]
    clean_portal.mutate(
        [{"kind": "edit", "type": "0-1", "id": each, "properties": {"firstname": "x"}} for each in contacts]
    )
    run = tables.run()
    activated = {
        (f"{row['from_object_type']}:{row['to_object_type']}", each["version"])
        for each in run.messages
        if each["type"] == "RECORD" and each["stream"] == "associations"
        for row in [each["record"]]
    }
    assert {"deals:contacts", "contacts:contacts"} <= {pair for pair, _ in activated}
    assert activated <= set(versions.items())


def test_a_pair_whose_own_full_pass_is_older_than_the_streams_is_read_again(tables):
    before = tables.live("associations")
    associations = tables.state["bookmarks"]["associations"]
    associations["pair_passes"]["deals:contacts"]["at"] = LONG_AGO
    tables.rows = {key: row for key, row in tables.rows.items() if key[1:4:2] != ("deals", "contacts")}
    run = tables.run()
    assert tables.live("associations") == before
    assert {each["from_object_type"] for each in run.records("associations")} == {"deals"}


@pytest.mark.parametrize("subset", [{"objects": ["contacts"]}, {"association_pairs": ["contacts:deals"]}])
def test_associations_outside_a_subset_are_there_after_the_next_plain_run(tables, subset):
    before = tables.live("associations")
    make_old(tables.state)
    assert tables.run(**subset).returncode == 0
    assert tables.run().returncode == 0
    assert tables.live("associations") == before


def test_an_object_that_cannot_be_read_today_keeps_its_associations_and_properties(clean_portal, tables):
    before = {stream: tables.live(stream) for stream in KEYS}
    make_old(tables.state)
    clean_portal.settings(withoutScopes=["crm.objects.appointments.read", "crm.schemas.appointments.read"])
    assert tables.run().returncode == 1
    assert {stream: tables.live(stream) for stream in KEYS} == before


def test_an_object_that_cannot_be_read_today_is_complete_after_the_next_run(clean_portal, tables):
    before = {stream: tables.live(stream) for stream in KEYS}
    make_old(tables.state)
    clean_portal.settings(withoutScopes=["crm.objects.appointments.read", "crm.schemas.appointments.read"])
    assert tables.run().returncode == 1
    clean_portal.settings(withoutScopes=[])
    assert tables.run().returncode == 0
    assert {stream: tables.live(stream) for stream in KEYS} == before


def test_a_run_with_an_object_that_discovery_left_out_does_not_exit_with_0(clean_portal, tmp_path):
    settings = {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["contacts", "deals"]}
    clean_portal.faults([{"match": "properties contacts", "status": 404}])
    catalog = discover(tmp_path, settings)
    clean_portal.faults([])
    run = run_tap(tmp_path, settings, catalog=catalog)
    assert run.returncode != 0 or len(run.records("contacts")) == SMALL["contacts"]


MAPS = {
    "none": ({}, {"divisions", "deals"}),
    "another name": ({"properties": {"__alias__": "fields"}}, {"divisions", "deals"}),
    "a column less": ({"properties": {"label": None}}, {"divisions", "deals"}),
    "some filtered out": ({"properties": {"__filter__": "object_type == 'deals'"}}, {"deals"}),
    "another text in the key": ({"properties": {"object_type": "object_type.upper()"}}, set()),
    "another key": ({"properties": {"__key_properties__": ["name"]}}, set()),
    "what cannot be evaluated": ({"properties": {"label": "label.upper()"}}, set()),
}


@pytest.mark.parametrize(("maps", "marked"), MAPS.values(), ids=MAPS)
def test_through_a_stream_map_only_rows_that_it_leaves_recognisable_are_marked(portal, tmp_path, maps, marked):
    """Otherwise rows that were not read could have the same names."""
    settings = {"api_url": portal.url, "access_token": portal.token, "objects": ["divisions", "deals"]}
    run = run_tap(tmp_path, settings | {"stream_maps": maps})
    assert run.returncode == 0, run.log
    name = maps.get("properties", {}).get("__alias__", "properties")
    activations = [each for each in run.messages if each["type"] == "ACTIVATE_VERSION" and each["stream"] == name]
    assert {object_type for each in activations for (object_type,) in each["scope"]["values"]} == marked
    assert ("not all deletions are marked" in run.log) is (marked != {"divisions", "deals"})
