"""Compare sampled records with their rows, field by field.

A record that changed in HubSpot after the last load is only counted. A record that changed before it, but whose row
does not show the change, was missed.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from target_warehouse.commands.compare import Side, compare
from target_warehouse.commands.same_json import is_same, parsed
from target_warehouse.commands.verify import warehouse_facts
from target_warehouse.commands.verify.findings import LATE, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA
from target_warehouse.tables.statements import chosen_rows, column_list, identifier
from target_warehouse.tables.table import OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from target_warehouse.commands.comparison import TableDifference
    from target_warehouse.commands.verify.findings import Choices, Finding, StreamCheck
    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.commands.verify.warehouse_facts import News
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
    """Yield the differences between these rows and their records; adds counts to `check`."""
    check.sampled = len(ids)
    since = (load.until or dt.datetime.max) - LATE
    rows = warehouse_facts.rows_of(engine, load, ids)
    kept, missed, dead, gone = (list[str]() for _ in range(4))
    for id_ in ids:
        record, row = news.get(id_), rows[id_]
        if record is None:
            gone.append(id_)
        elif record.is_deleted or (record.updated_at and row.updated_at and record.updated_at > row.updated_at):
            if record.timestamp >= since:
                check.changed_since += 1
            else:
                (dead if record.is_deleted else missed).append(id_)
        else:
            kept.append(id_)
    of = f"of {len(ids):,} records read again"
    for keys, what in (
        (missed, "changed in HubSpot before the last load, but their rows do not show it"),
        (dead, "were archived or merged in HubSpot before the last load, but their rows are live"),
        (gone, "were permanently deleted in HubSpot, but their rows are live; the next full pass marks them"),
    ):
        if keys:
            yield finding("sample", load.stream, f"{len(keys):,} {of} {what}.", keys)
    doubled = warehouse_facts.doubled(engine, load, kept)  # another check reports them
    kept = [id_ for id_ in kept if id_ not in doubled]
    if kept:
        side = Side("the warehouse", engine, load.schema, tuple(kept)), Side("HubSpot", fresh, SCHEMA, tuple(kept))
        comparison = compare(*side, tables=[load.table], excluded=(), keys=["id"], samples=10)
        yield from _of_fields(engine, fresh, load, comparison.tables[0], kept, choices, of)


def wrongly_marked(load: Load, check: StreamCheck, ids: Sequence[str], news: Mapping[str, News]) -> Iterator[Finding]:
    """Yield a finding for rows marked as deleted whose records HubSpot has; adds counts to `check`."""
    since = (load.until or dt.datetime.max) - LATE
    live = [id_ for id_ in ids if id_ in news and not news[id_].is_deleted]
    wrong = [id_ for id_ in live if news[id_].timestamp < since]
    check.sampled_deleted = len(ids)
    check.changed_since += len(live) - len(wrong)
    if wrong:
        text = f"{len(wrong):,} of {len(ids):,} rows marked as deleted belong to records that HubSpot has."
        yield finding("sample", load.stream, text, wrong)


def _of_fields(
    engine: Engine,
    fresh: Engine,
    load: Load,
    difference: TableDifference,
    ids: Sequence[str],
    choices: Choices,
    of: str,
) -> Iterator[Finding]:
    differing = [(c.column, c.rows, c.samples) for c in difference.columns if c.column not in choices.ignored]
    without_column = [name for name in difference.columns_only_in_b if name not in choices.ignored]
    if without_column:
        differing += _of_missing_columns(engine, fresh, load, without_column, ids)
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
    """Yield the properties without a column of their own that differ from the members of the overflow column."""
    where = chosen_rows(mark=None, ids=ids)
    members: dict[str, dict[str, Any]] = {}
    if OVERFLOW in load.types:
        sql = f"SELECT id, CAST({identifier(OVERFLOW)} AS VARCHAR) FROM {load.name}{where}"  # noqa: S608 - quoted
        members = {id_: parsed(text or "{}") for id_, text in engine.query(sql)}
    sql = f"SELECT id, {column_list(columns)} FROM {identifier(SCHEMA, load.table)}{where} ORDER BY id"  # noqa: S608
    rows = fresh.query(sql)
    for place, column in enumerate(columns, 1):
        differing = [
            (f"id={row[0]}", str(kept), str(row[place]))
            for row in rows
            if not _is_same(row[place], kept := members.get(row[0], {}).get(column))
        ]
        if differing:
            yield column, len(differing), differing[:10]


def _is_same(value: Any, member: Any) -> bool:
    """Whether a value equals a member of the overflow column."""
    if value is None or member is None or isinstance(value, bool):
        return value is member
    if isinstance(value, Decimal | int):
        return isinstance(member, Decimal | int) and is_same(member, value)
    if isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(member).astimezone(dt.UTC).replace(tzinfo=None) == value
    if isinstance(value, dt.date):
        return dt.date.fromisoformat(member) == value
    return bool(value == member) or (isinstance(member, dict | list) and is_same(parsed(value), member))
