"""Translates keywords of older drafts of JSON Schema to draft 2020-12.

Each function updates `read`, the translated schema, from `node`, the schema as it was sent.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

from target_warehouse.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)


def limits(read: dict[str, Any], node: Mapping[str, Any]) -> None:
    """Translate the limits of numbers, lengths and counts; negative counts are dropped."""
    for limit, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(read.get(limit), bool):
            is_exclusive = read.pop(limit)
            if is_exclusive and bound in read:
                read[limit] = read[bound]
    if "divisibleBy" in node and "multipleOf" not in read:
        read["multipleOf"] = node["divisibleBy"]
    for name in _COUNTS:
        value = read.get(name)
        if isinstance(value, decimal.Decimal | float) and value == int(value):
            read[name] = value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            del read[name]  # some taps write -1 for no limit


def items(read: dict[str, Any], node: Mapping[str, Any]) -> None:
    """Translate a list of `items` to `prefixItems`."""
    if isinstance(read.get("items"), list):
        read["prefixItems"] = read.pop("items")
        if node.get("additionalItems") is not None:
            read["items"] = node["additionalItems"]


def combinations(read: dict[str, Any], node: Mapping[str, Any], path: tuple[str, ...]) -> None:
    """Translate `oneOf`, `extends`, `disallow` and `dependencies`."""
    one_of, extends = node.get("oneOf"), node.get("extends")
    if one_of is not None:
        if not isinstance(one_of, list):
            raise SchemaError(f"oneOf in {named(path)} is not a list")
        if "anyOf" in read:
            read["allOf"] = [*read.get("allOf", []), {"anyOf": one_of}]
        elif one_of:
            read["anyOf"] = one_of  # a value that fits two members is accepted, too
    if extends is not None:
        read["allOf"] = [*read.get("allOf", []), *(extends if isinstance(extends, list) else [extends])]
    if (disallowed := node.get("disallow")) is not None:
        read["allOf"] = [*read.get("allOf", []), {"not": {"type": disallowed}}]
    if isinstance(dependencies := node.get("dependencies"), dict):
        for name, needed in dependencies.items():
            is_schema = isinstance(needed, dict | bool)
            word = "dependentSchemas" if is_schema else "dependentRequired"
            needed = [needed] if isinstance(needed, str) else needed
            read[word] = {**read.get(word, {}), name: needed}


def required(read: dict[str, Any], node: Mapping[str, Any]) -> None:
    """Translate `required`, which draft 3 has in each property."""
    given = read.pop("required", None)
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    properties = node.get("properties")
    if isinstance(properties, dict):
        names = [
            *names,
            *(key for key, part in properties.items() if isinstance(part, dict) and part.get("required") is True),
        ]
    names = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    if names:
        read["required"] = names


def named(path: tuple[str, ...]) -> str:
    """How an error message names a part of a schema."""
    return f"its property {'.'.join(path)}" if path else "it"
