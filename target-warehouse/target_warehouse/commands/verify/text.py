"""A verification as text and as JSON."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from target_warehouse.shown import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_warehouse.commands.verify.findings import Finding, PairCheck, StreamCheck, Verification

_SHOWN_KEYS = 10


def render(found: Verification) -> str:
    """The verification as text: lines for streams and pairs, then what differs, then what else is worth knowing."""
    heads = ("stream", "as of (UTC)", "age", "live rows", "HubSpot", "read again", "changed since")
    text = _table(heads, [_cells(check) for check in found.streams], 2)
    if found.pairs:
        heads = ("pair", "read (UTC)", "read in full (UTC)", "live rows", "deleted", "read again", "changed since")
        text += ["", *_table(heads, [_pair_cells(check) for check in found.pairs], 3)]
    for is_drift, head in ((True, "What differs:"), (False, "Worth knowing:")):
        chosen = [each for each in found.findings if each.is_drift is is_drift]
        text += ["", head, *(f"  {each.stream}: {each.text}{_keys(each)}" for each in chosen)] if chosen else []
    count = sum(each.is_drift for each in found.findings)
    text += ["", f"The copy is not true: {count} difference{'s' * (count != 1)}." if count else "The copy is true."]
    return "\n".join(shown(line, 10_000) for line in text)


def as_json(found: Verification) -> dict[str, Any]:
    """The verification as one JSON object."""
    return {
        "is_true": found.is_true,
        "asked_at": found.asked_at.isoformat() + "Z",
        "streams": [vars(check) for check in found.streams],
        "pairs": [vars(check) for check in found.pairs],
        "findings": [vars(each) for each in found.findings],
    }


def _table(heads: Sequence[str], cells: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines with a rule below the heads; the first columns stand to the left."""
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
    until = _moment(check.loaded_until, "never")
    return (check.stream, until, age, _shown(check.live_rows), _shown(check.hubspot_total), *read)


def _pair_cells(check: PairCheck) -> tuple[str, ...]:
    moments = (_moment(check.last_read, "not known"), _moment(check.last_full_pass, "not known"))
    counts = (check.live_rows, check.deleted_rows, check.sampled, check.changed_since)
    return (check.pair, *moments, *map(_shown, counts))


def _moment(moment: dt.datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _shown(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _keys(each: Finding) -> str:
    more = ", …" if len(each.keys) > _SHOWN_KEYS else ""
    return f" ({', '.join(each.keys[:_SHOWN_KEYS])}{more})" if each.keys else ""
