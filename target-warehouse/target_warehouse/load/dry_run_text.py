"""What a dry run announces: for each stream the rows that would be written, and what would become of the tables.

Pure: it makes lines of what the run and its copies of the tables say. The run itself is an ordinary one, on copies
that nobody else sees (`engines/duckdb_shadow`, `engines/postgres_shadow`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from target_warehouse.engines.protocol import TableChange
    from target_warehouse.load.load_history import StreamLoad

_MOST_COLUMNS = 10  # named in a line


def announcement(loads: Iterable[StreamLoad], changes: Iterable[TableChange]) -> str:
    """The announcement, a line for each stream, schema and change of a table."""
    return "\n".join(_lines(loads, list(changes)))


def _lines(loads: Iterable[StreamLoad], changes: Sequence[TableChange]) -> Iterator[str]:
    yield "Dry run: nothing was written, and the state stays where it is. A run would do this:"
    for load in loads:
        counts = load.counts
        yield (
            f"{load.stream}: {load.rows_read:,} records read; {counts.inserted:,} rows created, {counts.updated:,} "
            f"updated, {counts.deleted:,} deleted, {load.rejected:,} records rejected."
        )
        if load.first_reason:
            yield f"{load.stream}: the first rejected: {load.first_reason}."
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
