"""What is in the warehouse and what the last run changed, for the terminal.

`read` asks the database, `render` makes text of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_warehouse.columns import DELETED_AT
from target_warehouse.errors import ReportError
from target_warehouse.history import TABLE_NAME
from target_warehouse.statements import column_list, identifier

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from target_warehouse.engines.protocol import Engine

_COLUMNS = (
    "stream",
    "table_schema",
    "table_name",
    "status",
    "started_at",
    "finished_at",
    "rows_read",
    "inserted",
    "updated",
    "deleted",
    "rejected",
    "seconds",
    "run_id",
    "error",
)

_HEADS = (
    *("table", "live", "deleted", "last run (UTC)", "status", "read"),
    *("+new", "~changed", "-deleted", "rejected", "seconds"),
)


@dataclass(frozen=True)
class StreamReport:
    """One table now, and its stream's last run. Times are UTC without a zone."""

    table: str
    live_rows: int
    deleted_rows: int
    status: str
    started_at: dt.datetime
    rows_read: int
    inserted: int
    updated: int
    deleted: int
    rejected: int
    seconds: float
    run_id: str
    error: str | None


def read(engine: Engine, default_schema: str) -> list[StreamReport]:
    """One report per table, by name.

    Raises:
        ReportError: no run has loaded anything into this schema yet.
    """
    schema = default_schema or None
    if not engine.table_exists(schema, TABLE_NAME):
        msg = (
            f"There is no history of loads in the schema {default_schema or 'of the database'} yet: run the pipeline "
            "first, or correct the settings warehouse and default_target_schema."
        )
        raise ReportError(msg)
    history = engine.query(
        f"SELECT {column_list(_COLUMNS)} FROM (SELECT *, row_number() OVER "  # noqa: S608 - quoted names
        f"(PARTITION BY table_schema, table_name ORDER BY started_at DESC) AS latest "
        f"FROM {identifier(schema, TABLE_NAME)}) AS h WHERE latest = 1 ORDER BY table_schema, table_name"
    )
    return [_report(engine, dict(zip(_COLUMNS, row, strict=True))) for row in history]


def render(reports: Sequence[StreamReport]) -> str:
    """The reports as an aligned table, with the errors of failed runs below it."""
    if not reports:
        return "No stream has been loaded yet."
    lines = [
        _HEADS,
        *(
            (
                report.table,
                f"{report.live_rows:,}",
                f"{report.deleted_rows:,}",
                f"{report.started_at:%Y-%m-%d %H:%M:%S}",
                report.status,
                f"{report.rows_read:,}",
                f"{report.inserted:,}",
                f"{report.updated:,}",
                f"{report.deleted:,}",
                f"{report.rejected:,}",
                f"{report.seconds:.1f}",
            )
            for report in reports
        ),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADS))]
    is_text = (0, 3, 4)
    text = [
        "  ".join(
            cell.ljust(width) if i in is_text else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    errors = sorted({f"{report.table}: {report.error}" for report in reports if report.error})
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], *(["", *errors] if errors else [])])


def _report(engine: Engine, row: dict[str, Any]) -> StreamReport:
    schema, name = row["table_schema"], row["table_name"]
    live, deleted = 0, 0
    if engine.table_exists(schema, name):
        is_marked = f"{identifier(DELETED_AT)} IS NOT NULL"
        if DELETED_AT not in engine.column_types(schema, name):
            is_marked = "false"
        live, deleted = engine.query(
            f"SELECT count(*) FILTER (WHERE NOT ({is_marked})), count(*) FILTER (WHERE {is_marked}) "  # noqa: S608
            f"FROM {identifier(schema, name)}"
        )[0]
    return StreamReport(
        table=".".join(part for part in (schema, name) if part),
        live_rows=live,
        deleted_rows=deleted,
        status=row["status"],
        started_at=row["started_at"],
        rows_read=row["rows_read"],
        inserted=row["inserted"],
        updated=row["updated"],
        deleted=row["deleted"],
        rejected=row["rejected"],
        seconds=float(row["seconds"]),
        run_id=row["run_id"],
        error=row["error"],
    )
