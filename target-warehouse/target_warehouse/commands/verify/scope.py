"""What a verification compared, and what it did not, as sentences. Pure: standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.commands.verify.streams import ASSOCIATIONS, REFERENCES, is_of_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_warehouse.commands.verify.findings import Verification


def compared(result: Verification) -> str:
    """The sentence that says what was compared."""
    checks = [check for check in result.streams if check.is_compared]
    objects = [check for check in checks if is_of_objects(check.stream)]
    parts = ["the keys of all tables"]
    if objects:
        live = sum(check.live_rows or 0 for check in objects)
        deleted = sum(check.deleted_rows or 0 for check in objects)
        read = sum(max(check.sampled - check.changed_since, 0) for check in objects)
        marked = sum(check.sampled_deleted for check in objects)
        parts += [
            f"the totals of {_listed([check.stream for check in objects])}",
            f"all fields of {read:,} of their {live:,} live rows",
            f"the marks of {marked:,} of their {deleted:,} deleted rows",
        ]
    if any(check.stream == ASSOCIATIONS for check in checks):
        live, read = sum(pair.live_rows for pair in result.pairs), sum(pair.sampled for pair in result.pairs)
        parts.append(f"{read:,} of {live:,} associations")
    if references := [check.stream for check in checks if check.stream in REFERENCES]:
        parts.append(f"all rows of {_listed(references)}")
    return f"Compared: {'; '.join(parts)}."


def not_compared(result: Verification) -> str:
    """The sentence that says what was not compared."""
    checks = [check for check in result.streams if check.is_compared]
    objects = [check for check in checks if is_of_objects(check.stream)]
    rest = sum(max((check.live_rows or 0) - check.sampled, 0) for check in objects)
    links = sum(max(pair.live_rows - pair.sampled - pair.changed_since, 0) for pair in result.pairs)
    changed = sum(check.changed_since for check in checks) + sum(pair.changed_since for pair in result.pairs)
    others = sum(check.unread_rows for check in checks)
    known = {
        *(check.stream for check in result.streams),
        *REFERENCES,
        ASSOCIATIONS,
        *filter(is_of_objects, result.read),
    }
    unread = sorted(known - {check.stream for check in checks})
    parts = [f"the streams {_listed(unread)}"] if unread else []
    parts += [f"{others:,} rows that describe objects which the tap does not read"] if others else []
    parts += [f"the fields of {rest:,} live rows"] if rest else []
    parts += [f"{links:,} associations"] if links else []
    parts += [f"{changed:,} rows that HubSpot changed less than an hour before the last load, or later"] * bool(changed)
    parts += ["whether deleted rows are missing, and their values"]
    return f"Not compared: {'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
