"""Records become rows: the one place where a JSON value turns into a column's value.

`to_table` makes an Arrow table, column by column. Per column the common case costs one pass over the values'
types and one call into Arrow; anything unusual goes value by value through the converter of the column's kind,
which decides by the same rules and names the property when a value cannot be stored.

- integer: a JSON number without a fraction, 64 bits.
- number: exact. As text for PostgreSQL, whose NUMERIC has no limit; as DECIMAL(38, 18) for DuckDB, which has no
  unbounded type: digits after the 18th decimal are rounded (counted and warned about), more than 20 digits before
  the point are an error.
- date-time: the instant in UTC, microseconds, without a zone, as target-postgres' TIMESTAMP; no offset means UTC.
- json: the value's JSON text with every number as it came; null is SQL's NULL.
"""

from __future__ import annotations

import datetime as dt
import decimal
import logging
import operator
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from target_warehouse.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_warehouse.batches import Record
    from target_warehouse.columns import Column

logger = logging.getLogger("target-warehouse")

#: DuckDB's widest decimal, cut so that HubSpot's amounts and its 17-digit scores both fit.
DUCKDB_NUMBER = pa.decimal128(38, 18)
_EIGHTEEN_DECIMALS = decimal.Decimal(1).scaleb(-18)
_DECIMALS = decimal.Context(prec=60, rounding=decimal.ROUND_HALF_EVEN)

_FIRST_DAY = dt.date(1, 1, 1).toordinal() - dt.date(1970, 1, 1).toordinal()
_FIRST_MICROSECOND = _FIRST_DAY * 86_400_000_000
_TYPES = {
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "text": pa.string(),
    "bytes": pa.string(),
    "json": pa.string(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "date-time": pa.timestamp("us"),
}
#: Python types that Arrow turns into the kind's type as they are.
_PLAIN: dict[str, set[type]] = {
    "integer": {int},
    "boolean": {bool},
    "string": {str},
    "text": {str},
    "number": {int, decimal.Decimal},
}

_json = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
_HEX = re.compile(r"(?:0x|\\x)?([0-9a-fA-F]*)")


class _UnfitError(ValueError):
    """A value cannot be stored in its column; the argument says why, without the value."""


def arrow_type(column: Column, number_type: pa.DataType) -> pa.DataType:
    """The Arrow type of a column's values."""
    return number_type if column.kind == "number" else _TYPES[column.kind]


def to_table(
    stream: str, records: Sequence[Record], columns: Iterable[Column], number_type: pa.DataType, *, replace_nul: bool
) -> pa.Table:
    """The rows of these records, one Arrow column for each of `columns`; what a record lacks is null.

    Raises:
        RecordError: a value does not fit its column, or a required or non-nullable property has none.
    """
    columns = tuple(columns)
    arrays, fields = [], []
    for column, values in zip(columns, _by_column(records, columns), strict=True):
        if not column.is_nullable or column.is_required:
            _check_presence(stream, column, values, records)
        target = arrow_type(column, number_type)
        arrays.append(_array(stream, column, values, target, replace_nul=replace_nul))
        fields.append(pa.field(column.name, target))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _by_column(records: Sequence[Record], columns: Sequence[Column]) -> Iterable[Sequence[Any]]:
    """The values of each column; what a record lacks is None.

    A record at a time, because a wide record is read fastest while it is in the processor's cache: taking one column
    after the other from thousands of dicts took a third of the time of loading 250 columns.
    """
    names = [column.name for column in columns]
    if len(names) == 1:
        return ([record.get(names[0]) for record in records],)
    pick = operator.itemgetter(*names)
    blank = dict.fromkeys(names)
    picked = []
    for record in records:
        try:
            picked.append(pick(record))
        except KeyError:
            picked.append(pick(blank | record))
    return zip(*picked, strict=True) if picked else ([] for _ in names)


def _check_presence(stream: str, column: Column, values: Sequence[Any], records: Sequence[Record]) -> None:
    for position, value in enumerate(values):
        if value is not None:
            continue
        is_there = column.name in records[position]
        if is_there and not column.is_nullable:
            raise _record_error(stream, column, "is null, which the stream's schema does not allow")
        if not is_there and column.is_required:
            raise _record_error(stream, column, "is missing, which the stream's schema does not allow")


def _array(stream: str, column: Column, values: Sequence[Any], target: pa.DataType, *, replace_nul: bool) -> pa.Array:
    kind = column.kind
    types = set(map(type, values)) - {type(None)}
    if not types:
        return pa.nulls(len(values), target)
    if types <= _PLAIN.get(kind, set()):
        try:
            array = _plain(values, target, is_number=kind == "number")
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            array = None
        if array is not None:
            return _without_nul(array) if replace_nul and target == pa.string() and kind != "number" else array
    elif types == {str} and kind in ("date-time", "date"):
        fast = _timestamps(values, target) if kind == "date-time" else _dates(values)
        if fast is not None:
            return fast
    return _one_by_one(stream, column, values, target, replace_nul=replace_nul)


def _plain(values: Sequence[Any], target: pa.DataType, *, is_number: bool) -> pa.Array:
    if is_number and target == pa.string():
        return pa.array([None if value is None else str(value) for value in values], target)
    return pa.array(values, target)


def _timestamps(values: Sequence[str | None], target: pa.DataType) -> pa.Array | None:
    """All at once, if every value has an offset and at most microseconds, between the years 1 and 9999."""
    try:
        array = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC")).cast(target)
    except pa.ArrowException:
        return None
    # Arrow reads the year 0, which is no year to PostgreSQL nor to Python.
    return array if pc.min(array).value >= _FIRST_MICROSECOND else None


def _dates(values: Sequence[str | None]) -> pa.Array | None:
    try:
        array = pa.array(values, pa.string()).cast(pa.date32())
    except pa.ArrowException:
        return None
    return array if pc.min(array).value >= _FIRST_DAY else None


def _without_nul(array: pa.Array) -> pa.Array:
    return pc.replace_substring(array, "\0", "\ufffd")


def _one_by_one(
    stream: str, column: Column, values: Sequence[Any], target: pa.DataType, *, replace_nul: bool
) -> pa.Array:
    convert = _CONVERTERS[column.kind]
    if column.kind == "number" and target != pa.string():
        convert = _duckdb_number
    converted: list[Any] = []
    rounded = 0
    for value in values:
        if value is None:
            converted.append(None)
            continue
        try:
            result = convert(_replace_nul(value) if replace_nul else value)
        except _UnfitError as reason:
            raise _record_error(stream, column, str(reason)) from None
        if convert is _duckdb_number and result != _decimal(value):
            rounded += 1
        converted.append(result)
    if rounded:
        logger.warning(
            "Stream %s, property %s: %d numbers have more than 18 decimals and were rounded to 18.",
            stream,
            column.name,
            rounded,
        )
    try:
        return pa.array(converted, target)
    except UnicodeEncodeError:
        raise _record_error(stream, column, "holds half a surrogate pair, which is not valid Unicode") from None
    except (pa.ArrowException, OverflowError):
        raise _record_error(stream, column, f"holds a value that does not fit a column of {target}") from None


def _record_error(stream: str, column: Column, reason: str) -> RecordError:
    return RecordError(
        f"A record of the stream {stream} cannot be loaded: its property {column.name} {reason}. "
        "Correct it at the source, or deselect the property in the tap."
    )


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | decimal.Decimal | float):
        raise _UnfitError("is not an integer")
    try:
        whole = int(value)
    except (ValueError, OverflowError):
        raise _UnfitError("is not an integer") from None
    if whole != value:
        raise _UnfitError("is a number with a fraction where the schema says integer")
    if not -(2**63) <= whole < 2**63:
        raise _UnfitError("is an integer of more than 64 bits")
    return whole


def _decimal(value: Any) -> decimal.Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        raise _UnfitError("is not a number")
    number = decimal.Decimal(repr(value)) if isinstance(value, float) else decimal.Decimal(value)
    if not number.is_finite():
        raise _UnfitError("is not a finite number")
    return number


def _postgres_number(value: Any) -> str:
    return str(_decimal(value))


def _duckdb_number(value: Any) -> decimal.Decimal:
    number = _decimal(value)
    if number.adjusted() >= 20:
        raise _UnfitError(
            "is a number of more than 20 digits before the point, which DuckDB's DECIMAL(38, 18) cannot hold"
        )
    return number.quantize(_EIGHTEEN_DECIMALS, context=_DECIMALS)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _UnfitError("is not a boolean")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _UnfitError("is not a string")
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json_text(value)


def _json_text(value: Any) -> str:
    try:
        return _json.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError):
        raise _UnfitError("holds text that is not valid Unicode") from None


def _date_time(value: Any) -> dt.datetime:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise _UnfitError("is not a date and time between the years 1 and 9999") from None
    if not isinstance(value, dt.datetime):
        raise _UnfitError("is not a date and time")
    try:
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError:
        raise _UnfitError("is outside the years 1 to 9999 in UTC") from None


def _date(value: Any) -> dt.date:
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value)
        except ValueError:
            raise _UnfitError("is not a date between the years 1 and 9999") from None
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise _UnfitError("is not a date")
    return value


def _time(value: Any) -> dt.time:
    if isinstance(value, str):
        try:
            value = dt.time.fromisoformat(value)
        except ValueError:
            raise _UnfitError("is not a time of day") from None
    if not isinstance(value, dt.time):
        raise _UnfitError("is not a time of day")
    return value.replace(tzinfo=None)


def _bytes(value: Any) -> str:
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise _UnfitError("is not hexadecimal text")
    digits = match[1]
    return f"0{digits}" if len(digits) % 2 else digits


def _replace_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {_replace_nul(key): _replace_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_nul(item) for item in value]
    return value


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "number": _postgres_number,
    "boolean": _boolean,
    "string": _string,
    "text": _text,
    "json": _json_text,
    "date-time": _date_time,
    "date": _date,
    "time": _time,
    "bytes": _bytes,
}
