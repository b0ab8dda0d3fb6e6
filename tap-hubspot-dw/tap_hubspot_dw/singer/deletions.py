"""Stream maps preserve deletions: a delete record reaches its row, whatever the map does to other records.

A *delete record* has `_sdc_deleted_at`, its keys, and possibly only some of its properties. So a map is applied to it
as far as the properties that the record has allow:

    _sdc_deleted_at      is kept, even where `__else__` drops all columns that are not named
    an expression        is evaluated if the record has all its inputs; otherwise the row keeps its last value
    __filter__           drops a deletion only if the filter uses nothing but keys: otherwise the row may have passed
                         it. If the record does not pass the filter, only its keys and the mark are kept
    null, and a stream that is removed, renamed or copied    as with any other record

Tap and target do not depend on each other, so each has a copy of this file; a test keeps the copies identical.
"""

from __future__ import annotations

import ast
import fnmatch
import logging
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import MapExpressionError
from singer_sdk.mapper import (
    MAPPER_ALIAS_OPTION,
    MAPPER_FILTER_OPTION,
    MAPPER_KEY_PROPERTIES_OPTION,
    MAPPER_SOURCE_OPTION,
    NULL_STRING,
    CustomStreamMap,
    PluginMapper,
    StreamMap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

logger = logging.getLogger(__name__)

DELETED_AT = "_sdc_deleted_at"
ELSE_OPTION = "__else__"
#: Exceptions that an expression may raise for unexpected values.
_FAILURES = (MapExpressionError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError)
#: Names in an expression that are not properties, besides functions.
_GIVEN = frozenset({"config", "fake", "__stream_name__", "__original_stream_name__"})
_RECORD = ("_", "record")
_MOST_SHAPES = 100


class UnmappableError(MapExpressionError):
    """An expression cannot be applied to the values of a record; `cause` is the class of the error."""

    def __init__(self, stream: str, cause: str) -> None:
        super().__init__(
            f"An expression of the stream map of {stream} fails for the values of a record ({cause}): correct it in "
            "the setting stream_maps, for example for values that are null."
        )
        self.cause = cause


class DeletionsMapper(PluginMapper):
    """The SDK's mapper with stream maps that preserve deletions."""

    def register_raw_stream_schema(
        self, stream_name: str, schema: dict[str, Any], key_properties: Sequence[str] | None
    ) -> None:
        """Register a stream; see the SDK."""
        super().register_raw_stream_schema(stream_name, schema, key_properties)
        maps = self.stream_maps[stream_name]
        for place, definition in enumerate(self._definitions(stream_name)):
            if isinstance(stream_map := maps[place], CustomStreamMap):
                maps[place] = DeletionsMap(stream_map, definition)

    def _definitions(self, stream: str) -> list[dict[str, Any]]:
        """Return the definitions of a stream's maps in the order of `stream_maps`: first its own, then its copies."""
        own: dict[str, Any] = {}
        copies: list[dict[str, Any]] = []
        for key, given in self.stream_maps_dict.items():
            definition = dict(given) if isinstance(given, dict) else {}
            source = definition.pop(MAPPER_SOURCE_OPTION, None)
            if fnmatch.fnmatch(stream, source or key) or stream == (source or key):
                definition.pop(MAPPER_ALIAS_OPTION, None)
                if source is None:
                    own = definition
                else:
                    copies.append(definition)
        return [own, *copies]


class DeletionsMap(StreamMap):
    """A stream map that is applied to a delete record as far as the record's properties allow."""

    def __init__(self, wrapped: CustomStreamMap, definition: dict[str, Any]) -> None:
        self.stream_alias = wrapped.stream_alias
        self.raw_schema, self.raw_key_properties = wrapped.raw_schema, wrapped.raw_key_properties
        self.transformed_schema = wrapped.transformed_schema
        self.transformed_key_properties = wrapped.transformed_key_properties
        self.flattening_options = wrapped.flattening_options
        properties: dict[str, Any] = self.raw_schema.get("properties", {})
        if DELETED_AT in properties:
            self.transformed_schema["properties"].setdefault(DELETED_AT, properties[DELETED_AT])
        self._wrapped = wrapped
        self._filter = definition.pop(MAPPER_FILTER_OPTION, None)
        self._expressions = {
            name: given
            for name, given in definition.items()
            if isinstance(given, str) and given != NULL_STRING and not name.startswith("__")
        }
        self._rest = {name: given for name, given in definition.items() if name not in self._expressions}
        self._properties = frozenset(name for name in properties if not name.startswith("_sdc_"))
        self._made_of = {name: self._inputs(given, name) for name, given in self._expressions.items()}
        self._shapes: dict[frozenset[str], _Shape] = {}
        self._has_warned = False

    def transform(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """Return the mapped record; None if the map drops it.

        Raises:
            UnmappableError: an expression cannot be applied to its values.
        """
        try:
            return self._wrapped.transform(record) if record.get(DELETED_AT) is None else self._deletion(record)
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001 - an expression raises what it likes, with the record's values
            raise UnmappableError(self.stream_alias, type(error.__cause__ or error).__name__) from None

    def get_filter_result(self, record: dict[str, Any]) -> bool:
        """Return whether the map keeps the record."""
        return self.transform(record) is not None if record.get(DELETED_AT) else self._wrapped.get_filter_result(record)

    def _deletion(self, record: dict[str, Any]) -> dict[str, Any] | None:
        is_wanted = self._is_wanted(record)
        if is_wanted is None:
            return None
        result = self._shape(frozenset(record)).of(record)
        keys = list(self.transformed_key_properties or ())
        if lacking := [key for key in keys if result.get(key) is None]:
            self._warn(lacking)
        if not is_wanted:
            result = {key: result[key] for key in keys if key in result}
        return {**result, DELETED_AT: record[DELETED_AT]}

    def _is_wanted(self, record: Mapping[str, Any]) -> bool | None:
        """Return whether a deletion passes the filter; None if its row can never have passed."""
        if not isinstance(self._filter, str):
            return True
        made_of = self._inputs(self._filter, "")
        if not self._carries(frozenset(record), made_of):
            return True
        try:
            if self._wrapped.get_filter_result(dict(record)):
                return True
        except _FAILURES:
            return True
        return None if made_of is not None and made_of <= set(self.raw_key_properties or ()) else False

    def _shape(self, names: frozenset[str]) -> _Shape:
        """Return the mapping of delete records that have exactly these properties."""
        if names not in self._shapes:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            keys = self.transformed_key_properties or ()
            done = {
                name: given
                for name, given in self._expressions.items()
                if self._carries(names, self._made_of[name]) and (self._made_of[name] or name in keys)
            }
            self._shapes[names] = _Shape(self._map_of, self._rest, done, self._expressions.keys() - done.keys())
        return self._shapes[names]

    def _map_of(self, definition: dict[str, Any]) -> CustomStreamMap:
        return CustomStreamMap(
            stream_alias=self.stream_alias,
            map_config=self._wrapped.map_config,
            faker_config=self._wrapped.faker_config,
            raw_schema=self.raw_schema,
            key_properties=self.raw_key_properties,
            map_transform=dict(definition),
            flattening_options=self.flattening_options,
            stream_name=self._wrapped.stream_name,
        )

    def _carries(self, names: frozenset[str], made_of: set[str] | None) -> bool:
        return (self._properties if made_of is None else made_of) <= names

    def _inputs(self, expression: str, name: str) -> set[str] | None:
        """Return the properties that an expression uses; None if it uses the record as a whole."""
        nodes = list(ast.walk(ast.parse(expression)))
        inputs = {key for key, _ in _looked_up(nodes)}
        looked_up = {id(node) for _, node in _looked_up(nodes)}
        names = [node for node in nodes if isinstance(node, ast.Name)]
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)}  # of comprehensions
        for node in names:
            if node.id in own or id(node) in looked_up:
                continue
            if node.id in _RECORD:
                return None
            if node.id in self._properties or (node.id not in _GIVEN and node.id not in self._wrapped.functions):
                inputs.add(name if node.id == "self" else node.id)
        return inputs

    def _warn(self, keys: Sequence[str]) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "The stream map of %s builds the key %s from properties that a deletion does not have, so the deleted "
                "rows cannot be found and their records are rejected: build keys only from the stream's own keys.",
                self.stream_alias,
                " and ".join(keys),
            )


class _Shape:
    """The mapping of delete records that have the same properties."""

    def __init__(
        self,
        map_of: Callable[[dict[str, Any]], CustomStreamMap],
        rest: dict[str, Any],
        done: Mapping[str, str],
        left_out: Iterable[str],
    ) -> None:
        self._map_of = map_of
        self._rest = rest
        self._done = done
        self._left_out = tuple(left_out)
        self._all = map_of({**rest, **done})

    def of(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mapped record; expressions that fail are left out."""
        try:
            result = self._all.transform(dict(record)) or {}
        except _FAILURES:
            result = self._one_by_one(record)
        for name in self._left_out:
            result.pop(name, None)
        return result

    def _one_by_one(self, record: Mapping[str, Any]) -> dict[str, Any]:
        result = self._map_of(self._rest).transform(dict(record)) or {}
        for name, expression in self._done.items():
            result.pop(name, None)
            try:
                alone = (
                    self._map_of({ELSE_OPTION: None, MAPPER_KEY_PROPERTIES_OPTION: [], name: expression}).transform(
                        dict(record)
                    )
                    or {}
                )
            except _FAILURES:
                continue
            result[name] = alone[name]
        return result


def _looked_up(nodes: Iterable[ast.AST]) -> Iterable[tuple[str, ast.AST]]:
    """Yield the properties that are looked up in the record by name, with the node of the record."""
    for node in nodes:
        if isinstance(node, ast.Subscript):
            record, key = node.value, node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            record, key = node.func.value, node.args[0]
        else:
            continue
        is_record = isinstance(record, ast.Name) and record.id in _RECORD
        if is_record and isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, record
