"""Is the copy true? What the warehouse holds against what HubSpot says now, and against itself.

Totals, a sample of records field by field, the age of every stream, ends of associations, invalid values and rejected
records. What changed in HubSpot after the last load is not a difference: the tap reads it too, and it is counted
apart. HubSpot's index has been seen an hour late, so what was made or deleted in the last hour may be missing in its
totals, and a change of the last hour before a load may not have been found by it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_warehouse.commands.verify import association_pairs
from target_warehouse.commands.verify import warehouse_facts as rows
from target_warehouse.commands.verify.findings import Choices, Finding, StreamCheck, Verification, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA, fresh_copy, of_sample
from target_warehouse.commands.verify.sample import compared, wrongly_marked
from target_warehouse.commands.verify.totals import located, of_total
from target_warehouse.errors import VerifyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_warehouse.commands.verify.findings import PairCheck
    from target_warehouse.commands.verify.warehouse_facts import Load
    from target_warehouse.engines.protocol import Engine

#: Ids that the tap is asked for by an environment variable, of which Linux takes 128 KB; over all objects.
_MOST_LIVE, _MOST_MARKED = 4_000, 1_000


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
    asked = _asked(engine, schema, loads, objects, choices.sample)
    since = min([*(load.until for load in objects.values() if load.until), rows.now()])
    tables = {stream: load.full_name for stream, load in {**objects, **asked.links}.items()}
    with fresh_copy(choices.tap, of_sample(asked.ids, since), tables, engine) as fresh:
        totals = rows.totals(fresh, SCHEMA)
        asked_at = max((moment for _, moment in totals.values()), default=rows.now())
        found = Verification(asked_at)
        news = {stream: rows.news(fresh, SCHEMA, load) for stream, load in objects.items()}
        for stream, load in loads.items():
            age = (asked_at - load.until).total_seconds() if load.until else None
            check = StreamCheck(stream, load.until, max(age, 0.0) if age is not None else None)
            found.streams.append(check)
            found.findings += _of_age(check, choices.max_ages)
            if stream in objects:
                check.hubspot_total = totals.get(stream, (None,))[0]
                found.findings += of_total(engine, load, check, news[stream], asked_at)
                found.findings += compared(engine, fresh, load, check, asked.live[stream], news[stream], choices)
                found.findings += wrongly_marked(load, check, asked.marked[stream], news[stream])
            if stream in asked.links:
                pairs = asked.pairs[stream]
                most = choices.max_ages.get(stream, choices.max_ages[""])
                found.pairs += pairs.values()
                found.findings += association_pairs.compared(engine, fresh, load, pairs, asked.ids, news, objects)
                found.findings += association_pairs.of_passes(most, load, pairs, asked_at)
    differing = {each.stream for each in found.findings if each.check == "total" and each.stream in objects}
    off = {stream: objects[stream] for stream in differing if totals.get(stream, (None,))[0] is not None}
    found.findings += located(engine, choices.tap, off)
    found.findings += _of_unfinished(engine, schema, loads)
    changed = {stream: rows.changed_since(load, news[stream]) for stream, load in objects.items()}
    found.findings += _of_orphans(engine, loads, objects, changed)
    found.findings += _of_values(engine, objects.values())
    found.findings += _of_rejected(engine, schema, loads)
    return found


@dataclass(frozen=True)
class _Asked:
    """What HubSpot is asked for: ids of live and of marked rows by stream, and of associations' ends with them."""

    live: Mapping[str, Sequence[str]]
    marked: Mapping[str, Sequence[str]]
    ids: Mapping[str, set[str]]
    links: Mapping[str, Load]
    pairs: Mapping[str, dict[tuple[str, str], PairCheck]]


def _asked(
    engine: Engine, schema: str | None, loads: Mapping[str, Load], objects: Mapping[str, Load], count: int
) -> _Asked:
    each, fewer = (min(count, max(most // len(objects), 1)) for most in (_MOST_LIVE, _MOST_MARKED))
    live = {stream: rows.sample(engine, load, each) for stream, load in objects.items()}
    marked = {stream: rows.sample(engine, load, fewer, is_live=False) for stream, load in objects.items()}
    links = {stream: load for stream, load in loads.items() if rows.is_of_associations(engine, load)}
    pairs = {stream: association_pairs.checks(engine, schema, load) for stream, load in links.items()}
    ends = [
        end
        for stream, load in links.items()
        for end in association_pairs.sample(engine, load, pairs[stream], each, objects)
    ]
    of_ends = association_pairs.ids_of(ends, objects)
    ids = {stream: {*live[stream], *marked[stream], *of_ends.get(stream, ())} for stream in objects}
    return _Asked(live, marked, ids, links, pairs)


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


def _of_unfinished(engine: Engine, schema: str | None, loads: Mapping[str, Load]) -> list[Finding]:
    """A full pass that did not end has marked nothing, and what it did not read is as old as before."""
    return [
        Finding("passes", stream, f"its last full pass, begun at {begun:%Y-%m-%d %H:%M:%S} UTC, did not end.", False)
        for stream, (mode, status, begun) in rows.last_run(engine, schema).items()
        if stream in loads and mode == "full" and status != "success"
    ]


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
