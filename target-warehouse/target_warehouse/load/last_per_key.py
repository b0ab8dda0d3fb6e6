"""The outcome of the records of one batch for each key.

The rules, for records of one key in the order they were read:

    full, full            the last full record
    full, delete          the full record, updated with the properties of the delete record: values kept, row marked
    delete, full          the full record: a live row, the mark cleared; with hard deletes the row is removed first,
                          so that columns which the stream does not have lose their values
    delete                only the properties of the delete record: no other column of an existing row changes

A *delete record* is a record whose `_sdc_deleted_at` is not null. Pure: standard library only.
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
    """The outcomes of a batch: full rows; partial rows, grouped by their columns; keys of rows to remove.

    `renewed` are those of the full rows of which an earlier row has to be removed first.
    """

    renewed: list[Record] = field(default_factory=list)
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
    """The batch reduced to one outcome for each key.

    In a table without keys, every record is a row of its own. `key_of` returns the key of a record; it is needed where
    equal keys can have unequal values.
    """
    if not keys:
        return KeyOutcomes(rows=list(records))
    last = _last_of_each_key(records, key_of or operator.itemgetter(*keys))
    outcomes = KeyOutcomes()
    for record, is_full, is_renewed in last.values():
        is_delete = record.get(DELETED_AT) is not None
        if is_delete and hard_delete:
            outcomes.removed.append(record)
        elif is_full:
            outcomes.rows.append(record)
            if is_renewed and hard_delete:
                outcomes.renewed.append(record)
        else:
            outcomes.partial.setdefault(tuple(sorted(record)), []).append(record)
    return outcomes


def _last_of_each_key(
    records: Sequence[Record], key_of: Callable[[Record], Any]
) -> dict[Any, tuple[Record, bool, bool]]:
    """For each key its last values, whether they are of a full record, and whether a delete record came before it."""
    last: dict[Any, tuple[Record, bool, bool]] = {}
    for record in records:
        key = key_of(record)
        earlier = last.get(key)
        if record.get(DELETED_AT) is None:
            was_deleted = earlier is not None and (earlier[2] or earlier[0].get(DELETED_AT) is not None)
            last[key] = (record, True, was_deleted)
        else:
            last[key] = ({**earlier[0], **record}, earlier[1], earlier[2]) if earlier else (record, False, False)
    return last
