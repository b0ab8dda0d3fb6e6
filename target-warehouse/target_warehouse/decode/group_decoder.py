"""The fast path from RECORD lines to Arrow columns: in C (`compiled`), or in Python by typed structs.

The columns are made by the same code as on the slow path (`arrow_columns`), so both paths give the same values. If a
group has a line that is not plain (a delete record, an unknown property, a missing key, a value that does not fit its
column), the result is None, and the caller passes the group to the slow path. Decoders are safe to use from any thread:
the layout that a decoder learns from its first group is assigned atomically.
"""

from __future__ import annotations

import datetime as dt
import decimal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pyarrow as pa

from target_warehouse.decode.arrow_columns import Losses, to_array, to_arrays
from target_warehouse.decode.compiled import CompiledDecoder
from target_warehouse.decode.converters import NarrowError, UnfitError
from target_warehouse.decode.extension import extension
from target_warehouse.decode.forms import form_of
from target_warehouse.tables.table import (
    BATCHED_AT,
    DELETED_AT,
    EXTRACTED_AT,
    METADATA,
    RECEIVED_AT,
    SEQUENCE,
    STARTED_AT,
    TABLE_VERSION,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.tables.table import Column, Table

_OF_THE_TARGET = (DELETED_AT, *METADATA)
_NOT_PLAIN = (
    *(msgspec.MsgspecError, UnicodeError, decimal.InvalidOperation, RecursionError),
    *(UnfitError, NarrowError),
)


class _First(msgspec.Struct):
    record: dict[str, msgspec.Raw]


_first_decoder = msgspec.json.Decoder(_First)


@dataclass(frozen=True)
class Decoded:
    """The rows of a group, their keys as the database compares them, and the losses of their values."""

    rows: pa.RecordBatch
    keys: Sequence[Any]
    losses: Losses


class GroupDecoder:
    """Decodes the record groups of one stream for the current columns of its table.

    `ignored` are properties that are not in the stream's schema and have been reported to the user.
    """

    def __init__(
        self, stream: str, table: Table, *, ignored: Iterable[str], replaces_nul: bool, sync_started_at: int
    ) -> None:
        self.table = table
        self.ignored = frozenset(ignored)
        self._replaces_nul = replaces_nul
        self._sync_started_at = sync_started_at
        #: Properties that must be present or not null, so that null and missing must be distinguished.
        self._strict = {
            column.property
            for column in table.columns
            if column.property in table.keys or column.is_required or not column.is_nullable
        }
        plain = filter(_is_plain, sorted(self.ignored))
        self._names = dict.fromkeys([*table.by_property, DELETED_AT, *METADATA, *plain])
        self._stream = stream
        self._own = [column for column in table.columns if column.property not in _OF_THE_TARGET]
        self.compiled: CompiledDecoder | None = None
        if extension:
            self.compiled = CompiledDecoder(
                stream,
                self._own,
                self._names,
                table.keys,
                extracted_at=table.by_property.get(EXTRACTED_AT),
                version=table.by_property.get(TABLE_VERSION),
                takes_nul=not replaces_nul,
            )
        self._layout: _Layout | None = None

    @classmethod
    def can_decode(cls, table: Table) -> bool:
        """Whether every column holds one property with a name that msgspec accepts."""
        return all(not column.members and _is_plain(column.property) for column in table.columns)

    def decode(self, group: RecordGroup) -> Decoded | None:
        """The group's rows; None if the slow path must load the group."""
        losses = Losses(replaces_nul=self._replaces_nul)
        try:
            arrays = self.compiled.arrays(group, losses) if self.compiled else None
            if arrays is None:
                losses = Losses(replaces_nul=self._replaces_nul)
                arrays = self._arrays(group, losses)
        except _NOT_PLAIN:
            return None
        if arrays is None or not (losses.cut.keys() | losses.nul.keys()).isdisjoint(self.table.keys):
            return None
        return self._decoded(arrays, group.rows, losses)

    def _decoded(self, arrays: dict[str, pa.Array], count: int, losses: Losses) -> Decoded:
        for column in self.table.columns:
            if column.property == DELETED_AT:
                arrays[DELETED_AT] = pa.nulls(count, form_of(column).arrow)
            elif column.property in METADATA and column.property not in arrays:
                arrays[column.property] = self._constant(column, count)
        rows = pa.RecordBatch.from_arrays(
            [arrays[column.property] for column in self.table.columns],
            names=[column.name for column in self.table.columns],
        )
        keys = [arrays[column.property].to_pylist() for column in self.table.key_columns]
        return Decoded(rows, keys[0] if len(keys) == 1 else list(zip(*keys, strict=True)), losses)

    def _arrays(self, group: RecordGroup, losses: Losses) -> dict[str, pa.Array] | None:
        """The columns of the group's records and messages by property, by way of Python objects."""
        if self._layout is None:
            first = [name for name in _properties_of_first(group) if name in self._names]
            self._layout = _layout(self._stream, [*first, *self._names], self._strict)
        decoder, places = self._layout.decoder, self._layout.places
        messages = [message for _, span in group.spans for message in decoder.decode_lines(span)]
        if len(messages) != group.rows:
            return None
        in_order = list(zip(*(msgspec.structs.astuple(message.record) for message in messages), strict=True))
        columns = {name: in_order[place] for name, place in places.items()}
        if any(mark is not None for mark in columns[DELETED_AT]):
            return None
        made = to_arrays(self._own, [self._values(column, columns) for column in self._own], losses)
        if any(array.type != form_of(column).arrow for column, array in zip(self._own, made, strict=True)):
            return None  # numbers with more digits than Arrow's decimals, which are passed as text
        arrays = {column.property: array for column, array in zip(self._own, made, strict=True)}
        for name, values in (
            (EXTRACTED_AT, [message.time_extracted for message in messages]),
            (TABLE_VERSION, [message.version for message in messages]),
        ):
            if column := self.table.by_property.get(name):
                arrays[name] = to_array(column, values, Losses(replaces_nul=False))
        return arrays

    def _values(self, column: Column, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        values = columns[column.property]
        if column.property in self._strict:
            return _present(column, values, is_key=column.property in self.table.keys)
        return values

    def _constant(self, column: Column, count: int) -> pa.Array:
        """A column of the SDK's metadata; `_sdc_batched_at` is only known when the batch is made."""
        now = dt.datetime.now(dt.UTC)
        constant: Any = {
            RECEIVED_AT: now,
            BATCHED_AT: None,
            SEQUENCE: round(time.time() * 1000),
            STARTED_AT: self._sync_started_at,
        }[column.property]
        return constant_array(column, constant, count)


@dataclass(frozen=True)
class _Layout:
    """The decoder of a line, and the position of each property among the values of a record."""

    decoder: msgspec.json.Decoder[Any]
    places: Mapping[str, int]


def _layout(stream: str, names: Iterable[str], strict: Container[str]) -> _Layout:
    """The layout of records with these properties in this order; names may be repeated.

    In another order, msgspec must search for every property of every record: 250 properties take 100 µs instead of 15.
    """
    places = {name: i for i, name in enumerate(dict.fromkeys(names))}
    record = msgspec.defstruct(
        "Record",
        [
            (f"p{i}", Any, msgspec.field(name=name, default=msgspec.UNSET if name in strict else None))
            for name, i in places.items()
        ],
        forbid_unknown_fields=True,
        gc=False,
    )
    message = msgspec.defstruct(
        "Message",
        [
            ("type", Literal["RECORD"]),
            ("stream", Literal[stream]),  # msgspec checks it at run time
            ("record", record),
            ("version", Any, None),
            ("time_extracted", Any, None),
        ],
        gc=False,
    )
    return _Layout(msgspec.json.Decoder(message, float_hook=decimal.Decimal), places)


def _properties_of_first(group: RecordGroup) -> Iterable[str]:
    """The properties of the group's first record, in their order."""
    _, line = next(group.lines())
    return _first_decoder.decode(line).record


def constant_array(column: Column, value: Any, count: int) -> pa.Array:
    """The value in every row."""
    return pa.repeat(to_array(column, [value], Losses())[0], count)


def _present(column: Column, values: Sequence[Any], *, is_key: bool) -> Sequence[Any]:
    """The values, with None for missing ones.

    Raises:
        UnfitError: a value is missing or null, and must not be.
    """
    types = set(map(type, values))
    if type(None) in types and (is_key or not column.is_nullable):
        raise UnfitError("is null")
    if msgspec.UnsetType not in types:
        return values
    if is_key or column.is_required:
        raise UnfitError("is missing")
    return [None if value is msgspec.UNSET else value for value in values]


def _is_plain(name: str) -> bool:
    """Whether a name is written in JSON without escapes."""
    return name.isprintable() and not set(name) & {'"', "\\"}
