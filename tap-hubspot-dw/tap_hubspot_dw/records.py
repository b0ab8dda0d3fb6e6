"""From a HubSpot object to a Singer record: the tap's one translation of data.

A full record carries every selected column. A *delete record* carries the key, `_sdc_deleted_at` and what is known
of the deletion, and nothing else, so that a target can mark the row and leave its last values alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tap_hubspot_dw.schemas import Column
from tap_hubspot_dw.values import Known, to_date_time

Record = dict[str, Any]


class RecordMaker:
    """Makes full records with the given columns; this is the work that every record costs. Safe to use from threads."""

    def __init__(self, columns: Sequence[Column], *, all_in: str | None = None) -> None:
        """Take the columns, and the name of a column that gets all properties as HubSpot's texts (None: none)."""
        self._all_in = all_in
        self._names = [column.name for column in columns]
        self._property_names = [column.property_name for column in columns]
        converters = {column.convert for column in columns if column.convert} | {to_date_time}
        known = {convert: Known(convert) for convert in converters}
        self._typed = [
            ("created_at", "createdAt", known[to_date_time]),
            ("updated_at", "updatedAt", known[to_date_time]),
            *((column.name, column.property_name, known[column.convert]) for column in columns if column.convert),
        ]

    def __call__(self, hubspot_object: Mapping[str, Any]) -> Record:
        """Return the full record of a live object.

        `""` is how HubSpot writes a cleared value (observed): null for everything but text. A value that does not
        convert is null, and its text stands in `invalid_properties` under HubSpot's property name.
        """
        properties = hubspot_object["properties"]
        record: Record = {
            "id": str(hubspot_object["id"]),
            "created_at": hubspot_object.get("createdAt"),
            "updated_at": hubspot_object.get("updatedAt"),
            "archived": bool(hubspot_object.get("archived", False)),
            "archived_at": None,
            "merged_into_id": None,
            "url": hubspot_object.get("url"),
            "invalid_properties": None,
            "_sdc_deleted_at": None,
        }
        record.update(zip(self._names, map(properties.get, self._property_names), strict=True))
        invalid: dict[str, str] = {}
        for name, property_name, values in self._typed:
            text = record[name]
            try:
                record[name] = values[text]
            except ValueError:
                invalid[property_name] = text
                record[name] = None
        if self._all_in:
            record[self._all_in] = dict(properties)
        if invalid:
            record["invalid_properties"] = invalid
        return record


def archived_record(hubspot_object: Mapping[str, Any]) -> Record:
    """Return the delete record of an object from the archived list."""
    archived_at = to_date_time(hubspot_object.get("archivedAt") or hubspot_object["updatedAt"])
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
