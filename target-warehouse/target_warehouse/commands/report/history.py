"""The contents of the warehouse and the outcomes of the last runs, read from its tables.

The target's `_load_history` records what was loaded; the tap's `sync_history`, if it exists, records what was read from
HubSpot. A run of the tap belongs to the first load of its stream that ended after it began, because a load follows its
tap, through a pipe or a file. `text` and `html` render the result of `read`.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from target_warehouse.commands.report.report import Report, ReportedRun, StreamReport, WholeRun, worst
from target_warehouse.errors import ReportError
from target_warehouse.load.load_history import INTERRUPTED, KILLED, RUNNING, SUCCESS, TABLE_NAME
from target_warehouse.shown import shown
from target_warehouse.tables.statements import column_list, identifier
from target_warehouse.tables.table import DELETED_AT, own_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_warehouse.engines.protocol import Engine
    from target_warehouse.load.failed_starts import Note

EXTRACTIONS = "sync_history"
#: The number of runs of a stream in the report.
RUNS = 30

_LOADED = (
    *("stream", "table_schema", "table_name", "run_id", "status", "started_at", "finished_at", "rows_read"),
    *("inserted", "updated", "changed", "deleted", "rejected", "seconds", "bytes", "peak_memory_mb", "error"),
)
_EXTRACTED = (
    *("stream", "run_id", "status", "started_at", "finished_at", "mode", "records", "deletes", "requests", "retries"),
    *("throttled_seconds", "hubspot_total", "daily_limit", "daily_remaining", "bytes_received", "peak_memory_mb"),
    "error",
)
#: A table `sync_history` without these columns is not the tap's.
_NEEDED = {"stream", "run_id", "status", "started_at", "finished_at"}


def read(
    engine: Engine,
    default_schema: str,
    *,
    location: str,
    tables: Sequence[str] = (),
    now: dt.datetime | None = None,
    failed_starts: Sequence[Note] = (),
) -> Report:
    """Read the report of a schema, or of some of its tables.

    Raises:
        ReportError: no run has loaded a table into this schema, or a named table does not exist.
    """
    schema = default_schema or None
    if not engine.column_types(schema, TABLE_NAME):
        msg = (
            f"There is no load history in the schema {default_schema or 'of the database'} yet: run the pipeline "
            "first, or correct the settings warehouse and default_target_schema."
        )
        raise ReportError(msg)
    loads = _history(engine, schema, TABLE_NAME, _LOADED, ("table_schema", "table_name"))
    taps: dict[str, list[dict[str, Any]]] = defaultdict(list)
    types = engine.column_types(schema, EXTRACTIONS)
    if types.keys() >= _NEEDED and types["started_at"].lower().startswith("timestamp"):
        for row in _history(engine, schema, EXTRACTIONS, _EXTRACTED, ("stream",)):
            taps[row["stream"]].append(row)
    by_table: dict[tuple[str | None, str], list[dict[str, Any]]] = defaultdict(list)
    for row in loads:
        by_table[row["table_schema"], row["table_name"]].append(row)
    streams, whole = [], _WholeRuns()
    for (where, name), rows in sorted(by_table.items(), key=lambda item: (item[0][0] or "", item[0][1])):
        if tables and name not in tables:
            continue
        stream = rows[-1]["stream"]
        live, deleted = _count(engine, where, name)
        pairs = _paired(rows, taps.pop(stream, []))
        streams.append(_report(stream, ".".join(filter(None, (where, name))), live, deleted, pairs))
        whole.add(stream, pairs, streams[-1].runs)
    for stream, rows in sorted(taps.items()):  # a stream that was never loaded is reported if it failed
        if rows[-1]["status"] != SUCCESS and (not tables or stream in tables):
            pairs = [(None, row) for row in rows]
            streams.append(_report(stream, ".".join(filter(None, (schema, stream))), 0, 0, pairs))
            whole.add(stream, pairs, streams[-1].runs)
    if missing := [name for name in tables if name not in {report.table.rpartition(".")[2] for report in streams}]:
        names = sorted({name for _, name in by_table})
        msg = f"No run has loaded a table {', '.join(missing)}; there are {', '.join(names) or 'none'}."
        raise ReportError(msg)
    if not streams:
        msg = f"No run has loaded a table into the schema {default_schema or 'of the database'} yet: run the pipeline."
        raise ReportError(msg)
    made_at = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return Report(location, default_schema, made_at, streams, whole.newest(), failed_starts)


def failed_start(note: Note) -> str:
    """The sentence for a run that could not start."""
    return f"{note.plugin} could not start at {note.timestamp:%Y-%m-%d %H:%M:%S} UTC: {note.error}"


def _history(
    engine: Engine, schema: str | None, table: str, wanted: Sequence[str], by: Sequence[str]
) -> list[dict[str, Any]]:
    """The last rows of each stream, the oldest first, with the end of its newest success as `succeeded_at`.

    Columns that the table of an older release lacks are None. A `running` row whose run is no longer alive is reported
    as interrupted.
    """
    existing = engine.column_types(schema, table)
    is_dead = f"status = '{RUNNING}' AND NOT ({engine.alive_condition})"
    special = {
        "status": f"CASE WHEN {is_dead} THEN '{INTERRUPTED}' ELSE status END",
        "error": f"CASE WHEN {is_dead} THEN '{KILLED}' ELSE error END",
    }
    columns = [name for name in wanted if name in existing]
    keys, inner = column_list(by), column_list(columns)
    outer = ", ".join(special.get(name, identifier(name)) for name in columns)
    rows = engine.query(
        f"SELECT {outer}, succeeded_at FROM (SELECT {inner}, "  # noqa: S608 - quoted names
        f"row_number() OVER (PARTITION BY {keys} ORDER BY started_at DESC) AS latest, "
        f"max(CASE WHEN status = '{SUCCESS}' THEN finished_at END) OVER (PARTITION BY {keys}) AS succeeded_at "
        f"FROM {identifier(schema, table)} WHERE started_at IS NOT NULL) AS h "
        f"WHERE latest <= {RUNS} ORDER BY started_at"
    )
    empty = dict.fromkeys(wanted)
    return [empty | dict(zip([*columns, "succeeded_at"], row, strict=True)) for row in rows]


def _count(engine: Engine, schema: str | None, name: str) -> tuple[int, int]:
    """The numbers of live rows and of rows marked as deleted."""
    columns = engine.column_types(schema, name)
    if not columns:
        return 0, 0
    mark = own_column(DELETED_AT, columns)
    marked = f"count({identifier(mark)})" if mark else "0"
    ((total, deleted),) = engine.query(f"SELECT count(*), {marked} FROM {identifier(schema, name)}")  # noqa: S608
    return total - deleted, deleted


_Row = dict[str, Any]
_Pair = tuple[_Row | None, _Row | None]


def _paired(loads: Sequence[_Row], taps: Sequence[_Row]) -> list[_Pair]:
    """Pair each load with the tap's run that it loaded, in order of time; either may be alone."""
    of_load: dict[int, _Row] = {}
    alone: list[_Row] = []
    for tap in taps:
        at = next((i for i, load in enumerate(loads) if load["finished_at"] >= tap["started_at"]), None)
        if at is None:
            alone.append(tap)
        else:
            alone += [of_load[at]] if at in of_load else []
            of_load[at] = tap
    pairs: list[_Pair] = [(load, of_load.get(i)) for i, load in enumerate(loads)]
    pairs += [(None, tap) for tap in alone]
    return sorted(pairs, key=lambda pair: min(row["started_at"] for row in pair if row))[-RUNS:]


def _report(stream: str, table: str, live: int, deleted: int, pairs: Sequence[_Pair]) -> StreamReport:
    runs = [_run(load, tap) for load, tap in pairs]
    fresh_at = next((run.finished_at for run in reversed(runs) if run.status == SUCCESS), None)
    if fresh_at is None:  # no success among these runs: take the last before them, if both sides had one
        ends = [rows[-1]["succeeded_at"] for side in zip(*pairs, strict=True) if (rows := [row for row in side if row])]
        fresh_at = None if None in ends or pairs[-1][0] is None else min(ends)
    return StreamReport(shown(stream), shown(table), live, deleted, fresh_at, runs)


def _run(load: _Row | None, tap: _Row | None) -> ReportedRun:
    """Combine the records of target and tap into one run."""
    rows = [row for row in (tap, load) if row]
    load, tap = load or {}, tap or {}
    errors = list(dict.fromkeys(row["error"] for row in rows if row["error"]))
    ended = [row["finished_at"] for row in rows if row["finished_at"]]
    seconds = _number(load, "seconds") or 0.0
    if tap and tap["finished_at"]:
        seconds = round((tap["finished_at"] - tap["started_at"]).total_seconds(), 3)
    read = tap.get("records")
    counts: dict[str, Any] = {
        name: load.get(name) or 0 for name in ("rows_read", "inserted", "updated", "deleted", "rejected")
    }
    from_tap: dict[str, Any] = {
        name: tap.get(name)
        for name in ("mode", "requests", "retries", "hubspot_total", "daily_limit", "daily_remaining", "bytes_received")
    }
    return ReportedRun(
        run_id=load.get("run_id") or tap["run_id"],
        status=worst(row["status"] for row in rows),
        started_at=min(row["started_at"] for row in rows),
        finished_at=max(ended, default=None),
        seconds=seconds,
        error=shown(" ".join(errors)) or None,
        changed=load.get("changed"),
        bytes=load.get("bytes"),
        peak_memory_mb=_number(load, "peak_memory_mb"),
        records=read + (tap.get("deletes") or 0) if read is not None else load.get("rows_read") or 0,
        throttled_seconds=_number(tap, "throttled_seconds"),
        tap_peak_memory_mb=_number(tap, "peak_memory_mb"),
        **counts,
        **from_tap,
    )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    return None if row.get(name) is None else float(row[name])


class _WholeRuns:
    """Groups the streams' runs into whole runs; a tap's run without a load joins the load of its other streams."""

    def __init__(self) -> None:
        self._stream_runs: list[tuple[str, _Pair, ReportedRun]] = []
        self._load_of_tap: dict[str, str] = {}

    def add(self, stream: str, pairs: Sequence[_Pair], runs: Sequence[ReportedRun]) -> None:
        """Add the runs of a stream."""
        for pair, run in zip(pairs, runs, strict=True):
            load, tap = pair
            if load and tap:
                self._load_of_tap[tap["run_id"]] = load["run_id"]
            self._stream_runs.append((stream, pair, run))

    def newest(self) -> list[WholeRun]:
        """The last runs, the oldest first."""
        whole: dict[str, WholeRun] = {}
        for stream, (load, tap), run in self._stream_runs:
            key = load["run_id"] if load else self._load_of_tap.get((tap or {})["run_id"], run.run_id)
            ended = run.finished_at or run.started_at
            group = whole.setdefault(key, WholeRun(run.started_at, ended))
            group.started_at, group.finished_at = min(group.started_at, run.started_at), max(group.finished_at, ended)
            group.streams.append((stream, run))
        return sorted(whole.values(), key=lambda run: run.started_at)[-RUNS:]
