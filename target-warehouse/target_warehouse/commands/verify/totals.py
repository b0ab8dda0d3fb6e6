"""Compare HubSpot's totals with the live rows, and find the records that make them differ.

HubSpot's search index can lag an hour (observed), so its totals may lack records created or deleted in the last hour.
A total alone therefore proves little when many records are new. The records that the tap finds by bisecting totals are
read by id, which is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_warehouse.commands.verify import warehouse_facts as rows
from target_warehouse.commands.verify.findings import LATE, Finding, finding
from target_warehouse.commands.verify.fresh_copy import SCHEMA, fresh_copy, of_differences

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from target_warehouse.commands.verify.findings import StreamCheck
    from target_warehouse.commands.verify.histories import Load
    from target_warehouse.commands.verify.warehouse_facts import News
    from target_warehouse.engines.protocol import Engine


def of_total(
    engine: Engine, load: Load, check: StreamCheck, news: Mapping[str, News], asked_at: dt.datetime
) -> list[Finding]:
    """Compare HubSpot's total with the live rows, corrected by records created and deleted since the last load."""
    check.live_rows, check.deleted_rows = live, _ = rows.count_live(engine, load), rows.count_marked(engine, load)
    if check.hubspot_total is None:
        return [Finding("total", load.stream, "HubSpot gives no total.", is_drift=False)]
    current = rows.rows_of(engine, load, list(news))
    new = [
        id_ for id_, record in news.items() if not record.is_deleted and not (id_ in current and current[id_].is_live)
    ]
    gone = [id_ for id_, record in news.items() if record.is_deleted and id_ in current and current[id_].is_live]
    since = (load.until or asked_at) - LATE
    new = [id_ for id_ in new if news[id_].timestamp >= since]
    gone = [id_ for id_ in gone if news[id_].timestamp >= since]
    expected = live + len(new) - len(gone)
    recent = rows.count_recent(engine, load, asked_at - LATE) + len(new) + len(gone)
    off = check.hubspot_total - expected
    if not off:
        return []
    since_then = f", and {len(new):,} were created and {len(gone):,} deleted since the last load" if new or gone else ""
    difference = f"{off:,} missing" if off > 0 else f"{-off:,} too many"
    is_drift = abs(off) > recent
    late = "" if is_drift else f"; {recent:,} were created or deleted in the last hour, which HubSpot may count late"
    text = (
        f"HubSpot counted {check.hubspot_total:,} at {asked_at:%H:%M:%S} UTC, the warehouse has {live:,} live rows"
        f"{since_then}: {difference}{late}."
    )
    return [Finding("total", load.stream, text, is_drift)]


def located(engine: Engine, tap: str, loads: Mapping[str, Load]) -> Iterator[Finding]:
    """Yield the records that make the totals of these streams differ, without those changed since the last load.

    The tap requests a limited number of totals, so it finds only the first of very many differences.
    """
    if not loads:
        return
    tables = {stream: load.full_name for stream, load in loads.items()}
    ids = {stream: rows.live_ids(engine, load) for stream, load in loads.items()}
    with of_differences(ids) as asked, fresh_copy(tap, asked, tables, engine) as fresh:
        for load in loads.values():
            yield from _of_stream(engine, fresh, load)


def _of_stream(engine: Engine, fresh: Engine, load: Load) -> Iterator[Finding]:
    news = rows.news(fresh, SCHEMA, load)
    current = rows.rows_of(engine, load, list(news))
    erased = rows.permanently_deleted(fresh, SCHEMA, load)
    lacking, marked, dead, gone = (list[str]() for _ in range(4))
    for id_, record in news.items():
        is_live = id_ in current and current[id_].is_live
        if id_ in erased:
            gone += [id_] * is_live
        elif load.until is None or record.timestamp < load.until - LATE:
            if record.is_deleted:
                dead += [id_] * is_live
            elif not is_live:
                (marked if id_ in current else lacking).append(id_)
    for keys, what in (
        (lacking, "records that HubSpot has are missing in the table"),
        (marked, "records that HubSpot has are marked as deleted in the table"),
        (dead, "live rows belong to records that were archived or merged in HubSpot before the last load"),
        (gone, "live rows belong to records that were permanently deleted in HubSpot; the next full pass marks them"),
    ):
        if keys:
            yield finding("records", load.stream, f"{len(keys):,} {what}.", keys)
