"""The table `_load_history`: one row for each run and stream.

The row is written before the stream's first record, with the status `running`, and again in each transaction that
writes rows of the stream. So its counts match the table even if the run is killed. At its end, the run sets the status
to `success`, `partial`, `failed` or `interrupted`. If a run was killed, the next run sets `interrupted`: its engine
knows which runs are alive.
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from target_warehouse.decode.converters import storable
from target_warehouse.engines.protocol import HISTORY, Counts
from target_warehouse.errors import LoadError, RejectedRecordsError, StreamsRefusedError, TerminatedError, sentence_of
from target_warehouse.tables.statements import identifier
from target_warehouse.tables.table import Table, table_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_warehouse.engines.protocol import Engine, Transaction
    from target_warehouse.load.failed_starts import Note
    from target_warehouse.load.last_per_key import Record

TABLE_NAME = HISTORY
KEYS = ("run_id", "stream")

RUNNING, SUCCESS, PARTIAL, FAILED, INTERRUPTED = "running", "success", "partial", "failed", "interrupted"
#: The error of a run that ended without writing its status.
KILLED = "The process ended without reporting an error: it was killed, or its machine or connection failed."

_TEXT = {"type": ["string", "null"]}
_TIME = {"type": ["string", "null"], "format": "date-time"}
_COUNT = {"type": ["integer", "null"]}
_NUMBER = {"type": ["number", "null"]}
SCHEMA = {
    "properties": {
        "run_id": _TEXT,
        "stream": _TEXT,
        "table_schema": _TEXT,
        "table_name": _TEXT,
        "started_at": _TIME,
        "finished_at": _TIME,
        "rows_read": _COUNT,
        "inserted": _COUNT,
        "updated": _COUNT,
        "changed": _COUNT,
        "deleted": _COUNT,
        "rejected": _COUNT,
        "seconds": _NUMBER,
        "rows_per_second": _NUMBER,
        "bytes": _COUNT,
        "peak_memory_mb": _NUMBER,
        "status": _TEXT,
        "error": _TEXT,
        "configuration": _TEXT,
    }
}


def history_table(default_schema: str) -> Table:
    """The table in the default schema."""
    return table_of(TABLE_NAME, SCHEMA, KEYS, default_schema=default_schema, interpret_encoding=False)


@dataclass
class StreamLoad:
    """What one run has loaded of one stream so far, and what of it waits for a commit. Sizes are bytes of input lines.

    `table` is the table as the database has it now. `unwritten` are rejected records with their reasons, which the next
    commit writes.
    """

    stream: str
    table: Table
    started_at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    rows_read: int = 0
    size: int = 0
    rejected: int = 0
    first_reason: str = ""
    #: Why nothing of the stream is loaded, or None; it does not depend on the outcome of the run.
    refusal: str | None = None
    counts: Counts = field(default_factory=Counts)
    #: Whether files of BATCH messages were loaded, whose rows have no version.
    has_files: bool = False
    #: Whether the rows of earlier runs have been deleted, as the load method `overwrite` requires.
    is_cleared: bool = False
    pending_bytes: int = 0
    unwritten: list[tuple[Record | str, str]] = field(default_factory=list)

    def reject(self, record: Record | str, reason: str) -> None:
        """Reject this record, or line: it waits for the next commit, which writes it with its reason."""
        self.unwritten.append((record, reason))
        self.rejected += 1
        self.first_reason = self.first_reason or reason

    def outcome(self, error: BaseException | None) -> tuple[str, str | None]:
        """The stream's final status and its message, if any. `error` is the error that ended the run, or None.

        Too many rejected records are a failure only of the streams that had them: the others are loaded completely.
        """
        if self.refusal and not isinstance(error, TerminatedError):
            return FAILED, self.refusal
        if isinstance(error, StreamsRefusedError):
            error = error.__cause__
        if error is None or (isinstance(error, RejectedRecordsError) and not self.rejected):
            message = f"Rejected records: {self.rejected:,}. The first: {self.first_reason}."
            return (PARTIAL, message) if self.rejected else (SUCCESS, None)
        return INTERRUPTED if isinstance(error, TerminatedError) else FAILED, sentence_of(error)

    def row(
        self,
        run_id: str,
        status: str,
        counts: Counts,
        *,
        error: str | None = None,
        configuration: str | None = None,
        keeps_rejected: bool = False,
    ) -> dict[str, Any]:
        """The stream's row as a record of `SCHEMA`; `counts` may include rows that are not committed yet.

        A rejected record counts when it is in the table of rejected records; `keeps_rejected`: all of them are.
        """
        now = dt.datetime.now(dt.UTC)
        seconds = round((now - self.started_at).total_seconds(), 3)
        return {
            "run_id": run_id,
            "stream": storable(self.stream),
            "table_schema": self.table.schema,
            "table_name": self.table.name,
            "started_at": self.started_at,
            "finished_at": now,
            "rows_read": self.rows_read,
            "inserted": counts.inserted,
            "updated": counts.updated,
            "changed": counts.changed,
            "deleted": counts.deleted,
            "rejected": self.rejected - (0 if keeps_rejected else len(self.unwritten)),
            "seconds": seconds,
            "rows_per_second": round(self.rows_read / seconds, 1) if seconds else None,
            "bytes": self.size,
            "peak_memory_mb": peak_memory_mb(),
            "status": status,
            "error": storable(error) if error else None,
            "configuration": configuration,
        }


@dataclass(frozen=True)
class LoadHistory:
    """The rows of one run in the table."""

    table: Table
    run_id: str
    configuration: str
    #: The engine's `escaped`.
    escaped: Callable[[str], str]
    #: The stream that was loaded last into each table, by the table's schema and name.
    loaded: Mapping[tuple[str | None, str], str]
    #: What runs that were over when this run began had written to each table; see `Transaction.loaded_by_others`.
    before: Mapping[tuple[str | None, str], int]

    @classmethod
    def begun(
        cls, engine: Engine, run_id: str, default_schema: str, configuration: str, *, since: dt.datetime
    ) -> LoadHistory:
        """The history of a new run: announce the run as alive, and mark the rows of killed runs as interrupted.

        The run began at `since`, which is some seconds before its target has opened the warehouse: what another run
        has committed since then may be missing from what the tap has already read. Times that are still to come are
        those of a wrong clock.
        """
        table = engine.prepare(history_table(default_schema))
        engine.announce_run(run_id)
        with engine.transaction() as transaction:
            transaction.mark_interrupted(table, engine.alive_condition, KILLED)
        loaded, before = _loaded(engine, table, since)
        return cls(table, run_id, configuration, engine.dialect.escaped, loaded, before)

    def check_alone(self, transaction: Transaction, load: StreamLoad) -> None:
        """Check that no other run has written to the stream's table since this run began.

        Raises:
            LoadError: one has. Its rows may have replaced rows of this run, and have another version.
        """
        place = load.table.schema, load.table.name
        if transaction.loaded_by_others(self.table, self.run_id, place) > self.before.get(place, 0):
            msg = (
                f"Another run loaded the table {load.table.name} while this run loaded all of the stream "
                f"{load.stream}, so it is not known which rows the source no longer has. No row was deleted or marked "
                "as deleted: run again when no other run is under way."
            )
            raise LoadError(msg)

    def write(
        self,
        transaction: Transaction,
        rows: Sequence[tuple[StreamLoad, str, str | None]],
        counts: Counts | None = None,
        *,
        keeps_rejected: bool = False,
    ) -> None:
        """Write the rows of streams with their status and error; `counts` may include uncommitted rows.

        `keeps_rejected`: the transaction also writes the rejected records.
        """
        from target_warehouse.decode.arrow_columns import Losses, to_table

        for load, status, error in rows:
            row = load.row(
                self.run_id,
                status,
                counts or load.counts,
                error=error,
                configuration=self.configuration,
                keeps_rejected=keeps_rejected,
            )
            row = {name: self.escaped(value) if isinstance(value, str) else value for name, value in row.items()}
            transaction.put(self.table, to_table([row], self.table.columns, Losses()))

    def write_failed_starts(self, transaction: Transaction, loads: Sequence[StreamLoad], notes: Sequence[Note]) -> None:
        """Write rows for earlier runs that could not start: one for each stream of this run."""
        from target_warehouse.decode.arrow_columns import Losses, to_table

        for note in notes:
            for load in loads:
                row = dict.fromkeys(column.name for column in self.table.columns) | {
                    "run_id": note.run_id,
                    "stream": storable(load.stream),
                    "table_schema": load.table.schema,
                    "table_name": load.table.name,
                    "started_at": dt.datetime.fromisoformat(note.began_at),
                    "finished_at": dt.datetime.fromisoformat(note.ended_at),
                    "status": FAILED,
                    "error": storable(f"The run could not start: {note.error}"),
                }
                row = {name: self.escaped(value) if isinstance(value, str) else value for name, value in row.items()}
                transaction.put(self.table, to_table([row], self.table.columns, Losses()))


def _loaded(
    engine: Engine, history: Table, since: dt.datetime
) -> tuple[dict[tuple[str | None, str], str], dict[tuple[str | None, str], int]]:
    """For each table the stream that was loaded last, and what runs had written to it that were over at this time."""
    if not engine.column_types(history.schema, history.name):  # a dry run before the first run
        return {}, {}
    began, now = (
        f"TIMESTAMP '{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}'" for at in (since, dt.datetime.now(dt.UTC))
    )
    rows = engine.query(
        "SELECT table_schema, table_name, stream, max(CASE WHEN rows_read > 0 THEN started_at END) AS last, "  # noqa: S608 - quoted
        "coalesce(sum(coalesce(rows_read, 0) + coalesce(inserted, 0) + coalesce(updated, 0) + coalesce(deleted, 0)) "
        f"FILTER (WHERE (finished_at BETWEEN {began} AND {now}) IS NOT TRUE), 0) "
        f"FROM {identifier(history.schema, history.name)} WHERE table_name IS NOT NULL GROUP BY 1, 2, 3 ORDER BY last"
    )
    written: dict[tuple[str | None, str], int] = {}
    for schema, name, _, _, total in rows:
        written[schema, name] = written.get((schema, name), 0) + int(total)
    return {(schema, name): stream for schema, name, stream, last, _ in rows if last}, written


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in megabytes of 2**20 bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)
    except (OSError, IndexError):  # not Linux. On Linux, getrusage includes memory from before the exec
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, bytes on macOS
        return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
