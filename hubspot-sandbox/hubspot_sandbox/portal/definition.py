"""Property definitions: HubSpot's description of a property, and the generator of its values (see `values.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: The data sensitivity of every property of the portal.
NON_SENSITIVE = "non_sensitive"
Choices = tuple[tuple[str, str], ...]  # (value, label)


@dataclass(frozen=True)
class Definition:
    """One property: HubSpot's description of it, and the name of the generator of its values."""

    name: str
    label: str
    type: str
    field_type: str
    generator: str
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
        """The definition as the properties API returns it."""
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
    """Options; an option's label is its value in words."""
    return tuple((value, value.replace("_", " ").capitalize()) for value in values)


TYPE_OF_GENERATOR: dict[str, tuple[str, str]] = {
    # generator: (HubSpot type, fieldType); the rows that use a computed generator name their types themselves.
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
