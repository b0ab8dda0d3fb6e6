"""From a HubSpot object to a Singer record: the tap's one translation of data.

A full record carries every selected column. A *delete record* carries the key, `_sdc_deleted_at` and what is known
of the deletion, and nothing else, so that a target can mark the row and leave its last values alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tap_hubspot_dw.schemas import Column
from tap_hubspot_dw.timestamps import format_timestamp, parse_timestamp

Record = dict[str, Any]


def to_record(hubspot_object: Mapping[str, Any], columns: Sequence[Column]) -> Record:
    """Return the full record of a live object.

    `""` is how HubSpot writes a cleared value (observed): null for everything but text. A value that does not
    convert is null, and its text stands in `invalid_properties` under HubSpot's property name.
    """
    values = hubspot_object["properties"]
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
    for column in columns:
        value = values.get(column.property_name)
        if value is not None and column.convert is not None:
            if value == "":
                value = None
            else:
                try:
                    value = column.convert(value)
                except ValueError:
                    invalid[column.property_name] = value
                    value = None
        record[column.name] = value
    if invalid:
        record["invalid_properties"] = invalid
    return record


def archived_record(hubspot_object: Mapping[str, Any]) -> Record:
    """Return the delete record of an object from the archived list."""
    archived_at = format_timestamp(parse_timestamp(hubspot_object["archivedAt"]))
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
            "_sdc_deleted_at": format_timestamp(parse_timestamp(hubspot_object["updatedAt"])),
        }


def _moment(text: str | None, name: str, invalid: dict[str, str]) -> str | None:
    if text is None:
        return None
    try:
        return format_timestamp(parse_timestamp(text))
    except ValueError:
        invalid[name] = text
        return None
