"""Open points of search: how far it reaches, how late it is, and whether its pages are full."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import MOST_RESULTS, Window, search_body
from tap_hubspot_dw.reading.id_ranges import Range
from tap_hubspot_dw.timestamps import parse_timestamp
from tests.live.asking import Reply
from tests.live.finding import Finding, NeedsError
from tests.live.survey import Survey

_LOOKBACK_SECONDS = 3600  # the default of lookback_minutes
_PAGES = 4


def too_far(survey: Survey) -> Finding:
    """Ask for the results that follow the 10,000th, of one type after the other until one tells."""
    asked = []
    for kind in survey.readable():
        body = {**search_body(kind.modified_property, None, ["hs_object_id"], Range(0), 200), "after": "9900"}
        reply = _search(survey, kind, body)
        total = int(reply.body.get("total", 0))
        asked.append(f"{kind.name}: {reply.told}" + (f", {total:,} in all" if reply.is_good else ""))
        if reply.is_answer and not reply.is_good:
            return Finding(reply.told, asked[-1])
        if total > MOST_RESULTS:
            return Finding(f"it is answered, with {len(reply.results)} results of 200", asked[-1])
    raise NeedsError("more than 10,000 records of one type", "; ".join(asked))


def index_lag(survey: Survey) -> Finding:
    """Compare the index with the records themselves: their newest changes, and the newest ids.

    A result carries the record's present values, in the place that the index gives it: one that is newer than those
    before it in a search by date, newest first, has changed unnoticed. So has a list's record above the highest id.
    """
    late: list[float] = []
    newest: list[float] = []
    looked = []
    for kind in survey.readable(least=1)[:3]:
        changes = _search(survey, kind, _newest_first(kind.modified_property, 200, kind))
        if not changes.is_good:
            looked.append(f"{kind.name}: {changes.told}")
            continue
        ages = list(_ages(changes, kind))
        indexed, overtaken = _split(ages)
        if indexed and not _finds_since(survey, kind, changes.at - timedelta(seconds=indexed[0])):
            overtaken.append(indexed.pop(0))  # it stands first by an older change
        newest += indexed[:1]
        unlisted = list(_not_indexed(survey, kind))
        late += [each for each in (*overtaken, *unlisted) if each >= 1]
        looked.append(f"{kind.name}: {len(ages)} looked at, {len(overtaken) + len(unlisted)} not indexed")
    evidence = "; ".join(looked)
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


def _newest_first(property_name: str, limit: int, kind: ObjectType) -> dict[str, object]:
    sorts = [{"propertyName": property_name, "direction": "DESCENDING"}]
    return {**search_body(property_name, None, [kind.modified_property], Range(0), limit), "sorts": sorts}


def _ages(reply: Reply, kind: ObjectType) -> Iterator[float]:
    """Yield how many seconds ago each record changed last, in the index's order."""
    for each in reply.results:
        changed = (each.get("properties") or {}).get(kind.modified_property) or each.get("updatedAt")
        if changed:
            yield _seconds(reply.at, changed)


def _split(ages: list[float]) -> tuple[list[float], list[float]]:
    """Return the ages that stand in their place, and those of changes that the index does not know yet."""
    in_place: list[float] = []
    overtaken: list[float] = []
    for position, age in enumerate(ages):
        is_newer_than_the_one_before = position > 0 and in_place and age < in_place[-1]
        (overtaken if is_newer_than_the_one_before else in_place).append(age)
    return in_place, overtaken


def _finds_since(survey: Survey, kind: ObjectType, moment: datetime) -> bool:
    """Tell whether the index itself has a change since then."""
    window = Window(moment, moment + timedelta(days=1))
    body = search_body(kind.modified_property, window, ["hs_object_id"], Range(0), 1)
    return bool(_search(survey, kind, body).body.get("total"))


def _not_indexed(survey: Survey, kind: ObjectType) -> Iterator[float]:
    """Yield how many seconds ago the listed records above the index's highest id were made."""
    highest = _search(survey, kind, _newest_first("hs_object_id", 1, kind)).results
    if not highest:
        return
    above = int(highest[0]["id"])
    parts = {"type": kind.type_id}
    reply = survey.asking.get("list", parts, limit="100", properties="hs_object_id", after=str(above + 1))
    for each in reply.results:
        if int(each["id"]) > above and each.get("createdAt"):
            yield _seconds(reply.at, each["createdAt"])


def _seconds(at: datetime, moment: str) -> float:
    return (at - parse_timestamp(moment)).total_seconds()


def short_pages(survey: Survey) -> Finding:
    """Read a few small pages, each by the ids above the page before."""
    kinds = survey.readable(least=3)
    if not kinds:
        raise NeedsError("three records of one object type")
    kind = max(kinds, key=lambda each: len(survey.ids(each)))
    above = pages = short = empty = 0
    for _ in range(_PAGES):
        reply = _search(survey, kind, search_body(kind.modified_property, None, ["hs_object_id"], Range(above), 2))
        if not reply.is_good or reply.after is None:
            break
        pages += 1
        short += len(reply.results) == 1
        empty += not reply.results
        above = max((int(each["id"]) for each in reply.results), default=above)
    evidence = f"{kind.name}: {pages} pages with a successor, {short} short, {empty} empty"
    if not pages:
        raise NeedsError("a search with a second page", evidence)
    if short or empty:
        seen = [word for word, count in (("short", short), ("empty", empty)) if count]
        return Finding(f"yes: {' and '.join(seen)}", evidence)
    return Finding("none seen", evidence)


def _search(survey: Survey, kind: ObjectType, body: dict[str, object]) -> Reply:
    return survey.asking.post("search", {"type": kind.type_id}, body)
