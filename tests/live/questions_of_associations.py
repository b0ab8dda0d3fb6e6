"""Questions about associations."""

from __future__ import annotations

from tap_hubspot_dw.object_types import STANDARD_TYPES, ObjectType
from tests.live.api_client import Reply, code
from tests.live.finding import Finding, NeedsError, checked
from tests.live.survey import Survey

_SURELY_UNUSED_ID = "1000000000000007"
_NONE_FOUND = "crm.associations.NO_ASSOCIATIONS_FOUND"
_DEALS, _APPOINTMENTS = STANDARD_TYPES["deals"], STANDARD_TYPES["appointments"]


def to_object_id(survey: Survey) -> Finding:
    """Look at the JSON type of every id in the replies."""
    ids = [to["toObjectId"] for edges in survey.edges for result in edges.results for to in result["to"]]
    if not ids:
        raise NeedsError("an association among the first records", _counts(survey))
    object_types = sorted({"number" if isinstance(id_, int) else "text" for id_ in ids})
    return Finding(" or ".join(object_types), f"{len(ids):,} associations, API {survey.client.version}")


def page_size(survey: Survey) -> Finding:
    """Count the associations in the results that have a cursor for more."""
    results = [result for edges in survey.edges for result in edges.results]
    full = sorted({len(result["to"]) for result in results if result.get("paging")})
    most = max((len(result["to"]) for result in results), default=0)
    evidence = f"{len(results):,} records looked at; most associations of one in a reply: {most:,}"
    if not full:
        raise NeedsError("a record with more associations than a reply holds, among the first of its type", evidence)
    return Finding(f"{full[0]:,}" if len(full) == 1 else f"between {full[0]:,} and {full[-1]:,}", evidence)


def dead_id(survey: Survey) -> Finding:
    """Read the associations of a live record together with an archived id, and with an id that never existed."""
    object_types = survey.readable(least=1)
    if not object_types:
        raise NeedsError("a record", "no object type has one")
    object_type, other, live = _to_ask_for(survey, object_types[0])
    archived = survey.archived(object_type).results
    dead = {"never used id": _SURELY_UNUSED_ID}
    if archived:
        dead["archived id"] = str(archived[0]["id"])
    asked = {"type": object_type.type_id, "to": other.type_id}
    replies = {
        what: survey.client.post("associations", asked, {"inputs": [{"id": live}, {"id": dead_id}]})
        for what, dead_id in dead.items()
    }
    checked(*replies.values())
    if all(not reply.is_good for reply in replies.values()):
        alone = survey.client.post("associations", asked, {"inputs": [{"id": live}]})
        if not alone.is_good:
            raise NeedsError(
                "two object types that HubSpot associates", f"{object_type.name} to {other.name}: {alone.summary}"
            )
    answers = {what: _survived(reply) for what, reply in replies.items()}
    different = set(answers.values())
    answer = different.pop() if len(different) == 1 else "; ".join(f"{what}: {text}" for what, text in answers.items())
    if "archived id" not in dead:
        answer += " (no archived record to ask for)"
    evidence = "; ".join(
        f"{what}: {reply.summary}, results: {len(reply.results)}, errors: {len(_errors(reply))}"
        for what, reply in replies.items()
    )
    return Finding(answer, f"{object_type.name} to {other.name}; {evidence}", consequence(list(replies.values())))


def _to_ask_for(survey: Survey, otherwise: ObjectType) -> tuple[ObjectType, ObjectType, str]:
    """Return a pair and a record that has associations; if possible of a type with archived records."""
    with_results = [edges for edges in survey.edges if edges.results]
    with_archived = [edges for edges in with_results if survey.archived(edges.pair.from_type).results]
    for edges in [*with_archived, *with_results]:
        return edges.pair.from_type, edges.pair.to_type, str(edges.results[0]["from"]["id"])
    other = _DEALS if otherwise != _DEALS else STANDARD_TYPES["contacts"]
    return otherwise, other, str(survey.ids(otherwise)[0])


def _survived(reply: Reply) -> str:
    if not reply.is_good:
        return f"yes: {reply.summary}"
    codes = ", ".join(sorted({code(error.get("subCategory") or error.get("category")) for error in _errors(reply)}))
    return f"no: errors of the reply ({codes})" if codes else "no: silently left out"


def consequence(replies: list[Reply]) -> str:
    """Return what the tap does about an id without a live record, an empty text for its default."""
    if any(error.get("subCategory") != _NONE_FOUND for reply in replies for error in _errors(reply)):
        return "REPORT THIS: the tap ends the pair with an error where an error is not NO_ASSOCIATIONS_FOUND"
    refused = [reply.status for reply in replies if not reply.is_good]
    if not refused:
        return "takes it as a record without associations"
    if set(refused) == {400}:
        return ""
    return "REPORT THIS: the tap ends the pair with an error where the refusal is not HTTP 400"


def _errors(reply: Reply) -> list[dict[str, object]]:
    return reply.body.get("errors") or [] if reply.is_good else []


def deal_to_appointment(survey: Survey) -> Finding:
    """Read the association types that HubSpot lists from deals to appointments; no record is needed."""
    reply = survey.client.get("labels", {"type": _DEALS.type_id, "to": _APPOINTMENTS.type_id})
    own = [row for row in reply.results if row.get("category") == "HUBSPOT_DEFINED"]
    evidence = f"{reply.summary}, {len(own)} of {len(reply.results)} types are HubSpot's own"
    if not own:
        raise NeedsError("appointments (object library), deals, and a token that may read both", evidence)
    plain = [row for row in own if row.get("label") is None] or own
    return Finding(", ".join(sorted(str(int(row["typeId"])) for row in plain)), evidence)


def _counts(survey: Survey) -> str:
    counts = (
        f"{edges.pair.from_type.name} to {edges.pair.to_type.name}: {len(edges.results)}" for edges in survey.edges
    )
    return "; ".join(counts) or "no pair of object types with records on both sides"
