"""The report for a terminal: a line for each table, followed by what went wrong.

The report's columns are defined in one table. Columns that do not fit the width are left out, the least important
first; the HTML page and the JSON have them all.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from target_warehouse.commands.report.history import failed_start
from target_warehouse.load.load_history import FAILED, INTERRUPTED, PARTIAL, RUNNING, SUCCESS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from target_warehouse.commands.report.report import Report, ReportedRun, StreamReport

#: A sign and a colour for each status.
SIGNS = {
    SUCCESS: ("✓", "green"),
    PARTIAL: ("~", "yellow"),
    RUNNING: ("…", "cyan"),
    INTERRUPTED: ("!", "magenta"),
    FAILED: ("✗", "red"),
}
_UNKNOWN = ("?", "red")
_BARS = "▁▂▃▄▅▆▇█"
_TREND = 10  # runs
_MODES = {"incremental": "incr"}
_NOTHING = "-"


@dataclass(frozen=True)
class _Column:
    """A column: its head, its cells and its importance; the least important column is left out first."""

    head: str
    cell: Callable[[StreamReport, dt.datetime], str]
    importance: int
    is_left: bool = False


_COLUMNS = (
    _Column("table", lambda report, _: report.table, 9, is_left=True),
    _Column("live", lambda report, _: number(report.live_rows), 6),
    _Column("mode", lambda report, _: _MODES.get(report.last.mode or "", report.last.mode or ""), 3, is_left=True),
    _Column("read", lambda report, _: number(report.last.records), 9),
    _Column("+new", lambda report, _: number(report.last.inserted), 9),
    _Column("~changed", lambda report, _: changed([report.last]), 9),
    _Column("-deleted", lambda report, _: number(report.last.deleted), 9),
    _Column("rejected", lambda report, _: number(report.last.rejected) if report.last.rejected else "", 9),
    _Column("rec/s", lambda report, _: rate(report.last.records_per_second), 2),
    _Column("req/1k", lambda report, _: rate(report.last.requests_per_1000), 1),
    _Column("bad", lambda report, _: f"{report.bad_runs}/{len(report.runs)}", 4),
    _Column("fresh", lambda report, now: age(report.fresh_at, now), 9),
    _Column("trend", lambda report, _: trend(report.runs), 5, is_left=True),
)


def render(report: Report, *, width: int, is_coloured: bool) -> str:
    """The report as text of at most this width, if names and sentences allow it."""
    paint = click.style if is_coloured else _plain
    prefix = f"{report.schema}."
    rows = [
        [column.cell(stream, report.made_at).removeprefix(prefix if not i else "") for i, column in enumerate(_COLUMNS)]
        for stream in report.streams
    ]
    shown, gap = _fitting(rows, width)
    widths = {i: max(len(_COLUMNS[i].head), *(len(row[i]) for row in rows)) for i in shown}
    lines = [
        *_headlines(report, width, paint),
        "",
        paint("  " + _line([c.head for c in _COLUMNS], widths, gap), bold=True),
    ]
    for stream, row in zip(report.streams, rows, strict=True):
        sign, colour = SIGNS.get(stream.last.status, _UNKNOWN)
        lines.append(f"{paint(sign, fg=colour)} {_line(row, widths, gap)}")
    return "\n".join([*lines, *_notes(report, width, paint)])


def _fitting(rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], str]:
    """The columns that fit, and the gap between them; empty columns are left out."""
    shown = [i for i in range(len(_COLUMNS)) if any(row[i] not in ("", _NOTHING) for row in rows)]
    while True:
        needed = 1 + sum(max(len(_COLUMNS[i].head), *(len(row[i]) for row in rows)) for i in shown)
        if needed + 2 * len(shown) <= width:
            return shown, "  "
        if needed + len(shown) <= width or all(_COLUMNS[i].importance == 9 for i in shown):
            return shown, " "
        shown.remove(min(shown, key=lambda i: _COLUMNS[i].importance))


def _line(cells: Sequence[str], widths: dict[int, int], gap: str) -> str:
    padded = [cells[i].ljust(width) if _COLUMNS[i].is_left else cells[i].rjust(width) for i, width in widths.items()]
    return gap.join(padded).rstrip()


def _headlines(report: Report, width: int, paint: Callable[..., str]) -> list[str]:
    """The schema and the outcome of the last run as a whole."""
    lines = [f"Schema {report.schema or '(default)'} of {report.location}"]
    for note in report.failed_starts:
        first, *more = textwrap.wrap(failed_start(note), width, break_long_words=False)
        lines += [paint(first, fg="red"), *more]
    if not report.runs:
        return lines
    run = report.runs[-1]
    _, colour = SIGNS.get(run.status, _UNKNOWN)
    bad = sum(stream_run.status != SUCCESS for _, stream_run in run.streams)
    share = f", {bad} of {len(run.streams)} streams" if bad and len(run.streams) > 1 else ""
    lines.append(
        f"Last run {run.started_at:%Y-%m-%d %H:%M:%S} UTC, {age(run.finished_at, report.made_at)} ago: "
        f"{paint(run.status, fg=colour, bold=True)}{share}"
    )
    facts = [f"{number(run.total('records'))} records in {duration(run.seconds)}"]
    if run.most("requests") is not None:
        facts.append(f"{number(run.total('requests'))} requests")
    daily, left = run.most("daily_limit"), run.least("daily_remaining")
    if daily is not None and left is not None:
        facts.append(f"{number(left)} of {number(daily)} daily requests left")
    memory = [("tap", run.most("tap_peak_memory_mb")), ("target", run.most("peak_memory_mb"))]
    if peaks := ", ".join(f"{side} {value:,.0f} MB" for side, value in memory if value):
        facts.append(f"peak memory: {peaks}")
    return [*lines, *textwrap.wrap(" · ".join(facts), width)]


def _notes(report: Report, width: int, paint: Callable[..., str]) -> list[str]:
    """The legend, and the error of each stream whose last run has one."""
    used = {stream.last.status for stream in report.streams}
    used |= {run.status for stream in report.streams for run in stream.runs if run.status in (FAILED, INTERRUPTED)}
    signs = "  ".join(f"{sign} {status}" for status, (sign, _) in SIGNS.items() if status in used)
    legend = f"{signs}   bad: failed or interrupted runs; fresh: age of the newest success; trend: records, log scale"
    lines = ["", *(paint(line, dim=True) for line in textwrap.wrap(legend, width))]
    by_sentence: dict[tuple[str, str], list[str]] = {}
    for stream in report.streams:
        if stream.last.error:
            name = stream.table.removeprefix(f"{report.schema}.")
            by_sentence.setdefault((stream.last.status, stream.last.error), []).append(name)
    for (status, error), names in by_sentence.items():
        first, *more = textwrap.wrap(f"{', '.join(names)} {status}: {error}", width, break_long_words=False)
        lines += ["", paint(first, fg=SIGNS.get(status, _UNKNOWN)[1]), *more]
    return lines


def changed(runs: Sequence[ReportedRun]) -> str:
    """The number of rows with new values; an upper bound (≤) if overwritten rows were not compared."""
    known = all(run.changed is not None or not run.updated for run in runs)
    total = sum(run.updated if run.changed is None else run.changed for run in runs)
    return number(total) if known else f"≤{number(total)}"


def number(value: float | None) -> str:
    """A number in eight characters at most."""
    if value is None:
        return _NOTHING
    return f"{value / 1e6:,.0f}M" if value >= 9_999_999.5 else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A number, below 100 with one decimal place."""
    return f"{value:.1f}" if value is not None and value < 100 else number(value)


def age(since: dt.datetime | None, now: dt.datetime) -> str:
    """The time since then, roughly."""
    return _NOTHING if since is None else duration(max((now - since).total_seconds(), 0), is_rough=True)


def duration(seconds: float, *, is_rough: bool = False) -> str:
    """A duration in seconds, minutes, hours or days."""
    for unit, length, limit in (("s", 1, 90), ("min", 60, 5400), ("h", 3600, 172_800)):
        if seconds < limit:
            value = seconds / length
            return f"{value:.0f} {unit}" if is_rough or value >= 10 or unit != "s" else f"{value:.1f} {unit}"
    return f"{seconds / 86400:.0f} d"


def trend(runs: Sequence[ReportedRun]) -> str:
    """A bar for each of the last runs, its records on a logarithmic scale; the sign of a run that failed."""
    shown = runs[-_TREND:]
    top = math.log1p(max(run.records for run in runs)) or 1.0
    bars = []
    for run in shown:
        if run.status in (FAILED, INTERRUPTED):
            bars.append(SIGNS[run.status][0])
        else:
            bars.append(_BARS[min(int(math.log1p(run.records) / top * len(_BARS)), len(_BARS) - 1)])
    return "".join(bars)


def _plain(text: str, **_: object) -> str:
    return text
