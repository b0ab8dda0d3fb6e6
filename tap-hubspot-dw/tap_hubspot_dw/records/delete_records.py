"""Delete records: only the key, `_sdc_deleted_at` and the facts about the deletion.

So a target can mark the row and keep its last values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tap_hubspot_dw.records.converters import to_date_time
from tap_hubspot_dw.records.record_forms import Record

_NO_TIMESTAMP = "1970-01-01T00:00:00.000Z"  # HubSpot always sends one; without a timestamp the row would stay live


def archived_records(record_id: int, archived_at: str, merged_ids: Iterable[str]) -> Iterator[Record]:
    """Yield the delete records of an archived object and of the objects merged into it before."""
    at, text = to_date_time(archived_at), str(record_id)
    yield {"id": text, "archived": True, "archived_at": at, "_sdc_deleted_at": at}
    yield from merged_records(text, merged_ids, at)


def merged_records(survivor_id: str, merged_ids: Iterable[str], timestamp: str | None) -> Iterator[Record]:
    """Yield a delete record for every object that was merged into the survivor.

    HubSpot does not say when they were merged; `timestamp` is that of the survivor's last change.
    """
    for merged_id in merged_ids:
        if merged_id == survivor_id:  # in older merges the winner kept its id and is listed too
            continue
        yield {"id": merged_id, "merged_into_id": survivor_id, "_sdc_deleted_at": timestamp or _NO_TIMESTAMP}
