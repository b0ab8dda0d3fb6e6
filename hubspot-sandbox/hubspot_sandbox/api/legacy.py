"""HubSpot's v1 and v2 endpoints that third-party clients still call: properties, pipelines, deals, companies.

Values are objects with their versions, date-times are epoch milliseconds, and empty properties are left out (observed
in those clients). The endpoints of objects that this portal does not have (campaigns, forms, workflows, lists, e-mail
events, engagements) return empty lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubspot_sandbox.api.call import Call, Reply, json_reply
from hubspot_sandbox.api.objects import limit_of
from hubspot_sandbox.errors import not_found, validation
from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.portal.reference import PIPELINES
from hubspot_sandbox.timestamps import parse_timestamp
from hubspot_sandbox.whole_number import whole_number

_PAGE, _PAGE_MAX = 100, 250

#: endpoint in the request log → its empty reply: the portal has no marketing
NOTHING: dict[str, Any] = {
    "campaigns (v1)": {"campaigns": [], "hasMore": False, "offset": ""},
    "email events (v1)": {"events": [], "hasMore": False, "offset": ""},
    "subscription changes (v1)": {"timeline": [], "hasMore": False, "offset": ""},
    "engagements (v1)": {"results": [], "hasMore": False, "after": 0},
    "forms (v2)": [],
    "workflows (v3)": {"workflows": []},
    "lists search": {"lists": [], "hasMore": False, "offset": 0, "total": 0},
}


def nothing(endpoint: str) -> Callable[[Call], Reply]:
    """Return the handler of an endpoint in `NOTHING`."""

    def handler(_call: Call) -> Reply:
        return json_reply(NOTHING[endpoint])

    return handler


def properties(call: Call) -> Reply:
    """GET /properties/v1|v2/{t}/properties: a bare list, with the old field names."""
    records = call.sandbox.portal.records[call.object_type().type_id]
    return json_reply(
        [
            {
                **{k: v for k, v in d.as_json().items() if k not in ("modificationMetadata", "dataSensitivity")},
                "readOnlyValue": d.calculated,
                "readOnlyDefinition": d.hubspot_defined,
                "mutableDefinitionNotDeletable": False,
                "favorited": False,
                "deleted": False,
                "createdUserId": None,
                "updatedUserId": None,
            }
            for d in records.definitions.values()
        ]
    )


def pipelines(call: Call) -> Reply:
    """GET /crm-pipelines/v1/pipelines/{t}: the old field names, times in epoch milliseconds."""
    object_type = call.object_type()
    rows = [
        {
            "pipelineId": row["id"],
            "label": row["label"],
            "displayOrder": row["displayOrder"],
            "active": True,
            "default": row["displayOrder"] == 0,
            "objectType": object_type.singular.upper(),
            "objectTypeId": object_type.type_id,
            "createdAt": parse_timestamp(row["createdAt"]),
            "updatedAt": parse_timestamp(row["updatedAt"]),
            "stages": [
                {
                    "stageId": stage["id"],
                    "label": stage["label"],
                    "displayOrder": stage["displayOrder"],
                    "metadata": stage["metadata"],
                    "active": True,
                    "createdAt": parse_timestamp(stage["createdAt"]),
                    "updatedAt": parse_timestamp(stage["updatedAt"]),
                }
                for stage in row["stages"]
            ],
        }
        for row in PIPELINES.get(object_type.plural, ())
    ]
    return json_reply({"results": rows})


def deal_pipelines(_call: Call) -> Reply:
    """GET /deals/v1/pipelines: a bare list; stages have `closedWon` and `probability`."""
    return json_reply(
        [
            {
                "pipelineId": row["id"],
                "label": row["label"],
                "displayOrder": row["displayOrder"],
                "active": True,
                "staticDefault": row["id"] == "default",
                "stages": [
                    {
                        "stageId": stage["id"],
                        "label": stage["label"],
                        "displayOrder": stage["displayOrder"],
                        "probability": float(stage["metadata"]["probability"]),
                        "closedWon": stage["metadata"]["probability"] == "1.0",
                        "active": True,
                    }
                    for stage in row["stages"]
                ],
            }
            for row in PIPELINES["deals"]
        ]
    )


def _value(records: Records, name: str, text: str, stamp: int) -> dict[str, Any]:
    if records.definitions[name].type in ("date", "datetime"):
        text = str(parse_timestamp(text) or text)
    version = {"name": name, "value": text, "timestamp": stamp, "source": "CRM_UI", "sourceVid": []}
    return {"value": text, "timestamp": stamp, "source": "CRM_UI", "sourceId": None, "versions": [version]}


def _record(call: Call, records: Records, number: int, names: list[str], id_key: str) -> dict[str, Any]:
    stamp = records.modified[number]
    values = {name: records.value(number, name) for name in names}
    return {
        "portalId": call.sandbox.options.portal.portal_id,
        id_key: records.id_of(number),
        "isDeleted": False,
        "properties": {name: _value(records, name, text, stamp) for name, text in values.items() if text},
    }


def _page(call: Call, records: Records) -> tuple[list[int], dict[str, Any]]:
    """Return the live record numbers from `offset` on, and the next offset."""
    raw = call.parameter("offset") or "0"
    offset = whole_number(raw)
    if offset is None:
        raise validation(f"offset must be a number, got {raw[:40]}.")
    limit = limit_of(call, _PAGE, _PAGE_MAX)
    page: list[int] = []
    for number in records.numbers(LIVE, records.first_number_from(offset)):
        if len(page) == limit:
            return page, {"more": True, "offset": records.id_of(page[-1]) + 1}
        page.append(number)
    return page, {"more": False, "offset": records.id_of(page[-1]) + 1 if page else offset}


def _asked(call: Call, records: Records) -> list[str]:
    return [name for name in call.names("properties") if name in records.definitions]


def _live(call: Call, records: Records) -> int:
    number = records.number_of(call.params["id"])
    if number is None or records.state[number] != LIVE:
        raise not_found()
    return number


def companies(call: Call) -> Reply:
    """GET /companies/v2/companies/paged: up to 250, only the requested properties."""
    records = call.sandbox.portal.records["0-2"]
    page, following = _page(call, records)
    names = _asked(call, records)
    rows = [_company(call, records, number, names) for number in page]
    call.sandbox.page_served(records, page)
    return json_reply({"companies": rows, "has-more": following["more"], "offset": following["offset"]})


def company(call: Call) -> Reply:
    """GET /companies/v2/companies/{id}: every property."""
    records = call.sandbox.portal.records["0-2"]
    return json_reply(_company(call, records, _live(call, records), list(records.definitions)))


def _company(call: Call, records: Records, number: int, names: list[str]) -> dict[str, Any]:
    more: dict[str, Any] = {"additionalDomains": [], "stateChanges": [], "mergeAudits": []}
    return _record(call, records, number, names, "companyId") | more


def deals(call: Call) -> Reply:
    """GET /deals/v1/deal/paged: up to 250; `includeAllProperties`, `includeAssociations`."""
    records = call.sandbox.portal.records["0-3"]
    page, following = _page(call, records)
    names = list(records.definitions) if call.flag("includeAllProperties") else _asked(call, records)
    rows = [_deal(call, records, number, names, edges=call.flag("includeAssociations")) for number in page]
    call.sandbox.page_served(records, page)
    return json_reply({"deals": rows, "hasMore": following["more"], "offset": following["offset"]})


def deal(call: Call) -> Reply:
    """GET /deals/v1/deal/{id}: every property and association."""
    records = call.sandbox.portal.records["0-3"]
    return json_reply(_deal(call, records, _live(call, records), list(records.definitions), edges=True))


def _deal(call: Call, records: Records, number: int, names: list[str], *, edges: bool) -> dict[str, Any]:
    portal = call.sandbox.portal

    def ids(type_id: str) -> list[int]:
        others = portal.associations.of("0-3", number, type_id) if edges else ()
        return [portal.records[type_id].id_of(other) for other in others]

    associations = {"associatedVids": ids("0-1"), "associatedCompanyIds": ids("0-2"), "associatedDealIds": []}
    return _record(call, records, number, names, "dealId") | {"associations": associations, "imports": []}
