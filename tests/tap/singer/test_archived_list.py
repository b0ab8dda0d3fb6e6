"""HubSpot's list of archived objects only suggests deletions: HubSpot's answer for the id decides."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.tap.running import run_tap
from tests.tap.table import LONG_AGO

#: The name of the stream, and of its type in the paths of requests.
OBJECTS = [("contacts", "0-1"), ("divisions", "divisions")]


@pytest.fixture
def settings(clean_portal):
    names = [name for name, _ in OBJECTS]
    return {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": names, "associations": False}


@pytest.fixture(scope="module")
def first_run(changeable, tmp_path_factory):
    """A first run over the clean portal."""
    changeable.reset()
    settings = {"api_url": changeable.url, "access_token": changeable.token, "associations": False}
    settings |= {"objects": [name for name, _ in OBJECTS]}
    run = run_tap(tmp_path_factory.mktemp("first"), settings)
    assert run.returncode == 0, run.log
    return run


@pytest.fixture
def state(first_run):
    return copy.deepcopy(first_run.state)


ENTRIES = {
    "that was restored and changed, in a late list": {"archived": True, "archivedAt": "before"},
    "that the list calls not archived": {"archived": False},
    "that the list does not date": {"archived": True},
    "that the list dates after its last change": {"archived": True, "archivedAt": "after"},
}


def fourth(portal, type_id: str) -> dict[str, Any]:
    return list(portal.truth(type_id))[3]


@pytest.mark.parametrize("is_full", [False, True], ids=["changes", "full pass"])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_live_record_in_the_list_of_archived_objects_stays_live(
    clean_portal, settings, state, tmp_path, entry, is_full
):
    """Whatever the list says of it, and however old the last full pass is."""
    listed, faults = {}, []
    for name, type_id in OBJECTS:
        key = listed[name] = fourth(clean_portal, type_id)["id"]
        clean_portal.mutate([{"kind": "bulk-touch", "type": type_id, "fromId": int(key), "count": 1}])
        at = datetime.fromisoformat(fourth(clean_portal, type_id)["updatedAt"])
        times = {"before": at - timedelta(seconds=20), "after": at + timedelta(milliseconds=1)}
        shown = {"id": key, "updatedAt": "2020-01-01T00:00:00Z", "properties": {}} | entry
        if "archivedAt" in shown:
            shown["archivedAt"] = times[shown["archivedAt"]].isoformat()
        faults.append({"match": f"list {name} archived", "body": json.dumps({"results": [shown]})})
    clean_portal.faults(faults)
    if is_full:
        for name in listed:
            state["bookmarks"][name]["full_pass_at"] = LONG_AGO
    run = run_tap(tmp_path, settings, state=state)
    assert run.returncode == 0, run.log
    for (name, key), rule in zip(listed.items(), clean_portal.fault_counts(), strict=True):
        assert rule["fired"]
        assert key in {each["id"] for each in run.records(name)}
        assert run.deletes(name) == []


DATES = {
    "without a date": {"remove": ["results.*.archivedAt"]},
    "of 2020": {"edit": {"results.*.archivedAt": "2020-01-01"}},
}


@pytest.mark.parametrize("is_full", [False, True], ids=["changes", "full pass"])
@pytest.mark.parametrize("dates", DATES.values(), ids=DATES)
def test_an_archived_record_is_marked_once_whatever_its_date(clean_portal, settings, state, tmp_path, dates, is_full):
    archived = {name: fourth(clean_portal, type_id)["id"] for name, type_id in OBJECTS}
    clean_portal.mutate([{"kind": "archive", "type": type_id, "id": archived[name]} for name, type_id in OBJECTS])
    clean_portal.faults([{"match": f"list {name} archived", **dates} for name in archived])
    if is_full:
        for name in archived:
            state["bookmarks"][name]["full_pass_at"] = LONG_AGO
    run = run_tap(tmp_path, settings, state=state)
    again = run_tap(tmp_path, settings, state=run.state)
    assert (run.returncode, again.returncode) == (0, 0), run.log + again.log
    for name, key in archived.items():
        assert [each["id"] for each in run.deletes(name)] == [key]
        assert again.deletes(name) == []


def test_records_without_a_date_are_marked_even_if_the_last_list_is_not_known(clean_portal, settings, state, tmp_path):
    """As if it had been too long for the state."""
    archived = fourth(clean_portal, "0-1")["id"]
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": archived}])
    clean_portal.faults([{"match": "list contacts archived", "remove": ["results.*.archivedAt"]}])
    del state["bookmarks"]["contacts"]["archived"]
    run = run_tap(tmp_path, settings, state=state)
    assert archived in {each["id"] for each in run.deletes("contacts")}


@pytest.mark.parametrize("is_on", [False, True])
def test_with_archived_from_start_a_run_without_state_has_what_was_archived_before_it(
    clean_portal, settings, tmp_path, is_on
):
    """With HubSpot's time, once; otherwise such records are not read."""
    archived = {name: fourth(clean_portal, type_id)["id"] for name, type_id in OBJECTS}
    clean_portal.mutate([{"kind": "archive", "type": type_id, "id": archived[name]} for name, type_id in OBJECTS])
    times = {name: next(iter(clean_portal.truth(type_id, state="archived")))["archivedAt"] for name, type_id in OBJECTS}
    clean_portal.clock.advance(3_600)
    run = run_tap(tmp_path, settings | {"archived_from_start": is_on})
    assert run.returncode == 0, run.log
    for name, key in archived.items():
        assert [each["id"] for each in run.deletes(name)] == [key] * is_on
        for each in run.deletes(name):
            assert each["archived"]
            assert {datetime.fromisoformat(each[at]) for at in ("archived_at", "_sdc_deleted_at")} == {
                datetime.fromisoformat(times[name])
            }
    again = run_tap(tmp_path, settings | {"archived_from_start": True}, state=run.state)
    assert [again.deletes(name) for name in archived] == [[]] * len(archived)
