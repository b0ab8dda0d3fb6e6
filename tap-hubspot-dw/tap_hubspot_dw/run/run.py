"""One run of the tap: the state that its streams share, its clock and its history."""

from __future__ import annotations

import resource
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tap_hubspot_dw.errors import DailyLimitError, HubSpotError, RunStoppedError
from tap_hubspot_dw.http.rate_limits import BUDGETS
from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.run.patterns import chosen_properties, pattern_warnings
from tap_hubspot_dw.settings import Settings
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.timestamps import format_timestamp

SUCCESS, PARTIAL, FAILED, INTERRUPTED = "success", "partial", "failed", "interrupted"

CLOCK_TOLERANCE = timedelta(seconds=5)  # HubSpot's Date header has whole seconds, and replies take time
_MOST_CLOCK_AHEAD = timedelta(days=1)  # beyond that, which of the two clocks is wrong is a guess


@dataclass
class StreamRun:
    """The work of one stream in this run: a row of `sync_history`."""

    stream: str
    started_at: datetime
    mode: str = ""
    since: datetime | None = None
    until: datetime | None = None
    expected: int | None = None
    before: int = 0  # records that earlier runs read of the full pass that this run continues
    records: int = 0
    deletes: int = 0
    repeated: int = 0
    invalid_values: Counter[str] = field(default_factory=Counter)
    traffic: Traffic = field(default_factory=Traffic)
    hubspot_total: int | None = None
    #: For associations: the pairs that were read completely, with the number of rows of each.
    pairs: dict[str, int] = field(default_factory=dict)
    bytes_written: int = 0
    finished_at: datetime | None = None
    error: str | None = None
    is_complete: bool = False
    is_sample: bool = False

    def outcome(self, ended_by: BaseException | None) -> tuple[str, str | None]:
        """Return the status and its explanation; `ended_by` is the exception that ended the run early, if any.

        The status is `partial` if the stream was read in part on purpose: a sample, or up to the daily reserve.
        """
        if self.error:
            return FAILED, self.error
        if self.is_complete:
            return (PARTIAL, "A sample: the setting max_records ended it.") if self.is_sample else (SUCCESS, None)
        if isinstance(ended_by, SystemExit):
            return INTERRUPTED, "Stopped by a signal."
        if isinstance(ended_by, DailyLimitError):
            return PARTIAL, str(ended_by)
        return FAILED, f"The run ended early: {ended_by}" if ended_by else None

    def to_record(
        self, run_id: str, ended_by: BaseException | None = None, clock_ahead: timedelta = timedelta()
    ) -> dict[str, Any]:
        """Return the record of `sync_history`; times by this machine's clock are corrected by `clock_ahead`."""
        status, error = self.outcome(ended_by)
        return {
            "run_id": run_id,
            "stream": self.stream,
            "mode": self.mode or None,
            "window_since": format_timestamp(self.since) if self.since else None,
            "window_until": format_timestamp(self.until) if self.until else None,
            "started_at": format_timestamp(self.started_at - clock_ahead),
            "finished_at": format_timestamp(self.finished_at - clock_ahead) if self.finished_at else None,
            "records": self.records,
            "deletes": self.deletes,
            "repeated": self.repeated,
            "invalid_values": sum(self.invalid_values.values()),
            "invalid_properties": dict(self.invalid_values) or None,
            "requests": self.traffic.requests,
            "retries": self.traffic.retries,
            "throttled_seconds": round(self.traffic.throttled_seconds, 3),
            "hubspot_total": self.hubspot_total,
            "pairs": self.pairs or None,
            "status": status,
            "error": error,
            "bytes_received": self.traffic.bytes_received,
            "bytes_written": self.bytes_written or None,
        }


@dataclass
class Stop:
    """Whether a signal asked the run to stop, and whether the run can stop right now.

    A message must not be cut in two, nor its buffer be used again: while the main thread writes (`is_reading` is
    false), a signal is only recorded.
    """

    signal: int | None = None
    is_reading: bool = False

    def check(self) -> None:
        """End the process with the signal's exit code if a signal has arrived."""
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@dataclass
class Run:
    """The settings, the portal, the clock, the ids that streams share, and the history of one run."""

    settings: Settings
    portal: Portal
    began_at: datetime
    configuration: str = "{}"
    portal_id: int | None = None  # if HubSpot says it
    object_types: list[ObjectType] = field(default_factory=list)
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    id_feeds: dict[str, IdFeed] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    history: list[StreamRun] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)
    ended_by: BaseException | None = None
    permits: dict[str, threading.Semaphore] = field(init=False)
    _ahead: timedelta | None = None
    _clock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        """Limit the replies processed at once to `workers` for each budget, over all streams."""
        self.permits = {budget: threading.Semaphore(self.settings.workers) for budget in BUDGETS}

    def record_of(self, done: StreamRun) -> dict[str, Any]:
        """Return a stream's record of `sync_history`."""
        limit, remaining = self.portal.api.client.daily
        ahead = self._ahead or timedelta()
        record = done.to_record(self.run_id, self.ended_by, ahead)
        return record | {
            "window_until": record["window_until"] or format_timestamp(self.began_at - ahead),
            "peak_memory_mb": peak_memory_mb(),
            "daily_limit": limit,
            "daily_remaining": remaining,
            "configuration": self.configuration,
        }

    @property
    def clock_ahead(self) -> timedelta:
        """How far this machine's clock is ahead of HubSpot's (negative: behind); zero within the tolerance.

        If a reply's `Date` differs from our clock, the time that HubSpot writes into the body of a reply decides. If
        the body has none, `Date` decides if a second reply confirms it and it is within a day of ours. Otherwise the
        true time is unknown, and the earliest of the clocks decides: some changes are read again, but none is missed.
        Determined once per run; if HubSpot has not replied yet, this makes a request.
        """
        with self._clock:
            if self._ahead is None:
                self._ahead = self._settled_clock()
            return self._ahead

    def _settled_clock(self) -> timedelta:
        client = self.portal.api.client
        if not client.has_replied:
            self.portal.descriptions.usage()
        first = client.clock_ahead
        if first is None or abs(first) <= CLOCK_TOLERANCE:
            return timedelta()
        witness = self.portal.descriptions.clock_ahead(self.object_types[0]) if self.object_types else None
        if witness is not None:
            return witness if abs(witness) > CLOCK_TOLERANCE else timedelta()
        self.portal.descriptions.usage()
        second = first if client.clock_ahead is None else client.clock_ahead
        if abs(first - second) <= CLOCK_TOLERANCE and abs(first) <= _MOST_CLOCK_AHEAD:
            return first
        earliest = max(first, second)
        return earliest if earliest > CLOCK_TOLERANCE else timedelta()

    def clock_warning(self) -> str | None:
        """Return a warning about this machine's clock; None unless it is known to be wrong."""
        said = self.portal.api.client.clock_ahead
        if self._ahead is None or said is None or (not self._ahead and abs(said) <= CLOCK_TOLERANCE):
            return None
        if self._ahead and abs(self._ahead - said) <= CLOCK_TOLERANCE:
            seconds = self._ahead.total_seconds()
            where = "ahead of" if seconds > 0 else "behind"
            return (
                f"This machine's clock is {abs(seconds):.0f} s {where} HubSpot's; the run used HubSpot's: "
                "set the clock."
            )
        return (
            f"This machine's clock and the Date of HubSpot's replies are {abs(said.total_seconds()):.0f} s apart; the "
            f"run did not use Date, but {format_timestamp(self.started_at)} as its start, so that no change is "
            "missed: set the clock, or look for a proxy that writes Date."
        )

    @property
    def started_at(self) -> datetime:
        """The start of the run, by HubSpot's clock if ours is wrong.

        A bookmark in HubSpot's future would miss changes that are yet to be made; one in its past would make every run
        read more than necessary.
        """
        return self.began_at - self.clock_ahead

    def now(self) -> datetime:
        """Return the current time by the clock that the run uses."""
        return self.portal.api.client.machine_time() - self.clock_ahead

    def chosen_properties(self, object_type: ObjectType) -> list[Mapping[str, Any]]:
        """Return the definitions of an object type's properties that the settings include."""
        settings = self.settings
        include, exclude = (
            [*patterns.get("*", ()), *patterns.get(object_type.name, ())]
            for patterns in (settings.include_properties, settings.exclude_properties)
        )
        by_name = settings.include_properties.get(object_type.name, ())
        return chosen_properties(self.portal.descriptions.properties(object_type), include, exclude, by_name)

    def pattern_warnings(self) -> list[str]:
        """Return warnings about the patterns of properties; without patterns this makes no requests."""
        settings, names = self.settings, dict[str, set[str]]()
        if settings.only_ids is not None or not (settings.include_properties or settings.exclude_properties):
            return []
        for object_type in self.object_types:
            try:
                names[object_type.name] = {
                    str(listed["name"]) for listed in self.portal.descriptions.properties(object_type)
                }
            except RunStoppedError:
                raise
            except HubSpotError:  # its stream reports it
                continue
        return [
            shown(warning)
            for setting in ("include_properties", "exclude_properties")
            for warning in pattern_warnings(setting, getattr(settings, setting), names)
        ]


def peak_memory_mb() -> float:
    """Return this process's largest resident size so far, in megabytes of 2**20 bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)
    except (OSError, IndexError):  # not Linux, where getrusage also counts memory from before this program
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, bytes on macOS
        return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
