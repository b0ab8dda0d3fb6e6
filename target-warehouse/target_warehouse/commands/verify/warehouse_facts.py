"""Facts from the warehouse for a verification: loads, rows, ages, orphans, rejected records."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_warehouse.commands.verify.findings import LATE
from target_warehouse.errors import VerifyError
from target_warehouse.load import load_history, rejected_records
from target_warehouse.tables.statements import chosen_rows, identifier, literal
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_warehouse.engines.protocol import Engine

_SYNC_HISTORY = "sync_history"
_IDS_AT_ONCE = 1_000  # ids per statement
_RUNS = 1_000  # the most runs whose pairs are read
#: The condition that the column `id` is an id of HubSpot: a number of at most 64 bits without leading zeros.
HAS_HUBSPOT_ID = "CAST(id AS VARCHAR) SIMILAR TO '[1-9][0-9]{0,18}'"


@dataclass(frozen=True)
class Load:
    """A stream's table, and the time up to which the last successful run read HubSpot (UTC, without a zone)."""

    stream: str
    schema: str | None
    table: str
    until: dt.datetime | None
    mark: str = DELETED_AT  # the column that marks deleted rows
    read_at: dt.datetime | None = None  # the start of the last run that read the stream, perhaps in part
    types: Mapping[str, str] = field(default_factory=dict)  # the table's columns
    is_mapped: bool = False  # whether the target's stream maps may have given the stream another name

    @property
    def name(self) -> str:
        """The table's quoted name."""
        return identifier(self.schema, self.table)

    @property
    def full_name(self) -> str:
        """Schema and table, joined by a dot."""
        return f"{self.schema or ''}.{self.table}"


@dataclass(frozen=True)
class History:
    """The streams of the tap's history: those that have a table, and those that were read but have none."""

    loads: dict[str, Load]
    missing: dict[str, Load]


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


def history(engine: Engine, schema: str | None) -> History:
    """The streams of the tap's history.

    Raises:
        VerifyError: there is no such history.
    """
    where = schema or "of the database"
    for name in (load_history.TABLE_NAME, _SYNC_HISTORY):
        if not engine.table_exists(schema, name):
            msg = (
                f"There is no table {name} in the schema {where}: load it with tap-hubspot-dw first, or correct the "
                "settings warehouse and default_target_schema."
            )
            raise VerifyError(msg)
    tables = _tables(engine, schema)
    has_maps = _has_stream_maps(engine, schema)
    found, names = History({}, {}), dict[str | None, list[str]]()
    for stream, until, read_at in _streams(engine, schema):
        place, table = tables.get(stream) or (schema, stream)
        if place not in names:
            names[place] = engine.table_names(place)
        types = engine.column_types(place, table) if table in names[place] else {}
        mark = own_column(DELETED_AT, types) or DELETED_AT
        load = Load(stream, place, table, until, mark, read_at, types, stream not in tables and has_maps)
        if types:
            found.loads[stream] = load
        elif read_at:
            found.missing[stream] = load
    return found


def load_of_history(engine: Engine, schema: str | None) -> Load:
    """The table of the history itself."""
    return Load(_SYNC_HISTORY, schema, _SYNC_HISTORY, None, types=engine.column_types(schema, _SYNC_HISTORY))


def _streams(engine: Engine, schema: str | None) -> list[tuple[str, dt.datetime | None, dt.datetime | None]]:
    """The streams of the history: up to when each was read completely, and when the last run began that read it."""
    return engine.query(
        "SELECT stream, max(CASE WHEN status = 'success' AND coalesce(mode, '') <> 'chosen' "  # noqa: S608
        "THEN coalesce(window_until, started_at) END), "
        "max(CASE WHEN status IN ('success', 'partial') AND coalesce(mode, '') <> 'chosen' THEN started_at END) "
        f"FROM {identifier(schema, _SYNC_HISTORY)} GROUP BY stream ORDER BY stream"
    )


def _tables(engine: Engine, schema: str | None) -> dict[str, tuple[str | None, str]]:
    """The schema and the name of the table into which each stream was loaded last."""
    table = identifier(schema, load_history.TABLE_NAME)
    sql = f"SELECT stream, table_schema, table_name FROM {table} ORDER BY started_at"  # noqa: S608 - quoted
    return {stream: (where, name) for stream, where, name in engine.query(sql)}


def _has_stream_maps(engine: Engine, schema: str | None) -> bool:
    """Whether the target's last run had stream maps, which may give a stream another name, or drop it."""
    if "configuration" not in engine.column_types(schema, load_history.TABLE_NAME):
        return False
    last = engine.query(
        f"SELECT configuration FROM {identifier(schema, load_history.TABLE_NAME)} "  # noqa: S608 - quoted
        "WHERE configuration IS NOT NULL ORDER BY started_at DESC LIMIT 1"
    )
    return bool(last and json.loads(last[0][0]).get("stream_maps"))


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


def pairs_read(engine: Engine, schema: str | None, stream: str) -> list[tuple[dt.datetime, list[str]]]:
    """The pairs of associations that the last runs read completely, by start of the run, the newest first.

    Empty if the history is of a release of the tap that did not record pairs.
    """
    if "pairs" not in engine.column_types(schema, _SYNC_HISTORY):
        return []
    runs = engine.query(
        f"SELECT started_at, CAST(pairs AS text) FROM {identifier(schema, _SYNC_HISTORY)} "  # noqa: S608 - quoted
        f"WHERE stream = {literal(stream)} AND pairs IS NOT NULL ORDER BY started_at DESC LIMIT {_RUNS}"
    )
    return [(started_at, list(json.loads(text) or ())) for started_at, text in runs]


def last_run(engine: Engine, schema: str | None) -> dict[str, tuple[str | None, str | None, dt.datetime]]:
    """The mode, status and start of the last run of each stream."""
    runs = engine.query(
        f"SELECT stream, mode, status, started_at FROM {identifier(schema, _SYNC_HISTORY)} "  # noqa: S608 - quoted
        "WHERE coalesce(mode, '') <> 'chosen' ORDER BY started_at"
    )
    return {stream: (mode, status, started_at) for stream, mode, status, started_at in runs}


def permanently_deleted(fresh: Engine, schema: str, load: Load) -> set[str]:
    """The ids of delete records of records that are neither archived nor merged."""
    if not fresh.table_exists(schema, load.table):
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
    if not fresh.table_exists(schema, load.table):
        return {}
    sql = f"SELECT id, updated_at, {identifier(DELETED_AT)} FROM {identifier(schema, load.table)}"  # noqa: S608
    return {str(id_): News(updated_at, deleted_at) for id_, updated_at, deleted_at in fresh.query(sql)}


def changed_since(load: Load, records: Mapping[str, News]) -> set[str]:
    """The ids of records that changed after the last load, or so shortly before it that HubSpot's index may lag."""
    since = (load.until or dt.datetime.max) - LATE
    return {id_ for id_, record in records.items() if record.timestamp >= since}


def totals(fresh: Engine, schema: str) -> dict[str, tuple[int | None, dt.datetime]]:
    """HubSpot's totals by stream, each with the time at which it was read."""
    sql = f"SELECT stream, hubspot_total, started_at FROM {identifier(schema, _SYNC_HISTORY)}"  # noqa: S608
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


def rejected(engine: Engine, schema: str | None) -> dict[str, tuple[int, int]]:
    """For each stream, the numbers of rejected records in all runs and in the last run."""
    if not engine.table_exists(schema, rejected_records.TABLE_NAME):
        return {}
    runs = identifier(schema, load_history.TABLE_NAME)
    last = f"SELECT stream, max(started_at) AS at FROM {runs} GROUP BY stream"  # noqa: S608 - quoted
    sql = (
        f"SELECT r.stream, count(*), count(l.at) FROM {identifier(schema, rejected_records.TABLE_NAME)} AS r "  # noqa: S608
        f"LEFT JOIN {runs} AS h ON h.run_id = r.run_id AND h.stream = r.stream "
        f"LEFT JOIN ({last}) AS l ON l.stream = h.stream AND l.at = h.started_at GROUP BY r.stream"
    )
    return {stream: (total, latest) for stream, total, latest in engine.query(sql)}


def _number(engine: Engine, sql: str) -> int:
    return int(engine.query(sql)[0][0])
