"""One property definition: HubSpot's description of it, and what its values look like (`values.py` draws them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: The portal has no other properties.
NON_SENSITIVE = "non_sensitive"
Choices = tuple[tuple[str, str], ...]  # (value, label)


@dataclass(frozen=True)
class Definition:
    """One property: HubSpot's description of it, and the kind of values this portal keeps in it."""

    name: str
    label: str
    type: str
    field_type: str
    kind: str
    group: str
    description: str = ""
    options: Choices = ()
    null_percent: int = 40
    hubspot_defined: bool = False
    hidden: bool = False
    calculated: bool = False
    external_options: bool = False
    unique: bool = False
    referenced_object_type: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The object that the properties API returns (keys as in HubSpot's replies)."""
        body: dict[str, Any] = {
            "updatedAt": "2024-11-05T09:12:44.318Z",
            "createdAt": "2019-08-06T02:41:09.377Z",
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.field_type,
            "description": self.description,
            "groupName": self.group,
            "options": [
                {"label": label, "value": value, "displayOrder": order, "hidden": False, "description": ""}
                for order, (value, label) in enumerate(self.options)
            ],
            "displayOrder": -1,
            "calculated": self.calculated,
            "externalOptions": self.external_options,
            "archived": False,
            "hasUniqueValue": self.unique,
            "hidden": self.hidden,
            "hubspotDefined": self.hubspot_defined,
            "modificationMetadata": {
                "archivable": not self.hubspot_defined,
                "readOnlyDefinition": self.hubspot_defined,
                "readOnlyOptions": False,
                "readOnlyValue": self.calculated,
            },
            "formField": not self.hubspot_defined,
            "dataSensitivity": NON_SENSITIVE,
        }
        if self.referenced_object_type:
            body["referencedObjectType"] = self.referenced_object_type
        return body


def choices(*values: str) -> Choices:
    """Options whose label is the value in words."""
    return tuple((value, value.replace("_", " ").capitalize()) for value in values)


TYPE_OF_KIND: dict[str, tuple[str, str]] = {
    # kind: (HubSpot type, fieldType); the computed kinds are in `values.py`.
    "text": ("string", "text"),
    "textarea": ("string", "textarea"),
    "html": ("string", "html"),
    "integer": ("number", "number"),
    "decimal": ("number", "number"),
    "calculation": ("number", "calculation_equation"),
    "probability": ("number", "calculation_equation"),
    "projected": ("number", "calculation_equation"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    "select": ("enumeration", "select"),
    "multi": ("enumeration", "checkbox"),
    "owner": ("enumeration", "select"),
    "bool": ("bool", "booleancheckbox"),
    "phone": ("phone_number", "phonenumber"),
    "coordinates": ("object_coordinates", "text"),
    "json": ("json", "text"),
}
