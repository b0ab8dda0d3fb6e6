"""Meltano's state commands between runs, and their effect on what the next run reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.pipeline.project import STATE_ID, Project

pytestmark = pytest.mark.slow

OBJECTS = {"contacts": 60, "appointments": 20, "divisions": 5, "deals": 30}
EL = ("tap-hubspot-dw", "target-warehouse")
SOURCE = {"portal", "object_type", "form"}  # further keys in every bookmark
PACKED = {"archived", "archived_list", "properties", "records", *SOURCE}  # and in those of objects
LOOKBACK = timedelta(hours=1)  # the setting's default


@pytest.fixture(scope="module")
def portal(sandbox_factory):
    """A portal, which `project` resets for every test."""
    return sandbox_factory(**OBJECTS, associations=100, contact_properties=40, tier="unlimited")


@pytest.fixture(scope="module")
def loaded(portal, tmp_path_factory) -> Project:
    """A project after its first run; tests must not change it."""
    project = Project(
        tmp_path_factory.mktemp("loaded"),
        TAP_HUBSPOT_DW_API_URL=portal.url,
        TAP_HUBSPOT_DW_ACCESS_TOKEN=portal.token,
    )
    project.run(*EL)
    return project


@pytest.fixture(scope="module")
def bookmarks(loaded) -> dict[str, Any]:
    """The state after the first run."""
    return loaded.state()


@pytest.fixture
def project(portal, loaded, tmp_path) -> Project:
    """A project for this test, after its first run."""
    portal.reset()
    return loaded.twin(tmp_path)


def read(project: Project) -> dict[str, tuple[str, int]]:
    """Return the mode of the last run and its number of records, by object stream."""
    rows = project.query(
        "SELECT stream, mode, records FROM hubspot.sync_history WHERE run_id = "
        "(SELECT run_id FROM hubspot.sync_history ORDER BY started_at DESC LIMIT 1)"
    )
    return {stream: (mode, records) for stream, mode, records in rows if stream in OBJECTS}


def all_in(mode: str, **changed: int) -> dict[str, tuple[str, int]]:
    counts = OBJECTS if mode == "full" else dict.fromkeys(OBJECTS, 0)
    return {stream: (mode, changed.get(stream, count)) for stream, count in counts.items()}


def damage_contacts(project: Project) -> None:
    """Overwrite a column of every contact in the table; a run repairs the contacts that it reads again."""
    project.query("UPDATE hubspot.contacts SET lastname = 'damaged'")


def well_contacts(project: Project) -> set[str]:
    return {
        row[0] for row in project.query("SELECT id FROM hubspot.contacts WHERE lastname IS DISTINCT FROM 'damaged'")
    }


def newest_contacts(portal, count: int) -> tuple[datetime, set[str]]:
    """Return a time and the contacts modified since then, about `count`."""
    modified = {record["id"]: datetime.fromisoformat(record["updatedAt"]) for record in portal.truth("contacts")}
    since = sorted(modified.values())[-count]
    return since, {id_ for id_, updated_at in modified.items() if updated_at >= since}


def test_list_and_get_show_bookmarks_that_can_be_read(loaded, bookmarks):
    assert loaded.meltano("state", "list").stdout.split() == [STATE_ID]
    assert json.loads(loaded.meltano("state", "get", STATE_ID).stdout)["singer_state"]["bookmarks"] == bookmarks
    for stream in (*OBJECTS, "associations"):
        saved = {name: value for name, value in bookmarks[stream].items() if name not in SOURCE}
        full_pass_at = datetime.fromisoformat(saved["full_pass_at"])
        assert timedelta(0) < datetime.now(UTC) - full_pass_at < timedelta(hours=1)
        if stream == "associations":
            pairs = saved.pop("pairs")
            assert len(pairs) == 10
            assert set(pairs.values()) == {saved["full_pass_at"]}
            passes = saved.pop("pair_passes")
            assert {pair_pass["at"] for pair_pass in passes.values()} == {saved["full_pass_at"]}
            counted = "SELECT from_object_type || ':' || to_object_type, count(*) FROM hubspot.associations GROUP BY 1"
            rows = dict(loaded.query(counted))
            assert {pair: pair_pass["rows"] for pair, pair_pass in passes.items()} == dict.fromkeys(passes, 0) | rows
        else:
            assert saved.pop("replication_key") == "updated_at"
            saved = {name: value for name, value in saved.items() if name not in PACKED}
        assert saved == {
            "replication_key_value": saved["full_pass_at"],
            "version": round(full_pass_at.timestamp() * 1000),
            "full_pass_at": saved["full_pass_at"],
        }
        assert loaded.query(f"SELECT DISTINCT _sdc_table_version FROM hubspot.{stream}") == [(saved["version"],)]


def test_a_run_without_changes_reads_the_look_back_and_moves_the_bookmark(portal, project, bookmarks):
    contact = next(portal.truth("contacts"))["id"]
    portal.mutate([{"kind": "edit", "type": "contacts", "id": contact, "properties": {"lastname": "Quiet"}}])
    everything = "SELECT COLUMNS('^[^_]') FROM hubspot.contacts ORDER BY id"
    project.run(*EL)
    assert read(project) == all_in("incremental", contacts=1)
    rows = project.query(everything)

    project.run(*EL)
    assert read(project) == all_in("incremental", contacts=1)  # again, because the change is within the look-back
    assert project.query(everything) == rows
    saved = project.state()
    for stream in OBJECTS:
        windows = project.query(
            "SELECT window_since, window_until FROM hubspot.sync_history "
            f"WHERE stream = '{stream}' AND mode = 'incremental' ORDER BY started_at"
        )
        ends = [datetime.fromisoformat(bookmarks[stream]["replication_key_value"]).replace(tzinfo=None)]
        for since, until in windows:
            assert since == ends[-1] - LOOKBACK
            ends.append(until)
        assert len(ends) == 3
        assert ends == sorted(set(ends))
        assert datetime.fromisoformat(saved[stream]["replication_key_value"]).replace(tzinfo=None) == ends[-1]
        assert saved[stream]["full_pass_at"] == bookmarks[stream]["full_pass_at"]


def test_after_clear_everything_is_read_again_and_no_row_is_doubled(project, bookmarks):
    project.meltano("state", "clear", "--force", STATE_ID)
    project.run(*EL)
    assert read(project) == all_in("full")
    for stream, count in OBJECTS.items():
        ((version, oldest, ids, rows, live),) = project.query(
            "SELECT max(_sdc_table_version), min(_sdc_table_version), count(DISTINCT id), count(*), "
            f"count(*) FILTER (_sdc_deleted_at IS NULL) FROM hubspot.{stream}"
        )
        assert (ids, rows, live) == (count, count, count)
        assert version == oldest > bookmarks[stream]["version"]


def test_after_set_a_stream_continues_from_that_bookmark_and_the_others_are_read_in_full(portal, project):
    """The bookmark has the form of another HubSpot tap."""
    since, expected = newest_contacts(portal, 20)
    assert 20 <= len(expected) < 60
    damage_contacts(project)
    bookmark = (since + LOOKBACK).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
    bookmarks = {"contacts": {"replication_key": "lastmodifieddate", "replication_key_value": bookmark}}
    project.meltano("state", "set", "--force", STATE_ID, json.dumps({"singer_state": {"bookmarks": bookmarks}}))
    project.run(*EL)
    assert read(project) == all_in("full") | {"contacts": ("incremental", len(expected))}
    assert well_contacts(project) == expected
    saved = project.state()["contacts"]
    assert saved["replication_key"] == "updated_at"
    assert saved["replication_key_value"] > bookmark


def test_a_copied_state_makes_a_run_under_its_id_incremental(portal, project, bookmarks):
    copy = f"{STATE_ID}:nightly"
    project.meltano("state", "copy", "--force", STATE_ID, copy)
    contact = next(portal.truth("contacts"))["id"]
    portal.mutate([{"kind": "edit", "type": "contacts", "id": contact, "properties": {"lastname": "Nightly"}}])
    project.run("--state-id-suffix=nightly", *EL)
    assert read(project) == all_in("incremental", contacts=1)
    assert project.query("SELECT id FROM hubspot.contacts WHERE lastname = 'Nightly'") == [(contact,)]
    assert project.state() == bookmarks
    assert project.state(copy)["contacts"]["replication_key_value"] > bookmarks["contacts"]["replication_key_value"]


def test_full_refresh_reads_everything_and_marks_what_was_deleted_for_good(portal, project, bookmarks):
    """A plain run then continues from its state, even if an earlier full pass was interrupted."""
    gone = next(portal.truth("contacts"))["id"]
    portal.mutate([{"kind": "gdpr-delete", "type": "contacts", "id": gone}])
    damage_contacts(project)
    version, started_at = bookmarks["contacts"]["version"], bookmarks["contacts"]["full_pass_at"]
    under_way = {"version": version + 1, "started_at": started_at, "ranges": [[0, 10**12, 60]]}
    project.set_state({**bookmarks, "contacts": {**bookmarks["contacts"], "full_pass": under_way}})

    project.run("--full-refresh", *EL)
    assert read(project) == all_in("full", contacts=59)
    deleted = "SELECT id FROM hubspot.contacts WHERE _sdc_deleted_at IS NOT NULL"
    assert project.query(deleted) == [(gone,)]
    assert well_contacts(project) == {record["id"] for record in portal.truth("contacts")}

    project.run(*EL)
    assert read(project) == all_in("incremental")
    assert project.query(deleted) == [(gone,)]
    saved = project.state()
    for stream in OBJECTS:
        assert saved[stream].keys() - PACKED == {"replication_key", "replication_key_value", "version", "full_pass_at"}
        assert saved[stream]["version"] > bookmarks[stream]["version"] + 1
        assert saved[stream]["replication_key_value"] > saved[stream]["full_pass_at"]


NARROWED = {"TAP_HUBSPOT_DW_ASSOCIATION_PAIRS": '["contacts:deals"]', "TAP_HUBSPOT_DW_OBJECTS": '["contacts", "deals"]'}
SHARED = ("associations", "properties", "pipelines", "pipeline_stages")


def live(project: Project) -> dict[str, int]:
    return {
        table: project.query(f"SELECT count(*) FROM hubspot.{table} WHERE _sdc_deleted_at IS NULL")[0][0]
        for table in SHARED
    }


def test_a_full_refresh_of_some_objects_marks_no_rows_of_others_and_repairs_old_damage(project):
    """Rows that an older release marked without reading them are live again after the next run."""
    before = live(project)
    assert before["associations"] > 100
    project.env |= NARROWED
    project.run("--full-refresh", *EL)
    assert live(project) == before
    for name in NARROWED:
        del project.env[name]
    for table in SHARED:
        project.query(
            f"UPDATE hubspot.{table} SET _sdc_deleted_at = now() WHERE NOT contains({table}::TEXT, 'contact')"
        )
    assert all(live(project)[table] < before[table] for table in ("associations", "properties"))
    old = project.state()
    del old["associations"]["pair_passes"]
    for table in SHARED[1:]:
        old[table] = {"objects": [*old[table].pop("lists")]}
    project.set_state(old)
    project.run(*EL)
    assert live(project) == before
