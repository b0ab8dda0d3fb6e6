"""Every quirk changes the replies as it says."""

from __future__ import annotations

import pytest

from hubspot_sandbox.behaviour.quirks import QUIRKS
from tests.sandbox.conftest import Api

LIST = "/crm/v3/objects/contacts?limit=100"
TESTED = {
    "to-object-id",
    "dead-id-in-association-batch",  # test_associations.py
    "short-search-pages",
    "empty-search-pages",  # test_search.py
    "list-cursor",
    "arbitrary-after",
    "batch-order",
    "association-page",
    "deal-to-appointment-type",
    "error-bodies",
    "archived-unsupported",
    "over-limit",
    "restore-bumps",
    "unlisted-properties",
    "association-errors",
    "custom-pipelines",
    "longest-url",
}


def test_every_quirk_has_a_test() -> None:
    assert {quirk.name for quirk in QUIRKS} == TESTED


def test_list_cursors_may_be_opaque(api: Api) -> None:
    api.sandbox.settings(quirks={"list-cursor": "opaque"})
    page = api.get(LIST).json()
    assert not page["paging"]["next"]["after"].isdigit()
    assert len({row["id"] for row in api.listed(LIST)}) == 1_200
    assert api.get(LIST + "&after=2").status_code == 400


def test_a_cursor_that_no_reply_contained_may_be_refused(api: Api) -> None:
    assert api.get(LIST + "&after=20000").json()["results"][0]["id"][:3] == "200"
    api.sandbox.settings(quirks={"arbitrary-after": "reject"})
    assert api.get(LIST + "&after=20000").status_code == 400
    assert len(api.listed(LIST)) == 1_200


@pytest.mark.parametrize(("order", "expected"), [("asked", [2, 0, 1]), ("reversed", [1, 0, 2]), ("id", [0, 1, 2])])
def test_batch_results_may_come_in_any_order(api: Api, order: str, expected: list[int]) -> None:
    api.sandbox.settings(quirks={"batch-order": order})
    ids = [row["id"] for row in api.get("/crm/v3/objects/contacts?limit=3").json()["results"]]
    body = {"inputs": [{"id": ids[place]} for place in (2, 0, 1)]}
    rows = api.post("/crm/v3/objects/contacts/batch/read", body).json()["results"]
    assert [row["id"] for row in rows] == [ids[place] for place in expected]


@pytest.mark.parametrize(
    ("shape", "keys", "category"),
    [
        ("full", {"category", "subCategory", "context"}, "OBJECT_NOT_FOUND"),
        ("no-subcategory", {"category", "context"}, "OBJECT_NOT_FOUND"),
        ("own-category", {"category", "context"}, "NO_ASSOCIATIONS_FOUND"),
        ("message-only", {"category"}, "OBJECT_NOT_FOUND"),
    ],
)
def test_the_error_for_an_id_without_associations_may_have_another_form(
    api: Api, shape: str, keys: set[str], category: str
) -> None:
    api.sandbox.settings(quirks={"association-errors": shape})
    body = {"inputs": [{"id": "7"}]}
    (error,) = api.post("/crm/associations/2026-09/deals/contacts/batch/read", body).json()["errors"]
    assert error.keys() == {"status", "message", *keys}
    assert (error["category"], error["message"][-2:]) == (category, "7.")


def test_custom_objects_may_have_pipelines(api: Api) -> None:
    where = "/crm/pipelines/2026-09/2-37778609"
    assert api.get(where).json()["results"] == []
    api.sandbox.settings(quirks={"custom-pipelines": "one"})
    (pipeline,) = api.get(where).json()["results"]
    assert api.get(f"{where}/{pipeline['id']}").json() == pipeline


def test_the_longest_url_may_be_another_one(api: Api) -> None:
    where = "/crm/v3/objects/contacts?properties="
    assert api.get(where + "x" * 9_000).status_code == 200
    api.sandbox.settings(quirks={"longest-url": "8000"})
    assert api.get(where + "x" * 7_900).status_code == 200
    refused = api.get(where + "x" * 9_000)
    assert refused.status_code == 414
    assert refused.headers["content-type"] == "text/html"


def test_association_pages_may_be_shorter(api: Api) -> None:
    api.sandbox.settings(quirks={"association-page": "7"})
    hub = api.get("/crm/v3/objects/deals?limit=1").json()["results"][0]["id"]
    body = {"inputs": [{"id": hub}]}
    result = api.post("/crm/associations/2026-09/deals/contacts/batch/read", body).json()["results"][0]
    assert len(result["to"]) == 7
    assert result["paging"]["next"]["after"]


def _deal_type_ids(api: Api, deal: str) -> set[int]:
    """Return the type ids of a deal's appointments, from all replies and from the truth."""
    batch = api.post("/crm/associations/2026-09/deals/0-421/batch/read", {"inputs": [{"id": deal}]}).json()
    of_one = api.get(f"/crm/v4/objects/deals/{deal}/associations/0-421").json()
    edges = [*batch["results"][0]["to"], *of_one["results"]]
    labels = api.get("/crm/v4/associations/deals/0-421/labels").json()["results"]
    truth = [row for row in api.sandbox.truth_associations() if (row["fromType"], row["toType"]) == ("0-3", "0-421")]
    rows = [*(type_ for edge in edges for type_ in edge["associationTypes"]), *labels, *truth]
    return {row["typeId"] for row in rows}


def test_deals_may_see_their_appointments_under_another_type_id(api: Api) -> None:
    edges = api.sandbox.truth_associations()
    pair, *_ = [row for row in edges if (row["fromType"], row["toType"]) == ("0-3", "0-421")]
    edge = {key: pair[key] for key in ("fromType", "fromId", "toType", "toId")}
    assert _deal_type_ids(api, pair["fromId"]) == {945}
    api.sandbox.settings(quirks={"deal-to-appointment-type": "1943"})
    assert _deal_type_ids(api, pair["fromId"]) == {1943}
    for kind in ("dissociate", "associate"):
        api.sandbox.mutate([{"kind": kind, **edge, "typeId": 1943}])
    assert _deal_type_ids(api, pair["fromId"]) == {1943}
    back = api.get(f"/crm/v4/objects/0-421/{pair['toId']}/associations/deals").json()["results"]
    assert {type_["typeId"] for row in back for type_ in row["associationTypes"]} == {944}


def test_the_400_beyond_a_maximum_may_have_two_forms(api: Api) -> None:
    def bodies() -> list[set[str]]:
        replies = [
            api.get("/crm/v3/objects/contacts?limit=101"),
            api.post("/crm/v3/objects/contacts/search", {"limit": 201}),
            api.post("/crm/v3/objects/contacts/search", {"limit": 200, "after": "9900"}),
        ]
        assert {reply.status_code for reply in replies} == {400}
        return [set(reply.json()) for reply in replies]

    full = {"status", "message", "errors", "category", "links", "correlationId"}
    assert bodies() == [full] * 3
    api.sandbox.settings(quirks={"error-bodies": "plain"})
    assert bodies() == [{"status", "message", "correlationId"}] * 3
    assert "category" in api.post("/crm/v3/objects/contacts/search", {"filters": [{}]}).json()


def test_a_type_may_have_no_archived_list(api: Api) -> None:
    assert api.get("/crm/v3/objects/0-421?archived=true").status_code == 200
    api.sandbox.settings(quirks={"archived-unsupported": "0-421,2-37778609"})
    assert api.get("/crm/v3/objects/0-421?archived=true").status_code == 400
    assert api.get("/crm/v3/objects/contacts?archived=true").status_code == 200


def test_a_limit_above_the_maximum_may_be_cut(api: Api) -> None:
    api.sandbox.settings(quirks={"over-limit": "clamp"})
    assert len(api.get("/crm/v3/objects/contacts?limit=500").json()["results"]) == 100
    assert len(api.search("contacts", limit=500)["results"]) == 200


@pytest.mark.parametrize(("setting", "bumped"), [("true", True), ("false", False)])
def test_restoring_may_or_may_not_touch_last_modified(api: Api, setting: str, *, bumped: bool) -> None:
    api.sandbox.settings(quirks={"restore-bumps": setting})
    before = api.get("/crm/v3/objects/contacts/51").json()["updatedAt"]
    api.sandbox.mutate([{"kind": kind, "type": "contacts", "id": "51"} for kind in ("archive", "restore")])
    assert (api.get("/crm/v3/objects/contacts/51").json()["updatedAt"] != before) is bumped


def test_a_property_may_be_missing_from_the_list_of_properties(api: Api) -> None:
    listed = {row["name"] for row in api.get("/crm/v3/properties/deals").json()["results"]}
    api.sandbox.settings(quirks={"unlisted-properties": "amount,hs_lastmodifieddate"})
    left = {row["name"] for row in api.get("/crm/v3/properties/deals").json()["results"]}
    assert listed - left == {"amount", "hs_lastmodifieddate"}
