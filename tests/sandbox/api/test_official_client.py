"""HubSpot's own Python client, unmodified, against the sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Api

hubspot = pytest.importorskip("hubspot", reason="hubspot-api-client is a development dependency")


@pytest.fixture(scope="module")
def client(shared: Api) -> Any:
    made = hubspot.HubSpot(access_token=shared.sandbox.token)
    made.config["host"] = shared.sandbox.url
    return made


def test_all_contacts_are_listed(client: Any, shared: Api) -> None:
    rows = client.crm.contacts.get_all(properties=["email", "intake_count"])
    truth = {row["id"]: row for row in shared.sandbox.truth("contacts")}
    assert {row.id: row.properties["email"] for row in rows} == {i: t["properties"]["email"] for i, t in truth.items()}
    assert all(row.archived is False for row in rows)
    assert rows[0].updated_at.isoformat().startswith(truth[rows[0].id]["updatedAt"][:19])


def test_pages_and_single_records_are_read(client: Any) -> None:
    page = client.crm.deals.basic_api.get_page(limit=5, properties=["dealname"], associations=["contacts"])
    assert len(page.results) == 5
    assert page.paging.next.after == str(int(page.results[-1].id) + 1)
    assert len(page.results[0].associations["contacts"].results) == 100
    record = client.crm.deals.basic_api.get_by_id(page.results[0].id, properties=["dealname"])
    assert record.properties == page.results[0].properties


def test_custom_and_newer_objects_are_listed_by_type_id(client: Any) -> None:
    assert len(client.crm.objects.basic_api.get_page("2-37778609", limit=100).results) == 40
    assert len(client.crm.objects.basic_api.get_page("0-421", limit=100).results) == 100


def test_search_finds_filters_and_counts(client: Any, shared: Api) -> None:
    from hubspot.crm.contacts import PublicObjectSearchRequest

    request = PublicObjectSearchRequest(
        filter_groups=[{"filters": [{"propertyName": "lifecyclestage", "operator": "EQ", "value": "lead"}]}],
        sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        properties=["lifecyclestage"],
        limit=10,
        after="0",
    )
    reply = client.crm.contacts.search_api.do_search(public_object_search_request=request)
    expected = [r["id"] for r in shared.sandbox.truth("contacts") if r["properties"]["lifecyclestage"] == "lead"]
    assert reply.total == len(expected)
    assert [row.id for row in reply.results] == expected[:10]


def test_batch_reads_with_and_without_missing_ids(client: Any, shared: Api) -> None:
    from hubspot.crm.contacts import BatchReadInputSimplePublicObjectId, SimplePublicObjectId

    ids = [row["id"] for row in shared.sandbox.truth("contacts")][:3]
    request = BatchReadInputSimplePublicObjectId(
        properties=["email"], properties_with_history=[], inputs=[SimplePublicObjectId(id_) for id_ in ids]
    )
    reply = client.crm.contacts.batch_api.read(batch_read_input_simple_public_object_id=request)
    assert [row.id for row in reply.results] == ids
    request.inputs.append(SimplePublicObjectId("7"))
    partly = client.crm.contacts.batch_api.read(batch_read_input_simple_public_object_id=request)
    assert partly.num_errors == 1
    assert partly.errors[0].context == {"ids": ["7"]}


def test_associations_v4_in_batches_and_by_record(client: Any, shared: Api) -> None:
    from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest

    truth = {
        (e["fromId"], int(e["toId"]), e["typeId"])
        for e in shared.sandbox.truth_associations()
        if (e["fromType"], e["toType"]) == ("0-421", "0-1")
    }
    ids = sorted({from_id for from_id, *_ in truth})
    request = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": id_} for id_ in ids])
    reply = client.crm.associations.v4.batch_api.get_page(
        "0-421", "contacts", batch_input_public_fetch_associations_batch_request=request
    )
    read = {
        (row._from.id, int(to.to_object_id), type_.type_id)  # noqa: SLF001 - the client's name, because `from` is a keyword
        for row in reply.results
        for to in row.to
        for type_ in to.association_types
    }
    assert read == truth
    single = client.crm.associations.v4.basic_api.get_page("0-421", ids[0], "contacts", limit=500)
    assert {int(to.to_object_id) for to in single.results} == {b for a, b, _ in truth if a == ids[0]}
    labels = client.crm.associations.v4.schema.definitions_api.get_all("deals", "contacts")
    assert {label.type_id for label in labels.results} == {3, 28, 36}


def test_properties_schemas_owners_and_pipelines(client: Any) -> None:
    properties = client.crm.properties.core_api.get_all("contacts").results
    assert len(properties) == 300
    assert {p.type for p in properties} >= {"string", "number", "date", "datetime", "enumeration", "bool"}
    schemas = client.crm.schemas.core_api.get_all().results
    assert [schema.object_type_id for schema in schemas] == ["2-37778609"]
    assert len(client.crm.owners.get_all()) == 23
    pipelines = client.crm.pipelines.pipelines_api.get_all("deals").results
    assert [pipeline.label for pipeline in pipelines] == ["Sales Pipeline", "Renewals"]
    assert pipelines[0].stages[3].metadata["isClosed"] == "true"


def test_tokens_are_refreshed(client: Any, shared: Api) -> None:
    from hubspot_sandbox.behaviour.tokens import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

    issued = client.oauth.tokens_api.create(
        grant_type="refresh_token", client_id=CLIENT_ID, client_secret=CLIENT_SECRET, refresh_token=REFRESH_TOKEN
    )
    assert issued.expires_in == 1800
    assert shared.get("/crm/v3/owners?limit=1", token=issued.access_token).status_code == 200


def test_errors_arrive_as_the_clients_exceptions(client: Any) -> None:
    from hubspot.crm.contacts.exceptions import ApiException

    with pytest.raises(ApiException) as caught:
        client.crm.contacts.basic_api.get_by_id("7")
    assert caught.value.status == 404
    assert "OBJECT_NOT_FOUND" in caught.value.body
