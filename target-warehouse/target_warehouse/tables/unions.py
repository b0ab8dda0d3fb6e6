"""The schema of a property, which may allow several types, reduced to the one type of its column.

`column_schema` returns a schema of one type, as target-postgres knows it, or an empty schema, which means text. Every
value that fits a member of a union must be loaded, so:

    one type, and null                                that type
    integers and numbers                              numbers
    objects or lists, and another type                an object: JSON holds every value
    text with a format, and other text                the format, until a value does not have it (`IS_LOOSE`)
    any other combination                             text

The precision and scale of `singer.decimal` are ignored, because PostgreSQL would round to them.

Pure: standard library only.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Keyword of a column's schema: a text that does not have the format is valid, and makes the column a text column.
IS_LOOSE = "x-is-loose"

_FORMATS = ("date-time", "date", "time", "uuid")
_DESCRIPTIONS = ("title", "description")
_NUMBERS = ("minimum", "maximum")
_KEPT = (
    *("type", "format", "contentEncoding", "minimum", "maximum", "items", "x-sql-datatype"),
    *_DESCRIPTIONS,
)
#: The database types that a schema may request by name, as in target-postgres, by JSON type; others are ignored.
_SQL_TYPES = {"integer": ("smallint", "integer", "bigint"), "array": ("pgvector",)}

Kind = dict[str, Any]  # a schema of one type


def column_schema(prop: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a property's column; its `type`, if any, includes `null` if the property may be null."""
    kinds = _kinds(prop)
    described = {name: prop[name] for name in _DESCRIPTIONS if name in prop}
    if kinds is None:
        return described
    chosen = _chosen([kind for kind in kinds if kind["type"] != "null"])
    if not chosen:
        return described
    types = [chosen["type"]] + ["null"] * any(kind["type"] == "null" for kind in kinds)
    return {**chosen, **described, "type": types if len(types) > 1 or isinstance(prop.get("type"), list) else types[0]}


def is_nullable(prop: Mapping[str, Any]) -> bool:
    """Whether a property may be null."""
    kinds = _kinds(prop)
    return kinds is None or any(kind["type"] == "null" for kind in kinds)


def _kinds(prop: Mapping[str, Any]) -> list[Kind] | None:
    """The single-type schemas that a schema allows; None if it allows any value."""
    kinds = _own_kinds(prop)
    if "anyOf" in prop:
        by_member = [_kinds(member) for member in prop["anyOf"]]
        members = None if None in by_member else [kind for some in by_member for kind in some or ()]
        kinds = _common(kinds, members)
    for member in prop.get("allOf", ()):
        kinds = _common(kinds, _kinds(member))
    return kinds


def _own_kinds(prop: Mapping[str, Any]) -> list[Kind] | None:
    declared = prop.get("type")
    if declared is None:
        values = [prop["const"]] if "const" in prop else prop.get("enum")
        declared = list(dict.fromkeys(map(_type_of, values))) if values else None
    if declared is None:
        return None
    details = {name: prop[name] for name in _KEPT if name in prop and name not in ("type", "items")}
    for name in _NUMBERS:
        if isinstance(details.get(name), bool | str):
            del details[name]
    items = {} if "prefixItems" in prop else prop.get("items")
    if isinstance(items, dict):  # target-postgres only looks at their type
        types = [items["type"]] if isinstance(items.get("type"), str) else items.get("type", ())
        details["items"] = {"type": items["type"]} if set(types) - {"null"} else {}
    return [{"type": name, **details} for name in ([declared] if isinstance(declared, str) else declared)]


def _type_of(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    if isinstance(value, decimal.Decimal | float):
        return "number"
    return {int: "integer", str: "string", list: "array"}.get(type(value), "object")


def _common(first: list[Kind] | None, second: list[Kind] | None) -> list[Kind] | None:
    """The kinds that both have; if there are none, those of the first."""
    if first is None or second is None:
        return second if first is None else first
    common = []
    for one in first:
        for other in second:
            types = {one["type"], other["type"]}
            if len(types) == 1 or types == {"integer", "number"}:
                common.append({**one, **other, "type": "integer" if "integer" in types else one["type"]})
    return common or first


def _chosen(kinds: Sequence[Kind]) -> Kind:
    """The kind that holds the values of all kinds; an empty one for text."""
    types = {kind["type"] for kind in kinds}
    if not types:
        return {}
    if types & {"object", "array"} and len(types) > 1:
        return {"type": "object"}
    if types == {"integer", "number"}:
        return {"type": "number"}
    if len(types) > 1:
        return {}
    first = _with_sql_type(kinds[0])
    if all({**kind, **dict.fromkeys(_DESCRIPTIONS)} == {**kinds[0], **dict.fromkeys(_DESCRIPTIONS)} for kind in kinds):
        return first
    return _of_texts(kinds) if types == {"string"} else {"type": first["type"]}


def _of_texts(kinds: Sequence[Kind]) -> Kind:
    formats = {kind.get("format") for kind in kinds}
    known = formats & set(_FORMATS)
    if known == {"date-time", "date"}:
        known = {"date-time"}
    if len(known) != 1:
        return {"type": "string"}
    return {"type": "string", "format": known.pop()} | ({IS_LOOSE: True} if formats - set(_FORMATS) else {})


def _with_sql_type(kind: Kind) -> Kind:
    known = _SQL_TYPES.get(kind["type"], ())
    return {name: value for name, value in kind.items() if name != "x-sql-datatype" or value in known}
