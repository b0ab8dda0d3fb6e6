"""What a report says: the runs of each stream, and whole runs."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from target_warehouse.load.load_history import FAILED, INTERRUPTED, PARTIAL, RUNNING, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_warehouse.load.failed_starts import Note

#: From best to worst: a run has the worst status of its streams.
STATUSES = (SUCCESS, RUNNING, PARTIAL, INTERRUPTED, FAILED)


@dataclass(frozen=True)
class ReportedRun:
    """One run of one stream, as target and tap recorded it. Times are in UTC without a zone; None was not recorded.

    `seconds` and `records` are the tap's if it recorded them, else the target's.
    """

    run_id: str
    status: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    seconds: float
    error: str | None = None
    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    changed: int | None = None
    deleted: int = 0
    rejected: int = 0
    bytes: int | None = None
    peak_memory_mb: float | None = None
    mode: str | None = None
    records: int = 0
    requests: int | None = None
    retries: int | None = None
    throttled_seconds: float | None = None
    hubspot_total: int | None = None
    daily_limit: int | None = None
    daily_remaining: int | None = None
    bytes_received: int | None = None
    tap_peak_memory_mb: float | None = None

    @property
    def records_per_second(self) -> float | None:
        """Records per second; None if there were no records."""
        return round(self.records / self.seconds, 1) if self.records and self.seconds else None

    @property
    def requests_per_1000(self) -> float | None:
        """Requests per 1,000 records; None if there were no records, or if requests were not recorded."""
        return round(1000 * self.requests / self.records, 1) if self.records and self.requests is not None else None


@dataclass(frozen=True)
class StreamReport:
    """A stream: its table, which may not exist, and at least one run, the oldest first."""

    stream: str
    table: str
    live_rows: int
    deleted_rows: int
    fresh_at: dt.datetime | None
    runs: Sequence[ReportedRun]

    @property
    def last(self) -> ReportedRun:
        """The newest run."""
        return self.runs[-1]

    @property
    def hubspot_total(self) -> int | None:
        """HubSpot's own count, as of the tap's latest request for it."""
        return next((run.hubspot_total for run in reversed(self.runs) if run.hubspot_total is not None), None)

    @property
    def bad_runs(self) -> int:
        """The number of runs that failed or were interrupted."""
        return sum(run.status in (FAILED, INTERRUPTED) for run in self.runs)

    def to_json(self) -> dict[str, Any]:
        """The table with its last run, and all runs under `runs`, the oldest first."""
        last = self.last
        return {
            "table": self.table,
            "stream": self.stream,
            "live_rows": self.live_rows,
            "deleted_rows": self.deleted_rows,
            "fresh_at": self.fresh_at,
            "error_rate": round(self.bad_runs / len(self.runs), 3),
            "records_per_second": last.records_per_second,
            "requests_per_1000": last.requests_per_1000,
            **vars(last),
            "hubspot_total": self.hubspot_total,
            "runs": [vars(run) for run in self.runs],
        }


@dataclass
class WholeRun:
    """One run over all its streams."""

    started_at: dt.datetime
    finished_at: dt.datetime
    streams: list[tuple[str, ReportedRun]] = field(default_factory=list)

    @property
    def status(self) -> str:
        """The worst status of its streams."""
        return worst(run.status for _, run in self.streams)

    @property
    def seconds(self) -> float:
        """The time from the start of the first stream to the end of the last."""
        return (self.finished_at - self.started_at).total_seconds()

    def total(self, name: str) -> int:
        """The sum of a number over the streams."""
        return sum(getattr(run, name) or 0 for _, run in self.streams)

    def most(self, name: str) -> float | None:
        """The largest value of a number over the streams; None if it was not recorded."""
        return max((value for _, run in self.streams if (value := getattr(run, name)) is not None), default=None)

    def least(self, name: str) -> float | None:
        """The smallest value of a number over the streams; None if it was not recorded."""
        return min((value for _, run in self.streams if (value := getattr(run, name)) is not None), default=None)


@dataclass(frozen=True)
class Report:
    """The whole report, with where and when (by this machine's clock) it was read."""

    location: str
    schema: str
    made_at: dt.datetime
    streams: Sequence[StreamReport]
    runs: Sequence[WholeRun]
    #: Runs that could not start, and that no later run has written to the histories yet.
    failed_starts: Sequence[Note] = ()


def worst(statuses: Iterable[str]) -> str:
    """The worst of these statuses; an unknown status is the worst."""
    return max(statuses, key=lambda status: STATUSES.index(status) if status in STATUSES else len(STATUSES))
