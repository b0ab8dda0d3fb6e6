"""Open points of lists, batch reads and properties."""

from __future__ import annotations

from collections.abc import Iterator

from tap_hubspot_dw.object_types import STANDARD_TYPES, ObjectType
from tests.live.asking import Reply
from tests.live.finding import Finding, NeedsError, checked
from tests.live.survey import Survey

_SURELY_UNUSED_ID = 10**15 + 7
_CURSOR_ALONE = "reads each list by its cursor alone, one page after the other; an interrupted full pass begins anew"


def over_limit(survey: Survey) -> Finding:
    """Ask for one more than the maximum of each."""
    parts = {"type": "0-1"}
    if (kinds := survey.readable(least=1)) and kinds[0].type_id != "0-1":
        parts = {"type": kinds[0].type_id}
    unused = [{"id": str(_SURELY_UNUSED_ID + each)} for each in range(1001)]
    asking = survey.asking
    replies = {
        "list of 101": (asking.get("list", parts, limit="101", properties="hs_object_id"), 100),
        "search of 201": (asking.post("search", parts, {"limit": 201, "properties": ["hs_object_id"]}), 200),
        "batch read of 101": (asking.post("batch_read", parts, {"inputs": unused[:101]}), 100),
        "associations of 1,001": (
            asking.post("associations", parts | {"to": "0-1" if parts["type"] == "0-3" else "0-3"}, {"inputs": unused}),
            1000,
        ),
    }
    checked(*(reply for reply, _ in replies.values()))
    answers = {what: _limited(reply, maximum) for what, (reply, maximum) in replies.items()}
    same = set(answers.values())
    told = same.pop() if len(same) == 1 else "; ".join(f"{what}: {said}" for what, said in answers.items())
    evidence = "; ".join(f"{what}: {reply.told}, results: {len(reply.results)}" for what, (reply, _) in replies.items())
    return Finding(told, evidence)


def _limited(reply: Reply, maximum: int) -> str:
    if not reply.is_good:
        return reply.told
    if len(reply.results) > maximum:
        return "answered in full"
    if reply.after is not None and len(reply.results) == maximum:
        return f"silently cut to {maximum}"
    return "accepted"


def arbitrary_after(survey: Survey) -> Finding:
    """Enter a list behind one of its middle records, by a cursor that no page gave."""
    kind = _one_with(survey, 3, "three records of one object type")
    ids = survey.ids(kind)
    middle = (len(ids) - 1) // 2
    reply = survey.asking.get(
        "list", {"type": kind.type_id}, limit="2", properties="hs_object_id", after=str(ids[middle] + 1)
    )
    checked(reply)
    evidence = f"{reply.told}, entered behind record {middle + 1} of {len(ids)} {kind.name}"
    if not reply.is_good:
        return Finding(f"no: {reply.told}", evidence, _CURSOR_ALONE)
    found = [int(each["id"]) for each in reply.results]
    if found == ids[middle + 1 : middle + 1 + len(found)] and found:
        return Finding("yes: it goes on with the next higher id", evidence, "reads ranges of ids at the same time")
    return Finding("accepted, but the list does not go on there", evidence, _CURSOR_ALONE)


def cursor(survey: Survey) -> Finding:
    """Look at the cursor of a page of two."""
    kind = _one_with(survey, 3, "three records of one object type")
    reply = survey.asking.get("list", {"type": kind.type_id}, limit="2", properties="hs_object_id")
    ids = [int(each["id"]) for each in reply.results]
    evidence = f"{reply.told}, {len(ids)} of {kind.name}; ids of the first {len(survey.ids(kind))} " + (
        "ascend" if survey.ids(kind) == sorted(survey.ids(kind)) else "do not ascend"
    )
    if reply.after is None or not ids:
        raise NeedsError("a page with a cursor", evidence)
    if reply.after == str(ids[-1] + 1):
        return Finding("yes", evidence, "reads ranges of ids at the same time")
    form = "another number" if reply.after.isdigit() else "an opaque text"
    return Finding(f"no: {form}", evidence, _CURSOR_ALONE)


def batch_order(survey: Survey) -> Finding:
    """Ask for a few records out of order."""
    kind = _one_with(survey, 3, "three records of one object type")
    ids = survey.ids(kind)[:5]
    asked = [ids[each] for each in (2, 0, 4, 1, 3) if each < len(ids)]
    body = {"inputs": [{"id": str(each)} for each in asked], "properties": ["hs_object_id"]}
    reply = survey.asking.post("batch_read", {"type": kind.type_id}, body)
    found = [int(each["id"]) for each in reply.results]
    evidence = f"{reply.told}, {len(found)} of {len(asked)} {kind.name}"
    if sorted(found) != sorted(asked):
        raise NeedsError("records that nobody deletes or merges meanwhile", evidence)
    orders = {"as asked": asked, "as asked, reversed": asked[::-1], "by id": sorted(asked)}
    return Finding(next((name for name, order in orders.items() if order == found), "in another order"), evidence)


def archived(survey: Survey) -> Finding:
    """Ask for one archived record of appointments and of the first custom objects."""
    kinds = [kind for kind in survey.readable() if kind.name not in {"contacts", "deals"}]
    if not kinds:
        raise NeedsError("appointments (object library) or a custom object, and a token that may read them")
    replies = {kind: survey.archived(kind) for kind in kinds}
    checked(*replies.values())
    refused = [kind.name for kind, reply in replies.items() if not reply.is_good]
    lacking = [] if STANDARD_TYPES["appointments"] in kinds else ["appointments: not readable here"]
    lacking += [] if any(kind.type_id.startswith("2-") for kind in kinds) else ["custom objects: none readable here"]
    answers = [f"{kind.name}: {'yes' if reply.is_good else 'no'}" for kind, reply in replies.items()] + lacking
    evidence = "; ".join(f"{kind.name}: {reply.told}, {len(reply.results)} of 1" for kind, reply in replies.items())
    product = "marks deletions at every run" if not refused else f"{_listed(refused)}: a warning at every run, and "
    return Finding("; ".join(answers), evidence, product + ("deletions show at the next full pass" if refused else ""))


def modified_property(survey: Survey) -> Finding:
    """Look for the property that changes are searched by."""
    found = dict(_modified_properties(survey))
    if not found:
        raise NeedsError("an object type whose properties the token may read")
    missing = [name for name, is_listed in found.items() if not is_listed]
    evidence = f"{_listed(list(found))}: {len(found) - len(missing)} of {len(found)} have it"
    if not missing:
        return Finding("yes", evidence, "searches changes by it")
    return Finding(
        f"no: not for {_listed(missing)}",
        evidence,
        f"REPORT THIS: {_listed(missing)} end with an error after their full pass; run with --full-refresh",
    )


def _modified_properties(survey: Survey) -> Iterator[tuple[str, bool]]:
    for kind in survey.readable():
        reply = survey.asking.get("properties", {"type": kind.type_id})
        if reply.is_good:
            yield kind.name, any(each.get("name") == kind.modified_property for each in reply.results)


def _one_with(survey: Survey, records: int, needs: str) -> ObjectType:
    """Return the readable type with most records on its first page."""
    found = survey.readable(least=records)
    if not found:
        counts = "; ".join(f"{kind.name}: {survey.page(kind).told}, {len(survey.ids(kind))}" for kind in survey.kinds)
        raise NeedsError(needs, counts)
    return max(found, key=lambda kind: len(survey.ids(kind)))


def _listed(names: list[str]) -> str:
    return ", ".join(names)
