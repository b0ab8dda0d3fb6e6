"""The texts of a run's progress, of a stream's outcome and of the run's summary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tap_hubspot_dw.run.run import StreamRun

_HEADINGS = (
    "stream",
    "mode",
    "records",
    "deletes",
    "repeated",
    "invalid",
    "requests",
    "throttled",
    "seconds",
    "records/s",
    "",
)


def outcome(done: StreamRun) -> str:
    """Return the outcome of a finished stream in one line."""
    parts = [f"{done.records:,} records"]
    if done.deletes:
        parts.append(f"{done.deletes:,} deletes")
    if done.repeated:
        parts.append(f"{done.repeated:,} of them read before")
    parts.append(f"{done.traffic.requests:,} requests")
    if done.traffic.throttled_seconds:
        parts.append(f"{done.traffic.throttled_seconds:.1f} s throttled")
    return f"{done.mode or 'read'}: {', '.join(parts)}"


def progress_line(done: StreamRun, now: datetime) -> str:
    """Return the progress of a stream in one line: records, rate, remaining time."""
    read = done.records + done.deletes
    seconds = max((now - done.started_at).total_seconds(), 0.001)
    rate = read / seconds
    whole = done.before + read
    parts = [f"{whole:,} of {done.expected:,} records" if done.expected else f"{whole:,} records"]
    if done.before:
        parts.append(f"{done.before:,} of them read by earlier runs")
    parts.append(f"{rate:,.0f}/s")
    if done.expected and rate and done.expected > whole:
        parts.append(f"{_duration((done.expected - whole) / rate)} left")
    parts.append(f"{done.traffic.requests:,} requests")
    if done.traffic.throttled_seconds >= 1:
        parts.append(f"{done.traffic.throttled_seconds:.0f} s throttled")
    return ", ".join(parts)


def summary(history: Sequence[StreamRun]) -> str:
    """Return a table with a row for each stream of the run."""
    rows = [_HEADINGS, *(_row(done) for done in history)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    left = {0, 1, len(_HEADINGS) - 1}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width) for i, (cell, width) in enumerate(cells)
        ).rstrip()
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    )


def _row(done: StreamRun) -> tuple[str, ...]:
    seconds = max(((done.finished_at or done.started_at) - done.started_at).total_seconds(), 0.001)
    return (
        done.stream,
        done.mode,
        f"{done.records:,}",
        f"{done.deletes:,}",
        f"{done.repeated:,}",
        f"{sum(done.invalid_values.values()):,}",
        f"{done.traffic.requests:,}",
        f"{done.traffic.throttled_seconds:.1f} s",
        f"{seconds:.1f}",
        f"{(done.records + done.deletes) / seconds:,.0f}",
        "FAILED" if done.error else "" if done.is_complete else "not complete",
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return (
        f"{minutes // 60} h {minutes % 60} min"
        if minutes >= 60
        else f"{minutes} min {rest} s"
        if minutes
        else f"{rest} s"
    )
