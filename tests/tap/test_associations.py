"""Associations at their worst: thousands on one record, ids that HubSpot refuses, pairs that it does not know."""

from __future__ import annotations

import pytest

from tests.tap.running import run_tap

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
    sandbox.settings(indexLagSeconds=600)  # search still shows what is archived meanwhile
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
    assert "ACTIVATE_VERSION" not in run.kinds("associations")
    again = run_tap(tmp_path, settings, state=run.state)
    assert again.log.count("HubSpot knows no associations of contacts:contacts: skipped") == 1
    assert not again.state["bookmarks"]["associations"].get("pairs")
    sandbox.faults([])
    known = run_tap(tmp_path, settings, state=again.state)
    assert set(edges(known)) == {edge for edge in expected(sandbox) if edge[0] == edge[2] == "contacts"}
    sandbox.stop()


def test_a_token_that_ends_while_associations_are_read_is_renewed(sandbox_factory, tmp_path):
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


def test_a_pair_whose_probe_is_refused_costs_itself_only(sandbox_factory, tmp_path):
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
def test_what_is_refused_though_it_is_there_is_not_skipped(sandbox_factory, tmp_path, fault):
    sandbox = sandbox_factory(**TINY | {"contacts": 100})
    state = run_tap(tmp_path, settings_for(sandbox)).state
    state["bookmarks"]["associations"]["full_pass_at"] = "2026-01-01T00:00:00.000Z"
    sandbox.faults([fault])
    run = run_tap(tmp_path, settings_for(sandbox), state=state)
    sandbox.stop()
    assert run.returncode != 0
    assert "ACTIVATE_VERSION" not in run.kinds("associations")
