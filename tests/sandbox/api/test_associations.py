"""Associations: the batch read with its 207 and cursors, labels per direction, and equal edges from both sides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hubspot_sandbox.control.admin_client import AdminError
from tests.sandbox.conftest import Api

PAIRS = (
    ("contacts", "2-37778609"),
    ("0-421", "contacts"),
    ("deals", "contacts"),
    ("0-421", "2-37778609"),
    ("deals", "2-37778609"),
    ("0-421", "deals"),
    ("contacts", "contacts"),
    ("contacts", "companies"),
)


def _ids(api: Api, object_type: str) -> list[str]:
    return [row["id"] for row in api.listed(f"/crm/v3/objects/{object_type}?limit=100")]


def read_all(api: Api, source: str, target: str, ids: list[str], base: str = "/crm/associations/2026-09") -> set[Any]:
    """Return all edges of a pair from the batch read, following the cursors."""
    edges: set[Any] = set()
    inputs = [{"id": id_} for id_ in ids]
    while inputs:
        reply = api.post(f"{base}/{source}/{target}/batch/read", {"inputs": inputs[:1000]}).json()
        inputs = inputs[1000:]
        for result in reply["results"]:
            for to in result["to"]:
                for type_ in to["associationTypes"]:
                    edges.add(
                        (
                            result["from"]["id"],
                            str(to["toObjectId"]),
                            type_["category"],
                            type_["typeId"],
                            type_["label"],
                        )
                    )
            if "paging" in result:
                inputs.append({"id": result["from"]["id"], "after": result["paging"]["next"]["after"]})
    return edges


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_batch_read_gives_every_edge_from_both_sides(shared: Api, source: str, target: str) -> None:
    types = {"contacts": "0-1", "deals": "0-3", "companies": "0-2"}
    truth: dict[tuple[str, str], set[Any]] = {}
    for edge in shared.sandbox.truth_associations():
        truth.setdefault((edge["fromType"], edge["toType"]), set()).add(
            (edge["fromId"], edge["toId"], edge["category"], edge["typeId"], edge["label"])
        )
    here, there = types.get(source, source), types.get(target, target)
    assert truth[here, there]
    assert read_all(shared, source, target, _ids(shared, source)) == truth[here, there]
    assert read_all(shared, target, source, _ids(shared, target)) == truth[there, here]
    assert {(b, a) for a, b, *_ in truth[here, there]} == {(a, b) for a, b, *_ in truth[there, here]}


def test_an_edge_carries_several_types_which_differ_by_direction(shared: Api) -> None:
    edges = [e for e in shared.sandbox.truth_associations() if (e["fromType"], e["toType"]) == ("0-3", "0-1")]
    most = Counter((e["fromId"], e["toId"]) for e in edges).most_common(1)[0]
    assert most[1] >= 2
    back = [e for e in shared.sandbox.truth_associations() if (e["fromType"], e["toType"]) == ("0-1", "0-3")]
    assert {3} == {e["typeId"] for e in edges if e["category"] == "HUBSPOT_DEFINED"}
    assert {4} == {e["typeId"] for e in back if e["category"] == "HUBSPOT_DEFINED"}


def test_ids_without_associations_are_errors_of_a_207(shared: Api) -> None:
    reply = shared.post("/crm/associations/2026-09/deals/contacts/batch/read", {"inputs": [{"id": "7"}]})
    body = reply.json()
    assert reply.status_code == 207
    assert (body["status"], body["results"], body["numErrors"]) == ("COMPLETE", [], 1)
    assert body["errors"][0] == {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": "No contact is associated with deal 7.",
        "context": {"fromObjectId": ["7"], "fromObjectType": ["deal"], "toObjectType": ["contact"]},
    }


def test_an_id_has_five_hundred_edges_a_page_and_an_opaque_cursor(shared: Api) -> None:
    hub = _ids(shared, "deals")[0]
    path = "/crm/associations/2026-09/deals/contacts/batch/read"
    first = shared.post(path, {"inputs": [{"id": hub}]}).json()["results"][0]
    after = first["paging"]["next"]["after"]
    assert len(first["to"]) == 500
    assert not after.isdigit()
    second = shared.post(path, {"inputs": [{"id": hub, "after": after}]}).json()["results"][0]
    assert "paging" not in second
    assert len({to["toObjectId"] for to in first["to"] + second["to"]}) == 500 + len(second["to"]) > 600
    single = f"/crm/objects/2026-09/deals/{hub}/associations/contacts"
    listed = shared.listed(single)
    assert listed == first["to"] + second["to"]
    assert len(shared.get(f"{single}?limit=500").json()["results"]) == 500
    assert shared.get(f"{single}?limit=501").status_code == 400


def test_a_thousand_ids_fit_and_one_more_does_not(shared: Api) -> None:
    path = "/crm/associations/2026-09/contacts/0-421/batch/read"
    assert shared.post(path, {"inputs": [{"id": "7"}] * 1000}).status_code == 207
    assert shared.post(path, {"inputs": [{"id": "7"}] * 1001}).status_code == 400


@pytest.mark.parametrize(
    ("base", "json_type"),
    [("/crm/v4/associations", int), ("/crm/associations/2026-09", str), ("/crm/associations/2026-03", str)],
)
def test_to_object_id_is_a_number_on_v4_and_a_text_on_dated_paths(shared: Api, base: str, json_type: type) -> None:
    body = {"inputs": [{"id": _ids(shared, "deals")[0]}]}
    to = shared.post(f"{base}/deals/contacts/batch/read", body).json()["results"][0]["to"]
    assert {type(edge["toObjectId"]) for edge in to} == {json_type}


def test_the_quirk_decides_the_type_of_to_object_id(api: Api) -> None:
    api.sandbox.settings(quirks={"to-object-id": "number"})
    hub = _ids(api, "deals")[0]
    to = api.get(f"/crm/objects/2026-09/deals/{hub}/associations/contacts?limit=1").json()["results"]
    assert isinstance(to[0]["toObjectId"], int)


def test_the_quirk_lets_a_dead_id_break_the_whole_batch(api: Api) -> None:
    api.sandbox.settings(quirks={"dead-id-in-association-batch": "400"})
    path = "/crm/associations/2026-09/deals/contacts/batch/read"
    hub = _ids(api, "deals")[0]
    assert api.post(path, {"inputs": [{"id": hub}, {"id": "7"}]}).status_code == 400
    assert api.post(path, {"inputs": [{"id": hub}]}).status_code == 200


def test_labels_has_every_type_of_a_pair_from_both_sides(shared: Api) -> None:
    path = "/crm/associations/2026-09/{}/{}/labels"
    there = shared.get(path.format("contacts", "companies")).json()["results"]
    assert {"category": "HUBSPOT_DEFINED", "typeId": 279, "label": None} in there
    assert {"category": "HUBSPOT_DEFINED", "typeId": 1, "label": "Primary"} in there
    back = shared.get(path.format("companies", "contacts")).json()["results"]
    assert {label["typeId"] for label in back} == {280, 2, 46}


def test_a_merge_moves_the_losers_edges_to_the_survivor(api: Api) -> None:
    before = read_all(api, "contacts", "2-37778609", _ids(api, "contacts"))
    winner, loser = _ids(api, "contacts")[5:7]
    api.sandbox.mutate([{"kind": "merge", "type": "contacts", "winner": winner, "loser": loser}])
    after = read_all(api, "contacts", "2-37778609", _ids(api, "contacts"))
    expected = {(winner if a == loser else a, *rest) for a, *rest in before}
    assert after == expected
    assert any(a == loser for a, *_ in before)


def test_an_archived_record_loses_its_edges_until_it_is_restored(api: Api) -> None:
    hub = _ids(api, "deals")[0]
    before = read_all(api, "deals", "contacts", [hub])
    api.sandbox.mutate([{"kind": "archive", "type": "contacts", "id": "51"}])
    without = read_all(api, "deals", "contacts", [hub])
    assert {edge[1] for edge in before - without} == {"51"}
    api.sandbox.mutate([{"kind": "restore", "type": "contacts", "id": "51"}])
    assert read_all(api, "deals", "contacts", [hub]) == before


def test_inline_associations_are_a_hundred_a_type_without_type_ids(shared: Api) -> None:
    row = shared.get("/crm/v3/objects/deals?limit=1&associations=contacts,2-37778609").json()["results"][0]
    contacts = row["associations"]["contacts"]
    assert len(contacts["results"]) == 100
    assert set(contacts["results"][0]) == {"id", "type"}
    assert contacts["paging"]["next"]["after"]
    by_name = shared.get("/crm/v3/objects/deals?limit=1&associations=divisions")
    assert (by_name.status_code, by_name.json()["message"]) == (400, "Unable to infer object type from: divisions")


def test_the_legacy_v3_batch_read_answers(shared: Api) -> None:
    body = {"inputs": [{"id": _ids(shared, "deals")[0]}]}
    result = shared.post("/crm/v3/associations/deals/contacts/batch/read", body).json()["results"][0]
    assert result["to"][0]["type"] == "deal_to_contact"


def test_the_portal_has_the_requested_number_of_associated_pairs(api: Api) -> None:
    linked = {
        frozenset(((e["fromType"], e["fromId"]), (e["toType"], e["toId"]))) for e in api.sandbox.truth_associations()
    }
    assert 5_950 <= len(linked) <= 6_000, "pairs of a contact with itself are left out"


def test_after_many_changes_both_sides_still_agree(api: Api) -> None:
    """Every edge and type has its inverse on the other side, and every edge leads to a live record."""
    api.sandbox.random(600, seed=11)
    edges = list(api.sandbox.truth_associations())
    pairs = {(e["fromType"], e["fromId"], e["toType"], e["toId"]) for e in edges}
    assert {(to, to_id, source, source_id) for source, source_id, to, to_id in pairs} == pairs
    counts = Counter((e["fromType"], e["fromId"], e["toType"], e["toId"]) for e in edges)
    assert all(counts[to, b, source, a] == count for (source, a, to, b), count in counts.items())
    live = {(t, row["id"]) for t in {e["fromType"] for e in edges} for row in api.sandbox.truth(t)}
    assert {(source, a) for source, a, *_ in pairs} <= live


def test_a_record_cannot_be_associated_with_itself(api: Api) -> None:
    edge = {"kind": "associate", "fromType": "0-1", "fromId": "51", "toType": "0-1", "toId": "51"}
    with pytest.raises(AdminError, match="itself"):
        api.sandbox.mutate([edge])
