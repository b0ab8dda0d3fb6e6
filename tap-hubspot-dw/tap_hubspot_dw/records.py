"""From a HubSpot object to a Singer record: the tap's one translation of data.

A full record carries every selected column. A *delete record* carries the key, `_sdc_deleted_at` and what is known
of the deletion, and nothing else, so that a target can mark the row and leave its last values alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tap_hubspot_dw.schemas import Column
from tap_hubspot_dw.values import to_date_time

Record = dict[str, Any]


class RecordMaker:
    """Makes full records with the given columns; this is the work that every record costs."""

    def __init__(self, columns: Sequence[Column], *, all_in: str | None = None) -> None:
        """Take the columns, and the name of a column that gets all properties as HubSpot's texts (None: none)."""
        self._all_in = all_in
        self._names = [(column.name, column.property_name) for column in columns]
        self._typed = [(column.name, column.property_name, column.convert) for column in columns if column.convert]

    def __call__(self, hubspot_object: Mapping[str, Any]) -> Record:
        """Return the full record of a live object.

        `""` is how HubSpot writes a cleared value (observed): null for everything but text. A value that does not
        convert is null, and its text stands in `invalid_properties` under HubSpot's property name.
        """
        value_of = hubspot_object["properties"].get
        invalid: dict[str, str] = {}
        record: Record = {
            "id": str(hubspot_object["id"]),
            "created_at": _moment(hubspot_object.get("createdAt"), "createdAt", invalid),
            "updated_at": _moment(hubspot_object.get("updatedAt"), "updatedAt", invalid),
            "archived": bool(hubspot_object.get("archived", False)),
            "archived_at": None,
            "merged_into_id": None,
            "url": hubspot_object.get("url"),
            "invalid_properties": None,
            "_sdc_deleted_at": None,
        }
        record.update([(name, value_of(property_name)) for name, property_name in self._names])
        for name, property_name, convert in self._typed:
            text = record[name]
            if text is None:
                continue
            if text == "":
                record[name] = None
                continue
            try:
                record[name] = convert(text)
            except ValueError:
                invalid[property_name] = text
                record[name] = None
        if self._all_in:
            record[self._all_in] = dict(hubspot_object["properties"])
        if invalid:
            record["invalid_properties"] = invalid
        return record


def archived_record(hubspot_object: Mapping[str, Any]) -> Record:
    """Return the delete record of an object from the archived list."""
    archived_at = to_date_time(hubspot_object["archivedAt"])
    return {
        "id": str(hubspot_object["id"]),
        "archived": True,
        "archived_at": archived_at,
        "_sdc_deleted_at": archived_at,
    }


def merged_records(hubspot_object: Mapping[str, Any]) -> Iterator[Record]:
    """Yield a delete record for every object that was merged into this one.

    HubSpot does not say when each was merged; the survivor's last change stands for it.
    """
    survivor = str(hubspot_object["id"])
    merged_ids = hubspot_object["properties"].get("hs_merged_object_ids") or ""
    for merged_id in filter(None, (each.strip() for each in merged_ids.split(";"))):
        yield {
            "id": merged_id,
            "merged_into_id": survivor,
            "_sdc_deleted_at": to_date_time(hubspot_object["updatedAt"]),
        }


def _moment(text: str | None, name: str, invalid: dict[str, str]) -> str | None:
    if text is None:
        return None
    try:
        return to_date_time(text)
    except ValueError:
        invalid[name] = text
        return None
