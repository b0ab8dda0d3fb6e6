"""The fastest form of the fast path: RECORD lines become Arrow columns in C, without a Python object for each value.

`_decode` reads what nearly every line consists of. `group_decoder` decodes groups that `_decode` refuses, and all
groups if there is no `_decode` (see `extension`), into the same columns. Values other than texts, plain numbers,
booleans, dates and timestamps come out of `_decode` as JSON and are converted here, by the rules of `arrow_columns`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from target_warehouse.decode.arrow_columns import to_array
from target_warehouse.decode.converters import NarrowError
from target_warehouse.decode.extension import extension
from target_warehouse.decode.forms import form_of
from target_warehouse.tables.table import DELETED_AT, EXTRACTED_AT, TABLE_VERSION

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from target_warehouse.decode.arrow_columns import Losses
    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.tables.table import Column

_TYPES_FROM_C = {"INTEGER": pa.int64(), "RAW": pa.string()}
_json_decoder = msgspec.json.Decoder(float_hook=Decimal)


class _Columns:
    """An Arrow array from C with its schema, as pyarrow imports it."""

    def __init__(self, schema: pa.Schema, array: object) -> None:
        self._schema = schema
        self._array = array

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._schema.__arrow_c_schema__(), self._array


class CompiledDecoder:
    """Decodes record groups of one stream into columns, in C."""

    def __init__(
        self,
        stream: str,
        columns: Sequence[Column],
        names: Iterable[str],
        keys: Container[str],
        *,
        extracted_at: Column | None,
        version: Column | None,
        takes_nul: bool,
    ) -> None:
        """Make a decoder for these columns.

        `extracted_at` and `version` are the columns for members of the message, if any. `names` are all properties that
        a record may have; properties without a column are skipped.
        """
        self._columns = [*columns, *(column for column in (extracted_at, version) if column)]
        forms = [form_of(column).in_c for column in self._columns]
        self._is_json = [form == "RAW" for form in forms]
        self._schema = pa.schema(
            (str(place), _TYPES_FROM_C.get(form) or form_of(column).arrow)
            for place, (column, form) in enumerate(zip(self._columns, forms, strict=True))
        )
        places = {column.property: place for place, column in enumerate(columns)} | {DELETED_AT: extension.ABSENT}
        names = tuple(dict.fromkeys(names))
        self._decoder = extension.decoder(
            stream.encode(),
            tuple(name.encode() for name in names),
            tuple(places.get(name, extension.IGNORED) for name in names),
            tuple(getattr(extension, form) for form in forms),
            tuple(_refused(column, column.property in keys) for column in self._columns),
            len(columns) if extracted_at else extension.IGNORED,
            len(self._columns) - 1 if version else extension.IGNORED,
            takes_nul,
        )

    def arrays(self, group: RecordGroup, losses: Losses) -> dict[str, pa.Array] | None:
        """The columns by property; None if a line is not plain.

        Raises:
            UnfitError: a value fits no column of this kind.
            NarrowError: the column must become wider for a value.
        """
        array = extension.decode(self._decoder, tuple(span for _, span in group.spans), group.rows)
        if array is None:
            return None
        arrays = pa.record_batch(_Columns(self._schema, array)).columns
        return {
            column.property: _converted(column, values, losses) if is_json else _as_narrow(column, values)
            for column, values, is_json in zip(self._columns, arrays, self._is_json, strict=True)
        }


def _refused(column: Column, is_key: bool) -> int:
    if is_key:
        return extension.NULLS | extension.GAPS
    is_own = column.property in (EXTRACTED_AT, TABLE_VERSION)
    if is_own:
        return 0
    return (0 if column.is_nullable else extension.NULLS) | (extension.GAPS if column.is_required else 0)


def _as_narrow(column: Column, values: pa.Array) -> pa.Array:
    """The values in the Arrow type of their column, which may be an integer of fewer bits."""
    if values.type == form_of(column).arrow:
        return values
    try:
        return values.cast(form_of(column).arrow)
    except pa.ArrowInvalid:
        raise NarrowError("integer") from None


def _converted(column: Column, texts: pa.Array, losses: Losses) -> pa.Array:
    """The column of values that are given as JSON."""
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), form_of(column).arrow)
    values: list[Any] = [None if text is None else _json_decoder.decode(text) for text in texts.to_pylist()]
    return to_array(column, values, losses)
