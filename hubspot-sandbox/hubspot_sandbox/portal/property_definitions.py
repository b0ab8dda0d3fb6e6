"""All properties of an object type: HubSpot's own first, then the portal's custom ones up to a count."""

from __future__ import annotations

from hubspot_sandbox.portal import words
from hubspot_sandbox.portal.definition import TYPE_OF_KIND, Choices, Definition, choices
from hubspot_sandbox.portal.hubspot_properties import GROUP, OWN, system_definitions
from hubspot_sandbox.portal.object_types import ObjectType

#: (kind, name pattern, label pattern, options) of custom properties, taken in turn.
_CUSTOM: tuple[tuple[str, str, str, Choices], ...] = (
    ("text", "{}_reference", "{} reference", ()),
    ("select", "{}_status", "{} status", choices("new", "in_review", "approved", "declined", "on_hold")),
    ("integer", "{}_count", "{} count", ()),
    ("date", "{}_date", "{} date", ()),
    ("bool", "{}_opt_in", "{} opt-in", (("true", "Yes"), ("false", "No"))),
    ("decimal", "{}_amount", "{} amount", ()),
    ("datetime", "{}_at", "{} time", ()),
    ("multi", "{}_channels", "{} channels", choices("email", "phone", "sms", "post", "in_person")),
    ("textarea", "{}_notes", "{} notes", ()),
    ("phone", "{}_phone", "{} phone", ()),
    ("html", "{}_summary", "{} summary", ()),
    ("calculation", "{}_score", "{} score", ()),
    ("coordinates", "{}_location", "{} location", ()),
    ("json", "{}_details", "{} details", ()),
)


def _custom(number: int, group: str) -> Definition:
    """The portal's own property number 0, 1, 2, …; names never repeat."""
    kind, name, label, options = _CUSTOM[number % len(_CUSTOM)]
    turn, place = divmod(number // len(_CUSTOM), len(words.PROPERTY_STEMS))
    stem = words.PROPERTY_STEMS[place] + (f"_{turn + 1}" if turn else "")
    type_, field_type = TYPE_OF_KIND[kind]
    title = stem.replace("_", " ").capitalize()
    return Definition(
        name.format(stem),
        label.format(title),
        type_,
        field_type,
        kind,
        group,
        f"{label.format(title)}, kept by the front desk.",
        options,
        # 12 … 76 %, so that all properties together are about 40 % null
        null_percent=12 + (number * 37) % 65,
        calculated=kind == "calculation",
    )


def group_of(object_type: ObjectType) -> str:
    """The group that all properties of a type are shown in."""
    return GROUP.get(object_type.plural, f"{object_type.singular}_information")


def definitions_of(object_type: ObjectType, count: int) -> dict[str, Definition]:
    """All definitions by name: HubSpot's own, then custom ones until there are `count` (never fewer than HubSpot's)."""
    group = group_of(object_type)
    found: dict[str, Definition] = {}
    for definition in (*system_definitions(object_type), *OWN.get(object_type.plural, ())):
        found.setdefault(definition.name, Definition(**{**definition.__dict__, "group": group}))
    number = 0
    while len(found) < count:
        definition = _custom(number, group)
        found.setdefault(definition.name, definition)
        number += 1
    return found
