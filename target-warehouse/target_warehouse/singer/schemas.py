"""Normalisation of a stream's JSON schema: a schema of any draft becomes a schema of draft 2020-12 without references.

Taps send schemas of drafts 3 to 2020-12, and mixtures. Keywords of older drafts are replaced by those of 2020-12.
References within the schema are replaced by their targets; no reference is ever followed out of the message. Keywords
that are neither assertions nor descriptions of a column are removed. `older_drafts` has the keywords of older drafts.

Limits: a schema that expands to more than `MOST_SCHEMAS` schemas, or nests deeper than `MOST_LEVELS`, is rejected. A
recursive reference accepts any value.
"""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from target_warehouse.errors import SchemaError
from target_warehouse.singer import older_drafts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_SCHEMAS = 30_000
MOST_LEVELS = 60

TYPES = ("null", "boolean", "object", "array", "number", "integer", "string")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
#: Keywords whose value is a schema, a list of schemas, and an object of schemas.
_SCHEMAS = (
    *("additionalProperties", "unevaluatedProperties", "unevaluatedItems", "propertyNames", "contains", "not"),
    *("if", "then", "else", "items"),
)
_LISTS = ("allOf", "anyOf", "prefixItems")
_OBJECTS = ("properties", "patternProperties", "dependentSchemas")
#: Keywords that are removed: they do not restrict values, or have been replaced by then.
_LEFT_OUT = (
    *(*_REFERENCES, "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment"),
    *("definitions", "$defs", "default", "examples", "deprecated", "readOnly", "writeOnly", "additionalItems"),
    *("divisibleBy", "disallow", "extends", "oneOf", "dependencies"),
)
_TEXTS = ("title", "description", "format", "contentEncoding", "contentMediaType", "pattern", "x-sql-datatype")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
#: Keywords that can forbid null, apart from those that only restrict values of one type.
_ABOUT_NULL = {"enum", "const", "not", "anyOf", "allOf", "if"}


def modern(schema: Any) -> tuple[dict[str, Any], list[str]]:
    """The normalised schema of a stream's records, and notes on parts that cannot be understood and accept any value.

    Raises:
        SchemaError: the schema as a whole cannot be understood.
    """
    if not isinstance(schema, dict):
        raise SchemaError("it is not an object")
    reading = _Reading(schema)
    try:
        read = reading.schema(schema, (), ())
    except RecursionError:
        raise SchemaError("it is nested too deeply") from None
    for part, is_choice in _parts(read):
        for name, prop in (part.get("properties") or {}).items():
            known = read.setdefault("properties", {}).setdefault(name, prop)
            if is_choice and known != prop:
                read["properties"][name] = {"anyOf": [known, prop]}
    known = read.get("properties") or {}
    required = [name for name in read.get("required", ()) if name in known]  # others have no column
    read.pop("required", None)
    return (read | {"required": required} if required else read), reading.notes


def understood(message: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A SCHEMA message with a `modern` schema and a list of keys, and the notes of `modern`.

    Raises:
        SchemaError: the schema or the keys cannot be understood, or do not describe a table.
    """
    schema, notes = modern(message["schema"])
    if "properties" not in schema:
        raise SchemaError("it has no properties, so there is no table to create")
    given = message.get("key_properties")
    keys = [given] if isinstance(given, str) else given or []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise SchemaError("its key_properties are not a list of names")
    keys = list(dict.fromkeys(keys))
    if unknown := [key for key in keys if key not in schema["properties"]]:
        raise SchemaError(f"its key {' and '.join(unknown)} is not one of its properties")
    return {**message, "schema": schema, "key_properties": keys}, notes


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """The schemas in `allOf` and `anyOf` at any depth, and whether each is one of several alternatives."""
    for word in ("allOf", "anyOf"):
        for part in schema.get(word, ()):
            yield part, word == "anyOf"
            yield from ((inner, is_choice or word == "anyOf") for inner, is_choice in _parts(part))


class _Reading:
    """The normalisation of one schema, which counts the schemas that it has expanded."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.notes: list[str] = []
        self._root = root
        self._count = 0
        self._anchors: dict[str, Any] | None = None

    def schema(self, node: Any, path: tuple[str, ...], inside: tuple[str, ...]) -> dict[str, Any]:
        """A schema at any depth; `inside` are the references that led to it."""
        self._count += 1
        if self._count > MOST_SCHEMAS:
            raise SchemaError(f"it expands to more than {MOST_SCHEMAS:,} schemas")
        if len(path) > MOST_LEVELS:
            raise SchemaError("it is nested too deeply")
        if node is None or node is True:
            return {}
        if node is False:
            return {"not": {}}
        if isinstance(node, str) and node in TYPES:  # as `items` of some taps
            return {"type": node}
        if not isinstance(node, dict):
            raise SchemaError(f"{older_drafts.named(path)} is not an object")
        read = self._plain(node, path, inside)
        for name in _REFERENCES:
            if name in node:
                read = _both(self._referred(node[name], path, inside), read)
        return read

    def _plain(self, node: Mapping[str, Any], path: tuple[str, ...], inside: tuple[str, ...]) -> dict[str, Any]:
        read = {
            name: value
            for name, value in node.items()
            if name not in _LEFT_OUT and (value is not None or name == "const")
        }
        self._check_forms(read, path)
        self._type(read, path)
        older_drafts.limits(read, node)
        older_drafts.items(read, node)
        older_drafts.combinations(read, node, path)
        for name in _SCHEMAS:
            if name in read:
                if read[name] is True and name != "items":
                    del read[name]
                elif read[name] is not False:
                    read[name] = self.schema(read[name], (*path, name), inside)
        for name in _LISTS:
            if name in read:
                read[name] = [self.schema(part, (*path, name), inside) for part in read[name]]
                if not read[name]:
                    del read[name]
        for name in _OBJECTS:
            if name in read:
                read[name] = {key: self.schema(part, (*path, key), inside) for key, part in read[name].items()}
        older_drafts.required(read, node)
        return _with_null(read)

    @staticmethod
    def _check_forms(read: dict[str, Any], path: tuple[str, ...]) -> None:
        """Remove texts and numbers of the wrong type; raise an error for lists and objects of the wrong type."""
        for name in _TEXTS:
            if name in read and not isinstance(read[name], str):
                del read[name]
        for name in _NUMBERS:
            if name in read and not isinstance(read[name], bool | int | float | decimal.Decimal | str):
                del read[name]
        for name in (*_LISTS, "enum"):
            if not isinstance(read.get(name, []), list):
                raise SchemaError(f"{name} in {older_drafts.named(path)} is not a list")
        for name in _OBJECTS:
            if not isinstance(read.get(name, {}), dict):
                raise SchemaError(f"{name} in {older_drafts.named(path)} is not an object")

    def _type(self, read: dict[str, Any], path: tuple[str, ...]) -> None:
        """Read `type`: ignore `any` and unknown names; in draft 3, a list of types may contain schemas."""
        if "type" not in read:
            return
        declared = read.pop("type")
        listed = declared if isinstance(declared, list) else [declared]
        names: list[str] = []
        members: list[Any] = []
        for kind in listed:
            if isinstance(kind, dict):
                members.append(kind)
            elif kind is None:
                names.append("null")
            elif not isinstance(kind, str):
                raise SchemaError(f"the type of {older_drafts.named(path)} is neither a name nor a list of names")
            elif kind in TYPES:
                names.append(kind)
            else:
                if kind != "any":
                    self.notes.append(
                        f"{older_drafts.named(path)} has the type {kind[:40]!r}, which JSON schema does not have"
                    )
                return
        if members:
            own = [{"type": names}] if names else []
            read["anyOf"] = [*read.get("anyOf", []), *own, *members]
        elif names:
            read["type"] = names if isinstance(declared, list) else names[0]

    def _referred(self, reference: Any, path: tuple[str, ...], inside: tuple[str, ...]) -> dict[str, Any]:
        """The target of a reference; a schema for any value if it is recursive or leads out of the message."""
        if reference in inside:
            return {}
        target = self._target(reference) if isinstance(reference, str) else None
        if target is None:
            self.notes.append(
                f"{older_drafts.named(path)} refers to {str(reference)[:80]!r}, which is not in the message"
            )
            return {}
        return self.schema(target, path, (*inside, reference))

    def _target(self, reference: str) -> Any:
        base, _, fragment = reference.partition("#")
        own = self._root.get("$id", self._root.get("id"))
        if base and not (isinstance(own, str) and own.rstrip("#").endswith(base)):
            return None
        if fragment and not fragment.startswith("/"):
            if self._anchors is None:
                self._anchors = dict(_anchors(self._root))
            return self._anchors.get(fragment)
        target: Any = self._root
        for step in fragment.split("/")[1:]:
            step = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict) and step in target:
                target = target[step]
            elif isinstance(target, list) and step.isdecimal() and int(step) < len(target):
                target = target[int(step)]
            else:
                return None
        return target if isinstance(target, dict | bool) else None


def _with_null(read: dict[str, Any]) -> dict[str, Any]:
    """The schema with `anyOf` of one schema and null replaced by a list of types, the common form."""
    members = read.get("anyOf", ())
    others = [member for member in members if member != {"type": "null"}]
    if len(others) != 1 or len(members) == 1 or not isinstance(others[0].get("type"), str | list):
        return read
    (other,) = others
    rest = {name: value for name, value in read.items() if name != "anyOf"}
    if _ABOUT_NULL & other.keys() or rest.keys() - {"title", "description"}:
        return read
    types = [other["type"]] if isinstance(other["type"], str) else other["type"]
    return {**other, **rest, "type": [*types, *({"null"} - set(types))]}


def _anchors(node: Any) -> Iterator[tuple[str, Any]]:
    for name in ("$anchor", "$dynamicAnchor", "$id", "id"):
        anchor = node.get(name) if isinstance(node, dict) else None
        if isinstance(anchor, str) and (name.endswith("nchor") or anchor.startswith("#")):
            yield anchor.removeprefix("#"), node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _anchors(part)


def _both(referred: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """A schema for values that fit both."""
    if not referred.keys() & beside.keys() - {"title", "description"}:
        return referred | beside
    described: dict[str, Any] = {name: beside[name] for name in ("title", "description") if name in beside}
    return {"allOf": [referred, beside], **described}
