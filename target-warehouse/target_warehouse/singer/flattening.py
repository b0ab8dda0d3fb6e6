"""Flattening: an object that its schema describes becomes a column for each of its properties, and no value is lost.

Names and depth are the SDK's, and lists and objects that are not flattened are JSON text, as there. What differs:

    what the schema declares    has its column: a property of a record that is not declared and has the same name is
                                not loaded, with a warning
    a value that is no object   goes to a column of the object's own name if the schema allows it; else its record is
                                rejected
    anyOf, enum, no type        one column of any value, as without flattening
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers._flattening import flatten_key
from singer_sdk.mapper import RemoveRecordTransform, StreamMap

from target_warehouse.decode.converters import CONVERTERS, TOO_DEEP, UnfitError
from target_warehouse.singer.deletions import DeletionsMapper
from target_warehouse.singer.schemas import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singer_sdk.helpers._flattening import FlatteningOptions

logger = logging.getLogger("target-warehouse")

_ABOUT_OBJECTS = (
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
    *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas"),
)


class FlatteningError(ValueError):
    """A record cannot be flattened without a loss; the argument says why, without the value."""


#: What a map raises of a record of which no row can be made.
UNMAPPABLE = (FlatteningError, RecursionError)


def why_unmappable(error: Exception) -> str:
    """The reason against a record of which a map raised one of `UNMAPPABLE`."""
    return str(error) if isinstance(error, FlatteningError) else f"it {TOO_DEEP}"


class FlatteningMapper(DeletionsMapper):
    """A mapper that flattens what its maps make, where the settings say so."""

    def __init__(self, plugin_config: dict[str, Any], logger: logging.Logger) -> None:
        super().__init__(plugin_config=plugin_config, logger=logger)
        self._options = self.flattening_options
        self.flattening_options = replace(self._options, enabled=False)

    def register_raw_stream_schema(
        self, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        """Register a stream; see the SDK.

        Raises:
            SchemaError: flattening would give two properties one name.
        """
        super().register_raw_stream_schema(stream_name, schema, key_properties)
        if self._options.enabled and self._options.max_level > 0:
            self.stream_maps[stream_name] = [
                each if isinstance(each, RemoveRecordTransform | FlatteningMap) else FlatteningMap(each, self._options)
                for each in self.stream_maps[stream_name]
            ]


@dataclass(frozen=True)
class _Property:
    """What becomes of a property: it has a column, members that have, or both; `is_text` says that lists are JSON."""

    name: str
    has_column: bool = True
    is_text: bool = False
    members: Mapping[str, _Property] | None = None


class FlatteningMap(StreamMap):
    """Another map, of which schema and records are flattened."""

    def __init__(self, each: StreamMap, options: FlatteningOptions) -> None:
        super().__init__(each.stream_alias, each.raw_schema, each.raw_key_properties, None)
        self.transformed_key_properties = each.transformed_key_properties
        self._each = each
        self._options = options
        self._columns: dict[str, Any] = {}
        self._warned: set[str] = set()
        schema = each.transformed_schema
        self._properties = self._read(schema, [])
        self.transformed_schema = {**schema, "properties": dict(self._columns)}
        if "required" in schema:
            leaves = {name for name, each in self._properties.items() if each.members is None}
            self.transformed_schema["required"] = [name for name in schema["required"] if name in leaves]

    def transform(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """Return the flattened record, or None.

        Raises:
            FlatteningError: it would lose a value.
        """
        made = self._each.transform(record)
        if made is None:
            return None
        flat: dict[str, Any] = {}
        self._spread(made, self._properties, [], flat)
        return flat

    def get_filter_result(self, record: dict[str, Any]) -> bool:
        """Return whether the record is not dropped."""
        return self._each.get_filter_result(record)

    def _name(self, name: str, path: list[str]) -> str:
        options = self._options
        return flatten_key(name, path, options.separator, max_key_length=options.max_key_length)

    def _read(self, schema: Mapping[str, Any], path: list[str]) -> dict[str, _Property]:
        found = {}
        for name, prop in schema["properties"].items():
            column, types = self._name(name, path), _types(prop)
            if "object" in types and prop.get("properties") and len(path) < self._options.max_level:
                if others := [kind for kind in types if kind not in ("object", "null")]:
                    plain = {key: value for key, value in prop.items() if key not in _ABOUT_OBJECTS}
                    self._add(column, _column({**plain, "type": [*others, "null"]}))
                is_text = "string" in others
                found[name] = _Property(column, bool(others), is_text, self._read(prop, [*path, name]))
            else:
                made = _column(prop)
                self._add(column, made)
                found[name] = _Property(column, is_text="string" in _types(made))
        return found

    def _add(self, column: str, schema: Any) -> None:
        if column in self._columns:
            msg = f"flattening gives two of its properties the name {column}"
            raise SchemaError(msg)
        self._columns[column] = schema

    def _spread(
        self, values: Mapping[str, Any], properties: Mapping[str, _Property], path: list[str], flat: dict[str, Any]
    ) -> None:
        for name, value in values.items():
            each = properties.get(name)
            if each is None:
                self._undeclared(self._name(name, path) if path else name, value, flat)
            elif each.members is not None and isinstance(value, dict):
                self._spread(value, each.members, [*path, name], flat)
            elif each.has_column:
                is_nested = each.is_text and isinstance(value, dict | list)
                flat[each.name] = _as_text(each.name, value) if is_nested else value
            elif value is not None:
                msg = f"its property {each.name} is to be flattened and is no object"
                raise FlatteningError(msg)

    def _undeclared(self, name: str, value: Any, flat: dict[str, Any]) -> None:
        if name not in self._columns:
            flat[name] = value  # of which the sink says that it is not loaded
        elif name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "Stream %s: the property %s is not in the stream's schema and is not loaded: flattening gives its name "
                "to another one, which is.",
                self.stream_alias,
                name,
            )


def _types(prop: Mapping[str, Any]) -> list[str]:
    declared = prop.get("type", ())
    return [declared] if isinstance(declared, str) else list(declared)


def _column(prop: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a property that is not flattened: the SDK's text for lists and objects, any value for unions."""
    types = _types(prop)
    if not {"object", "array"} & set(types):
        return dict(prop)
    if set(types) - {"object", "array", "string", "null"}:
        return {}
    return {"type": ["string", "null"] if "null" in types else "string"}


def _as_text(name: str, value: Any) -> str:
    try:
        return str(CONVERTERS["json"](value))
    except UnfitError as reason:
        msg = f"its property {name} {reason}"
        raise FlatteningError(msg) from None
