"""HubSpot's totals against the live rows, and which records it is where they differ.

HubSpot's index has been seen an hour late: what was made or deleted in the last hour may be missing in its totals.
So a total alone proves little where much is new; the records that the tap finds by halving totals are read by their
ids, which is exact.
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
    from target_warehouse.commands.verify.warehouse_facts import Load, News
    from target_warehouse.engines.protocol import Engine


def of_total(
    engine: Engine, load: Load, check: StreamCheck, news: Mapping[str, News], asked_at: dt.datetime
) -> list[Finding]:
    """Compare HubSpot's total with the live rows, less what was made and deleted since the last load."""
    check.live_rows = live = rows.count_live(engine, load)
    if check.hubspot_total is None:
        return [Finding("total", load.stream, "HubSpot does not say how many there are.", is_drift=False)]
    there = rows.there(engine, load, list(news))
    new = [id_ for id_, each in news.items() if not each.is_deleted and not (id_ in there and there[id_].is_live)]
    gone = [id_ for id_, each in news.items() if each.is_deleted and id_ in there and there[id_].is_live]
    since = (load.until or asked_at) - LATE
    new = [id_ for id_ in new if news[id_].moment >= since]
    gone = [id_ for id_ in gone if news[id_].moment >= since]
    expected = live + len(new) - len(gone)
    recent = rows.count_recent(engine, load, asked_at - LATE) + len(new) + len(gone)
    off = check.hubspot_total - expected
    if not off:
        return []
    since_then = f" and {len(new):,} made and {len(gone):,} deleted since the last load" if new or gone else ""
    what = f"{off:,} missing" if off > 0 else f"{-off:,} too many"
    is_drift = abs(off) > recent
    late = "" if is_drift else f"; of the last hour are {recent:,} made or deleted, which HubSpot may count late"
    text = (
        f"HubSpot counted {check.hubspot_total:,} at {asked_at:%H:%M:%S} UTC, the warehouse has {live:,} live rows"
        f"{since_then}: {what}{late}."
    )
    return [Finding("total", load.stream, text, is_drift)]


def located(engine: Engine, tap: str, loads: Mapping[str, Load]) -> Iterator[Finding]:
    """Yield which records make the totals of these streams differ, those that changed since the last load left out.

    The tap asks for a bounded number of totals: of very many differences it finds the first.
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
    there = rows.there(engine, load, list(news))
    for_good = rows.gone_for_good(fresh, SCHEMA, load)
    lacking, marked, dead, gone = (list[str]() for _ in range(4))
    for id_, record in news.items():
        is_live = id_ in there and there[id_].is_live
        if id_ in for_good:
            gone += [id_] * is_live
        elif load.until is None or record.moment < load.until - LATE:
            if record.is_deleted:
                dead += [id_] * is_live
            elif not is_live:
                (marked if id_ in there else lacking).append(id_)
    for keys, what in (
        (lacking, "records that HubSpot has are missing in the table"),
        (marked, "records that HubSpot has are marked as deleted in the table"),
        (dead, "live rows are of records that were archived or merged in HubSpot before the last load"),
        (gone, "live rows are of records that are gone from HubSpot for good; the next full pass marks them"),
    ):
        if keys:
            yield finding("records", load.stream, f"{len(keys):,} {what}.", keys)
