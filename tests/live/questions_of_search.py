"""Questions about search: its maximum, its index lag, and whether its pages are full."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import MOST_RESULTS, Window, search_body
from tap_hubspot_dw.reading.id_ranges import Range
from tap_hubspot_dw.timestamps import parse_timestamp
from tests.live.api_client import Reply
from tests.live.finding import Finding, NeedsError
from tests.live.survey import Survey

_LOOKBACK_SECONDS = 3600  # the default of lookback_minutes
_PAGES = 4


def too_far(survey: Survey) -> Finding:
    """Ask for the results after the 10,000th, type by type until one answers."""
    asked = []
    for object_type in survey.readable():
        body = {**search_body(object_type.modified_property, None, ["hs_object_id"], Range(0), 200), "after": "9900"}
        reply = _search(survey, object_type, body)
        total = int(reply.body.get("total", 0))
        asked.append(f"{object_type.name}: {reply.summary}" + (f", {total:,} in all" if reply.is_good else ""))
        if reply.is_answer and not reply.is_good:
            return Finding(reply.summary, asked[-1])
        if total > MOST_RESULTS:
            return Finding(f"it is answered, with {len(reply.results)} results of 200", asked[-1])
    raise NeedsError("more than 10,000 records of one type", "; ".join(asked))


def index_lag(survey: Survey) -> Finding:
    """Compare the index with the records: their newest changes, and the newest ids.

    A result has the record's current values, but its place comes from the index. In a search by date, newest first, the
    index lacks the last change of a record that is newer than the results before it. It also lacks records of the list
    above its highest id.
    """
    late: list[float] = []
    newest: list[float] = []
    summaries = []
    for object_type in survey.readable(least=1)[:3]:
        changes = _search(survey, object_type, _newest_first(object_type.modified_property, 200, object_type))
        if not changes.is_good:
            summaries.append(f"{object_type.name}: {changes.summary}")
            continue
        ages = list(_ages(changes, object_type))
        indexed, overtaken = _split(ages)
        if indexed and not _finds_since(survey, object_type, changes.at - timedelta(seconds=indexed[0])):
            overtaken.append(indexed.pop(0))  # its place is from an older change
        newest += indexed[:1]
        unlisted = list(_not_indexed(survey, object_type))
        late += [age for age in (*overtaken, *unlisted) if age >= 1]
        summaries.append(f"{object_type.name}: {len(ages)} looked at, {len(overtaken) + len(unlisted)} not indexed")
    evidence = "; ".join(summaries)
    if late:
        behind = max(late)
        is_covered = behind < _LOOKBACK_SECONDS
        needed = int(behind // 60) + 1
        return Finding(
            f"at least {behind:,.0f} s",
            evidence,
            "" if is_covered else f"SET lookback_minutes WELL ABOVE {needed}: its default of 60 is too little here",
        )
    if newest and min(newest) < _LOOKBACK_SECONDS:
        return Finding(f"nothing is missing; a change {max(min(newest), 0):,.0f} s old is in it", evidence)
    raise NeedsError("a record created or edited within the last hour", evidence)


def _newest_first(property_name: str, limit: int, object_type: ObjectType) -> dict[str, object]:
    sorts = [{"propertyName": property_name, "direction": "DESCENDING"}]
    return {**search_body(property_name, None, [object_type.modified_property], Range(0), limit), "sorts": sorts}


def _ages(reply: Reply, object_type: ObjectType) -> Iterator[float]:
    """Yield the seconds since the last change of every record, in the index's order."""
    for record in reply.results:
        changed = (record.get("properties") or {}).get(object_type.modified_property) or record.get("updatedAt")
        if changed:
            yield _seconds(reply.at, changed)


def _split(ages: list[float]) -> tuple[list[float], list[float]]:
    """Split the ages into those in the right place, and those of changes that the index does not have yet."""
    in_place: list[float] = []
    overtaken: list[float] = []
    for position, age in enumerate(ages):
        is_newer_than_its_predecessor = position > 0 and in_place and age < in_place[-1]
        (overtaken if is_newer_than_its_predecessor else in_place).append(age)
    return in_place, overtaken


def _finds_since(survey: Survey, object_type: ObjectType, since: datetime) -> bool:
    """Return whether the index itself has a change since then."""
    window = Window(since, since + timedelta(days=1))
    body = search_body(object_type.modified_property, window, ["hs_object_id"], Range(0), 1)
    return bool(_search(survey, object_type, body).body.get("total"))


def _not_indexed(survey: Survey, object_type: ObjectType) -> Iterator[float]:
    """Yield the age in seconds of every listed record above the index's highest id."""
    highest = _search(survey, object_type, _newest_first("hs_object_id", 1, object_type)).results
    if not highest:
        return
    above = int(highest[0]["id"])
    parts = {"type": object_type.type_id}
    reply = survey.client.get("list", parts, limit="100", properties="hs_object_id", after=str(above + 1))
    for record in reply.results:
        if int(record["id"]) > above and record.get("createdAt"):
            yield _seconds(reply.at, record["createdAt"])


def _seconds(at: datetime, timestamp: str) -> float:
    return (at - parse_timestamp(timestamp)).total_seconds()


def short_pages(survey: Survey) -> Finding:
    """Read a few small pages by id, each from the last id of the page before."""
    object_types = survey.readable(least=3)
    if not object_types:
        raise NeedsError("three records of one object type")
    object_type = max(object_types, key=lambda candidate: len(survey.ids(candidate)))
    above = pages = short = empty = 0
    for _ in range(_PAGES):
        reply = _search(
            survey, object_type, search_body(object_type.modified_property, None, ["hs_object_id"], Range(above), 2)
        )
        if not reply.is_good or reply.after is None:
            break
        pages += 1
        short += len(reply.results) == 1
        empty += not reply.results
        above = max((int(record["id"]) for record in reply.results), default=above)
    evidence = f"{object_type.name}: {pages} pages with a successor, {short} short, {empty} empty"
    if not pages:
        raise NeedsError("a search with a second page", evidence)
    if short or empty:
        seen = [word for word, count in (("short", short), ("empty", empty)) if count]
        return Finding(f"yes: {' and '.join(seen)}", evidence)
    return Finding("none seen", evidence)


def _search(survey: Survey, object_type: ObjectType, body: dict[str, object]) -> Reply:
    return survey.client.post("search", {"type": object_type.type_id}, body)
