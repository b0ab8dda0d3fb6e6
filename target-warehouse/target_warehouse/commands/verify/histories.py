"""What the histories of the target and of the tap say, for a verification."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_warehouse.errors import VerifyError
from target_warehouse.load import load_history, rejected_records
from target_warehouse.tables.statements import identifier, literal
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_warehouse.engines.protocol import Engine

SYNC_HISTORY = "sync_history"
_RUNS = 1_000  # the most runs whose pairs are read


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


def history(engine: Engine, schema: str | None) -> History:
    """The streams of the tap's history.

    Raises:
        VerifyError: there is no such history.
    """
    where = schema or "of the database"
    for name in (load_history.TABLE_NAME, SYNC_HISTORY):
        if not engine.column_types(schema, name):
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
    return Load(SYNC_HISTORY, schema, SYNC_HISTORY, None, types=engine.column_types(schema, SYNC_HISTORY))


def _streams(engine: Engine, schema: str | None) -> list[tuple[str, dt.datetime | None, dt.datetime | None]]:
    """The streams of the history: up to when each was read completely, and when the last run began that read it."""
    return engine.query(
        "SELECT stream, max(CASE WHEN status = 'success' AND coalesce(mode, '') <> 'chosen' "  # noqa: S608
        "THEN coalesce(window_until, started_at) END), "
        "max(CASE WHEN status IN ('success', 'partial') AND coalesce(mode, '') <> 'chosen' THEN started_at END) "
        f"FROM {identifier(schema, SYNC_HISTORY)} GROUP BY stream ORDER BY stream"
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


def pairs_read(engine: Engine, schema: str | None, stream: str) -> list[tuple[dt.datetime, list[str]]]:
    """The pairs of associations that the last runs read completely, by start of the run, the newest first.

    Empty if the history is of a release of the tap that did not record pairs.
    """
    if "pairs" not in engine.column_types(schema, SYNC_HISTORY):
        return []
    runs = engine.query(
        f"SELECT started_at, CAST(pairs AS text) FROM {identifier(schema, SYNC_HISTORY)} "  # noqa: S608 - quoted
        f"WHERE stream = {literal(stream)} AND pairs IS NOT NULL ORDER BY started_at DESC LIMIT {_RUNS}"
    )
    return [(started_at, list(json.loads(text) or ())) for started_at, text in runs]


def last_run(engine: Engine, schema: str | None) -> dict[str, tuple[str | None, str | None, dt.datetime]]:
    """The mode, status and start of the last run of each stream."""
    runs = engine.query(
        f"SELECT stream, mode, status, started_at FROM {identifier(schema, SYNC_HISTORY)} "  # noqa: S608 - quoted
        "WHERE coalesce(mode, '') <> 'chosen' ORDER BY started_at"
    )
    return {stream: (mode, status, started_at) for stream, mode, status, started_at in runs}


def rejected(engine: Engine, schema: str | None) -> dict[str, tuple[int, int]]:
    """For each stream, the numbers of rejected records in all runs and in the last run."""
    if not engine.column_types(schema, rejected_records.TABLE_NAME):
        return {}
    runs = identifier(schema, load_history.TABLE_NAME)
    last = f"SELECT stream, max(started_at) AS at FROM {runs} GROUP BY stream"  # noqa: S608 - quoted
    sql = (
        f"SELECT r.stream, count(*), count(l.at) FROM {identifier(schema, rejected_records.TABLE_NAME)} AS r "  # noqa: S608
        f"LEFT JOIN {runs} AS h ON h.run_id = r.run_id AND h.stream = r.stream "
        f"LEFT JOIN ({last}) AS l ON l.stream = h.stream AND l.at = h.started_at GROUP BY r.stream"
    )
    return {stream: (total, latest) for stream, total, latest in engine.query(sql)}
