"""The association endpoints: batch read, of one record, labels, the legacy v3 batch read; and inline associations."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from hubspot_sandbox.api.call import Call, Reply, json_reply
from hubspot_sandbox.errors import not_found, unknown_type, validation
from hubspot_sandbox.portal.association_types import LABELS
from hubspot_sandbox.portal.object_types import ObjectType
from hubspot_sandbox.portal.property_plan import encode
from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.search_request import text_of
from hubspot_sandbox.timestamps import iso
from hubspot_sandbox.whole_number import whole_number

BATCH_MAX = 1_000
PAGE = 500
INLINE_PAGE = 100


def write_cursor(type_id: str, last_id: int) -> str:
    """Return an opaque cursor: percent-encoded base64, as HubSpot's; clients send it back unchanged."""
    return base64.b64encode(f"0-{type_id}-{last_id}".encode()).decode().replace("=", "%3D")


def read_cursor(cursor: str) -> int | None:
    """Return the id after which the next page starts, None if the text is not a cursor."""
    text = cursor.replace("%3D", "=").replace("%3d", "=")
    try:
        return int(base64.b64decode(text.encode(), validate=True).decode().rsplit("-", 1)[1])
    except (binascii.Error, ValueError, IndexError, UnicodeDecodeError):
        return None


def _one_edge(call: Call, from_type: str, to_type: str, to_id: int, ids: tuple[int, ...]) -> dict[str, Any]:
    table = LABELS[from_type, to_type]
    quirks = call.sandbox.quirks
    return {
        "toObjectId": to_id if quirks.numeric_to_object_id(call.version) else str(to_id),
        "associationTypes": [
            {
                "category": table[i].category,
                "typeId": quirks.shown_type(from_type, to_type, i),
                "label": table[i].label,
            }
            for i in ids
            if i in table
        ],
    }


def _page(
    call: Call, from_type: str, number: int, to_type: str, after: str, size: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of a record's edges and the cursor of the next page."""
    portal = call.sandbox.portal
    edges = list(portal.associations.of(from_type, number, to_type).items())
    to_records = portal.records[to_type]
    if after:
        last = read_cursor(after)
        if last is None:
            raise validation(f"The after cursor is not valid: {after[:40]}.", context={"after": [after[:40]]})
        edges = [(other, ids) for other, ids in edges if to_records.id_of(other) > last]
    page = [_one_edge(call, from_type, to_type, to_records.id_of(other), ids) for other, ids in edges[:size]]
    if len(edges) <= size:
        return page, None
    return page, write_cursor(from_type, to_records.id_of(edges[size - 1][0]))


def _number(call: Call, from_type: str, raw: str) -> int | None:
    records = call.sandbox.portal.records[from_type]
    number = records.number_of(raw)
    return number if number is not None and records.state[number] == LIVE else None


def _inputs(call: Call) -> list[dict[str, Any]]:
    return call.inputs(BATCH_MAX, f"The batch read of associations takes at most {BATCH_MAX} inputs")


def _none_found(call: Call, source: ObjectType, target: ObjectType, raw: str) -> dict[str, Any]:
    error = {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {target.singular} is associated with {source.singular} {raw}.",
        "context": {
            "fromObjectId": [raw],
            "fromObjectType": [source.singular],
            "toObjectType": [target.singular],
        },
    }
    shape = call.sandbox.quirks["association-errors"]
    if shape != "full":
        del error["subCategory"]
    if shape == "own-category":
        error["category"] = "NO_ASSOCIATIONS_FOUND"
    if shape == "message-only":
        del error["context"]
    return error


def _batch_reply(call: Call, results: list[dict[str, Any]], errors: list[dict[str, Any]], started: str) -> Reply:
    body: dict[str, Any] = {"status": "COMPLETE", "results": results}
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    body |= {"startedAt": started, "completedAt": iso(call.sandbox.clock.now_ms())}
    return json_reply(body, 207 if errors else 200)


def batch_read(call: Call) -> Reply:
    """POST …/{from}/{to}/batch/read: up to 500 edges per id and a cursor for more; 207 if some ids have no edges."""
    source, target = call.object_type("from"), call.object_type("to")
    started = iso(call.sandbox.clock.now_ms())
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in _inputs(call):
        raw = text_of(item["id"])
        number = _number(call, source.type_id, raw)
        if number is None:
            if call.sandbox.quirks.dead_id_breaks_batch:
                raise validation(f"Object {raw} of type {source.type_id} does not exist.")
            errors.append(_none_found(call, source, target, raw))
            continue
        edges, after = _page(
            call,
            source.type_id,
            number,
            target.type_id,
            text_of(item.get("after")),
            call.sandbox.quirks.association_page,
        )
        if not edges:
            errors.append(_none_found(call, source, target, raw))
            continue
        result: dict[str, Any] = {"from": {"id": raw}, "to": edges}
        if after:
            result["paging"] = {"next": {"after": after, "link": f"?after={after}"}}
        results.append(result)
    return _batch_reply(call, results, errors, started)


def legacy_batch_read(call: Call) -> Reply:
    """POST /crm/v3/associations/{from}/{to}/batch/read: `to` has ids and type names, a row per association type."""
    source, target = call.object_type("from"), call.object_type("to")
    started = iso(call.sandbox.clock.now_ms())
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in _inputs(call):
        raw = text_of(item["id"])
        number = _number(call, source.type_id, raw)
        names = [] if number is None else _named_edges(call, source, number, target)
        if names:
            results.append({"from": {"id": raw}, "to": names})
        else:
            errors.append(_none_found(call, source, target, raw))
    return _batch_reply(call, results, errors, started)


def _named_edges(call: Call, source: ObjectType, number: int, target: ObjectType) -> list[dict[str, str]]:
    table = LABELS.get((source.type_id, target.type_id), {})
    to_records = call.sandbox.portal.records[target.type_id]
    base = f"{source.singular}_to_{target.singular}"
    named = []
    for other, ids in call.sandbox.portal.associations.of(source.type_id, number, target.type_id).items():
        for type_id in ids:
            label = table[type_id].label
            name = base if label is None else f"{base}_{label.lower().replace(' ', '_')}"
            named.append({"id": str(to_records.id_of(other)), "type": name})
    return named


def inline_associations(call: Call, source: ObjectType, number: int, types: tuple[str, ...]) -> bytes:
    """`,"associations":{…}` of a listed record: at most 100 per type, no type ids; types without edges are left out."""
    associations: dict[str, Any] = {}
    for text in types:
        target = call.sandbox.portal.resolve(text)
        if target is None or (target.custom and text.lower() in (target.plural, target.singular)):
            # Observed: here custom objects must be given by their type id.
            raise unknown_type(text)
        names = _named_edges(call, source, number, target)
        if not names:
            continue
        key = text if target.custom else target.plural
        associations[key] = {"results": names[:INLINE_PAGE]}
        if len(names) > INLINE_PAGE:
            after = write_cursor(source.type_id, int(names[INLINE_PAGE - 1]["id"]))
            record_id = call.sandbox.portal.records[source.type_id].id_of(number)
            link = f"{call.base_url}/crm/v3/objects/{source.plural}/{record_id}/associations/{text}?after={after}"
            associations[key]["paging"] = {"next": {"after": after, "link": link}}
    return b',"associations":' + encode(associations) if associations else b""


def read_one(call: Call) -> Reply:
    """GET …/{t}/{id}/associations/{to}: up to 500 edges a page."""
    source, target = call.object_type(), call.object_type("to")
    number = _number(call, source.type_id, call.params["id"])
    if number is None:
        raise not_found()
    raw_limit = call.parameter("limit") or str(PAGE)
    limit = whole_number(raw_limit)
    if limit is None or not 1 <= limit <= PAGE:
        raise validation(f"limit must be between 1 and {PAGE}, got {raw_limit[:40]}.")
    after = call.parameter("after").replace(" ", "+")
    edges, following = _page(call, source.type_id, number, target.type_id, after, limit)
    body: dict[str, Any] = {"results": edges}
    if following:
        link = f"{call.base_url}{call.path}?limit={raw_limit}&after={following}"
        body["paging"] = {"next": {"after": following, "link": link}}
    return json_reply(body)


def labels(call: Call) -> Reply:
    """GET …/{from}/{to}/labels: every association type of the pair, from the side of the first type."""
    source, target = call.object_type("from"), call.object_type("to")
    table = LABELS.get((source.type_id, target.type_id), {})
    return json_reply(
        {
            "results": [
                {
                    "category": label.category,
                    "typeId": call.sandbox.quirks.shown_type(source.type_id, target.type_id, label.type_id),
                    "label": label.label,
                }
                for label in table.values()
            ]
        }
    )
