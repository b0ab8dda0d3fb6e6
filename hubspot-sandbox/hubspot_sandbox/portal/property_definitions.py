"""The properties of an object type: first HubSpot's own, then custom properties up to a count."""

from __future__ import annotations

from hubspot_sandbox.portal import words
from hubspot_sandbox.portal.definition import TYPE_OF_GENERATOR, Choices, Definition, choices
from hubspot_sandbox.portal.hubspot_properties import GROUP, OWN, system_definitions
from hubspot_sandbox.portal.object_types import ObjectType

#: (generator, name pattern, label pattern, options) of custom properties, in rotation.
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
    """The custom property number 0, 1, 2, …; names never repeat."""
    generator, name, label, options = _CUSTOM[number % len(_CUSTOM)]
    round_, place = divmod(number // len(_CUSTOM), len(words.PROPERTY_STEMS))
    stem = words.PROPERTY_STEMS[place] + (f"_{round_ + 1}" if round_ else "")
    type_, field_type = TYPE_OF_GENERATOR[generator]
    title = stem.replace("_", " ").capitalize()
    return Definition(
        name.format(stem),
        label.format(title),
        type_,
        field_type,
        generator,
        group,
        f"{label.format(title)}, kept by the front desk.",
        options,
        # 12 to 76 %, so that about 40 % of all values are null
        null_percent=12 + (number * 37) % 65,
        calculated=generator == "calculation",
    )


def group_of(object_type: ObjectType) -> str:
    """The property group of all properties of a type."""
    return GROUP.get(object_type.plural, f"{object_type.singular}_information")


def definitions_of(object_type: ObjectType, count: int) -> dict[str, Definition]:
    """All definitions by name: HubSpot's own, all of them, then custom ones until there are `count`."""
    group = group_of(object_type)
    definitions: dict[str, Definition] = {}
    for definition in (*system_definitions(object_type), *OWN.get(object_type.plural, ())):
        definitions.setdefault(definition.name, Definition(**{**definition.__dict__, "group": group}))
    number = 0
    while len(definitions) < count:
        definition = _custom(number, group)
        definitions.setdefault(definition.name, definition)
        number += 1
    return definitions
