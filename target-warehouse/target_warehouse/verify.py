"""Is the copy true? What the warehouse holds against what HubSpot says now, and against itself.

Totals, a sample of records field by field, the age of every stream, ends of associations, invalid values and rejected
records. What changed in HubSpot after the last load is not a difference: the tap reads it too, and it is counted
apart. HubSpot's index has been seen an hour late, so what was made or deleted in the last hour may be missing in its
totals, and a change of the last hour before a load may not have been found by it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from target_warehouse import verify_rows as rows
from target_warehouse.errors import VerifyError
from target_warehouse.verify_findings import LATE, Choices, Finding, StreamCheck, Verification, finding
from target_warehouse.verify_sample import compared
from target_warehouse.verify_tap import SCHEMA, fresh_copy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from target_warehouse.engines.protocol import Engine
    from target_warehouse.verify_rows import Load


def verify(engine: Engine, schema: str | None, choices: Choices) -> Verification:
    """Check a schema that tap-hubspot-dw and this target fill.

    Raises:
        VerifyError: it cannot be told; the message says why.
    """
    loads = rows.loads(engine, schema)
    if unknown := choices.max_ages.keys() - loads.keys() - {""}:
        msg = f"There is no stream {', '.join(sorted(unknown))} to have an age; there are {', '.join(sorted(loads))}."
        raise VerifyError(msg)
    objects = {stream: load for stream, load in loads.items() if rows.is_of_objects(engine, load)}
    if not objects:
        msg = "There is no table with HubSpot's objects: run the pipeline first, or correct default_target_schema."
        raise VerifyError(msg)
    ids = {stream: rows.sample(engine, load, choices.sample) for stream, load in objects.items()}
    since = min([*(load.until for load in objects.values() if load.until), rows.now()])
    tables = {stream: load.full_name for stream, load in objects.items()}
    with fresh_copy(choices.tap, ids, since, tables, engine) as fresh:
        totals = rows.totals(fresh, SCHEMA)
        asked_at = max((moment for _, moment in totals.values()), default=rows.now())
        found = Verification(asked_at)
        changed: dict[str, set[str]] = {}
        for stream, load in loads.items():
            age = (asked_at - load.until).total_seconds() if load.until else None
            check = StreamCheck(stream, load.until, max(age, 0.0) if age is not None else None)
            found.streams.append(check)
            found.findings += _of_age(check, choices.max_ages)
            if stream in objects:
                news = rows.news(fresh, SCHEMA, load)
                changed[stream] = set(news)
                check.hubspot_total = totals.get(stream, (None,))[0]
                found.findings += _of_total(engine, load, check, news, asked_at)
                found.findings += compared(engine, fresh, load, check, ids[stream], news, choices)
    found.findings += _of_orphans(engine, loads, objects, changed)
    found.findings += _of_values(engine, objects.values())
    found.findings += _of_rejected(engine, schema, loads)
    return found


def _of_age(check: StreamCheck, max_ages: Mapping[str, dt.timedelta | None]) -> list[Finding]:
    most = max_ages.get(check.stream, max_ages[""])
    if most is None:
        return []
    if check.loaded_until is None or check.age_seconds is None:
        return [finding("freshness", check.stream, "no run has read it with success yet.")]
    if check.age_seconds <= most.total_seconds():
        return []
    age = dt.timedelta(seconds=round(check.age_seconds))
    text = f"it shows HubSpot as of {check.loaded_until:%Y-%m-%d %H:%M:%S} UTC, {age} ago; {most} are allowed."
    return [finding("freshness", check.stream, text)]


def _of_total(
    engine: Engine, load: Load, check: StreamCheck, news: Mapping[str, rows.News], asked_at: dt.datetime
) -> list[Finding]:
    """Compare HubSpot's total with the live rows, less what was made and deleted since the last load."""
    check.live_rows = live = rows.count_live(engine, load)
    if check.hubspot_total is None:
        return [Finding("total", load.stream, "HubSpot does not say how many there are.", is_drift=False)]
    there = rows.there(engine, load, list(news))
    new = [id_ for id_, each in news.items() if not each.is_deleted and not (id_ in there and there[id_].is_live)]
    gone = [id_ for id_, each in news.items() if each.is_deleted and id_ in there and there[id_].is_live]
    since = (load.until or asked_at) - LATE
    new = [id_ for id_ in new if news[id_].moment >= since]
    gone = [id_ for id_ in gone if news[id_].moment >= since]
    expected = live + len(new) - len(gone)
    recent = rows.count_recent(engine, load, asked_at - LATE) + len(new) + len(gone)
    off = check.hubspot_total - expected
    if not off:
        return []
    since_then = f" and {len(new):,} made and {len(gone):,} deleted since the last load" if new or gone else ""
    what = f"{off:,} missing" if off > 0 else f"{-off:,} too many"
    is_drift = abs(off) > recent
    late = "" if is_drift else f"; of the last hour are {recent:,} made or deleted, which HubSpot may count late"
    text = (
        f"HubSpot counted {check.hubspot_total:,} at {asked_at:%H:%M:%S} UTC, the warehouse has {live:,} live rows"
        f"{since_then}: {what}{late}."
    )
    return [Finding("total", load.stream, text, is_drift)]


def _of_orphans(
    engine: Engine, loads: Mapping[str, Load], objects: Mapping[str, Load], changed: Mapping[str, set[str]]
) -> list[Finding]:
    found = []
    for load in loads.values():
        if not rows.is_of_associations(engine, load):
            continue
        for stream, each in objects.items():
            missing, marked = rows.orphans(engine, load, each)
            missing -= changed.get(stream, set())
            if missing:
                text = f"associations name {len(missing):,} {stream} that are not in the table."
                found.append(finding("orphans", load.stream, text, missing))
            if marked:
                text = f"associations name {marked:,} deleted {stream}; the next full pass of associations marks them."
                found.append(Finding("orphans", load.stream, text, is_drift=False))
    return found


def _of_values(engine: Engine, objects: Iterable[Load]) -> list[Finding]:
    return [
        Finding("invalid values", load.stream, f"{count:,} live rows have values that do not fit their type.", False)
        for load in objects
        if (count := rows.count_invalid(engine, load))
    ]


def _of_rejected(engine: Engine, schema: str | None, loads: Mapping[str, Load]) -> list[Finding]:
    found = []
    for stream, (total, latest) in rows.rejected(engine, schema).items():
        if latest:
            text = f"its last run rejected {latest:,} records: their rows are old or missing."
            found.append(finding("rejected records", stream, text))
        if total > latest and stream in loads:
            text = f"earlier runs rejected {total - latest:,} records; they are in the table _rejected_records."
            found.append(Finding("rejected records", stream, text, is_drift=False))
    return found


def render(found: Verification) -> str:
    """The verification as text: a line for each stream, then what differs, then what else is worth knowing."""
    heads = ("stream", "as of (UTC)", "age", "live rows", "HubSpot", "read again", "changed since")
    lines = [heads, *(_cells(check) for check in found.streams)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    text = [
        "  ".join(
            c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    for is_drift, head in ((True, "What differs:"), (False, "Worth knowing:")):
        chosen = [each for each in found.findings if each.is_drift is is_drift]
        text += ["", head, *(f"  {each.stream}: {each.text}{_keys(each)}" for each in chosen)] if chosen else []
    count = sum(each.is_drift for each in found.findings)
    text += ["", f"The copy is not true: {count} difference{'s' * (count != 1)}." if count else "The copy is true."]
    return "\n".join(text)


def as_json(found: Verification) -> dict[str, Any]:
    """The verification as one JSON object."""
    return {
        "is_true": found.is_true,
        "asked_at": found.asked_at.isoformat() + "Z",
        "streams": [vars(check) for check in found.streams],
        "findings": [vars(each) for each in found.findings],
    }


def _cells(check: StreamCheck) -> tuple[str, ...]:
    def shown(value: int | None) -> str:
        return "" if value is None else f"{value:,}"

    age = "" if check.age_seconds is None else str(dt.timedelta(seconds=round(check.age_seconds)))
    until = "never" if check.loaded_until is None else f"{check.loaded_until:%Y-%m-%d %H:%M:%S}"
    is_of_objects = check.live_rows is not None
    read = (shown(check.sampled), shown(check.changed_since)) if is_of_objects else ("", "")
    return (check.stream, until, age, shown(check.live_rows), shown(check.hubspot_total), *read)


def _keys(each: Finding) -> str:
    return f" ({', '.join(each.keys)})" if each.keys else ""
