"""Associations at their worst: thousands on one record, ids that HubSpot refuses, pairs that it does not know."""

from __future__ import annotations

import json

import pytest

from tests.tap.running import discover, run_tap

TINY = {"contacts": 3_200, "appointments": 20, "divisions": 3, "deals": 60, "associations": 300}
TINY |= {"contact_properties": 20, "tier": "unlimited"}


def settings_for(sandbox, **more):
    return {"api_url": sandbox.url, "access_token": sandbox.token, "objects": ["contacts", "deals"], **more}


def edges(run) -> list[tuple[str, ...]]:
    keys = ("from_object_type", "from_id", "to_object_type", "to_id", "association_type_id")
    return [tuple(each[key] for key in keys) for each in run.records("associations")]


def expected(sandbox) -> set[tuple[str, ...]]:
    names = {"0-1": "contacts", "0-3": "deals"}
    order = ["0-3", "0-1"]
    return {
        (names[each["fromType"]], each["fromId"], names[each["toType"]], each["toId"], each["typeId"])
        for each in sandbox.truth_associations()
        if {each["fromType"], each["toType"]} <= names.keys()
        and order.index(each["fromType"]) <= order.index(each["toType"])
    }


def test_three_thousand_associations_of_one_record_all_come(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY)
    hub = next(each["id"] for each in sandbox.truth("0-3"))
    contacts = [each["id"] for each in sandbox.truth("0-1")][:3_000]
    sandbox.mutate(
        [{"kind": "associate", "fromType": "0-3", "fromId": hub, "toType": "0-1", "toId": each} for each in contacts]
    )
    run = run_tap(tmp_path, settings_for(sandbox))
    assert run.returncode == 0, run.log
    assert set(edges(run)) == expected(sandbox)
    assert len({edge for edge in edges(run) if edge[1] == hub}) >= 3_000
    sandbox.stop()


def test_an_id_that_breaks_the_whole_call_is_found_named_and_skipped(sandbox_factory, tmp_path):
    quirks = ["dead-id-in-association-batch=400"]
    sandbox = sandbox_factory(**TINY | {"contacts": 300}, api_quirk=quirks)
    first = run_tap(tmp_path, settings_for(sandbox))
    deals = [each["id"] for each in sandbox.truth("0-3")]
    sandbox.mutate(
        [{"kind": "edit", "type": "0-3", "id": each, "properties": {"dealname": "x"}} for each in deals[:30]]
    )
    sandbox.settings(indexLagSeconds=600)  # search still returns objects archived meanwhile
    sandbox.mutate([{"kind": "archive", "type": "0-3", "id": deals[3]}])
    run = run_tap(tmp_path, settings_for(sandbox), state=first.state)
    assert run.returncode == 0, run.log
    assert f"Associations of deals {deals[3]} to contacts: skipped" in run.log
    changed = {edge for edge in expected(sandbox) if edge[1] in deals[:30]}
    assert changed
    assert changed <= set(edges(run))
    sandbox.stop()


def test_a_pair_that_hubspot_does_not_know_is_skipped_with_one_warning(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY)
    unknown = [{"match": match, "status": 400} for match in ("associations batch read", "association labels")]
    settings = settings_for(sandbox, association_pairs=["contacts:contacts"])
    sandbox.faults(unknown)
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    assert run.log.count("HubSpot knows no associations of contacts:contacts: skipped") == 1
    assert edges(run) == []
    assert "ACTIVATE_VERSION" not in run.message_types("associations")
    again = run_tap(tmp_path, settings, state=run.state)
    assert again.log.count("HubSpot knows no associations of contacts:contacts: skipped") == 1
    assert not again.state["bookmarks"]["associations"].get("pairs")
    sandbox.faults([])
    known = run_tap(tmp_path, settings, state=again.state)
    assert set(edges(known)) == {edge for edge in expected(sandbox) if edge[0] == edge[2] == "contacts"}
    sandbox.stop()


def test_a_token_that_expires_while_associations_are_read_is_renewed(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY | {"contacts": 300})
    sandbox.faults([{"match": "associations", "every": 2, "times": 4, "expireTokens": True}])
    oauth = {
        "client_id": "sandbox-client-id",
        "client_secret": "sandbox-client-secret-not-a-secret",
        "refresh_token": "sandbox-refresh-not-a-secret",
    }
    settings = {"api_url": sandbox.url, "objects": ["contacts", "deals"], **oauth}
    run = run_tap(tmp_path, settings)
    assert run.returncode == 0, run.log
    assert set(edges(run)) == expected(sandbox)
    assert "401" in sandbox.log()["byStatus"], sandbox.log()
    sandbox.stop()


def test_a_pair_whose_probe_is_refused_fails_alone(sandbox_factory, tmp_path):
    sandbox = sandbox_factory(**TINY | {"contacts": 300})
    state = run_tap(tmp_path, settings_for(sandbox)).state
    pairs = state["bookmarks"]["associations"]["pairs"]
    before = pairs.pop("deals:deals") and dict(pairs)
    deal = next(edge[1] for edge in sorted(expected(sandbox)) if edge[0] == "deals" and edge[2] == "contacts")
    sandbox.mutate([{"kind": "edit", "type": "0-3", "id": deal, "properties": {"dealname": "x"}}])
    sandbox.faults([{"match": "associations batch read", "nth": 1, "status": 403}])
    run = run_tap(tmp_path, settings_for(sandbox), state=state)
    assert run.returncode == 1
    assert "associations: deals:deals could not be read: HubSpot refuses" in run.log
    assert {edge for edge in expected(sandbox) if edge[:3] == ("deals", deal, "contacts")} <= set(edges(run))
    after = run.state["bookmarks"]["associations"]["pairs"]
    assert after.keys() == before.keys()
    assert all(after[pair] > before[pair] for pair in before)
    sandbox.stop()


REFUSED = {
    "ids whose records exist": {"match": "associations batch read", "status": 400},
    "a pair that had associations": {"match": "association", "status": 404},
}


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED.keys())
def test_a_live_record_that_hubspot_refuses_is_not_skipped(sandbox_factory, tmp_path, fault):
    sandbox = sandbox_factory(**TINY | {"contacts": 100})
    state = run_tap(tmp_path, settings_for(sandbox)).state
    state["bookmarks"]["associations"]["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    sandbox.faults([fault])
    run = run_tap(tmp_path, settings_for(sandbox), state=state)
    sandbox.stop()
    assert run.returncode != 0
    assert "ACTIVATE_VERSION" not in run.message_types("associations")


def scopes(run) -> set[str]:
    """Return the pairs that a run activated as completely read."""
    messages = [each for each in run.messages if each["type"] == "ACTIVATE_VERSION"]
    return {":".join(pair) for each in messages if "scope" in each for pair in each["scope"]["values"] if len(pair) > 1}


@pytest.fixture(scope="module")
def shared(sandbox_factory):
    """A portal whose records no test changes."""
    sandbox = sandbox_factory(**TINY | {"contacts": 300})
    yield sandbox
    sandbox.stop()


@pytest.fixture
def quiet(shared):
    """The same portal without faults and quirks."""
    yield shared
    shared.faults([])
    shared.settings(quirks={"association-errors": "full", "association-page": "500"})


PAIRS = {"deals:deals", "deals:contacts", "contacts:contacts"}
ONCE = [{"match": "associations batch read deals→contacts", "times": 1}]


@pytest.mark.parametrize("shape", ["full", "no-subcategory", "own-category", "message-only"])
def test_an_id_without_associations_is_recognised_by_any_of_hubspots_error_codes(quiet, tmp_path, shape):
    quiet.settings(quirks={"association-errors": shape})
    run = run_tap(tmp_path, settings_for(quiet))
    assert run.returncode == 0, run.log
    assert set(edges(run)) == expected(quiet)
    assert scopes(run) == PAIRS


@pytest.mark.parametrize("rows", [0, 7])
def test_ids_that_a_reply_omits_are_requested_again(quiet, tmp_path, rows):
    quiet.faults([ONCE[0] | {"rows": rows}])
    run = run_tap(tmp_path, settings_for(quiet))
    assert run.returncode == 0, run.log
    assert set(edges(run)) == expected(quiet)
    assert scopes(run) == PAIRS


def test_live_ids_that_every_reply_omits_fail_their_pair(quiet, tmp_path):
    """Nothing of the pair is marked and its bookmark stays; the other pairs are complete."""
    first = run_tap(tmp_path, settings_for(quiet))
    associations = first.state["bookmarks"]["associations"]
    associations["pair_passes"]["deals:contacts"]["at"] = "2026-01-01T00:00:00.000Z"
    quiet.faults([{"match": "associations batch read deals→contacts", "rows": 0}])
    run = run_tap(tmp_path, settings_for(quiet), state=first.state)
    assert run.returncode == 1
    assert "deals:contacts could not be read: HubSpot omits the associations to contacts" in run.log
    assert scopes(run) == set()
    saved = run.state["bookmarks"]["associations"]
    assert saved["pairs"]["deals:contacts"] == associations["pairs"]["deals:contacts"]
    assert saved["pairs"]["deals:deals"] > associations["pairs"]["deals:deals"]


def test_a_full_page_without_a_cursor_is_requested_again(sandbox_factory, tmp_path):
    """A full page has a hundred associations, or a multiple of that."""
    sandbox = sandbox_factory(**TINY | {"contacts": 300}, api_quirk=["association-page=100"])
    hub = next(each["id"] for each in sandbox.truth("0-3"))
    contacts = [each["id"] for each in sandbox.truth("0-1")][:250]
    sandbox.mutate(
        [{"kind": "associate", "fromType": "0-3", "fromId": hub, "toType": "0-1", "toId": each} for each in contacts]
    )
    sandbox.faults([ONCE[0] | {"remove": ["results.*.paging"]}])
    run = run_tap(tmp_path, settings_for(sandbox))
    assert run.returncode == 0, run.log
    assert set(edges(run)) == expected(sandbox)
    sandbox.stop()


def none_of(sandbox) -> str:
    """A reply in which every deal has no associations."""
    ids = [each["id"] for each in sandbox.truth("0-3")]
    return json.dumps({"results": [], "errors": [{"category": "OBJECT_NOT_FOUND", "context": {"fromObjectId": ids}}]})


@pytest.mark.parametrize("times", [1, 2])
def test_far_fewer_associations_than_before_are_read_again(quiet, tmp_path, times):
    """One such reply is not accepted; two are."""
    first = run_tap(tmp_path, settings_for(quiet))
    rows = first.state["bookmarks"]["associations"]["pair_passes"]["deals:contacts"]["rows"]
    assert rows > 50
    first.state["bookmarks"]["associations"]["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    body = none_of(quiet)
    quiet.faults([{"match": "associations batch read deals→contacts", "times": times, "body": body}])
    run = run_tap(tmp_path, settings_for(quiet), state=first.state)
    assert run.returncode == 0, run.log
    assert f"deals:contacts: HubSpot has 0 of the {rows} associations" in run.log
    assert scopes(run) == PAIRS
    read = {edge for edge in edges(run) if edge[0] == "deals" and edge[2] == "contacts"}
    there = {edge for edge in expected(quiet) if edge[0] == "deals" and edge[2] == "contacts"}
    assert read == (there if times == 1 else set())


def test_an_empty_pair_at_its_first_full_pass_is_read_again(quiet, tmp_path):
    """A run without state cannot know that there were some."""
    quiet.faults([ONCE[0] | {"body": none_of(quiet)}])
    run = run_tap(tmp_path, settings_for(quiet))
    assert run.returncode == 1
    assert "HubSpot gave 0 associations of deals:contacts, and" in run.log
    assert scopes(run) == PAIRS - {"deals:contacts"}
    assert "deals:contacts" not in run.state["bookmarks"]["associations"]["pairs"]


def only_associations(folder, settings) -> dict[str, object]:
    """The catalog with no other stream selected, so that ids come from lists."""
    catalog = discover(folder, settings)
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            if not each["breadcrumb"]:
                each["metadata"]["selected"] = stream["tap_stream_id"] == "associations"
    return catalog


@pytest.mark.parametrize("times", [1, 1000])
def test_a_list_of_ids_that_ends_too_early_is_read_again(quiet, tmp_path, times):
    """Without the object streams, which count what they read; if it stays short, none of its pairs is activated."""
    catalog = only_associations(tmp_path, settings_for(quiet))
    rows = 30 if times == 1 else 0
    quiet.faults([{"match": "list contacts", "times": times, "rows": rows, "paging": False}])
    run = run_tap(tmp_path, settings_for(quiet), catalog=catalog)
    assert run.by_stream().keys() == {"associations"}
    assert scopes(run) == (PAIRS if times == 1 else PAIRS - {"contacts:contacts"})
    assert run.returncode == (0 if times == 1 else 1), run.log
    if times == 1:
        assert set(edges(run)) == expected(quiet)
    else:
        assert "contacts:contacts could not be read: HubSpot lists 0 contacts and counts 300" in run.log


@pytest.mark.parametrize(
    "left_out",
    [
        {"associations": False},
        {"objects": ["contacts"]},
        {"association_pairs": ["deals:deals"]},
        {"associations": False, "reread_since": "2020-01-01"},
    ],
    ids=str,
)
def test_associations_of_a_restored_record_come_back_also_if_the_run_that_saw_it_left_them_out(
    left_out, clean_portal, tmp_path
):
    """They were marked as removed while it was archived, and restoring it does not change its date here."""
    clean_portal.settings(quirks={"restore-bumps": "false"})
    settings = {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["contacts", "deals"]}
    victim = next(row[3] for row in edges(run_tap(tmp_path, settings)) if row[2] == "contacts")
    clean_portal.mutate([{"kind": "archive", "type": "0-1", "id": victim}])
    state = run_tap(tmp_path, settings).state
    clean_portal.mutate([{"kind": "restore", "type": "0-1", "id": victim}])
    run = run_tap(tmp_path, {**settings, **left_out}, state=state)
    assert victim in {each["id"] for each in run.records("contacts")}
    again = run_tap(tmp_path, settings, state=run.state)
    assert victim in {row[3] for row in edges(again)}
    last = run_tap(tmp_path, settings, state=again.state)
    assert edges(last) == []  # once is enough
