"""The report as one self-contained HTML page: no network, no script, no font.

The page suits telephones and desktops, light and dark. Everything that it shows by colour it also says in words.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from target_warehouse.commands.report.history import failed_start
from target_warehouse.commands.report.svg import Bar, columns, lines, spark
from target_warehouse.commands.report.text import SIGNS, age, changed, duration, number, rate
from target_warehouse.errors import ReportError
from target_warehouse.load.load_history import FAILED, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_warehouse.commands.report.report import Report, ReportedRun, StreamReport, WholeRun

_TIME = "%Y-%m-%d %H:%M"
_TROUBLES = 20  # only the newest are listed

_STYLE = """
:root { color-scheme: light dark; --paper: #f6f7f9; --card: #fff; --ink: #1a2230; --soft: #5b6675; --line: #dfe3e9;
  --success: #2f74d0; --other: #a9b6c8; --partial: #b97d00; --running: #0a8a8f; --interrupted: #8a4fbf;
  --failed: #cc3340; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161c; --card: #1b2129; --ink: #e6eaf0; --soft: #9aa6b5;
  --line: #2c3540; --success: #5b9df0; --other: #5a6878; --partial: #e0a93b; --running: #3cc4c9;
  --interrupted: #bd8aec; --failed: #f26672; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; }
h1 { font-size: 1.35rem; margin: 0 0 .2rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .6rem; }
p { margin: .2rem 0; } small, .soft { color: var(--soft); } .where { overflow-wrap: anywhere; }
.cards, .charts { display: grid; gap: .75rem; }
.cards { grid-template-columns: repeat(auto-fit, minmax(6.6rem, 1fr)); margin-top: 1rem; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); align-items: start; }
.cards div, figure, .table, .troubles { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.cards div { padding: .6rem .8rem; } .cards b { display: block; font-size: 1.2rem; }
figure { margin: 0; padding: .8rem; min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; margin-bottom: .5rem;
  font-weight: 600; } figcaption small { font-weight: 400; }
svg { display: block; } svg.columns { width: 100%; height: 7rem; border-bottom: 1px solid var(--line); }
svg.spark { display: inline-block; vertical-align: middle; }
.ends { display: flex; justify-content: space-between; color: var(--soft); font-size: .85rem; }
.row { display: grid; grid-template-columns: minmax(6rem, 9.5rem) 1fr minmax(4rem, auto); gap: .6rem;
  align-items: center; margin: .25rem 0; }
.row span { overflow-wrap: anywhere; } .row svg { width: 100%; height: 1.1rem; } .row b { font-weight: 500;
  text-align: right; font-variant-numeric: tabular-nums; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { padding: .4rem .4rem; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
td:first-child, th:first-child, .left { text-align: left; }
td:first-child { position: sticky; left: 0; background: var(--card); font-weight: 600; }
tr + tr td { border-top: 1px solid var(--line); }
.troubles { padding: .2rem .8rem; margin: 0; list-style: none; }
.troubles li { padding: .5rem 0; overflow-wrap: anywhere; } .troubles li + li { border-top: 1px solid var(--line); }
""" + "\n".join(
    f"rect.{name} {{ fill: var(--{name}); }} .{name} {{ color: var(--{name}); }}" for name in (*SIGNS, "other")
)


def write(report: Report, path: str) -> None:
    """Write the page to this file.

    Raises:
        ReportError: the file cannot be written.
    """
    try:
        Path(path).write_text(page(report), encoding="utf-8")
    except OSError as error:
        msg = f"The page cannot be written to {path}: {error.strerror}."
        raise ReportError(msg) from error


def page(report: Report) -> str:
    """The whole page."""
    title = f"{report.schema or 'warehouse'}: pipeline report"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft where">{escape(report.location)}, read {report.made_at:{_TIME}} UTC</p>',
        *(f'<p class="failed">{escape(failed_start(note))}</p>' for note in report.failed_starts),
        *([_headline(report, report.runs[-1]), _cards(report, report.runs[-1])] if report.runs else []),
        "<h2>Tables and their last run</h2>",
        _table(report),
        "<h2>Runs</h2>",
        f'<div class="charts">{"".join(_run_charts(report.runs))}</div>',
        "<h2>Streams</h2>",
        f'<div class="charts">{"".join(_stream_charts(report))}</div>',
        "<h2>What went wrong</h2>",
        _troubles(report),
        f'<p class="soft">{_legend()}</p>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )


def _headline(report: Report, run: WholeRun) -> str:
    bad = [stream for stream, stream_run in run.streams if stream_run.status != SUCCESS]
    names = f": {escape(', '.join(bad))}" if bad and len(bad) < len(run.streams) else ""
    return (
        f"<p>Last run {run.started_at:{_TIME}}, {age(run.finished_at, report.made_at)} ago: "
        f"<strong>{_status(run.status)}</strong>{names}</p>"
    )


def _cards(report: Report, run: WholeRun) -> str:
    """The main figures of the last run."""
    oldest = min((stream.fresh_at for stream in report.streams if stream.fresh_at), default=None)
    stale = sum(stream.fresh_at is None for stream in report.streams)
    facts = [
        ("oldest table" + (f", {stale} never" if stale else ""), age(oldest, report.made_at)),
        ("duration", duration(run.seconds)),
        ("records", number(run.total("records"))),
        ("new", number(run.total("inserted"))),
        ("changed", changed([stream_run for _, stream_run in run.streams])),
        ("deleted", number(run.total("deleted"))),
        ("rejected", number(run.total("rejected"))),
    ]
    if run.most("requests") is not None:
        facts.append(("requests", number(run.total("requests"))))
    for side, name in (("tap", "tap_peak_memory_mb"), ("target", "peak_memory_mb")):
        if memory := run.most(name):
            facts.append((f"MB peak, {side}", f"{memory:,.0f}"))
    cards = "".join(f"<div><b>{escape(value)}</b><small>{escape(name)}</small></div>" for name, value in facts)
    return f'<div class="cards">{cards}</div>'


def _table(report: Report) -> str:
    heads = (
        *("table", "status", "trend", "fresh", "bad", "live", "deleted", "mode", "read", "new", "changed"),
        *("deleted", "rejected", "records/s", "req/1,000"),
    )
    rows = []
    for stream in report.streams:
        run = stream.last
        cells = [
            age(stream.fresh_at, report.made_at),
            f"{stream.bad_runs}/{len(stream.runs)}",
            *(number(value) for value in (stream.live_rows, stream.deleted_rows)),
            run.mode or "-",
            number(run.records),
            number(run.inserted),
            changed([run]),
            *(number(value) for value in (run.deleted, run.rejected)),
            *(rate(value) for value in (run.records_per_second, run.requests_per_1000)),
        ]
        rows.append(
            f'<tr><td>{escape(_name(report, stream))}</td><td class="left">{_status(run.status)}</td>'
            f'<td class="left">{spark([_bar(r, r.records, "records", number) for r in stream.runs])}</td>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>"
        )
    head = "".join(f"<th{' class=left' if name in ('status', 'trend') else ''}>{name}</th>" for name in heads)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _run_charts(runs: Sequence[WholeRun]) -> list[str]:
    if not runs:
        return ["<p>No run yet.</p>"]
    ends = (f"{runs[0].started_at:{_TIME}}", f"{runs[-1].started_at:{_TIME}}")

    def chart(caption: str, values: Sequence[float], unit: str, text_of: Callable[[float], str], note: str = "") -> str:
        bars = [_bar(run, value, unit, text_of) for run, value in zip(runs, values, strict=True)]
        return columns(caption, bars, text_of, ends, note)

    charts = [
        chart("Records per run", [run.total("records") for run in runs], "records", number),
        chart("Duration per run", [run.seconds for run in runs], "", duration),
    ]
    if any(run.most("requests") is not None for run in runs):
        newest = next((run for run in reversed(runs) if run.most("daily_limit")), None)
        used = ""
        if newest and (remaining := newest.least("daily_remaining")) is not None:
            limit = newest.most("daily_limit") or 1
            used = f"{100 * (1 - remaining / limit):.0f} % of {number(limit)} daily requests used"
        charts.append(
            chart("HubSpot requests per run", [run.total("requests") for run in runs], "requests", number, used)
        )
    rejected = [run.total("rejected") for run in runs]
    if any(rejected):
        charts.append(chart("Rejected records per run", rejected, "rejected", number))
    else:
        charts.append(
            f"<figure><figcaption>Rejected records<small>none in {len(runs)} runs</small></figcaption></figure>"
        )
    return charts


def _stream_charts(report: Report) -> list[str]:
    fresh = [
        (_name(report, stream), [Bar(seconds, stream.last.status, text)], text)
        for stream in report.streams
        for seconds in [(report.made_at - stream.fresh_at).total_seconds() if stream.fresh_at else 0.0]
        for text in [age(stream.fresh_at, report.made_at) if stream.fresh_at else "no success yet"]
    ]
    charts = [lines("Freshness: age of the newest success", "", fresh)]
    totals = []
    for stream in report.streams:
        if (theirs := stream.hubspot_total) is not None:
            ours, difference = stream.live_rows, stream.live_rows - theirs
            value = number(ours) if not difference else f"{number(ours)} ({difference:+,})"
            bars = [Bar(theirs, "other", f"HubSpot {theirs:,}"), Bar(ours, SUCCESS, f"warehouse {ours:,}")]
            totals.append((_name(report, stream), bars, value))
    if totals:
        note = "upper bar: HubSpot, when last asked; lower bar: live rows in the warehouse"
        charts.append(lines("Totals in HubSpot and in the warehouse", note, totals))
    return charts


def _troubles(report: Report) -> str:
    """The errors of the newest runs that had any; an error that several streams of a run share is listed once."""
    troubles: dict[tuple[object, str, str], list[str]] = {}
    for run in reversed(report.runs):
        for stream, stream_run in run.streams:
            if stream_run.error:
                troubles.setdefault((run.started_at, stream_run.status, stream_run.error), []).append(stream)
    items = [
        f"<li>{_status(status)} <b>{escape(', '.join(streams))}</b> "
        f'<span class="soft">{at:{_TIME}}</span><br>{escape(error)}</li>'
        for (at, status, error), streams in list(troubles.items())[:_TROUBLES]
    ]
    return f'<ul class="troubles">{"".join(items)}</ul>' if items else "<p>Nothing in the runs above.</p>"


def _bar(run: ReportedRun | WholeRun, value: float, unit: str, text_of: Callable[[float], str]) -> Bar:
    css_class = run.status if run.status in SIGNS else FAILED
    return Bar(value, css_class, f"{run.started_at:{_TIME}}: {text_of(value)} {unit}".rstrip() + f", {run.status}")


def _status(status: str) -> str:
    sign = SIGNS[status][0] if status in SIGNS else "?"
    return f'<span class="{status if status in SIGNS else FAILED}">{sign} {escape(status)}</span>'


def _legend() -> str:
    signs = ", ".join(_status(status) for status in SIGNS)
    return (
        f"Runs: {signs}. Times are UTC. fresh: age of the newest run that succeeded in both tap and target; "
        "bad: runs that failed or were interrupted."
    )


def _name(report: Report, stream: StreamReport) -> str:
    return stream.table.removeprefix(f"{report.schema}.")
