"""One run of the tap: what its streams share, and what they leave behind for those that follow."""

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
from tap_hubspot_dw.http.client import Traffic
from tap_hubspot_dw.http.rate_limits import BUDGETS
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.run.patterns import chosen_properties, pattern_warnings
from tap_hubspot_dw.settings import Settings
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.timestamps import format_timestamp, now

SUCCESS, PARTIAL, FAILED, INTERRUPTED = "success", "partial", "failed", "interrupted"

CLOCK_TOLERANCE = timedelta(seconds=5)  # HubSpot's Date header has whole seconds, and replies take time
_MOST_CLOCK_AHEAD = timedelta(days=1)  # further apart, it is a guess which of two clocks is wrong


@dataclass
class StreamRun:
    """What one stream did in this run: a row of `sync_history`."""

    stream: str
    started_at: datetime
    mode: str = ""
    since: datetime | None = None
    until: datetime | None = None
    expected: int | None = None
    before: int = 0  # records that earlier runs have read of a full pass which this one goes on with
    records: int = 0
    deletes: int = 0
    repeated: int = 0
    invalid_values: Counter[str] = field(default_factory=Counter)
    traffic: Traffic = field(default_factory=Traffic)
    hubspot_total: int | None = None
    #: Of associations: the pairs that were read to their end, with the rows read of each.
    pairs: dict[str, int] = field(default_factory=dict)
    bytes_written: int = 0
    finished_at: datetime | None = None
    error: str | None = None
    is_complete: bool = False
    is_sample: bool = False

    def outcome(self, ended_by: BaseException | None) -> tuple[str, str | None]:
        """Return the status and the sentence about it; `ended_by` is what ended the run, if it did not end by itself.

        `partial` is what was read in part and on purpose: a sample, or up to the day's reserve.
        """
        if self.error:
            return FAILED, self.error
        if self.is_complete:
            return (PARTIAL, "A sample: the setting max_records ended it.") if self.is_sample else (SUCCESS, None)
        if isinstance(ended_by, SystemExit):
            return INTERRUPTED, "Stopped by a signal."
        if isinstance(ended_by, DailyLimitError):
            return PARTIAL, str(ended_by)
        return FAILED, f"The run ended before: {ended_by}" if ended_by else None

    def to_record(
        self, run_id: str, ended_by: BaseException | None = None, clock_ahead: timedelta = timedelta()
    ) -> dict[str, Any]:
        """Return the record of `sync_history`; its own times are corrected by how far this machine's clock is ahead."""
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
    """Whether a signal asked the run to stop, and whether this is a moment to do so.

    A message must not be cut in two, and its buffer not be used twice: while the main thread writes
    (`is_reading` is false) a signal is only noted.
    """

    signal: int | None = None
    is_reading: bool = False

    def check(self) -> None:
        """End the process with the signal's exit code if one has come."""
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@dataclass
class Run:
    """The settings, the portal, the run's one clock reading, and what streams have seen and done."""

    settings: Settings
    portal: Portal
    began_at: datetime
    configuration: str = "{}"
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
        """Let so many replies of each budget be worked on at once as there may be workers, over all streams."""
        self.permits = {budget: threading.Semaphore(self.settings.workers) for budget in BUDGETS}

    def record_of(self, done: StreamRun) -> dict[str, Any]:
        """Return the record of `sync_history` of a stream of this run."""
        limit, remaining = self.portal.client.daily
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
        """By how much this machine's clock is ahead of HubSpot's (behind: less than nothing), as far as that matters.

        Where a reply's `Date` is another time than ours, HubSpot is asked for what it writes into a reply itself, and
        that counts. If it does not write any, its clock counts if a second reply agrees and is within a day of ours.
        Else nobody knows what time it is, and the earliest of the clocks counts: what changed since then is read
        again, but nothing is passed over. Settled once for the run; HubSpot is asked if it has not replied yet.
        """
        with self._clock:
            if self._ahead is None:
                self._ahead = self._settled_clock()
            return self._ahead

    def _settled_clock(self) -> timedelta:
        client = self.portal.client
        if not client.has_replied:
            self.portal.usage()
        first = client.clock_ahead
        if first is None or abs(first) <= CLOCK_TOLERANCE:
            return timedelta()
        witness = self.portal.clock_ahead(self.object_types[0]) if self.object_types else None
        if witness is not None:
            return witness if abs(witness) > CLOCK_TOLERANCE else timedelta()
        self.portal.usage()
        second = first if client.clock_ahead is None else client.clock_ahead
        if abs(first - second) <= CLOCK_TOLERANCE and abs(first) <= _MOST_CLOCK_AHEAD:
            return first
        earliest = max(first, second)
        return earliest if earliest > CLOCK_TOLERANCE else timedelta()

    def clock_warning(self) -> str | None:
        """Return what to say of this machine's clock; None while it is right or not known to be wrong."""
        said = self.portal.client.clock_ahead
        if self._ahead is None or said is None or (not self._ahead and abs(said) <= CLOCK_TOLERANCE):
            return None
        if self._ahead and abs(self._ahead - said) <= CLOCK_TOLERANCE:
            seconds = self._ahead.total_seconds()
            where = "ahead of" if seconds > 0 else "behind"
            return (
                f"This machine's clock is {abs(seconds):.0f} s {where} HubSpot's; the run counted from HubSpot's: "
                "set the clock."
            )
        return (
            f"This machine's clock and the Date of HubSpot's replies are {abs(said.total_seconds()):.0f} s apart, and "
            f"it is not Date that the run counted from, but {format_timestamp(self.started_at)}, so that nothing is "
            "passed over: set the clock, or look for a proxy that writes Date."
        )

    @property
    def started_at(self) -> datetime:
        """When the run began, by HubSpot's clock where ours is wrong.

        A bookmark in HubSpot's future would pass over changes that nobody has made yet, one in its past would read
        more than there is to read at every run.
        """
        return self.began_at - self.clock_ahead

    def now(self) -> datetime:
        """Return the present moment by the clock that the run counts from."""
        return now() - self.clock_ahead

    def chosen_properties(self, object_type: ObjectType) -> list[Mapping[str, Any]]:
        """Return the definitions of a object_type's properties that the settings include."""
        settings = self.settings
        include, exclude = (
            [*patterns.get("*", ()), *patterns.get(object_type.name, ())]
            for patterns in (settings.include_properties, settings.exclude_properties)
        )
        by_name = settings.include_properties.get(object_type.name, ())
        return chosen_properties(self.portal.properties(object_type), include, exclude, by_name)

    def pattern_warnings(self) -> list[str]:
        """Return what there is to say of the patterns of properties; HubSpot is asked only if there are any."""
        settings, names = self.settings, dict[str, set[str]]()
        if settings.only_ids is not None or not (settings.include_properties or settings.exclude_properties):
            return []
        for object_type in self.object_types:
            try:
                names[object_type.name] = {str(each["name"]) for each in self.portal.properties(object_type)}
            except RunStoppedError:
                raise
            except HubSpotError:  # its stream says so
                continue
        return [
            shown(warning)
            for setting in ("include_properties", "exclude_properties")
            for warning in pattern_warnings(setting, getattr(settings, setting), names)
        ]


def peak_memory_mb() -> float:
    """Return this process' largest resident size so far, in megabytes of 2**20 bytes."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)
    except (OSError, IndexError):  # not Linux; there getrusage counts the memory from before the program, too
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes, bytes on macOS
        return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10), 1)
