"""The reference endpoints: properties, custom-object schemas, owners, pipelines, account details, usage, counts."""

from __future__ import annotations

from typing import Any

from hubspot_sandbox.api.call import Call, Reply, json_reply
from hubspot_sandbox.api.objects import limit_of, next_link
from hubspot_sandbox.errors import not_found, validation
from hubspot_sandbox.portal.association_types import PAIRS
from hubspot_sandbox.portal.definition import NON_SENSITIVE
from hubspot_sandbox.portal.object_types import OBJECT_TYPES, ObjectType
from hubspot_sandbox.portal.property_plan import encode
from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.portal.reference import ARCHIVED_OWNERS, CUSTOM_PIPELINE, OWNERS, PIPELINES
from hubspot_sandbox.timestamps import iso
from hubspot_sandbox.whole_number import whole_number

_BORN = "2022-05-17T11:03:27.641Z"


def properties(call: Call) -> Reply:
    """GET /crm/properties/{v}/{t}: every property, no paging; the portal has no sensitive properties."""
    records = call.sandbox.portal.records[call.object_type().type_id]
    if call.flag("archived") or (call.parameter("dataSensitivity") or NON_SENSITIVE) != NON_SENSITIVE:
        return json_reply({"results": []})
    definitions = [d for d in records.definitions.values() if call.sandbox.quirks.lists(d.name)]
    return json_reply({"results": [definition.as_json() for definition in definitions]})


def one_property(call: Call) -> Reply:
    """GET /crm/properties/{v}/{t}/{name}."""
    records = call.sandbox.portal.records[call.object_type().type_id]
    definition = records.definitions.get(call.params["name"])
    if definition is None:
        raise not_found(f"Property {call.params['name'][:80]} does not exist")
    return json_reply(definition.as_json())


def _schema(call: Call, object_type: ObjectType) -> dict[str, Any]:
    records = call.sandbox.portal.records[object_type.type_id]
    display = f"{object_type.singular}_name"
    return {
        "id": object_type.type_id.split("-")[1],
        "objectTypeId": object_type.type_id,
        "name": object_type.singular,
        "fullyQualifiedName": f"p{call.sandbox.options.portal.portal_id}_{object_type.singular}",
        "labels": {"singular": object_type.label, "plural": object_type.plural_label},
        "primaryDisplayProperty": display,
        "secondaryDisplayProperties": [],
        "requiredProperties": [display],
        "searchableProperties": [display],
        "allowsSensitiveProperties": False,
        "archived": False,
        "metaType": "PORTAL_SPECIFIC",
        "createdAt": _BORN,
        "updatedAt": _BORN,
        "properties": [d.as_json() for d in records.definitions.values()],
        "associations": [
            {
                "id": str(100 + place),
                "fromObjectTypeId": object_type.type_id,
                "toObjectTypeId": pair.left if pair.right == object_type.type_id else pair.right,
                "name": f"{object_type.singular}_to_other_{place}",
                "createdAt": None,
                "updatedAt": None,
            }
            for place, pair in enumerate(PAIRS)
            if object_type.type_id in (pair.left, pair.right)
        ],
    }


def schemas(call: Call) -> Reply:
    """GET /crm-object-schemas/{v}/schemas: custom objects only, no paging."""
    results = [] if call.flag("archived") else [_schema(call, t) for t in OBJECT_TYPES if t.custom]
    return json_reply({"results": results})


def one_schema(call: Call) -> Reply:
    """GET /crm-object-schemas/{v}/schemas/{t}."""
    object_type = call.object_type()
    if not object_type.custom:
        raise validation(f"{call.params['type']} is not a custom object type.")
    return json_reply(_schema(call, object_type))


def owners(call: Call) -> Reply:
    """GET /crm/owners/{v}: 100 owners a page by default, up to 500; `after` is the position of the next page."""
    rows = list(ARCHIVED_OWNERS if call.flag("archived") else OWNERS)
    if call.parameter("email"):
        rows = [o for o in rows if o["email"] == call.parameter("email")]
    limit = limit_of(call, 100, 500)
    raw = call.parameter("after") or "0"
    start = whole_number(raw)
    if start is None:
        raise validation(f"The after parameter is not valid: {raw[:40]}.")
    body = b'{"results":' + encode(rows[start : start + limit])
    if start + limit < len(rows):
        after = str(start + limit)
        body += b',"paging":' + encode({"next": {"after": after, "link": next_link(call, after)}})
    return Reply(200, body + b"}")


def one_owner(call: Call) -> Reply:
    """GET /crm/owners/{v}/{id}."""
    for row in ARCHIVED_OWNERS if call.flag("archived") else OWNERS:
        if row["id"] == call.params["id"]:
            return json_reply(row)
    raise not_found()


def pipelines(call: Call) -> Reply:
    """GET /crm/pipelines/{v}/{t}: no paging; 404 for types without pipelines."""
    object_type = call.object_type()
    if not object_type.has_pipelines and not object_type.custom:
        raise not_found(f"Object type {object_type.type_id} does not support pipelines")
    return json_reply({"results": _pipelines(call)})


def pipeline_stages(call: Call) -> Reply:
    """GET /crm/pipelines/{v}/{t}/{id}/stages."""
    return json_reply({"results": _pipeline(call)["stages"]})


def one_pipeline(call: Call) -> Reply:
    """GET /crm/pipelines/{v}/{t}/{id}."""
    return json_reply(_pipeline(call))


def _pipelines(call: Call) -> list[dict[str, Any]]:
    object_type = call.object_type()
    if object_type.custom and call.sandbox.quirks["custom-pipelines"] == "one":
        return [CUSTOM_PIPELINE]
    return PIPELINES.get(object_type.plural, [])


def _pipeline(call: Call) -> dict[str, Any]:
    for row in _pipelines(call):
        if row["id"] == call.params["id"]:
            return row
    raise not_found()


def account_details(call: Call) -> Reply:
    """GET /account-info/{v}/details."""
    return json_reply(
        {
            "portalId": call.sandbox.options.portal.portal_id,
            "accountType": "STANDARD",
            "timeZone": "US/Eastern",
            "companyCurrency": "USD",
            "additionalCurrencies": [],
            "utcOffset": "-04:00",
            "utcOffsetMilliseconds": -14_400_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }
    )


def daily_usage(call: Call) -> Reply:
    """GET /account-info/{v}/api-usage/daily/private-apps."""
    now = call.sandbox.clock.now_ms()
    limit, used, resets_at = call.sandbox.daily_usage()
    return json_reply(
        {
            "results": [
                {
                    "name": "private-apps-api-calls-daily",
                    "usageLimit": limit,
                    "currentUsage": used,
                    "collectedAt": iso(now),
                    "fetchStatus": "SUCCESS",
                    "resetsAt": iso(resets_at),
                }
            ]
        }
    )


def record_limits(call: Call) -> Reply:
    """GET /crm/limits/{v}/records: the number of records of every type, and its limit."""

    def row(object_type: ObjectType, limit: int) -> dict[str, Any]:
        usage = call.sandbox.portal.records[object_type.type_id].state.count(LIVE)
        return {
            "objectTypeId": object_type.type_id,
            "usage": usage,
            "limit": limit,
            "percentage": round(usage * 100 / limit, 4),
            "singularLabel": object_type.label,
            "pluralLabel": object_type.plural_label,
        }

    custom = [row(t, 1_500_000) for t in OBJECT_TYPES if t.custom]
    overall = sum(r["usage"] for r in custom)
    return json_reply(
        {
            "hubspotDefinedObjectTypes": [row(t, 15_000_000) for t in OBJECT_TYPES if not t.custom],
            "customObjectTypes": {
                "overallLimit": 1_500_000,
                "overallUsage": overall,
                "overallPercentage": round(overall / 15_000, 4),
                "byObjectType": custom,
            },
        }
    )
