"""List, read and batch read, as in HubSpot's documents and recorded replies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api

PATHS = (
    "/crm/v3/objects/contacts",
    "/crm/objects/2026-03/contacts",
    "/crm/objects/2026-09/0-1",
    "/crm/v4/objects/Contact",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_family_lists_the_same_records(shared: Api, path: str) -> None:
    page = shared.get(path, params={"limit": 3}).json()
    assert [row["id"] for row in page["results"]] == [
        row["id"] for row in shared.get(PATHS[0], params={"limit": 3}).json()["results"]
    ]


def test_a_list_gives_every_live_record_once_ascending_by_id(shared: Api) -> None:
    ids = [int(row["id"]) for row in shared.listed("/crm/objects/2026-09/contacts?limit=100")]
    truth = sorted(int(row["id"]) for row in shared.sandbox.truth("contacts"))
    assert ids == truth
    assert len(truth) == 700
    assert sorted(map(str, ids)) != list(map(str, ids)), "with ids of equal length a comparison as text would not show"


def test_after_is_the_last_id_plus_one_and_the_last_page_has_no_paging(shared: Api) -> None:
    pages = list(shared.pages("/crm/v3/objects/contacts?limit=100"))
    assert len(pages) == 7
    assert "paging" not in pages[-1]
    for page in pages[:-1]:
        following = page["paging"]["next"]
        assert following["after"] == str(int(page["results"][-1]["id"]) + 1)
        assert following["link"].startswith(f"{shared.sandbox.url}/crm/v3/objects/contacts?limit=100&after=")


def test_a_record_has_hubspots_keys_and_alphabetical_properties(shared: Api) -> None:
    row = shared.get("/crm/v3/objects/contacts", params={"limit": 1, "properties": "phone,email,nonsense"}).json()[
        "results"
    ][0]
    assert list(row) == ["id", "properties", "createdAt", "updatedAt", "archived", "url"]
    assert list(row["properties"]) == ["createdate", "email", "hs_object_id", "lastmodifieddate", "phone"]
    assert row["properties"]["hs_object_id"] == row["id"]
    assert row["properties"]["lastmodifieddate"] == row["updatedAt"]
    assert row["properties"]["createdate"] == row["createdAt"]
    assert row["archived"] is False


DEFAULTS = (
    ("contacts", ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]),
    (
        "deals",
        [
            "amount",
            "closedate",
            "createdate",
            "dealname",
            "dealstage",
            "hs_lastmodifieddate",
            "hs_object_id",
            "pipeline",
        ],
    ),
    ("0-421", ["hs_createdate", "hs_lastmodifieddate", "hs_object_id"]),
    ("2-37778609", ["hs_createdate", "hs_lastmodifieddate", "hs_object_id"]),
)


@pytest.mark.parametrize(("object_type", "names"), DEFAULTS)
def test_without_properties_the_reply_has_the_default_set(shared: Api, object_type: str, names: list[str]) -> None:
    row = shared.get(f"/crm/objects/2026-09/{object_type}", params={"limit": 1}).json()["results"][0]
    assert list(row["properties"]) == names


def test_every_value_is_a_text_or_null_and_about_two_in_five_are_null(shared: Api) -> None:
    names = [p["name"] for p in shared.get("/crm/v3/properties/contacts").json()["results"]]
    assert len(names) == 300
    rows = shared.get("/crm/v3/objects/contacts", params={"limit": 100, "properties": ",".join(names)}).json()[
        "results"
    ]
    values = [value for row in rows for value in row["properties"].values()]
    assert len(values) == 100 * 300
    assert {type(value) for value in values} == {str, type(None)}
    assert 0.3 < sum(value is None for value in values) / len(values) < 0.5


def test_the_truth_equals_the_list(shared: Api) -> None:
    names = ",".join(p["name"] for p in shared.get("/crm/v3/properties/0-421").json()["results"])
    listed = {r["id"]: r["properties"] for r in shared.listed(f"/crm/v3/objects/0-421?limit=100&properties={names}")}
    assert listed == {row["id"]: row["properties"] for row in shared.sandbox.truth("0-421")}
    assert len(listed) == 150


def test_equal_options_give_equal_portals(shared: Api, sandbox_factory: Any) -> None:
    again = sandbox_factory(contacts=700, appointments=150, deals=160, tier="unlimited")
    assert list(again.truth("deals")) == list(shared.sandbox.truth("deals"))
    other = sandbox_factory(contacts=700, appointments=150, deals=160, seed=2, tier="unlimited")
    assert list(other.truth("deals")) != list(shared.sandbox.truth("deals"))


def test_a_page_has_at_most_a_hundred_records_or_fifty_with_history(shared: Api) -> None:
    for query in ("limit=101", "limit=51&propertiesWithHistory=email", "limit=0", "limit=x"):
        reply = shared.get(f"/crm/v3/objects/contacts?{query}")
        assert (reply.status_code, reply.json()["category"]) == (400, "VALIDATION_ERROR"), query
    assert shared.get("/crm/v3/objects/contacts?limit=50&propertiesWithHistory=email").status_code == 200


def test_history_comes_on_request(shared: Api) -> None:
    row = shared.get("/crm/v3/objects/deals?limit=1&propertiesWithHistory=dealname").json()["results"][0]
    assert row["propertiesWithHistory"]["dealname"][0]["value"] == row["properties"]["dealname"]


def test_a_batch_read_returns_existing_records_and_names_the_others(shared: Api) -> None:
    ids = [row["id"] for row in shared.get("/crm/v3/objects/deals?limit=2").json()["results"]]
    inputs = [{"id": id_} for id_ in (*ids, "999")]
    reply = shared.post("/crm/objects/2026-09/0-3/batch/read", {"inputs": inputs, "properties": ["dealname"]})
    body = reply.json()
    assert reply.status_code == 207
    assert [row["id"] for row in body["results"]] == ids
    assert body["numErrors"] == 1
    assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert body["errors"][0]["context"] == {"ids": ["999"]}
    assert "DEAL" in body["errors"][0]["message"]
    whole = shared.post("/crm/objects/2026-09/0-3/batch/read", {"inputs": inputs[:2]})
    assert whole.status_code == 200
    assert "errors" not in whole.json()


def test_a_batch_read_takes_a_hundred_ids_at_most_and_finds_by_email(shared: Api) -> None:
    row = next(r for r in shared.sandbox.truth("contacts") if r["properties"]["email"])
    reply = shared.post(
        "/crm/v3/objects/contacts/batch/read",
        {"inputs": [{"id": row["properties"]["email"]}], "idProperty": "email", "properties": ["email"]},
    ).json()
    assert [r["id"] for r in reply["results"]] == [row["id"]]
    reply = shared.post("/crm/v3/objects/contacts/batch/read", {"inputs": [{"id": "1"}] * 101})
    assert reply.status_code == 400


def test_an_unknown_record_is_404_and_an_unknown_type_400_without_category(shared: Api) -> None:
    missing = shared.get("/crm/v3/objects/contacts/52")
    assert (missing.status_code, missing.json()["category"]) == (404, "OBJECT_NOT_FOUND")
    name = shared.get("/crm/v3/objects/widgets")
    assert (name.status_code, name.json()["message"]) == (400, "Unable to infer object type from: widgets")
    number = shared.get("/crm/objects/2026-09/0-9999")
    assert number.json()["message"] == "Invalid object or event type id: 0-9999"
    assert "category" not in number.json()


def test_requests_past_16200_characters_get_nginx_html(shared: Api) -> None:
    fits = shared.get("/crm/v3/objects/contacts?properties=" + "x" * 16_000)
    assert fits.status_code == 200
    reply = shared.get("/crm/v3/objects/contacts?properties=" + "x" * 16_300)
    assert reply.status_code == 414
    assert reply.headers["content-type"] == "text/html"
    assert "<center>nginx</center>" in reply.text
