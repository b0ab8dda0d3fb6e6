"""Check that each stream has its table, with the columns it must have, and that no key is doubled or missing.

A load merges rows by the stream's key, so it writes neither two rows with one key nor a row without a key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.commands.verify.findings import Finding, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA
from target_warehouse.commands.verify.streams import is_of_objects, key_of, needed_of
from target_warehouse.commands.verify.warehouse_facts import HAS_HUBSPOT_ID
from target_warehouse.tables.statements import column_list, identifier
from target_warehouse.tables.table import DELETED_AT, METADATA, own_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.engines.protocol import Engine

_MOST_NAMED = 100
_TIMES = ("created_at", "updated_at")


def lacking_columns(load: Load) -> list[str]:
    """The columns that a verification needs and the table does not have, or not as times."""
    lacking = [name for name in needed_of(load.stream) if name not in load.types]
    no_times = [name for name in _TIMES if not load.types.get(name, "timestamp").lower().startswith("timestamp")]
    marks = [] if own_column(DELETED_AT, load.types) else [load.mark]
    return [*lacking, *no_times * is_of_objects(load.stream), *marks]


def of_missing(fresh: Engine, missing: Mapping[str, Load]) -> Iterator[Finding]:
    """Yield a difference for each stream that has no table, although a run has read it and the tap reads it here."""
    for stream, load in missing.items():
        if load.is_mapped:
            text = "not compared: it has no table, and the target's settings have stream maps."
            yield Finding("tables", stream, text, is_drift=False)
        elif fresh.column_types(SCHEMA, load.table):
            run = f"the run of {load.read_at:%Y-%m-%d %H:%M:%S} UTC has read it"
            yield finding("tables", stream, f"there is no table {load.full_name}, although {run}.")


def of_lacking(fresh: Engine, load: Load, lacking: Sequence[str]) -> Finding:
    """The finding for a table that lacks these columns: a difference if the tap and the target write them."""
    in_fresh = fresh.column_types(SCHEMA, load.table)
    names = ", ".join(lacking)
    if in_fresh and not (set(lacking) <= in_fresh.keys()):
        text = f"not compared: the tap does not write {names} with its settings here."
        return Finding("tables", load.stream, text, is_drift=False)
    if lacking == [load.mark] and not set(METADATA) & load.types.keys():
        text = f"not compared: the table was loaded without {names}, by the setting add_record_metadata."
        return Finding("tables", load.stream, text, is_drift=False)
    text = f"the table {load.full_name} has no column {names} as the target makes it, so it was not compared."
    return Finding("tables", load.stream, text, bool(in_fresh), fields=tuple(lacking) if in_fresh else ())


def of_keys(engine: Engine, load: Load) -> Iterator[Finding]:
    """Yield a difference for rows with the same key, for rows without one, and for ids that are not HubSpot's."""
    keys = key_of(load.stream)
    if not set(keys) <= load.types.keys():
        return
    named, where = column_list(keys), f"the table {load.full_name}"
    without = " OR ".join(f"{identifier(key)} IS NULL" for key in keys)
    ((count,),) = engine.query(f"SELECT count(*) FROM {load.name} WHERE {without}")  # noqa: S608 - quoted
    if count:
        yield finding("keys", load.stream, f"{count:,} rows of {where} have no value in {' or '.join(keys)}.")
    doubled = engine.query(
        f"WITH d AS (SELECT {named}, count(*) AS n FROM {load.name} WHERE NOT ({without}) "  # noqa: S608 - quoted
        f"GROUP BY {named} HAVING count(*) > 1) "
        f"SELECT (SELECT count(*) FROM d), (SELECT sum(n) FROM d), {named} FROM d ORDER BY {named} LIMIT {_MOST_NAMED}"
    )
    if doubled:
        keyed, rows = map(int, doubled[0][:2])
        text = f"{rows:,} rows of {where} share {keyed:,} keys: a key must have one row."
        yield finding("keys", load.stream, text, (" ".join(map(str, row[2:])) for row in doubled))
    if is_of_objects(load.stream):
        others = f"FROM {load.name} WHERE NOT ({HAS_HUBSPOT_ID})"
        ((count,),) = engine.query(f"SELECT count(*) {others}")
        if count:
            ids = engine.query(f"SELECT id {others} ORDER BY id LIMIT {_MOST_NAMED}")
            text = f"{count:,} rows of {where} have an id that is not a number, as HubSpot's ids are."
            yield finding("keys", load.stream, text, (str(row[0]) for row in ids))
