"""Compare the small tables completely: owners, pipelines, pipeline stages and properties.

The tap has read their lists again. A record that HubSpot dates after the last load is only counted if it differs.
HubSpot keeps no time of a removal, so a row whose record was removed after the last load is a difference.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from target_warehouse.commands.same_json import is_same_json
from target_warehouse.commands.verify.findings import Finding, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA
from target_warehouse.commands.verify.streams import REFERENCES
from target_warehouse.commands.verify.warehouse_facts import count_live
from target_warehouse.tables.statements import identifier
from target_warehouse.tables.table import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from target_warehouse.commands.verify.findings import Choices, StreamCheck
    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.engines.protocol import Engine

_METADATA = "_sdc_"
_OBJECT_TYPE = "object_type"
_TIMES = ("created_at", "updated_at")
_SHOWN = 10  # keys with values
_JSON = "JSON"
_Key = tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    """A row: whether it is live, and its values as text by column."""

    is_live: bool
    values: Mapping[str, str | None]


def compared(
    engine: Engine, fresh: Engine, load: Load, check: StreamCheck, objects: Collection[str], choices: Choices
) -> Iterator[Finding]:
    """Yield the differences between a table and HubSpot's lists for these objects; adds counts to `check`."""
    key = REFERENCES[load.stream]
    types = fresh.column_types(SCHEMA, load.table)
    columns = [name for name in types if not name.startswith(_METADATA) and name not in (*key, *choices.ignored)]
    records = _rows(fresh, replace(load, schema=SCHEMA, mark=DELETED_AT, types=types), key, columns)
    rows = _rows(engine, load, key, columns)
    check.live_rows, check.hubspot_total, check.sampled = count_live(engine, load), len(records), len(records)
    if key[0] == _OBJECT_TYPE:
        others = [at[0] for at, row in rows.items() if row.is_live and at[0] not in objects]
        rows = {at: row for at, row in rows.items() if at[0] in objects}
        check.unread_rows = len(others)
        if others:
            names = ", ".join(sorted(set(others)))
            text = f"not compared: rows of {names}, which the tap does not read with its settings here."
            yield Finding("references", load.stream, text, is_drift=False)
    of = f"of the {len(records):,} that HubSpot has"
    missing, marked, fields = list[_Key](), list[_Key](), defaultdict[str, list[_Key]](list)
    for at, record in records.items():
        row = rows.get(at)
        differing = _differing(row, record, types) if row and row.is_live else columns
        if not (row and row.is_live and not differing) and _is_new(record, load):
            check.changed_since += 1
        elif row is None or not row.is_live:
            (marked if row else missing).append(at)
        else:
            for name in differing:
                fields[name].append(at)
    extra = [at for at, row in rows.items() if row.is_live and at not in records]
    for keys, text in (
        (missing, f"{len(missing):,} {of} are missing in the table."),
        (marked, f"{len(marked):,} {of} are marked as deleted in the table."),
        (extra, f"{len(extra):,} live rows are not in HubSpot."),
    ):
        if keys:
            yield finding("references", load.stream, text, map(" ".join, keys))
    for name, keys in fields.items():
        yield _of_field(load, name, {at: (rows[at].values[name], records[at].values[name]) for at in keys}, of, choices)


def _of_field(
    load: Load, name: str, values: Mapping[_Key, tuple[str | None, str | None]], of: str, choices: Choices
) -> Finding:
    """The finding for a field that differs; `values` are in the warehouse and in HubSpot, by key."""
    text = f"the field {name} differs in {len(values):,} {of}"
    if not choices.shows_values:
        return finding("references", load.stream, f"{text}.", map(" ".join, values), [name])
    pairs = [f"{' '.join(at)}: {a} in the warehouse, {b} in HubSpot" for at, (a, b) in sorted(values.items())[:_SHOWN]]
    return finding("references", load.stream, f"{text}: {'; '.join(pairs)}.", fields=[name])


def _rows(engine: Engine, load: Load, key: Sequence[str], columns: Sequence[str]) -> dict[_Key, _Row]:
    """All rows by key; the values of columns that the table lacks are None."""
    types = load.types
    texts = [
        engine.dialect.comparable(identifier(name), types[name], as_text=True) if name in types else "NULL"
        for name in (*key, *columns)
    ]
    sql = f"SELECT {identifier(load.mark)} IS NULL, {', '.join(texts)} FROM {load.name}"  # noqa: S608 - quoted
    return {
        tuple(map(str, values[: len(key)])): _Row(bool(is_live), dict(zip(columns, values[len(key) :], strict=True)))
        for is_live, *values in engine.query(sql)
    }


def _differing(row: _Row, record: _Row, types: Mapping[str, str]) -> list[str]:
    return [name for name, value in record.values.items() if not _is_same(row.values[name], value, types[name])]


def _is_same(value: str | None, record: str | None, column_type: str) -> bool:
    """Whether two values are the same."""
    return value == record or (column_type == _JSON and is_same_json(value, record))


def _is_new(record: _Row, load: Load) -> bool:
    """Whether HubSpot made or changed the record after the last load."""
    since = f"{load.until or dt.datetime.max:%Y-%m-%d %H:%M:%S.%f}"
    return any((record.values.get(name) or "") >= since for name in _TIMES)
