"""Omissions of HubSpot's are detected: without a full account nothing is marked as deleted and no bookmark moves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tap_hubspot_dw.singer.events import Block, Checkpoint
from tap_hubspot_dw.singer.tap import TapHubSpotDW
from tests.tap.table import LONG_AGO, Table

CONTACTS = 640
LIST, SEARCH, ARCHIVED = "list contacts", "search contacts", "list contacts archived"
NOTHING = {"rows": 0, "paging": False}


SIZES = {"contacts": CONTACTS, "deals": 1, "appointments": 1, "associations": 1, "tier": "unlimited"}


@pytest.fixture(scope="module")
def portal(sandbox_factory):
    return sandbox_factory(**SIZES, contact_properties=30)


def loaded_from(portal, folder, **settings) -> Table:
    """A table with all contacts."""
    settings |= {"api_url": portal.url, "access_token": portal.token, "objects": ["contacts"], "associations": False}
    table = Table(settings, folder)
    table.run()
    return table


@pytest.fixture(scope="module")
def loaded(portal, tmp_path_factory):
    portal.reset()
    chosen = {"*": ["email", "firstname"]}
    return loaded_from(portal, tmp_path_factory.mktemp("loaded"), include_properties=chosen)


@pytest.fixture
def table(portal, loaded, tmp_path):
    """The loaded table, and a portal without faults."""
    portal.reset()
    portal.settings(quirks={"arbitrary-after": "allow", "list-cursor": "id", "archived-unsupported": ""})
    table = Table(dict(loaded.settings), tmp_path)
    table.state = json.loads(json.dumps(loaded.state))
    table.rows = {key: dict(row) for key, row in loaded.rows.items()}
    return table


def ids(portal) -> list[str]:
    return [each["id"] for each in portal.truth("0-1")]


SHORT_LISTS: dict[str, list[dict[str, Any]]] = {
    "half a page": [{"match": LIST, "nth": 2, "rows": 50}],
    "half a page that is the last": [{"match": LIST, "nth": 3, "rows": 50, "paging": False}],
    "a whole page that is the last": [{"match": LIST, "nth": 2, "paging": False}],
    "no row": [{"match": LIST, "nth": 2, "rows": 0}],
    "an empty list": [{"match": LIST, "nth": 1, **NOTHING}],
    "an empty end": [{"match": LIST, "nth": 4, **NOTHING}],
    "every second page is the last": [{"match": LIST, "every": 2, "paging": False}],
    "every second page has ten rows": [{"match": LIST, "every": 2, "rows": 10, "times": 9}],
    "every page has ten rows and is the last": [{"match": LIST, "rows": 10, "paging": False}],
    "always empty": [{"match": LIST, **NOTHING}],
    "short, and nobody can count": [
        {"match": LIST, "nth": 2, "paging": False},
        {"match": SEARCH, "status": 400},
        {"match": "record limits", "status": 404},
    ],
    "short, and search counts as few": [
        {"match": LIST, "nth": 2, "paging": False},
        {"match": SEARCH, "total": 200, "times": 2},
    ],
    "short, and search is blind": [
        {"match": LIST, "nth": 3, "rows": 20, "paging": False},
        {"match": SEARCH, **NOTHING, "total": 0, "times": 3},
    ],
}
CURSORS = {"": {}, "an opaque cursor": {"list-cursor": "opaque"}, "entered nowhere": {"arbitrary-after": "reject"}}


HARD = {"half a page", "a whole page that is the last", "an empty list", "every second page has ten rows"}
PASSES = [(fault, cursor) for fault in SHORT_LISTS for cursor in CURSORS if not cursor or fault in HARD]


@pytest.mark.parametrize(("fault", "cursor"), PASSES)
def test_a_full_pass_of_an_incomplete_list_marks_only_real_deletions(portal, table, fault, cursor):
    gone = ids(portal)[77]
    portal.mutate([{"kind": "gdpr-delete", "type": "0-1", "id": gone}])
    portal.settings(quirks=CURSORS[cursor])
    portal.faults(SHORT_LISTS[fault])
    run = table.run(full_pass_at=LONG_AGO)
    assert portal.fault_counts()[0]["fired"]
    assert table.live() == set(ids(portal)), run.log
    assert table.rows[gone]["_sdc_deleted_at"] == "activated"


@pytest.mark.sandbox(**SIZES, contact_properties=900)
def test_records_of_the_list_that_a_batch_lacks_are_requested_again(sandbox, tmp_path):
    """With more properties than fit in the URL of a list: ids are listed, then read in batches."""
    portal, table = sandbox, loaded_from(sandbox, tmp_path)
    portal.faults([{"match": LIST, "nth": 2, "rows": 60}, {"match": "batch read", "every": 2, "rows": 9}])
    table.run(full_pass_at=LONG_AGO)
    assert all(each["fired"] for each in portal.fault_counts())
    assert table.live() == set(ids(portal))


def test_a_count_that_hubspot_does_not_give_fails_the_pass_and_the_next_one_is_whole(portal, table):
    before, bookmark = table.live(), table.state["bookmarks"]["contacts"]["replication_key_value"]
    portal.faults([{"match": SEARCH, "total": CONTACTS + 60}])
    run = table.run(code=1, full_pass_at=LONG_AGO)
    assert f"counts {CONTACTS + 60} more records and returns none: run again later" in run.log
    assert "ACTIVATE_VERSION" not in run.message_types("contacts")
    assert table.state["bookmarks"]["contacts"]["replication_key_value"] == bookmark
    assert table.live() == before
    portal.faults([])
    table.run()
    assert table.live() == set(ids(portal))
    assert "full_pass" not in table.state["bookmarks"]["contacts"]


def test_records_that_search_still_counts_but_hubspot_has_deleted_do_not_fail_the_run(portal, table):
    portal.settings(indexLagSeconds=3_600)
    gone = ids(portal)[9:12]
    portal.mutate([{"kind": "gdpr-delete", "type": "0-1", "id": each} for each in gone])
    run = table.run(full_pass_at=LONG_AGO)
    portal.settings(indexLagSeconds=0)
    assert "still counts 3 records that were archived, merged or deleted" in run.log
    assert table.live() == set(ids(portal))


def test_a_range_that_an_earlier_run_read_in_part_is_read_again(portal, table):
    saved = table.state["bookmarks"]["contacts"]
    everything = ids(portal)
    lost = everything[100]
    portal.mutate([{"kind": "edit", "type": "0-1", "id": lost, "properties": {"firstname": "Lost"}}])
    begun = {"version": saved["version"] + 1, "started_at": saved["replication_key_value"]}
    ranges = [[0, int(everything[199]), 199], [int(everything[199]), int(everything[299]), 100]]
    for key in everything[:300]:
        table.rows[key]["version"] = begun["version"] - (key == lost)
    run = table.run(full_pass=begun | {"ranges": ranges})
    assert "HubSpot counts more records than an earlier run read" in run.log
    assert "100 of 640 records were read before" in run.log
    assert table.live() == set(everything)
    assert table.rows[lost]["firstname"] == "Lost"


SHORT_SEARCHES = {
    "three rows, it says": {"rows": 3, "paging": False, "total": 3},
    "nothing, it says": {**NOTHING, "total": 0},
    "half a page that is the last": {"rows": 50, "paging": False},
    "half a page": {"rows": 50},
    "a total that is too small": {"total": 1},
}


@pytest.mark.parametrize("nth", [2, 3])
@pytest.mark.parametrize("less", SHORT_SEARCHES.values(), ids=SHORT_SEARCHES)
def test_a_search_that_returns_too_few_records_loses_no_change(portal, table, less, nth):
    portal.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 450, "properties": {"firstname": "New"}}])
    portal.faults([{"match": SEARCH, "nth": nth, **less}])
    table.run()
    assert portal.fault_counts()[0]["fired"]
    truth = {each["id"]: each["updatedAt"] for each in portal.truth("0-1")}
    assert {key: row["updated_at"] for key, row in table.rows.items()} == truth


def test_a_search_that_always_returns_too_few_records_fails_and_the_bookmark_stays(portal, table):
    bookmark = table.state["bookmarks"]["contacts"]["replication_key_value"]
    portal.mutate([{"kind": "bulk-touch", "type": "0-1", "count": 450, "properties": {"firstname": "New"}}])
    portal.faults([{"match": SEARCH, "every": 2, "rows": 3, "paging": False, "total": 3}])
    run = table.run(code=1)
    assert "HubSpot counts 450 changed contacts and gives " in run.log
    assert table.state["bookmarks"]["contacts"]["replication_key_value"] == bookmark
    portal.faults([])
    table.run()
    assert sum(row["firstname"] == "New" for row in table.rows.values()) == 450


SHORT_ARCHIVES: dict[str, dict[str, Any]] = {
    "refused once": {"status": 400, "times": 1},
    "not found once": {"status": 404, "times": 1},
    "refused twice": {"status": 400, "times": 2},
    "empty once": {**NOTHING, "nth": 1},
    "half a page": {"rows": 50, "nth": 1},
    "half a page that is the last": {"rows": 50, "paging": False, "nth": 2},
    "a whole page that is the last": {"paging": False, "nth": 1},
    "no row on the second page": {"rows": 0, "nth": 2},
}


@pytest.mark.parametrize("less", SHORT_ARCHIVES.values(), ids=SHORT_ARCHIVES)
def test_an_incomplete_archived_list_loses_no_deletion(portal, table, less):
    """Even if it cannot be entered at an id: it must contain the objects that it had before and that are archived."""
    victims = ids(portal)[10:310]
    if "paging" in less:
        portal.settings(quirks={"arbitrary-after": "reject"})
    portal.mutate([{"kind": "archive", "type": "0-1", "id": each} for each in victims[:290]])
    table.run()
    portal.mutate([{"kind": "archive", "type": "0-1", "id": each} for each in victims[290:]])
    portal.faults([{"match": ARCHIVED, **less}])
    table.run()
    assert portal.fault_counts()[0]["fired"]
    assert table.live() == set(ids(portal))


@pytest.mark.parametrize(("fault", "said"), [({"status": 400}, "refuses it now"), (NOTHING, "lacks some")])
def test_an_archived_list_that_stays_short_fails_and_the_bookmark_stays(portal, table, fault, said):
    first, second = ids(portal)[10:12]
    portal.mutate([{"kind": "archive", "type": "0-1", "id": first}])
    table.run()
    bookmark = table.state["bookmarks"]["contacts"]["replication_key_value"]
    portal.mutate([{"kind": "archive", "type": "0-1", "id": second}])
    portal.faults([{"match": ARCHIVED, **fault}])
    run = table.run(code=1)
    assert said in run.log
    assert table.state["bookmarks"]["contacts"]["replication_key_value"] == bookmark
    portal.faults([])
    table.run()
    assert table.live() == set(ids(portal))


@pytest.mark.parametrize("mutation", ["archive", "merge"])
@pytest.mark.parametrize("continued", [False, True])
def test_a_deletion_during_a_first_pass_is_marked_by_it_with_hubspots_time(portal, table, mutation, continued):
    """The deletion follows a checkpoint in the middle of the pass; the record has been emitted by then."""
    portal.reset()
    victim, other = ids(portal)[3], ids(portal)[-3]
    state: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}
    done: list[dict[str, Any]] = []
    for is_last in [False, True] if continued else [True]:
        tap = TapHubSpotDW(config=table.settings | {"workers": 1, "page_size": 10}, state=state)
        reading = tap.streams["contacts"].begin()
        for event in reading.events():
            if isinstance(event, Block):
                for line in b"".join(event.lines).splitlines():
                    record = json.loads(line)["record"]
                    rows[record["id"]] = rows.get(record["id"], {}) | record
                if victim in rows and not done:
                    deletion = {"archive": {"id": victim}, "merge": {"winner": other, "loser": victim}}[mutation]
                    done = portal.mutate([{"kind": mutation, "type": "0-1", **deletion}])
                    if not is_last:
                        break
            elif isinstance(event, Checkpoint):
                state = {"bookmarks": {"contacts": event.state}}
    assert reading.done.is_complete
    live = {key for key, row in rows.items() if not row.get("_sdc_deleted_at")}
    assert live == set(ids(portal))
    if mutation == "archive":
        assert rows[victim]["_sdc_deleted_at"] == done[0]["archivedAt"]
    else:
        assert rows[victim]["merged_into_id"] == other


@pytest.mark.parametrize("every", [1, 2])
def test_a_record_edited_before_each_search_comes_in_its_newest_state(portal, table, every):
    """At every search, or at every second one, so it is never in a window that ends at the start of the run."""
    target = ids(portal)[50]
    portal.mutate([{"kind": "edit-while-searching", "type": "0-1", "id": target, "every": every, "times": 6 // every}])
    for _ in range(2):
        run = table.run()
        assert target in {each["id"] for each in run.records("contacts")}
    truth = {each["id"]: each["updatedAt"] for each in portal.truth("0-1")}
    table.run()
    assert table.rows[target]["updated_at"] == truth[target]
