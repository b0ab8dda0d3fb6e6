"""Properties, schemas, owners, pipelines, account: the reference endpoints on every path family."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from tests.sandbox.conftest import Api

TYPES = {
    "string": {"text", "textarea", "html"},
    "number": {"number", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "enumeration": {"select", "checkbox", "radio"},
    "bool": {"booleancheckbox"},
    "phone_number": {"phonenumber"},
    "object_coordinates": {"text"},
    "json": {"text"},
}


@pytest.mark.parametrize("base", ["/crm/v3/properties", "/crm/properties/2026-03", "/crm/properties/2026-09"])
def test_contacts_have_three_hundred_properties_of_every_type(shared: Api, base: str) -> None:
    rows = shared.get(f"{base}/contacts").json()["results"]
    field_types: dict[str, set[str]] = {}
    for row in rows:
        field_types.setdefault(row["type"], set()).add(row["fieldType"])
    assert field_types == TYPES
    assert len(rows) == len({row["name"] for row in rows}) == 300
    assert min(Counter(row["type"] for row in rows).values()) >= 10
    names = {row["name"] for row in rows}
    assert names >= {"email", "firstname", "hs_merged_object_ids", "hs_calculated_merged_vids", "hubspot_owner_id"}


def test_a_property_is_described_as_hubspot_does(shared: Api) -> None:
    row = shared.get("/crm/v3/properties/deals/dealstage").json()
    assert (row["type"], row["fieldType"], row["externalOptions"], row["hubspotDefined"]) == (
        "enumeration", "radio", True, True,
    )  # fmt: skip
    assert set(row) >= {
        "name", "label", "description", "groupName", "options", "displayOrder", "calculated", "hasUniqueValue",
        "hidden", "formField", "dataSensitivity", "modificationMetadata", "createdAt", "updatedAt", "archived",
    }  # fmt: skip
    owner = shared.get("/crm/v3/properties/contacts/hubspot_owner_id").json()
    assert (owner["referencedObjectType"], owner["options"]) == ("OWNER", [])
    assert shared.get("/crm/v3/properties/deals/nothing").status_code == 404
    assert shared.get("/crm/v3/properties/contacts?dataSensitivity=sensitive").json() == {"results": []}


def test_a_low_share_of_values_is_irregular_as_in_real_portals(shared: Api) -> None:
    """Epoch milliseconds in dates, empty texts, texts in numbers, unknown options, several lines."""
    types = {p["name"]: p for p in shared.get("/crm/v3/properties/contacts").json()["results"]}
    irregular: Counter[str] = Counter()
    total = 0
    for row in shared.sandbox.truth("contacts"):
        for name, value in row["properties"].items():
            total += 1
            options = {option["value"] for option in types[name]["options"]}
            if value == "":
                irregular["empty"] += 1
            elif value and types[name]["type"] == "date" and value.isdigit():
                irregular["epoch"] += 1
            elif value == "N/A":
                irregular["text in a number"] += 1
            elif value and options and not set(value.split(";")) <= options:
                irregular["unknown option"] += 1
            elif value and "\n" in value:
                irregular["lines"] += 1
    assert min(irregular[name] for name in ("empty", "epoch", "text in a number", "unknown option", "lines")) > 0
    assert irregular.total() < total * 0.02


@pytest.mark.sandbox(contacts=300, no_oddities=True, tier="unlimited")
def test_irregular_values_can_be_switched_off(sandbox: object) -> None:
    rows = list(sandbox.truth("contacts"))  # type: ignore[attr-defined]
    assert len(rows) == 300
    assert not [value for row in rows for value in row["properties"].values() if value in ("", "N/A", "removed_option")]


@pytest.mark.parametrize(
    "base", ["/crm/v3/schemas", "/crm-object-schemas/v3/schemas", "/crm-object-schemas/2026-09/schemas"]
)
def test_the_custom_object_has_a_schema_and_the_standard_ones_have_none(shared: Api, base: str) -> None:
    rows = shared.get(base).json()["results"]
    assert [(r["objectTypeId"], r["name"], r["labels"]) for r in rows] == [
        ("2-37778609", "division", {"singular": "Division", "plural": "Divisions"})
    ]
    assert rows[0]["fullyQualifiedName"] == f"p{shared.sandbox.portal_id}_division"
    by_name = shared.get(f"/crm/v3/objects/{rows[0]['fullyQualifiedName']}?limit=1")
    assert by_name.json()["results"] == shared.get("/crm/v3/objects/2-37778609?limit=1").json()["results"]


@pytest.mark.parametrize("base", ["/crm/v3/owners", "/crm/owners/2026-09"])
def test_owners_have_pages_and_archived_ones_a_list_of_their_own(shared: Api, base: str) -> None:
    owners = shared.listed(f"{base}?limit=10")
    assert len(owners) == len({owner["id"] for owner in owners}) == 23
    archived = shared.get(f"{base}?archived=true").json()["results"]
    assert [owner["archived"] for owner in archived] == [True]
    assert shared.get(f"{base}?email={owners[3]['email']}").json()["results"] == [owners[3]]
    referenced = {row["properties"]["hubspot_owner_id"] for row in shared.sandbox.truth("deals")} - {None}
    assert referenced <= {owner["id"] for owner in owners + archived}


@pytest.mark.parametrize("base", ["/crm/v3/pipelines", "/crm/pipelines/2026-09"])
def test_deals_are_in_stages_of_their_own_pipeline(shared: Api, base: str) -> None:
    pipelines = shared.get(f"{base}/deals").json()["results"]
    stages = {row["id"]: {stage["id"] for stage in row["stages"]} for row in pipelines}
    assert len(stages) == 2
    pairs = {(r["properties"]["pipeline"], r["properties"]["dealstage"]) for r in shared.sandbox.truth("deals")}
    assert len(pairs) > 5
    assert all(stage in stages[pipeline] for pipeline, stage in pairs)
    first = pipelines[0]["id"]
    assert shared.get(f"{base}/deals/{first}").json() == pipelines[0]
    assert shared.get(f"{base}/deals/{first}/stages").json()["results"] == pipelines[0]["stages"]


def test_appointments_have_hubspots_properties_and_coherent_times(shared: Api) -> None:
    rows = [row["properties"] for row in shared.sandbox.truth("0-421")]
    assert len(rows[0]) == 120
    assert all(row["hs_appointment_start"] < row["hs_appointment_end"] for row in rows)
    assert {row["hs_appointment_status"] for row in rows} >= {"SCHEDULED", "COMPLETED"}


def test_counts_of_all_types_come_in_one_call(shared: Api) -> None:
    body = shared.get("/crm/limits/2026-09/records").json()
    assert {r["objectTypeId"]: r["usage"] for r in body["hubspotDefinedObjectTypes"]}["0-1"] == 700
    assert body["customObjectTypes"]["byObjectType"][0]["usage"] == 40


@pytest.mark.parametrize("path", ["/properties/v2/contact/properties", "/properties/v1/contacts/properties"])
def test_the_older_properties_paths_give_a_bare_list(shared: Api, path: str) -> None:
    rows = shared.get(path).json()
    assert isinstance(rows, list)
    assert len(rows) == 300
    assert {"name", "type", "fieldType"} <= set(rows[0])


def test_the_account_details_have_the_portal_id(shared: Api) -> None:
    assert shared.get("/account-info/2026-09/details").json()["portalId"] == shared.sandbox.portal_id
    body = {"tokenKey": shared.sandbox.token}
    assert shared.post("/oauth/v2/private-apps/get/access-token-info", body).json()["hubId"] == shared.sandbox.portal_id


def test_every_standard_object_exists_and_may_be_empty(shared: Api) -> None:
    for name in ("calls", "line_items", "0-136", "Notes"):
        assert shared.get(f"/crm/v3/objects/{name}").json() == {"results": []}
        assert "hs_lastmodifieddate" in {p["name"] for p in shared.get(f"/crm/v3/properties/{name}").json()["results"]}


def test_the_first_pipelines_path_has_the_older_names(shared: Api) -> None:
    rows = shared.get("/crm-pipelines/v1/pipelines/deals").json()["results"]
    assert [row["pipelineId"] for row in rows] == ["default", "8412093"]
    assert rows[1]["stages"][0]["stageId"] == "8412094"
    assert isinstance(rows[1]["createdAt"], int)


def test_version_1_deals_and_version_2_companies_page_by_offset(shared: Api) -> None:
    for path, key, more, plural, id_key in (
        ("/deals/v1/deal/paged", "deals", "hasMore", "deals", "dealId"),
        ("/companies/v2/companies/paged", "companies", "has-more", "companies", "companyId"),
    ):
        ids: list[str] = []
        page: dict[str, Any] = {more: True, "offset": 0}
        while page[more]:
            page = shared.get(f"{path}?limit=70&offset={page['offset']}").json()
            ids += [str(row[id_key]) for row in page[key]]
        assert ids == [row["id"] for row in shared.sandbox.truth(plural)]
        assert shared.get(f"{path}?limit=251").status_code == 400
        assert shared.get(f"{path}?offset=x").status_code == 400


def test_a_version_1_value_is_an_object_with_its_versions(shared: Api) -> None:
    truth = next(iter(shared.sandbox.truth("deals")))
    row = shared.get("/deals/v1/deal/paged?limit=1&includeAllProperties=true&includeAssociations=true").json()["deals"][
        0
    ]
    name = row["properties"]["dealname"]
    modified = round(datetime.fromisoformat(truth["updatedAt"]).timestamp() * 1000)
    assert (name["value"], name["timestamp"]) == (truth["properties"]["dealname"], modified)
    assert [version["value"] for version in name["versions"]] == [name["value"]]
    assert row["properties"]["hs_lastmodifieddate"]["value"] == str(modified)
    assert set(row["properties"]) == {key for key, value in truth["properties"].items() if value}
    assert len(row["associations"]["associatedVids"]) > 1
    assert shared.get(f"/deals/v1/deal/{truth['id']}").json()["properties"] == row["properties"]
    assert shared.get("/deals/v1/deal/1").status_code == 404
    company = next(iter(shared.sandbox.truth("companies")))
    reply = shared.get(f"/companies/v2/companies/{company['id']}").json()
    assert reply["properties"]["name"]["value"] == company["properties"]["name"]
    assert set(shared.get("/companies/v2/companies/paged?properties=name").json()["companies"][0]["properties"]) == {
        "name"
    }


def test_version_1_deal_pipelines_say_which_stage_is_won(shared: Api) -> None:
    stages = shared.get("/deals/v1/pipelines").json()[0]["stages"]
    assert [(s["stageId"], s["probability"]) for s in stages if s["closedWon"]] == [("closedwon", 1.0)]


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/email/public/v1/campaigns/by-id", "campaigns"),
        ("GET", "/email/public/v1/events", "events"),
        ("GET", "/email/public/v1/subscriptions/timeline", "timeline"),
        ("GET", "/engagements/v1/engagements/modified/after", "results"),
        ("GET", "/automation/v3/workflows", "workflows"),
        ("POST", "/crm/v3/lists/search", "lists"),
    ],
)
def test_a_portal_without_marketing_answers_empty(shared: Api, method: str, path: str, key: str) -> None:
    reply = shared(method, path, {} if method == "POST" else None).json()
    assert reply[key] == []
    assert not reply.get("hasMore")
    assert shared.get("/forms/v2/forms").json() == []
