"""HubSpot's object types, and how to resolve a name to one.

Standard types are in the table below; custom ones are looked up in the portal's schemas. Requests always carry the
object type id, because HubSpot does not accept names everywhere (observed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tap_hubspot_dw.errors import SettingsError

TYPE_ID = re.compile(r"\d+-\d+")


@dataclass(frozen=True)
class ObjectType:
    """An object type as the tap reads it.

    `rank` orders types for reading associations: a pair is read from the type of higher rank, where fewer records are
    expected. `has_pipelines` is None if only the portal knows.
    """

    name: str
    type_id: str
    modified_property: str = "hs_lastmodifieddate"
    has_pipelines: bool | None = False
    rank: int = 0


# Source of the ids: HubSpot's guide "Understanding the CRM APIs", object type ids. Contacts are searched by
# `lastmodifieddate`: searching by their hidden `hs_lastmodifieddate` gives no rows and no error (observed).
STANDARD_TYPES: dict[str, ObjectType] = {
    object_type.name: object_type
    for object_type in (
        ObjectType("contacts", "0-1", modified_property="lastmodifieddate", rank=0),
        ObjectType("companies", "0-2", rank=1),
        ObjectType("tickets", "0-5", has_pipelines=True, rank=2),
        ObjectType("deals", "0-3", has_pipelines=True, rank=3),
        ObjectType("appointments", "0-421", has_pipelines=True, rank=4),
        ObjectType("leads", "0-136", has_pipelines=True, rank=5),
        ObjectType("orders", "0-123", has_pipelines=True, rank=6),
        ObjectType("services", "0-162", has_pipelines=True, rank=7),
        ObjectType("courses", "0-410", has_pipelines=True, rank=8),
        ObjectType("listings", "0-420", has_pipelines=True, rank=9),
        ObjectType("products", "0-7", rank=10),
        ObjectType("line_items", "0-8", rank=11),
        ObjectType("quotes", "0-14", rank=12),
        ObjectType("invoices", "0-53", rank=13),
        ObjectType("subscriptions", "0-69", rank=14),
        ObjectType("commerce_payments", "0-101", rank=15),
        ObjectType("carts", "0-142", rank=16),
        ObjectType("discounts", "0-84", rank=17),
        ObjectType("fees", "0-85", rank=18),
        ObjectType("taxes", "0-86", rank=19),
        ObjectType("notes", "0-46", rank=20),
        ObjectType("meetings", "0-47", rank=21),
        ObjectType("calls", "0-48", rank=22),
        ObjectType("emails", "0-49", rank=23),
        ObjectType("tasks", "0-27", rank=24),
        ObjectType("communications", "0-18", rank=25),
        ObjectType("postal_mail", "0-116", rank=26),
        ObjectType("feedback_submissions", "0-19", rank=27),
        ObjectType("goal_targets", "0-74", rank=28),
        ObjectType("users", "0-115", rank=29),
    )
}
_BY_ID = {object_type.type_id: object_type for object_type in STANDARD_TYPES.values()}
_CUSTOM_RANK = 100


def needs_schemas(name: str, type_ids: Mapping[str, str]) -> bool:
    """Return whether only the portal's schemas can resolve `name`."""
    return name not in type_ids and name.lower() not in STANDARD_TYPES and not TYPE_ID.fullmatch(name)


def resolve(name: str, type_ids: Mapping[str, str], schemas: Iterable[Mapping[str, Any]]) -> ObjectType:
    """Return the object type that the settings call `name`.

    `type_ids` (name to object type id) takes precedence; `schemas` are the portal's custom objects as the schemas
    endpoint describes them. A custom object matches by its name, its fully qualified name with or without `p123_`,
    or a label, ignoring case.

    Raises:
        SettingsError: no object, or more than one, matches the name.
    """
    pinned = type_ids.get(name) or (name if TYPE_ID.fullmatch(name) else None)
    if pinned:
        if standard := _BY_ID.get(pinned):
            return replace(standard, name=name)
        return ObjectType(name, pinned, has_pipelines=None, rank=_CUSTOM_RANK)
    if standard := STANDARD_TYPES.get(name.lower()):
        return replace(standard, name=name)
    custom = list(schemas)
    matches = [schema for schema in custom if name.lower() in _names(schema)]
    if len(matches) == 1:
        return ObjectType(name, str(matches[0]["objectTypeId"]), has_pipelines=None, rank=_CUSTOM_RANK)
    known = ", ".join(sorted(f"{schema['name']} ({schema['objectTypeId']})" for schema in custom)) or "none"
    what = "no object" if not matches else f"{len(matches)} objects"
    raise SettingsError(
        f'The portal has {what} called "{name}": correct the setting objects, or pin the id with '
        f"object_type_ids. Custom objects here: {known}. Standard objects: {', '.join(STANDARD_TYPES)}."
    )


def _names(schema: Mapping[str, Any]) -> set[str]:
    labels = schema.get("labels") or {}
    qualified = str(schema.get("fullyQualifiedName") or "")
    names = (schema.get("name"), qualified, re.sub(r"^p\d+_", "", qualified), *labels.values())
    return {str(name).lower() for name in names if name}
