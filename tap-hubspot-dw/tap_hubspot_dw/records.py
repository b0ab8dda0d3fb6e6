"""From a HubSpot object to a Singer record: the tap's one translation of data.

A full record carries every selected column. A *delete record* carries the key, `_sdc_deleted_at` and what is known
of the deletion, and nothing else, so that a target can mark the row and leave its last values alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from tap_hubspot_dw.schemas import Column
from tap_hubspot_dw.values import Known, to_date_time
from tap_hubspot_dw.wanted import Wanted

Record = dict[str, Any]

_NO_MOMENT = "1970-01-01T00:00:00.000Z"  # HubSpot's moments are there always; without the mark a row would be live


class RecordMaker:
    """Makes full records with the given columns; this is the work that every record costs. Safe to use from threads."""

    def __init__(self, columns: Sequence[Column], wanted: Wanted, *, all_in: str | None = None) -> None:
        """Take the columns, the properties that objects come with, and a column for all of these as texts, if any."""
        self._wanted = wanted
        self._all_in = all_in
        self._names = [column.name for column in columns]
        places = [wanted.names.index(column.property_name) for column in columns]
        self._pick = itemgetter(*places, 0, 0)  # of one place alone it would give no tuple
        converters = {column.convert for column in columns if column.convert} | {to_date_time}
        known = {convert: Known(convert) for convert in converters}
        self._typed = [(i, known[column.convert]) for i, column in enumerate(columns) if column.convert]
        self._property_names = [column.property_name for column in columns]
        self._moments = known[to_date_time]

    def __call__(self, hubspot_object: Mapping[str, Any]) -> Record:
        """Return the full record of a live object.

        `""` is how HubSpot writes a cleared value (observed): null for everything but text. A value that does not
        convert is null, and its text stands in `invalid_properties` under HubSpot's property name.
        """
        texts = hubspot_object["properties"]
        invalid: dict[str, str] = {}
        record: Record = {
            "id": str(hubspot_object["id"]),
            "created_at": self._moment(hubspot_object, "createdAt", invalid),
            "updated_at": self._moment(hubspot_object, "updatedAt", invalid),
            "archived": bool(hubspot_object.get("archived", False)),
            "archived_at": None,
            "merged_into_id": None,
            "url": hubspot_object.get("url"),
            "invalid_properties": None,
            "_sdc_deleted_at": None,
        }
        values = list(self._pick(texts))
        for place, known in self._typed:
            text = values[place]
            if text is not None:
                try:
                    values[place] = known[text]
                except ValueError:
                    invalid[self._property_names[place]] = text
                    values[place] = None
        record.update(zip(self._names, values, strict=False))
        if self._all_in:
            record[self._all_in] = dict(zip(self._wanted.names, texts, strict=True))
        if invalid:
            record["invalid_properties"] = invalid
        return record

    def _moment(self, hubspot_object: Mapping[str, Any], name: str, invalid: dict[str, str]) -> Any:
        moment = hubspot_object.get(name)
        text = moment if moment is None else str(moment)
        try:
            return self._moments[text]
        except ValueError:
            invalid[name] = str(moment)
            return None


def archived_record(hubspot_object: Mapping[str, Any]) -> Record:
    """Return the delete record of an object from the archived list."""
    archived_at = to_date_time(hubspot_object.get("archivedAt") or hubspot_object["updatedAt"])
    return {
        "id": str(hubspot_object["id"]),
        "archived": True,
        "archived_at": archived_at,
        "_sdc_deleted_at": archived_at,
    }


def merged_records(survivor: Record, merged_ids: Iterable[str]) -> Iterator[Record]:
    """Yield a delete record for every object that was merged into the one of this record.

    HubSpot does not say when each was merged; the survivor's last change stands for it.
    """
    moment = survivor["updated_at"] or survivor["created_at"] or _NO_MOMENT
    for merged_id in merged_ids:
        yield {"id": merged_id, "merged_into_id": survivor["id"], "_sdc_deleted_at": moment}
