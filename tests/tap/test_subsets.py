"""What a run does not read it does not delete: a subset of the objects, or one that could not be read today."""

from __future__ import annotations

import pytest

from tests.tap.conftest import SMALL
from tests.tap.running import discover, run_tap

LONG_AGO = "2026-01-01T00:00:00.000Z"
KEYS = {
    "associations": ("from_object_type", "from_id", "to_object_type", "to_id", "association_type_id"),
    "properties": ("object_type", "name"),
}


class Tables:
    """What a target that honours versions would hold of the streams in `KEYS`: the live rows' keys."""

    def __init__(self, clean_portal, folder) -> None:
        self.settings = {"api_url": clean_portal.url, "access_token": clean_portal.token}
        self.folder, self.state = folder, {}
        self.versions: dict[tuple[object, ...], int] = {}

    def run(self, **settings: object):
        run = run_tap(self.folder, self.settings | settings, state=self.state)
        self.state = run.state
        for message in run.messages:
            stream = message.get("stream")
            if message["type"] == "RECORD" and stream in KEYS:
                key = (stream, *(message["record"][name] for name in KEYS[stream]))
                self.versions[key] = message["version"]
            elif message["type"] == "ACTIVATE_VERSION":
                self.versions = {
                    key: version
                    for key, version in self.versions.items()
                    if key[0] != stream or version >= message["version"]
                }
        return run

    def live(self, stream: str) -> set[tuple[object, ...]]:
        return {key for key in self.versions if key[0] == stream}


@pytest.fixture
def tables(clean_portal, tmp_path):
    made = Tables(clean_portal, tmp_path)
    assert made.run().returncode == 0
    return made


def make_old(state) -> None:
    state["bookmarks"]["associations"]["full_pass_at"] = LONG_AGO


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


def test_an_object_that_discovery_left_out_is_not_missing_behind_an_exit_code_of_0(clean_portal, tmp_path):
    settings = {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["contacts", "deals"]}
    clean_portal.faults([{"match": "properties contacts", "status": 404}])
    catalog = discover(tmp_path, settings)
    clean_portal.faults([])
    run = run_tap(tmp_path, settings, catalog=catalog)
    assert run.returncode != 0 or len(run.records("contacts")) == SMALL["contacts"]
