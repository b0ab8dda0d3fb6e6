"""Sampled records against their rows, field by field.

A record that changed in HubSpot after the last load is counted and left out. One that changed before it, and whose row
does not show it, was missed.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from target_warehouse.commands.compare import Side, compare
from target_warehouse.commands.verify import warehouse_facts
from target_warehouse.commands.verify.findings import LATE, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA
from target_warehouse.tables.statements import chosen_rows, column_list, identifier
from target_warehouse.tables.table import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from target_warehouse.commands.compare import TableDifference
    from target_warehouse.commands.verify.findings import Choices, Finding, StreamCheck
    from target_warehouse.commands.verify.warehouse_facts import Load, News
    from target_warehouse.engines.protocol import Engine


def compared(
    engine: Engine,
    fresh: Engine,
    load: Load,
    check: StreamCheck,
    ids: Sequence[str],
    news: Mapping[str, News],
    choices: Choices,
) -> Iterator[Finding]:
    """Yield what differs between these rows and their records; the counts go to `check`."""
    check.sampled = len(ids)
    since = (load.until or dt.datetime.max) - LATE
    there = warehouse_facts.there(engine, load, ids)
    kept, missed, dead, gone = (list[str]() for _ in range(4))
    for id_ in ids:
        record, row = news.get(id_), there[id_]
        if record is None:
            gone.append(id_)
        elif record.is_deleted or (record.updated_at and row.updated_at and record.updated_at > row.updated_at):
            if record.moment >= since:
                check.changed_since += 1
            else:
                (dead if record.is_deleted else missed).append(id_)
        else:
            kept.append(id_)
    of = f"of {len(ids):,} records read again"
    for keys, what in (
        (missed, "changed in HubSpot before the last load, and their rows do not show it"),
        (dead, "were archived or merged in HubSpot before the last load, and their rows are live"),
        (gone, "are gone from HubSpot for good, and their rows are live; the next full pass marks them"),
    ):
        if keys:
            yield finding("sample", load.stream, f"{len(keys):,} {of} {what}.", keys)
    if kept:
        side = Side("the warehouse", engine, load.schema, tuple(kept)), Side("HubSpot", fresh, SCHEMA, tuple(kept))
        found = compare(*side, tables=[load.table], excluded=(), keys=["id"], samples=10)
        yield from _of_fields(engine, fresh, load, found.tables[0], kept, choices, of)


def wrongly_marked(load: Load, check: StreamCheck, ids: Sequence[str], news: Mapping[str, News]) -> Iterator[Finding]:
    """Yield which of these rows, all marked as deleted, are of records that HubSpot has; the counts go to `check`."""
    since = (load.until or dt.datetime.max) - LATE
    live = [id_ for id_ in ids if id_ in news and not news[id_].is_deleted]
    wrong = [id_ for id_ in live if news[id_].moment < since]
    check.sampled_deleted = len(ids)
    check.changed_since += len(live) - len(wrong)
    if wrong:
        text = f"{len(wrong):,} of {len(ids):,} rows marked as deleted are of records that HubSpot has."
        yield finding("sample", load.stream, text, wrong)


def _of_fields(
    engine: Engine,
    fresh: Engine,
    load: Load,
    found: TableDifference,
    ids: Sequence[str],
    choices: Choices,
    of: str,
) -> Iterator[Finding]:
    differing = [(each.column, each.rows, each.samples) for each in found.columns if each.column not in choices.ignored]
    beyond = [name for name in found.columns_only_in_b if name not in choices.ignored]
    if beyond:
        differing += _of_missing_columns(engine, fresh, load, beyond, ids)
    for column, count, samples in differing:
        keys = [key.removeprefix("id=") for key, _, _ in samples]
        text = f"the field {column} differs in {count:,} {of}"
        if choices.shows_values:
            text += ": " + "; ".join(f"{key}: {a} in the warehouse, {b} in HubSpot" for key, a, b in samples)
            yield finding("sample", load.stream, text + ".", fields=[column])
        else:
            yield finding("sample", load.stream, text + ".", keys, [column])


def _of_missing_columns(
    engine: Engine, fresh: Engine, load: Load, columns: Sequence[str], ids: Sequence[str]
) -> Iterator[tuple[str, int, list[tuple[str, str, str]]]]:
    """Yield the properties without a column of their own whose values the overflow column has not, either."""
    where = chosen_rows(mark=None, ids=ids)
    together: dict[str, dict[str, Any]] = {}
    if OVERFLOW in engine.column_types(load.schema, load.table):
        sql = f"SELECT id, CAST({identifier(OVERFLOW)} AS VARCHAR) FROM {load.name}{where}"  # noqa: S608 - quoted
        together = {id_: json.loads(text or "{}", parse_float=Decimal) for id_, text in engine.query(sql)}
    sql = f"SELECT id, {column_list(columns)} FROM {identifier(SCHEMA, load.table)}{where} ORDER BY id"  # noqa: S608
    rows = fresh.query(sql)
    for place, column in enumerate(columns, 1):
        differing = [
            (f"id={row[0]}", str(kept), str(row[place]))
            for row in rows
            if not _is_same(row[place], kept := together.get(row[0], {}).get(column))
        ]
        if differing:
            yield column, len(differing), differing[:10]


def _is_same(value: Any, member: Any) -> bool:
    """Whether a value is what a member of the overflow column says."""
    if value is None or member is None or isinstance(value, bool):
        return value is member
    if isinstance(value, Decimal | int):
        return not isinstance(member, str) and Decimal(member) == value
    if isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(member).astimezone(dt.UTC).replace(tzinfo=None) == value
    if isinstance(value, dt.date):
        return dt.date.fromisoformat(member) == value
    return bool(value == member) or (isinstance(member, dict | list) and json.loads(value) == member)
