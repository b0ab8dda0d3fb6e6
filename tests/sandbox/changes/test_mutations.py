"""Mutations: what they change, and what they leave unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from hubspot_sandbox.control.admin_client import AdminError
from tests.sandbox.conftest import Api


def _ids(api: Api, query: str = "") -> list[str]:
    return [row["id"] for row in api.listed(f"/crm/v3/objects/contacts?limit=100{query}")]


def _contact(api: Api, contact_id: str, **params: str) -> dict[str, object]:
    contact: dict[str, object] = api.get(f"/crm/v3/objects/contacts/{contact_id}", params=params).json()
    return contact


def test_an_edit_shows_at_once_and_sets_last_modified(api: Api) -> None:
    before = _contact(api, "51")
    api.sandbox.mutate(
        [{"kind": "edit", "type": "contacts", "id": "51", "properties": {"firstname": "Neu", "phone": None}}]
    )
    after = _contact(api, "51", properties="firstname,phone")
    assert after["properties"]["firstname"] == "Neu"  # type: ignore[index]
    assert after["properties"]["phone"] is None  # type: ignore[index]
    assert after["updatedAt"] > before["updatedAt"]  # type: ignore[operator]
    assert after["createdAt"] == before["createdAt"]


def test_a_calculated_property_changes_without_touching_last_modified(api: Api) -> None:
    before = _contact(api, "51")
    api.sandbox.mutate(
        [{"kind": "recalculate", "type": "contacts", "id": "51", "properties": {"hubspotscore": "12.5"}}]
    )
    after = _contact(api, "51", properties="hubspotscore")
    assert after["properties"]["hubspotscore"] == "12.5"  # type: ignore[index]
    assert after["updatedAt"] == before["updatedAt"]


def test_a_created_record_is_appended_to_the_list(api: Api) -> None:
    ids = _ids(api)
    made = api.sandbox.mutate([{"kind": "create", "type": "contacts", "properties": {"email": "new@x.example"}}])[0]
    assert _ids(api) == [*ids, made["id"]]
    assert _contact(api, made["id"], properties="email,phone")["properties"] == {
        "createdate": made["createdAt"],
        "email": "new@x.example",
        "hs_object_id": made["id"],
        "lastmodifieddate": made["createdAt"],
        "phone": None,
    }


def test_an_archived_record_moves_to_the_archived_list_untouched(api: Api) -> None:
    ids, before = _ids(api), _contact(api, "51")
    made = api.sandbox.mutate([{"kind": "archive", "type": "contacts", "id": "51"}])[0]
    assert _ids(api) == ids[1:]
    assert api.get("/crm/v3/objects/contacts/51").status_code == 404
    archived = api.listed("/crm/v3/objects/contacts?archived=true&limit=100")
    assert [(row["id"], row["archived"], row["archivedAt"]) for row in archived] == [("51", True, made["archivedAt"])]
    assert archived[0]["updatedAt"] == before["updatedAt"]
    assert api.search("contacts")["total"] == len(ids) - 1
    read = {"inputs": [{"id": "51"}]}
    assert api.post("/crm/v3/objects/contacts/batch/read", read).status_code == 207
    assert api.post("/crm/v3/objects/contacts/batch/read?archived=true", read).status_code == 200
    api.sandbox.mutate([{"kind": "restore", "type": "contacts", "id": "51"}])
    assert _ids(api) == ids


def test_archived_records_are_deleted_after_ninety_days(api: Api) -> None:
    api.sandbox.mutate(
        [
            {"kind": "archive", "type": "contacts", "id": "51", "daysAgo": 91},
            {"kind": "archive", "type": "contacts", "id": _ids(api)[1], "daysAgo": 89},
        ]
    )
    assert len(_ids(api, "&archived=true")) == 1


def test_a_record_deleted_from_the_archive_is_in_no_truth_and_cannot_be_restored(api: Api) -> None:
    old, kept = _ids(api)[:2]
    for record_id, days_ago in ((old, 91), (kept, 89)):
        api.sandbox.mutate([{"kind": "archive", "type": "contacts", "id": record_id, "daysAgo": days_ago}])
    assert api.get("/sandbox/status").json()["records"]["contacts"]["archived"] == 1
    assert [row["id"] for row in api.sandbox.truth("contacts", "archived")] == [kept]
    assert [row["id"] for row in api.sandbox.truth("contacts", "deleted")] == [old]
    api.sandbox.clock.advance(2 * 86_400)
    for kind in ("gdpr-delete", "restore"):
        with pytest.raises(AdminError, match=f"{kind}: contacts has no (archived )?record"):
            api.sandbox.mutate([{"kind": kind, "type": "contacts", "id": kept}])
    assert list(api.sandbox.truth("contacts", "archived")) == []


def test_random_mutations_restore_no_record_deleted_from_the_archive(api: Api) -> None:
    for record_id in _ids(api)[:300]:
        api.sandbox.mutate([{"kind": "archive", "type": "contacts", "id": record_id, "daysAgo": 91}])
    assert len(api.sandbox.random(200, seed=5)) == 200


def test_a_merged_record_vanishes_and_resolves_to_the_survivor(api: Api) -> None:
    winner, loser, third, *_ = _ids(api)
    api.sandbox.mutate(
        [
            {"kind": "merge", "type": "contacts", "winner": loser, "loser": third},
            {"kind": "merge", "type": "contacts", "winner": winner, "loser": loser},
        ]
    )
    assert {loser, third}.isdisjoint(_ids(api))
    assert {loser, third}.isdisjoint(_ids(api, "&archived=true"))
    survivor = _contact(api, third, properties="hs_merged_object_ids,hs_calculated_merged_vids")
    assert survivor["id"] == winner
    assert survivor["properties"]["hs_merged_object_ids"] == f"{loser};{third}"  # type: ignore[index]
    vids = survivor["properties"]["hs_calculated_merged_vids"].split(";")  # type: ignore[index]
    assert [vid.split(":")[0] for vid in vids] == [loser, third]
    batch = api.post("/crm/v3/objects/contacts/batch/read", {"inputs": [{"id": loser}]}).json()
    assert [row["id"] for row in batch["results"]] == [winner]
    filters = [{"propertyName": "hs_object_id", "operator": "IN", "values": [winner, loser]}]
    assert api.search("contacts", filters=filters)["total"] == 1


def test_a_gdpr_deleted_record_is_nowhere(api: Api) -> None:
    api.sandbox.mutate([{"kind": "gdpr-delete", "type": "contacts", "id": "51"}])
    assert "51" not in _ids(api) + _ids(api, "&archived=true")
    assert api.get("/crm/v3/objects/contacts/51").status_code == 404
    assert [row["id"] for row in api.sandbox.truth("contacts", "deleted")] == ["51"]


def test_association_changes_change_no_modified_time(api: Api) -> None:
    deal = api.get("/crm/v3/objects/deals?limit=2").json()["results"][1]
    contact = _contact(api, "51")
    edge = {"fromType": "0-3", "fromId": deal["id"], "toType": "0-1", "toId": "51"}
    read = f"/crm/v4/objects/deals/{deal['id']}/associations/contacts"
    api.sandbox.mutate([{"kind": "associate", **edge, "typeId": 28}])
    types = {
        t["typeId"]
        for row in api.get(read).json()["results"]
        if row["toObjectId"] == 51
        for t in row["associationTypes"]
    }
    assert types >= {3, 28}
    api.sandbox.mutate([{"kind": "dissociate", **edge}])
    assert all(row["toObjectId"] != 51 for row in api.get(read).json()["results"])
    assert _contact(api, "51")["updatedAt"] == contact["updatedAt"]
    assert api.get(f"/crm/v3/objects/deals/{deal['id']}").json()["updatedAt"] == deal["updatedAt"]


@pytest.mark.parametrize(
    ("mutation", "sentence"),
    [
        ({"kind": "archive", "type": "contacts", "id": "51", "daysAgo": "x"}, "archive: could not convert"),
        ({"kind": "archive", "type": "contacts", "id": "51", "daysAgo": -1}, "daysAgo must be a number of days"),
        ({"kind": "archive", "type": "contacts", "id": "51", "daysAgo": 1e12}, "daysAgo must be a number of days"),
        ({"kind": "bulk-touch", "type": "contacts", "count": -1}, "count cannot be negative"),
        ({"kind": "bulk-touch", "type": "contacts", "count": "12x"}, "bulk-touch: invalid literal"),
    ],
)
def test_a_mutation_that_fails_changes_nothing(api: Api, mutation: dict[str, Any], sentence: str) -> None:
    before = list(api.sandbox.truth("contacts"))
    with pytest.raises(AdminError, match=sentence):
        api.sandbox.mutate([mutation])
    assert list(api.sandbox.truth("contacts")) == before


def test_a_bulk_touch_gives_all_records_the_same_millisecond(api: Api) -> None:
    api.sandbox.mutate([{"kind": "bulk-touch", "type": "contacts", "count": 1_500}])
    stamps = {row["updatedAt"] for row in api.listed("/crm/v3/objects/contacts?limit=100")[:1_500]}
    assert len(stamps) == 1


def test_the_same_random_script_gives_the_same_changes(api: Api) -> None:
    first = api.sandbox.random(200, seed=7)
    kinds = {row["kind"] for row in first}
    assert kinds >= {"edit", "create", "archive", "merge", "gdpr-delete", "associate", "dissociate"}
    api.sandbox.reset()
    times = {"updatedAt", "createdAt", "archivedAt"}
    again = api.sandbox.random(200, seed=7)
    assert [{k: v for k, v in r.items() if k not in times} for r in first] == [
        {k: v for k, v in r.items() if k not in times} for r in again
    ]


def test_a_new_property_appears_and_can_be_set(api: Api) -> None:
    api.sandbox.mutate(
        [
            {"kind": "define-property", "type": "contacts", "name": "shoe_size", "propertyType": "number"},
            {"kind": "edit", "type": "contacts", "id": "51", "properties": {"shoe_size": "43"}},
        ]
    )
    assert api.get("/crm/v3/properties/contacts/shoe_size").json()["type"] == "number"
    rows = api.get("/crm/v3/objects/contacts?limit=2&properties=shoe_size").json()["results"]
    assert [row["properties"]["shoe_size"] for row in rows] == ["43", None]
    api.sandbox.mutate([{"kind": "remove-property", "type": "contacts", "name": "shoe_size"}])
    assert "shoe_size" not in api.get("/crm/v3/objects/contacts/51?properties=shoe_size").text


def test_a_new_property_is_in_the_group_of_its_type(api: Api) -> None:
    for name in ("contacts", "deals", "divisions"):
        others = {row["groupName"] for row in api.get(f"/crm/v3/properties/{name}").json()["results"]}
        api.sandbox.mutate([{"kind": "define-property", "type": name, "name": "shoe_size"}])
        assert {api.get(f"/crm/v3/properties/{name}/shoe_size").json()["groupName"]} == others


def test_after_many_changes_list_search_and_truth_still_agree(api: Api) -> None:
    for seed in (21, 22):
        api.sandbox.random(400, seed=seed)
        for name in ("contacts", "deals", "0-421", "companies"):
            truth = [(row["id"], row["updatedAt"]) for row in api.sandbox.truth(name)]
            listed = [(row["id"], row["updatedAt"]) for row in api.listed(f"/crm/v3/objects/{name}?limit=100")]
            assert listed == truth
            assert api.search(name)["total"] == len(truth)
            archived = {row["id"] for row in api.listed(f"/crm/v3/objects/{name}?limit=100&archived=true")}
            assert archived == {row["id"] for row in api.sandbox.truth(name, "archived")}
            for row in api.sandbox.truth(name, "merged"):
                reply = api.get(f"/crm/v3/objects/{name}/{row['id']}")
                survives = row["survivorId"] in {id_ for id_, _ in truth}
                assert reply.json().get("id") == (row["survivorId"] if survives else None)
