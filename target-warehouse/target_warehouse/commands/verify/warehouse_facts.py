"""Facts from the warehouse for a verification: rows, ages, orphans."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_warehouse.commands.verify.findings import LATE
from target_warehouse.commands.verify.histories import SYNC_HISTORY
from target_warehouse.tables.statements import chosen_rows, identifier, literal
from target_warehouse.tables.table import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.engines.protocol import Engine

_IDS_AT_ONCE = 1_000  # ids per statement
#: The condition that the column `id` is an id of HubSpot: a number of at most 64 bits without leading zeros.
HAS_HUBSPOT_ID = "CAST(id AS VARCHAR) SIMILAR TO '[1-9][0-9]{0,18}'"


@dataclass(frozen=True)
class News:
    """The state of a record in HubSpot: when it was changed, or when it was deleted."""

    updated_at: dt.datetime | None
    deleted_at: dt.datetime | None

    @property
    def is_deleted(self) -> bool:
        """Whether the record is archived, or was merged into another."""
        return self.deleted_at is not None

    @property
    def timestamp(self) -> dt.datetime:
        """When the record got this state."""
        return self.deleted_at or self.updated_at or dt.datetime.min


@dataclass(frozen=True)
class Row:
    """What a verification needs of a row."""

    updated_at: dt.datetime | None
    is_live: bool


def now() -> dt.datetime:
    """The current time in UTC without a zone, as in the tables."""
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


def sample(engine: Engine, load: Load, count: int, *, is_live: bool = True) -> list[str]:
    """The ids of `count` random live rows, or of random rows marked as deleted; only ids of HubSpot."""
    if not count:
        return []
    where = f"WHERE {identifier(load.mark)} IS {'' if is_live else 'NOT '}NULL AND {HAS_HUBSPOT_ID}"
    rows = engine.query(f"SELECT id FROM {load.name} {where} ORDER BY random() LIMIT {int(count)}")  # noqa: S608
    return list(dict.fromkeys(str(row[0]) for row in rows))


def live_ids(engine: Engine, load: Load) -> list[str]:
    """The ids of all live rows, without those that are not HubSpot's."""
    rows = engine.query(f"SELECT id FROM {load.name}{chosen_rows(mark=load.mark)} AND {HAS_HUBSPOT_ID}")  # noqa: S608
    return list(dict.fromkeys(str(row[0]) for row in rows))


def doubled(engine: Engine, load: Load, ids: Sequence[str]) -> set[str]:
    """The ids among these that several rows have."""
    found: set[str] = set()
    for at in range(0, len(ids), _IDS_AT_ONCE):
        where = chosen_rows(mark=None, ids=ids[at : at + _IDS_AT_ONCE])
        sql = f"SELECT id FROM {load.name}{where} GROUP BY id HAVING count(*) > 1"  # noqa: S608 - quoted
        found |= {str(row[0]) for row in engine.query(sql)}
    return found


def permanently_deleted(fresh: Engine, schema: str, load: Load) -> set[str]:
    """The ids of delete records of records that are neither archived nor merged."""
    if not fresh.column_types(schema, load.table):
        return set()
    sql = (
        f"SELECT id FROM {identifier(schema, load.table)} WHERE {identifier(DELETED_AT)} IS NOT NULL "  # noqa: S608
        "AND archived_at IS NULL AND merged_into_id IS NULL"
    )
    return {str(row[0]) for row in fresh.query(sql)}


def count_live(engine: Engine, load: Load) -> int:
    """The number of rows that are not marked as deleted."""
    return _number(engine, f"SELECT count(*) FROM {load.name}{chosen_rows(mark=load.mark)}")  # noqa: S608


def count_marked(engine: Engine, load: Load) -> int:
    """The number of rows that are marked as deleted."""
    return _number(engine, f"SELECT count({identifier(load.mark)}) FROM {load.name}")  # noqa: S608 - quoted


def count_recent(engine: Engine, load: Load, since: dt.datetime) -> int:
    """The number of rows whose records were created or deleted in HubSpot since this time."""
    timestamp = f"CAST('{since.isoformat(sep=' ')}' AS timestamp)"
    where = f"created_at >= {timestamp} OR {identifier(load.mark)} >= {timestamp}"
    return _number(engine, f"SELECT count(*) FROM {load.name} WHERE {where}")  # noqa: S608


def count_invalid(engine: Engine, load: Load) -> int:
    """The number of live rows with values that do not fit their type.

    In rows without such values the column is null; target-postgres writes a JSON null.
    """
    if "invalid_properties" not in load.types:
        return 0
    where = f"{chosen_rows(mark=load.mark)} AND CAST(invalid_properties AS text) <> 'null'"
    return _number(engine, f"SELECT count(*) FROM {load.name}{where}")  # noqa: S608


def rows_of(engine: Engine, load: Load, ids: Sequence[str]) -> dict[str, Row]:
    """The rows with these ids, by id."""
    rows: dict[str, Row] = {}
    for at in range(0, len(ids), _IDS_AT_ONCE):
        where = chosen_rows(mark=None, ids=ids[at : at + _IDS_AT_ONCE])
        sql = f"SELECT id, updated_at, {identifier(load.mark)} IS NULL FROM {load.name}{where}"  # noqa: S608
        rows |= {str(id_): Row(updated_at, bool(is_live)) for id_, updated_at, is_live in engine.query(sql)}
    return rows


def news(fresh: Engine, schema: str, load: Load) -> dict[str, News]:
    """The records of a stream that the tap has just read, by id."""
    if not fresh.column_types(schema, load.table):
        return {}
    sql = f"SELECT id, updated_at, {identifier(DELETED_AT)} FROM {identifier(schema, load.table)}"  # noqa: S608
    return {str(id_): News(updated_at, deleted_at) for id_, updated_at, deleted_at in fresh.query(sql)}


def changed_since(load: Load, records: Mapping[str, News]) -> set[str]:
    """The ids of records that changed after the last load, or so shortly before it that HubSpot's index may lag."""
    since = (load.until or dt.datetime.max) - LATE
    return {id_ for id_, record in records.items() if record.timestamp >= since}


def totals(fresh: Engine, schema: str) -> dict[str, tuple[int | None, dt.datetime]]:
    """HubSpot's totals by stream, each with the time at which it was read."""
    sql = f"SELECT stream, hubspot_total, started_at FROM {identifier(schema, SYNC_HISTORY)}"  # noqa: S608
    return {stream: (total, started_at) for stream, total, started_at in fresh.query(sql)}


def orphans(engine: Engine, associations: Load, objects: Load) -> tuple[set[str], int]:
    """The ids of objects that live associations name but that have no row, and the number whose rows are deleted."""
    object_type, live = literal(objects.stream), chosen_rows(mark=associations.mark)
    named = " UNION ".join(
        f"SELECT {end}_id AS id FROM {associations.name}{live} AND {end}_object_type = {object_type}"  # noqa: S608
        for end in ("from", "to")
    )
    missing = f"SELECT n.id FROM ({named}) AS n WHERE NOT EXISTS (SELECT 1 FROM {objects.name} AS o WHERE o.id = n.id)"  # noqa: S608
    marked = (
        f"SELECT count(*) FROM ({named}) AS n JOIN {objects.name} AS o ON o.id = n.id "  # noqa: S608 - quoted
        f"WHERE o.{identifier(objects.mark)} IS NOT NULL"
    )
    return {str(row[0]) for row in engine.query(missing)}, _number(engine, marked)


def _number(engine: Engine, sql: str) -> int:
    return int(engine.query(sql)[0][0])
