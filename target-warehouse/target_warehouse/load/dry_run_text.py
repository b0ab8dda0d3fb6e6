"""The report of a dry run: the rows that each stream would write, and the changes to tables.

Pure. The dry run itself is an ordinary run on temporary copies of the tables (`engines/duckdb/dry_run.py`,
`engines/postgres/dry_run.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from target_warehouse.engines.protocol import TableChange
    from target_warehouse.load.load_history import StreamLoad

_MOST_COLUMNS = 10  # named in a line


def announcement(loads: Iterable[StreamLoad], changes: Iterable[TableChange]) -> str:
    """The report: one line for each stream, new schema and change of a table."""
    return "\n".join(_lines(loads, list(changes)))


def _lines(loads: Iterable[StreamLoad], changes: Sequence[TableChange]) -> Iterator[str]:
    yield "Dry run: nothing was written, and the state is unchanged. A real run would make these changes:"
    for load in loads:
        counts = load.counts
        yield (
            f"{load.stream}: {load.rows_read:,} records read; {counts.inserted:,} rows created, {counts.updated:,} "
            f"updated, {counts.deleted:,} deleted, {load.rejected:,} records rejected."
        )
        if load.first_reason:
            yield f"{load.stream}: the first rejected record: {load.first_reason}."
    for schema in sorted({change.schema or "" for change in changes if change.is_new_schema} - {""}):
        yield f"The schema {schema} would be created."
    for change in changes:
        yield from _table_lines(change)


def _table_lines(change: TableChange) -> Iterator[str]:
    name = ".".join(part for part in (change.schema, change.name) if part)
    new = [f"{column} {kind.lower()}" for column, kind in change.after.items() if column not in change.before]
    if not change.before:
        yield f"The table {name} would be created with {len(new):,} columns: {_named(new)}."
        return
    if new:
        yield f"The table {name} would get {len(new):,} columns: {_named(new)}."
    wider = [
        f"{column} from {before.lower()} to {change.after[column].lower()}"
        for column, before in change.before.items()
        if before != change.after[column]
    ]
    if wider:
        yield f"In the table {name} the type of {len(wider):,} columns would change: {_named(wider)}."


def _named(columns: Sequence[str]) -> str:
    more = len(columns) - _MOST_COLUMNS
    return ", ".join(columns[:_MOST_COLUMNS]) + (f" and {more:,} more" if more > 0 else "")
