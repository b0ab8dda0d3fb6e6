"""Check the warehouse against HubSpot as it is now, and for consistency.

The check covers totals, a sample of records field by field, the age of every stream, the ends of associations, invalid
values and rejected records. A change in HubSpot after the last load is not a difference: the tap reads such changes
too, and they are counted separately. HubSpot's search index can lag an hour (observed), so its totals may lack records
created or deleted in the last hour, and a load may have missed changes of the hour before it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_warehouse.commands.verify import association_pairs, histories, reference_tables
from target_warehouse.commands.verify import warehouse_facts as rows
from target_warehouse.commands.verify.findings import Choices, Finding, StreamCheck, Verification, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA, fresh_copy, of_sample
from target_warehouse.commands.verify.sample import compared, wrongly_marked
from target_warehouse.commands.verify.stream_tables import lacking_columns, of_keys, of_lacking, of_missing
from target_warehouse.commands.verify.streams import ASSOCIATIONS, REFERENCES, is_of_objects
from target_warehouse.commands.verify.totals import located, of_total
from target_warehouse.errors import VerifyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_warehouse.commands.verify.findings import PairCheck
    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.engines.protocol import Engine

#: The most ids, over all objects, that the tap gets in an environment variable, which Linux limits to 128 KB.
_MOST_LIVE, _MOST_MARKED = 4_000, 1_000


def verify(engine: Engine, schema: str | None, choices: Choices) -> Verification:
    """Check a schema that tap-hubspot-dw and this target load.

    Raises:
        VerifyError: the check is not possible; the message says why.
    """
    history = histories.history(engine, schema)
    known = dict(sorted({**history.loads, **history.missing}.items()))
    if unknown := choices.max_ages.keys() - known.keys() - {""}:
        streams = ", ".join(known)
        msg = f"The option --max-age names no stream of the warehouse: {', '.join(sorted(unknown))}; use {streams}."
        raise VerifyError(msg)
    if not any(map(is_of_objects, known)):
        msg = "There is no table of HubSpot objects: run the pipeline first, or correct default_target_schema."
        raise VerifyError(msg)
    lacking = {stream: names for stream, load in history.loads.items() if (names := lacking_columns(load))}
    loads = {stream: load for stream, load in history.loads.items() if stream not in lacking}
    objects = {stream: load for stream, load in loads.items() if is_of_objects(stream)}
    asked = _asked(engine, schema, loads, objects, choices.sample)
    since = min([*(load.until for load in objects.values() if load.until), rows.now()])
    chosen = of_sample(asked.ids, known.keys() & REFERENCES.keys(), since)
    with fresh_copy(choices.tap, chosen, {stream: load.full_name for stream, load in known.items()}, engine) as fresh:
        result = _compared(engine, fresh, known, loads, asked, choices)
        result.findings += of_missing(fresh, history.missing)
        result.findings += (of_lacking(fresh, known[stream], names) for stream, names in lacking.items())
    totals = {check.stream: check for check in result.streams if check.hubspot_total is not None}
    differing = {finding.stream for finding in result.findings if finding.check == "total"} & totals.keys()
    result.findings += located(engine, choices.tap, {stream: objects[stream] for stream in differing})
    tables = [*history.loads.values(), histories.load_of_history(engine, schema)]
    result.findings += (found for load in tables for found in of_keys(engine, load))
    result.findings += _of_unfinished(engine, schema, known)
    result.findings += _of_values(engine, objects.values())
    result.findings += _of_rejected(engine, schema, known)
    return result


def _compared(
    engine: Engine,
    fresh: Engine,
    known: Mapping[str, Load],
    loads: Mapping[str, Load],
    asked: _Asked,
    choices: Choices,
) -> Verification:
    """Compare every table of `loads` that the tap has read again; the streams `known` include those without a table."""
    read = rows.totals(fresh, SCHEMA)
    asked_at = max((timestamp for _, timestamp in read.values()), default=rows.now())
    result = Verification(asked_at, read=set(read))
    objects = {stream: load for stream, load in loads.items() if is_of_objects(stream)}
    news = {stream: rows.news(fresh, SCHEMA, load) for stream, load in objects.items()}
    for stream, load in known.items():
        age = (asked_at - load.until).total_seconds() if load.until else None
        check = StreamCheck(stream, load.until, max(age, 0.0) if age is not None else None)
        result.streams.append(check)
        result.findings += _of_age(check, choices.max_ages)
        if stream not in loads:
            continue
        check.is_compared = stream in read and bool(fresh.column_types(SCHEMA, load.table))
        if not check.is_compared:
            text = "not compared: the tap does not read it with its settings here."
            result.findings.append(Finding("tables", stream, text, is_drift=False))
        elif stream in objects:
            check.hubspot_total = read[stream][0]
            result.findings += of_total(engine, load, check, news[stream], asked_at)
            result.findings += compared(engine, fresh, load, check, asked.live[stream], news[stream], choices)
            result.findings += wrongly_marked(load, check, asked.marked[stream], news[stream])
        elif stream in REFERENCES:
            of_types = set(filter(is_of_objects, read))
            result.findings += reference_tables.compared(engine, fresh, load, check, of_types, choices)
        else:
            pairs = asked.pairs[stream]
            most = choices.max_ages.get(stream, choices.max_ages[""])
            result.pairs += pairs.values()
            result.findings += association_pairs.compared(engine, fresh, load, pairs, asked.ids, news, objects)
            result.findings += association_pairs.of_passes(most, load, pairs, asked_at)
    changed = {stream: rows.changed_since(load, news[stream]) for stream, load in objects.items()}
    result.findings += _of_orphans(engine, loads, objects, changed)
    return result


@dataclass(frozen=True)
class _Asked:
    """What to read from HubSpot: `ids` has the sampled live and marked rows and the ends of associations, by stream."""

    live: Mapping[str, Sequence[str]]
    marked: Mapping[str, Sequence[str]]
    ids: Mapping[str, set[str]]
    pairs: Mapping[str, dict[tuple[str, str], PairCheck]]


def _asked(
    engine: Engine, schema: str | None, loads: Mapping[str, Load], objects: Mapping[str, Load], count: int
) -> _Asked:
    most_live, most_marked = (min(count, max(most // max(len(objects), 1), 1)) for most in (_MOST_LIVE, _MOST_MARKED))
    live = {stream: rows.sample(engine, load, most_live) for stream, load in objects.items()}
    marked = {stream: rows.sample(engine, load, most_marked, is_live=False) for stream, load in objects.items()}
    links = {stream: load for stream, load in loads.items() if stream == ASSOCIATIONS}
    pairs = {stream: association_pairs.checks(engine, schema, load) for stream, load in links.items()}
    ends = [
        end
        for stream, load in links.items()
        for end in association_pairs.sample(engine, load, pairs[stream], most_live, objects)
    ]
    of_ends = association_pairs.ids_of(ends, objects)
    ids = {stream: {*live[stream], *marked[stream], *of_ends.get(stream, ())} for stream in objects}
    return _Asked(live, marked, ids, pairs)


def _of_age(check: StreamCheck, max_ages: Mapping[str, dt.timedelta | None]) -> list[Finding]:
    most = max_ages.get(check.stream, max_ages[""])
    if most is None:
        return []
    if check.loaded_until is None or check.age_seconds is None:
        return [finding("freshness", check.stream, "no run has read it successfully yet.")]
    if check.age_seconds <= most.total_seconds():
        return []
    age = dt.timedelta(seconds=round(check.age_seconds))
    text = f"it shows HubSpot as of {check.loaded_until:%Y-%m-%d %H:%M:%S} UTC, {age} ago; the limit is {most}."
    return [finding("freshness", check.stream, text)]


def _of_unfinished(engine: Engine, schema: str | None, loads: Mapping[str, Load]) -> list[Finding]:
    """Report unfinished full passes: such a pass marks no deletions, and does not update the rows it did not read."""
    return [
        Finding("passes", stream, f"its last full pass, begun at {begun:%Y-%m-%d %H:%M:%S} UTC, did not finish.", False)
        for stream, (mode, status, begun) in histories.last_run(engine, schema).items()
        if stream in loads and mode == "full" and status != "success"
    ]


def _of_orphans(
    engine: Engine, loads: Mapping[str, Load], objects: Mapping[str, Load], changed: Mapping[str, set[str]]
) -> list[Finding]:
    findings = []
    for load in loads.values():
        if load.stream != ASSOCIATIONS:
            continue
        for stream, objects_load in objects.items():
            missing, marked = rows.orphans(engine, load, objects_load)
            missing -= changed.get(stream, set())
            if missing:
                text = f"associations name {len(missing):,} {stream} that are not in their table."
                findings.append(finding("orphans", load.stream, text, missing))
            if marked:
                text = f"associations name {marked:,} deleted {stream}; the next full pass of associations marks them."
                findings.append(Finding("orphans", load.stream, text, is_drift=False))
    return findings


def _of_values(engine: Engine, objects: Iterable[Load]) -> list[Finding]:
    return [
        Finding("invalid values", load.stream, f"{count:,} live rows have values that do not fit their type.", False)
        for load in objects
        if (count := rows.count_invalid(engine, load))
    ]


def _of_rejected(engine: Engine, schema: str | None, loads: Mapping[str, Load]) -> list[Finding]:
    findings = []
    for stream, (total, latest) in histories.rejected(engine, schema).items():
        if latest:
            text = f"its last run rejected {latest:,} records: their rows are out of date or missing."
            findings.append(finding("rejected records", stream, text))
        if total > latest and stream in loads:
            text = f"earlier runs rejected {total - latest:,} records; they are in the table _rejected_records."
            findings.append(Finding("rejected records", stream, text, is_drift=False))
    return findings
