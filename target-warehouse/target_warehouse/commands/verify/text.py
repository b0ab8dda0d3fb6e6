"""A verification as text and as JSON."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from target_warehouse.commands.verify import scope
from target_warehouse.shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_warehouse.commands.verify.findings import Finding, PairCheck, StreamCheck, Verification

_SHOWN_KEYS = 10


def render(result: Verification) -> str:
    """The verification as text: tables of streams and pairs, then the differences, then notes."""
    heads = ("stream", "as of (UTC)", "age", "live rows", "HubSpot", "read again", "changed since")
    text = _table(heads, [_cells(check) for check in result.streams], 2)
    if result.pairs:
        heads = ("pair", "read (UTC)", "read in full (UTC)", "live rows", "deleted", "read again", "changed since")
        text += ["", *_table(heads, [_pair_cells(check) for check in result.pairs], 3)]
    for is_drift, head in ((True, "Differences:"), (False, "Notes:")):
        findings = [finding for finding in result.findings if finding.is_drift is is_drift]
        if findings:
            text += ["", head, *(f"  {finding.stream}: {finding.text}{_keys(finding)}" for finding in findings)]
    count = sum(finding.is_drift for finding in result.findings)
    verdict = "matches HubSpot in everything that was compared."
    if count:
        verdict = f"does not match HubSpot: {count} difference{'s' * (count != 1)}."
    text += ["", scope.compared(result), scope.not_compared(result), f"The copy {verdict}"]
    return "\n".join(shown(line, 10_000) for line in text)


def as_json(result: Verification) -> dict[str, Any]:
    """The verification as one JSON object."""
    return {
        "is_true": result.is_true,
        "compared": scope.compared(result),
        "not_compared": scope.not_compared(result),
        "asked_at": result.asked_at.isoformat() + "Z",
        "streams": [vars(check) for check in result.streams],
        "pairs": [vars(check) for check in result.pairs],
        "findings": [vars(finding) for finding in result.findings],
    }


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of a table with a rule below the heads; the first `left` columns are left-aligned."""
    lines = [heads, *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    text = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return [text[0], "-" * len(text[0]), *text[1:]]


def _cells(check: StreamCheck) -> tuple[str, ...]:
    age = "" if check.age_seconds is None else str(dt.timedelta(seconds=round(check.age_seconds)))
    is_of_objects = check.live_rows is not None
    read = (_shown(check.sampled), _shown(check.changed_since)) if is_of_objects else ("", "")
    until = _time(check.loaded_until, "never")
    return (check.stream, until, age, _shown(check.live_rows), _shown(check.hubspot_total), *read)


def _pair_cells(check: PairCheck) -> tuple[str, ...]:
    times = (_time(check.last_read, "not known"), _time(check.last_full_pass, "not known"))
    counts = (check.live_rows, check.deleted_rows, check.sampled, check.changed_since)
    return (check.pair, *times, *map(_shown, counts))


def _time(timestamp: dt.datetime | None, otherwise: str) -> str:
    return otherwise if timestamp is None else f"{timestamp:%Y-%m-%d %H:%M:%S}"


def _shown(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _keys(finding: Finding) -> str:
    more = ", …" if len(finding.keys) > _SHOWN_KEYS else ""
    return f" ({', '.join(finding.keys[:_SHOWN_KEYS])}{more})" if finding.keys else ""
