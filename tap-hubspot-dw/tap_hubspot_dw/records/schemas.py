"""From HubSpot's property definitions to a stream's JSON schema, and from the schema to converters.

A record is flat: the tap's own columns, then every HubSpot property under its own name. A property with the name of
one of our columns gets the prefix `property_`, and so does one whose name already looks so prefixed. Thus a column
name always identifies one property.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tap_hubspot_dw.records.converters import Converter, to_boolean, to_date, to_date_time, to_number

JSONSchema = dict[str, Any]

TEXT: JSONSchema = {"type": ["string", "null"]}
KEY: JSONSchema = {"type": ["string"]}
NUMBER: JSONSchema = {"type": ["number", "null"]}
INTEGER: JSONSchema = {"type": ["integer", "null"]}
BOOLEAN: JSONSchema = {"type": ["boolean", "null"]}
DATE: JSONSchema = {"type": ["string", "null"], "format": "date"}
DATE_TIME: JSONSchema = {"type": ["string", "null"], "format": "date-time"}
OBJECT: JSONSchema = {"type": ["object", "null"]}
ARRAY: JSONSchema = {"type": ["array", "null"]}

# Names that msgspec accepts for a field; JSON has to escape all others, and they take the slow path.
_PLAIN_NAME = re.compile(r'[^\x00-\x1f"\\]*')

# HubSpot's property types (documented and observed). All others, and those that HubSpot adds later, are text.
_BY_PROPERTY_TYPE = {"number": NUMBER, "bool": BOOLEAN, "date": DATE, "datetime": DATE_TIME}
_TEXT_PROPERTIES = {"hs_object_id"}  # a number to HubSpot, but an identifier

OBJECT_COLUMNS: dict[str, JSONSchema] = {
    "id": KEY | {"description": "HubSpot's record ID."},
    "created_at": DATE_TIME | {"description": "When the record was created."},
    "updated_at": DATE_TIME | {"description": "When the record was last changed."},
    "archived": BOOLEAN | {"description": "Whether the record is in HubSpot's recycle bin."},
    "archived_at": DATE_TIME | {"description": "When the record was archived."},
    "merged_into_id": TEXT | {"description": "The record that this one was merged into."},
    "url": TEXT | {"description": "The record's page in HubSpot."},
    "invalid_properties": OBJECT | {"description": "The texts of values that do not fit their property's type."},
    "_sdc_deleted_at": DATE_TIME,
}
ALL_PROPERTIES = "properties"
_PREFIX = "property_"


@dataclass(frozen=True)
class Column:
    """One property of a record: HubSpot's name, ours, and the converter of its text (None: stays text).

    `type` is the converter's: number, boolean, date or date-time; empty for text.
    """

    property_name: str
    name: str
    convert: Converter | None
    type: str = ""


def object_schema(properties: Iterable[Mapping[str, Any]]) -> JSONSchema:
    """Return the JSON schema of a stream of objects with the given HubSpot property definitions."""
    columns: dict[str, JSONSchema] = dict(OBJECT_COLUMNS)
    for definition in sorted(properties, key=lambda definition: str(definition["name"])):
        name = str(definition["name"])
        column_schema = TEXT if name in _TEXT_PROPERTIES else _BY_PROPERTY_TYPE.get(str(definition.get("type")), TEXT)
        texts = {"title": definition.get("label"), "description": definition.get("description")}
        columns[column_name(name)] = {
            **column_schema,
            **{key: text for key, text in texts.items() if text and isinstance(text, str)},
        }
    return {"type": "object", "properties": columns}


def json_schema_of_all() -> JSONSchema:
    """Return the JSON schema of a stream of objects with all properties in one JSON column."""
    return {"type": "object", "properties": {**OBJECT_COLUMNS, ALL_PROPERTIES: OBJECT}}


def column_name(property_name: str) -> str:
    """Return the column that holds a HubSpot property."""
    return _PREFIX + property_name if _collides(property_name) else property_name


def are_plain(names: Iterable[str]) -> bool:
    """Return whether msgspec accepts all these names for fields."""
    return all(map(_PLAIN_NAME.fullmatch, names))


def property_name(column: str) -> str:
    """Return the HubSpot property that a column holds: the inverse of `column_name`."""
    rest = column.removeprefix(_PREFIX)
    return rest if rest != column and _collides(rest) else column


def columns(schema: JSONSchema, selected: Iterable[str]) -> list[Column]:
    """Return the `selected` columns that hold HubSpot properties, in the schema's order."""
    chosen = set(selected)
    return [
        Column(property_name(name), name, _CONVERTERS.get(kind), kind)
        for name, column_schema in schema["properties"].items()
        if name not in OBJECT_COLUMNS and name in chosen
        for kind in [_type(column_schema)]
    ]


def _collides(name: str) -> bool:
    return name in OBJECT_COLUMNS or (name.startswith(_PREFIX) and _collides(name.removeprefix(_PREFIX)))


_CONVERTERS: Mapping[str, Converter] = {
    "number": to_number,
    "boolean": to_boolean,
    "date": to_date,
    "date-time": to_date_time,
}


def _type(column_schema: JSONSchema) -> str:
    types = column_schema.get("type") or []
    if "number" in types or "integer" in types:
        return "number"
    if "boolean" in types:
        return "boolean"
    kind = str(column_schema.get("format"))
    return kind if kind in _CONVERTERS else ""
