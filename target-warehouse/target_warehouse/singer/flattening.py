"""Flattening without loss: an object that its schema describes becomes one column for each of its properties.

Names and depth are as in the SDK. Lists and objects that are not flattened become JSON text, as in the SDK.
Differences:

    declared properties         each has its column; an undeclared property of a record that would get the same name is
                                not loaded, with a warning
    a value that is not an      goes to a column with the object's own name, if the schema allows the value; otherwise
    object                      its record is rejected
    anyOf, enum, no type        one column for any value, as without flattening
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers._flattening import flatten_key
from singer_sdk.mapper import RemoveRecordTransform, StreamMap

from target_warehouse.decode.converters import TOO_DEEP, UnfitError, to_json
from target_warehouse.errors import SchemaError
from target_warehouse.singer.deletions import DeletionsMapper, UnmappableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singer_sdk.helpers._flattening import FlatteningOptions

logger = logging.getLogger("target-warehouse")

_ABOUT_OBJECTS = (
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
    *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas"),
)


class FlatteningError(ValueError):
    """A record cannot be flattened without loss; the message says why, without the value."""


#: The errors that a stream map raises for a record that cannot become a row.
UNMAPPABLE = (FlatteningError, UnmappableError, RecursionError)


def why_unmappable(error: Exception) -> str:
    """The reason to reject a record for which a stream map raised one of `UNMAPPABLE`."""
    if isinstance(error, UnmappableError):
        return f"an expression of its stream map fails for its values ({error.cause})"
    return str(error) if isinstance(error, FlatteningError) else f"it {TOO_DEEP}"


class FlatteningMapper(DeletionsMapper):
    """A mapper that flattens the results of its stream maps, if the settings enable flattening."""

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
                inner
                if isinstance(inner, RemoveRecordTransform | FlatteningMap)
                else FlatteningMap(inner, self._options)
                for inner in self.stream_maps[stream_name]
            ]


@dataclass(frozen=True)
class _Property:
    """A property after flattening: it has a column, flattened members, or both. `is_text`: lists become JSON text."""

    name: str
    has_column: bool = True
    is_text: bool = False
    members: Mapping[str, _Property] | None = None


class FlatteningMap(StreamMap):
    """A stream map that flattens the schema and the records of another stream map."""

    def __init__(self, inner: StreamMap, options: FlatteningOptions) -> None:
        super().__init__(inner.stream_alias, inner.raw_schema, inner.raw_key_properties, None)
        self.transformed_key_properties = inner.transformed_key_properties
        self._inner = inner
        self._options = options
        self._columns: dict[str, Any] = {}
        self._warned: set[str] = set()
        schema = inner.transformed_schema
        self._properties = self._read(schema, [])
        self.transformed_schema = {**schema, "properties": dict(self._columns)}
        if "required" in schema:
            leaves = {name for name, prop in self._properties.items() if prop.members is None}
            self.transformed_schema["required"] = [name for name in schema["required"] if name in leaves]

    def transform(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """Return the flattened record, or None if the stream map drops it.

        Raises:
            FlatteningError: the record would lose a value.
        """
        mapped = self._inner.transform(record)
        if mapped is None:
            return None
        flat: dict[str, Any] = {}
        self._spread(mapped, self._properties, [], flat)
        return flat

    def get_filter_result(self, record: dict[str, Any]) -> bool:
        """Return whether the record is kept."""
        return self._inner.get_filter_result(record)

    def _name(self, name: str, path: list[str]) -> str:
        options = self._options
        return flatten_key(name, path, options.separator, max_key_length=options.max_key_length)

    def _read(self, schema: Mapping[str, Any], path: list[str]) -> dict[str, _Property]:
        properties = {}
        for name, prop in schema["properties"].items():
            column, types = self._name(name, path), _types(prop)
            if "object" in types and prop.get("properties") and len(path) < self._options.max_level:
                if others := [type_ for type_ in types if type_ not in ("object", "null")]:
                    plain = {key: value for key, value in prop.items() if key not in _ABOUT_OBJECTS}
                    self._add(column, _column({**plain, "type": [*others, "null"]}))
                is_text = "string" in others
                properties[name] = _Property(column, bool(others), is_text, self._read(prop, [*path, name]))
            else:
                column_schema = _column(prop)
                self._add(column, column_schema)
                properties[name] = _Property(column, is_text="string" in _types(column_schema))
        return properties

    def _add(self, column: str, schema: Any) -> None:
        if column in self._columns:
            msg = f"flattening gives two of its properties the same name, {column}"
            raise SchemaError(msg)
        self._columns[column] = schema

    def _spread(
        self, values: Mapping[str, Any], properties: Mapping[str, _Property], path: list[str], flat: dict[str, Any]
    ) -> None:
        for name, value in values.items():
            prop = properties.get(name)
            if prop is None:
                self._undeclared(self._name(name, path) if path else name, value, flat)
            elif prop.members is not None and isinstance(value, dict):
                self._spread(value, prop.members, [*path, name], flat)
            elif prop.has_column:
                is_nested = prop.is_text and isinstance(value, dict | list)
                flat[prop.name] = _as_text(prop.name, value) if is_nested else value
            elif value is not None:
                msg = f"its property {prop.name} cannot be flattened, because it is not an object"
                raise FlatteningError(msg)

    def _undeclared(self, name: str, value: Any, flat: dict[str, Any]) -> None:
        if name not in self._columns:
            flat[name] = value  # the sink warns that it is not loaded
        elif name not in self._warned:
            self._warned.add(name)
            logger.warning(
                "Stream %s: the property %s is not in the stream's schema and is not loaded, because flattening gives "
                "its name to a property that is in the schema.",
                self.stream_alias,
                name,
            )


def _types(prop: Mapping[str, Any]) -> list[str]:
    declared = prop.get("type", ())
    return [declared] if isinstance(declared, str) else list(declared)


def _column(prop: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a property that is not flattened: text for lists and objects, any value for unions with them."""
    types = _types(prop)
    if not {"object", "array"} & set(types):
        return dict(prop)
    if set(types) - {"object", "array", "string", "null"}:
        return {}
    return {"type": ["string", "null"] if "null" in types else "string"}


def _as_text(name: str, value: Any) -> str:
    try:
        return str(to_json(value))
    except UnfitError as reason:
        msg = f"its property {name} {reason}"
        raise FlatteningError(msg) from None
