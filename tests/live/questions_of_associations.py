"""Open points of associations."""

from __future__ import annotations

from tap_hubspot_dw.object_types import STANDARD_TYPES, ObjectType
from tests.live.asking import Reply, code
from tests.live.finding import Finding, NeedsError, checked
from tests.live.survey import Survey

_SURELY_UNUSED_ID = "1000000000000007"
_NONE_FOUND = "crm.associations.NO_ASSOCIATIONS_FOUND"
_DEALS, _APPOINTMENTS = STANDARD_TYPES["deals"], STANDARD_TYPES["appointments"]


def to_object_id(survey: Survey) -> Finding:
    """Look at the JSON type of every id that came."""
    found = [to["toObjectId"] for edges in survey.edges for result in edges.results for to in result["to"]]
    if not found:
        raise NeedsError("an association among the first records", _counts(survey))
    kinds = sorted({"number" if isinstance(each, int) else "text" for each in found})
    return Finding(" or ".join(kinds), f"{len(found):,} associations, API {survey.asking.version}")


def page_size(survey: Survey) -> Finding:
    """Count the associations of the records that have a cursor for more."""
    results = [result for edges in survey.edges for result in edges.results]
    full = sorted({len(result["to"]) for result in results if result.get("paging")})
    most = max((len(result["to"]) for result in results), default=0)
    evidence = f"{len(results):,} records looked at; most associations of one in a reply: {most:,}"
    if not full:
        raise NeedsError("a record with more associations than a reply holds, among the first of its type", evidence)
    return Finding(f"{full[0]:,}" if len(full) == 1 else f"between {full[0]:,} and {full[-1]:,}", evidence)


def dead_id(survey: Survey) -> Finding:
    """Ask for a live record's associations beside an archived id's and one that never was."""
    kinds = survey.readable(least=1)
    if not kinds:
        raise NeedsError("a record", "no object type has one")
    kind, other, live = _to_ask_for(survey, kinds[0])
    archived = survey.archived(kind).results
    dead = {"never used id": _SURELY_UNUSED_ID}
    if archived:
        dead["archived id"] = str(archived[0]["id"])
    asked = {"type": kind.type_id, "to": other.type_id}
    replies = {
        what: survey.asking.post("associations", asked, {"inputs": [{"id": live}, {"id": each}]})
        for what, each in dead.items()
    }
    checked(*replies.values())
    if all(not reply.is_good for reply in replies.values()):
        alone = survey.asking.post("associations", asked, {"inputs": [{"id": live}]})
        if not alone.is_good:
            raise NeedsError("two object types that HubSpot associates", f"{kind.name} to {other.name}: {alone.told}")
    answers = {what: _survived(reply) for what, reply in replies.items()}
    said = set(answers.values())
    answer = said.pop() if len(said) == 1 else "; ".join(f"{what}: {each}" for what, each in answers.items())
    if "archived id" not in dead:
        answer += " (no archived record to ask for)"
    evidence = "; ".join(
        f"{what}: {reply.told}, results: {len(reply.results)}, errors: {len(_errors(reply))}"
        for what, reply in replies.items()
    )
    return Finding(answer, f"{kind.name} to {other.name}; {evidence}", consequence(list(replies.values())))


def _to_ask_for(survey: Survey, otherwise: ObjectType) -> tuple[ObjectType, ObjectType, str]:
    """Return a pair and a record that has associations; of a type with archived records if there is one."""
    found = [each for each in survey.edges if each.results]
    for edges in [*(each for each in found if survey.archived(each.pair.from_type).results), *found]:
        return edges.pair.from_type, edges.pair.to_type, str(edges.results[0]["from"]["id"])
    other = _DEALS if otherwise != _DEALS else STANDARD_TYPES["contacts"]
    return otherwise, other, str(survey.ids(otherwise)[0])


def _survived(reply: Reply) -> str:
    if not reply.is_good:
        return f"yes: {reply.told}"
    codes = ", ".join(sorted({code(each.get("subCategory") or each.get("category")) for each in _errors(reply)}))
    return f"no: errors of the reply ({codes})" if codes else "no: left out without a word"


def consequence(replies: list[Reply]) -> str:
    """Return what the tap does about a dead id; nothing where that is its default."""
    if any(each.get("subCategory") != _NONE_FOUND for reply in replies for each in _errors(reply)):
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
    """Read the types that HubSpot lists for the pair, in this direction; no record is needed."""
    reply = survey.asking.get("labels", {"type": _DEALS.type_id, "to": _APPOINTMENTS.type_id})
    own = [each for each in reply.results if each.get("category") == "HUBSPOT_DEFINED"]
    evidence = f"{reply.told}, {len(own)} of {len(reply.results)} types are HubSpot's own"
    if not own:
        raise NeedsError("appointments (object library), deals, and a token that may read both", evidence)
    plain = [each for each in own if each.get("label") is None] or own
    return Finding(", ".join(sorted(str(int(each["typeId"])) for each in plain)), evidence)


def _counts(survey: Survey) -> str:
    looked = (f"{each.pair.from_type.name} to {each.pair.to_type.name}: {len(each.results)}" for each in survey.edges)
    return "; ".join(looked) or "no pair of object types with records on both sides"
