"""The object endpoints: list, read, batch read, search. Replies are built from ready-made JSON fragments."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

from hubspot_sandbox.api.associations import inline_associations
from hubspot_sandbox.api.call import Call, Reply
from hubspot_sandbox.errors import HubSpotError, not_found, validation
from hubspot_sandbox.portal.property_plan import encode
from hubspot_sandbox.portal.record_states import ARCHIVED, DELETED, LIVE, MERGED
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.search_request import MAX_LIMIT, TooFar, list_in, parse_search, text_of
from hubspot_sandbox.timestamps import iso
from hubspot_sandbox.whole_number import whole_number

LIST_MAX, LIST_MAX_WITH_HISTORY, BATCH_MAX = 100, 50, 100


def limit_of(call: Call, default: int, maximum: int) -> int:
    """Return the `limit` parameter; raise HubSpot's 400 if it is not valid."""
    raw = call.parameter("limit") or str(default)
    asked = whole_number(raw)
    if asked is None or asked < 1:
        raise validation(f"limit must be a positive integer, got {raw[:40]}.", context={"limit": [raw[:40]]})
    allowed = call.sandbox.quirks.checked_limit(asked, maximum)
    if allowed is None:
        message = f"limit must be at most {maximum}, got {raw}."
        raise call.sandbox.quirks.refusal(validation(message, code="INVALID_LIMIT", context={"limit": [raw]}))
    return allowed


def next_link(call: Call, after: str) -> str:
    """Return the absolute link of the next page: this request with another `after`."""
    pairs = [(k, v) for k, v in parse_qsl(call.raw_query, keep_blank_values=True) if k != "after"]
    return f"{call.base_url}{call.path}?{urlencode([*pairs, ('after', after)], safe=',')}"


def _asked(records: Records, names: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return tuple(names) or records.type.default_properties


def _history(records: Records, number: int, names: tuple[str, ...]) -> bytes:
    """`propertiesWithHistory`: this portal keeps only the current version."""
    stamp = iso(records.modified[number])
    history = {
        name: [{"value": value, "timestamp": stamp, "sourceType": "CRM_UI"}] if value is not None else []
        for name in sorted(names)
        if name in records.definitions
        for value in (records.value(number, name),)
    }
    return b',"propertiesWithHistory":' + encode(history)


def _after(call: Call, records: Records) -> int:
    raw = call.parameter("after")
    if not raw:
        return 0
    cursor = call.sandbox.quirks.read_cursor(raw)
    if cursor is None:
        raise validation(f"The after parameter is not valid: {raw[:40]}.", context={"after": [raw[:40]]})
    return records.first_number_from(cursor)


def list_objects(call: Call) -> Reply:
    """GET /crm/objects/{v}/{t}: ascending by id; `after` is the last id plus one; no `paging` on the last page."""
    records = call.sandbox.portal.records[call.object_type().type_id]
    history = call.names("propertiesWithHistory")
    limit = limit_of(call, 10, LIST_MAX_WITH_HISTORY if history else LIST_MAX)
    state = LIVE
    if call.flag("archived"):
        if not call.sandbox.quirks.archived_listable(records.type):
            raise validation(f"Archived objects cannot be listed for type {records.type.type_id}.")
        state = ARCHIVED
        records.drop_expired_archive()
    page: list[int] = []
    more = False
    for number in records.numbers(state, _after(call, records)):
        if len(page) == limit:
            more = True
            break
        page.append(number)
    plan = records.json.plan(_asked(records, call.names("properties")))
    wanted = call.names("associations")
    parts = []
    for number in page:
        extra = _history(records, number, history) if history else b""
        if wanted:
            extra += inline_associations(call, records.type, number, wanted)
        parts.append(records.json.record(number, plan, extra))
    paging = b""
    if more:
        after = call.sandbox.quirks.write_cursor(records.id_of(page[-1]) + 1)
        paging = b',"paging":' + encode({"next": {"after": after, "link": next_link(call, after)}})
    call.sandbox.page_served(records, page)
    return Reply(200, _joined(b'{"results":[', parts, b"]" + paging + b"}"))


def _joined(head: bytes, parts: list[bytes], tail: bytes) -> bytes:
    """Join the parts with commas in one copy, because a page has a megabyte; this changes `parts`."""
    if not parts:
        return head + tail
    parts[0] = head + parts[0]
    parts[-1] += tail
    return b",".join(parts)


def _surviving(records: Records, number: int) -> int:
    while records.state[number] == MERGED:
        number = records.survivor[number]
    return number


def _find(records: Records, raw: str, id_property: str, *, archived: bool) -> int | None:
    """Return the record number of an id; the id of a merged record leads to the survivor."""
    if archived:
        records.drop_expired_archive()
    if id_property and id_property != "hs_object_id":
        for number in records.numbers(ARCHIVED if archived else LIVE):
            if (records.value(number, id_property) or "").lower() == raw.lower():
                return number
        return None
    asked = records.number_of(raw)
    if asked is None or records.state[asked] == DELETED:
        return None
    number = _surviving(records, asked)
    return number if records.state[number] == (ARCHIVED if archived else LIVE) else None


def read_object(call: Call) -> Reply:
    """GET /crm/objects/{v}/{t}/{id}."""
    records = call.sandbox.portal.records[call.object_type().type_id]
    number = _find(records, call.params["id"], call.parameter("idProperty"), archived=call.flag("archived"))
    if number is None:
        raise not_found()
    history = call.names("propertiesWithHistory")
    extra = _history(records, number, history) if history else b""
    wanted = call.names("associations")
    if wanted:
        extra += inline_associations(call, records.type, number, wanted)
    return Reply(200, records.json.record(number, records.json.plan(_asked(records, call.names("properties"))), extra))


def batch_read(call: Call) -> Reply:
    """POST …/batch/read: 200 if all records exist, else 207 with OBJECT_NOT_FOUND; the order is not specified."""
    records = call.sandbox.portal.records[call.object_type().type_id]
    started = iso(call.sandbox.clock.now_ms())
    body = call.json_object()
    history = tuple(map(text_of, list_in(body, "propertiesWithHistory")))
    maximum = LIST_MAX_WITH_HISTORY if history else BATCH_MAX
    inputs = call.inputs(maximum, f"Maximum inputs for this batch request is {maximum}")
    plan = records.json.plan(_asked(records, [text_of(n) for n in list_in(body, "properties")]))
    id_property = text_of(body.get("idProperty"))
    numbers: dict[int, None] = {}  # an ordered set
    missing: list[str] = []
    for item in inputs:
        number = _find(records, text_of(item["id"]), id_property, archived=call.flag("archived"))
        if number is None:
            missing.append(text_of(item["id"]))
        else:
            numbers[number] = None
    parts = [
        records.json.record(n, plan, _history(records, n, history) if history else b"")
        for n in call.sandbox.quirks.batch_order(list(numbers))
    ]
    tail: dict[str, Any] = {}
    if missing:
        message = (
            f"Could not get some {records.type.singular.upper()} objects, they may be deleted or not exist. "
            "Check that ids are valid."
        )
        error = {
            "status": "error",
            "category": "OBJECT_NOT_FOUND",
            "message": message,
            "context": {"ids": missing},
        }
        tail = {"numErrors": 1, "errors": [error]}
    tail |= {"startedAt": started, "completedAt": iso(call.sandbox.clock.now_ms())}
    content = _joined(b'{"status":"COMPLETE","results":[', parts, b"]," + encode(tail)[1:])
    return Reply(207 if missing else 200, content)


def search(call: Call) -> Reply:
    """POST …/search: filters, one sort, `total`, offset paging up to 10,000 rows; only live records."""
    object_type = call.object_type()
    records = call.sandbox.portal.records[object_type.type_id]
    asked = call.json_object()
    if call.sandbox.quirks["over-limit"] == "clamp" and isinstance(asked.get("limit"), int):
        asked["limit"] = min(asked["limit"], MAX_LIMIT)
    try:
        request = parse_search(asked, set(records.definitions))
    except TooFar as error:
        raise call.sandbox.quirks.refusal(error) from None
    if any(
        c.name in (object_type.modified_property, object_type.created_property) and c.value == "0"
        for group in request.groups
        for c in group
    ):
        # Observed: a filter with the value 0 on a timestamp breaks the search.
        raise HubSpotError(500, {"status": "error", "message": "internal error"})
    call.sandbox.search_asked(records)
    total, page = call.sandbox.search_indexes[object_type.type_id].find(request)
    reached = request.offset + request.limit
    if reached < total:
        page = call.sandbox.quirks.short_search_page(page)
    plan = records.json.plan(_asked(records, request.properties or ()))
    parts = [records.json.record(n, plan) for n in page]
    paging = b',"paging":' + encode({"next": {"after": str(reached)}}) if reached < total else b""
    call.sandbox.page_served(records, page)
    return Reply(200, _joined(b'{"total":%d,"results":[' % total, parts, b"]" + paging + b"}"))
