"""What the records of one batch come to, key by key.

The rules, for records of one key in the order they were read:

    full, full            the last one
    full, delete          the full one with what the delete record carries laid over it (values kept, and marked)
    delete, full          the full one (a live row, the mark cleared)
    delete                only what it carries: nothing else of an existing row is touched

A *delete record* is one whose `_sdc_deleted_at` is not null. Pure: standard library only.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from target_warehouse.tables.table import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Record = dict[str, Any]


@dataclass(frozen=True)
class KeyOutcomes:
    """The outcome: whole rows; partial rows by the columns they carry; keys of rows to remove."""

    rows: list[Record] = field(default_factory=list)
    partial: dict[tuple[str, ...], list[Record]] = field(default_factory=dict)
    removed: list[Record] = field(default_factory=list)


def outcomes_by_key(
    records: Sequence[Record],
    keys: Sequence[str],
    *,
    hard_delete: bool,
    key_of: Callable[[Record], Any] | None = None,
) -> KeyOutcomes:
    """Reduce a batch to at most one outcome for each key.

    Without keys there is nothing to find an earlier row by, so every record is a row of its own. `key_of` gives a
    record's key where the keys' own values do not tell which records are of one row.
    """
    if not keys:
        return KeyOutcomes(rows=list(records))
    last = _last_of_each_key(records, key_of or operator.itemgetter(*keys))
    outcomes = KeyOutcomes()
    for record, is_full in last.values():
        is_delete = record.get(DELETED_AT) is not None
        if is_delete and hard_delete:
            outcomes.removed.append(record)
        elif is_full:
            outcomes.rows.append(record)
        else:
            outcomes.partial.setdefault(tuple(sorted(record)), []).append(record)
    return outcomes


def _last_of_each_key(records: Sequence[Record], key_of: Callable[[Record], Any]) -> dict[Any, tuple[Record, bool]]:
    last: dict[Any, tuple[Record, bool]] = {}
    for record in records:
        key = key_of(record)
        if record.get(DELETED_AT) is None:
            last[key] = (record, True)
            continue
        earlier = last.get(key)
        last[key] = ({**earlier[0], **record}, earlier[1]) if earlier else (record, False)
    return last
