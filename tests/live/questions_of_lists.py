"""Questions about lists, batch reads and properties."""

from __future__ import annotations

from collections.abc import Iterator

from tap_hubspot_dw.object_types import STANDARD_TYPES, ObjectType
from tests.live.api_client import Reply
from tests.live.finding import Finding, NeedsError, checked
from tests.live.survey import Survey

_SURELY_UNUSED_ID = 10**15 + 7
_CURSOR_ALONE = "reads every list by its cursor alone, page after page; an interrupted full pass starts again"


def over_limit(survey: Survey) -> Finding:
    """Ask every endpoint for one more than its maximum."""
    parts = {"type": "0-1"}
    if (object_types := survey.readable(least=1)) and object_types[0].type_id != "0-1":
        parts = {"type": object_types[0].type_id}
    unused = [{"id": str(_SURELY_UNUSED_ID + number)} for number in range(1001)]
    client = survey.client
    replies = {
        "list of 101": (client.get("list", parts, limit="101", properties="hs_object_id"), 100),
        "search of 201": (client.post("search", parts, {"limit": 201, "properties": ["hs_object_id"]}), 200),
        "batch read of 101": (client.post("batch_read", parts, {"inputs": unused[:101]}), 100),
        "associations of 1,001": (
            client.post("associations", parts | {"to": "0-1" if parts["type"] == "0-3" else "0-3"}, {"inputs": unused}),
            1000,
        ),
    }
    checked(*(reply for reply, _ in replies.values()))
    answers = {what: _limited(reply, maximum) for what, (reply, maximum) in replies.items()}
    different = set(answers.values())
    answer = different.pop() if len(different) == 1 else "; ".join(f"{what}: {text}" for what, text in answers.items())
    evidence = "; ".join(
        f"{what}: {reply.summary}, results: {len(reply.results)}" for what, (reply, _) in replies.items()
    )
    return Finding(answer, evidence)


def _limited(reply: Reply, maximum: int) -> str:
    if not reply.is_good:
        return reply.summary
    if len(reply.results) > maximum:
        return "answered in full"
    if reply.after is not None and len(reply.results) == maximum:
        return f"silently cut to {maximum}"
    return "accepted"


def arbitrary_after(survey: Survey) -> Finding:
    """Start a list after one of its middle records, with a cursor that no page returned."""
    object_type = _one_with(survey, 3, "three records of one object type")
    ids = survey.ids(object_type)
    middle = (len(ids) - 1) // 2
    reply = survey.client.get(
        "list", {"type": object_type.type_id}, limit="2", properties="hs_object_id", after=str(ids[middle] + 1)
    )
    checked(reply)
    evidence = f"{reply.summary}, entered behind record {middle + 1} of {len(ids)} {object_type.name}"
    if not reply.is_good:
        return Finding(f"no: {reply.summary}", evidence, _CURSOR_ALONE)
    page = [int(record["id"]) for record in reply.results]
    if page == ids[middle + 1 : middle + 1 + len(page)] and page:
        return Finding("yes: it goes on with the next higher id", evidence, "reads ranges of ids at the same time")
    return Finding("accepted, but the list does not go on there", evidence, _CURSOR_ALONE)


def cursor(survey: Survey) -> Finding:
    """Look at the cursor of a page of two records."""
    object_type = _one_with(survey, 3, "three records of one object type")
    reply = survey.client.get("list", {"type": object_type.type_id}, limit="2", properties="hs_object_id")
    ids = [int(record["id"]) for record in reply.results]
    evidence = (
        f"{reply.summary}, {len(ids)} of {object_type.name}; ids of the first {len(survey.ids(object_type))} "
        + ("ascend" if survey.ids(object_type) == sorted(survey.ids(object_type)) else "do not ascend")
    )
    if reply.after is None or not ids:
        raise NeedsError("a page with a cursor", evidence)
    if reply.after == str(ids[-1] + 1):
        return Finding("yes", evidence, "reads ranges of ids at the same time")
    form = "another number" if reply.after.isdigit() else "an opaque text"
    return Finding(f"no: {form}", evidence, _CURSOR_ALONE)


def batch_order(survey: Survey) -> Finding:
    """Ask for a few records in another order than their ids."""
    object_type = _one_with(survey, 3, "three records of one object type")
    ids = survey.ids(object_type)[:5]
    asked = [ids[place] for place in (2, 0, 4, 1, 3) if place < len(ids)]
    body = {"inputs": [{"id": str(id_)} for id_ in asked], "properties": ["hs_object_id"]}
    reply = survey.client.post("batch_read", {"type": object_type.type_id}, body)
    answered = [int(record["id"]) for record in reply.results]
    evidence = f"{reply.summary}, {len(answered)} of {len(asked)} {object_type.name}"
    if sorted(answered) != sorted(asked):
        raise NeedsError("records that nobody deletes or merges meanwhile", evidence)
    orders = {"as asked": asked, "as asked, reversed": asked[::-1], "by id": sorted(asked)}
    return Finding(next((name for name, order in orders.items() if order == answered), "in another order"), evidence)


def archived(survey: Survey) -> Finding:
    """Ask for an archived record of appointments and of the first custom objects."""
    object_types = [object_type for object_type in survey.readable() if object_type.name not in {"contacts", "deals"}]
    if not object_types:
        raise NeedsError("appointments (object library) or a custom object, and a token that may read them")
    replies = {object_type: survey.archived(object_type) for object_type in object_types}
    checked(*replies.values())
    refused = [object_type.name for object_type, reply in replies.items() if not reply.is_good]
    lacking = [] if STANDARD_TYPES["appointments"] in object_types else ["appointments: not readable here"]
    lacking += (
        []
        if any(object_type.type_id.startswith("2-") for object_type in object_types)
        else ["custom objects: none readable here"]
    )
    answers = [
        f"{object_type.name}: {'yes' if reply.is_good else 'no'}" for object_type, reply in replies.items()
    ] + lacking
    evidence = "; ".join(
        f"{object_type.name}: {reply.summary}, {len(reply.results)} of 1" for object_type, reply in replies.items()
    )
    product = "marks deletions at every run" if not refused else f"{_listed(refused)}: a warning at every run, and "
    return Finding("; ".join(answers), evidence, product + ("deletions show at the next full pass" if refused else ""))


def modified_property(survey: Survey) -> Finding:
    """Look for the property by which the tap searches changes."""
    is_listed = dict(_modified_properties(survey))
    if not is_listed:
        raise NeedsError("an object type whose properties the token may read")
    missing = [name for name, listed in is_listed.items() if not listed]
    evidence = f"{_listed(list(is_listed))}: {len(is_listed) - len(missing)} of {len(is_listed)} have it"
    if not missing:
        return Finding("yes", evidence, "searches changes by it")
    return Finding(
        f"no: not for {_listed(missing)}",
        evidence,
        f"REPORT THIS: {_listed(missing)} end with an error after their full pass; run with --full-refresh",
    )


def _modified_properties(survey: Survey) -> Iterator[tuple[str, bool]]:
    for object_type in survey.readable():
        reply = survey.client.get("properties", {"type": object_type.type_id})
        if reply.is_good:
            yield object_type.name, any(row.get("name") == object_type.modified_property for row in reply.results)


def _one_with(survey: Survey, records: int, needs: str) -> ObjectType:
    """Return the readable type with the most records on its first page."""
    candidates = survey.readable(least=records)
    if not candidates:
        counts = "; ".join(
            f"{object_type.name}: {survey.page(object_type).summary}, {len(survey.ids(object_type))}"
            for object_type in survey.object_types
        )
        raise NeedsError(needs, counts)
    return max(candidates, key=lambda object_type: len(survey.ids(object_type)))


def _listed(names: list[str]) -> str:
    return ", ".join(names)
