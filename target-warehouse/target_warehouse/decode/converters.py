"""One JSON value becomes one column's value, or says why it cannot.

The *form* of a column is what its values are converted to; `form_of` derives it from the kind that the stream's
schema gives and the type that the column has in the database, because a column may hold more than its stream
sends (an integer column that became text). No conversion rounds or cuts: a value either fits exactly, or raises
`NarrowError` (the column must become wider first) or `UnfitError` (no column could hold it as what it claims to be).
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import sys
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

#: DuckDB's widest decimal, cut so that HubSpot's amounts and its 17-digit scores both fit.
DECIMAL_DIGITS, DECIMAL_PLACES = 38, 18
_LAST_PLACE = decimal.Decimal(1).scaleb(-DECIMAL_PLACES)
_EXACTLY = decimal.Context(prec=100, traps=[decimal.Inexact, decimal.InvalidOperation])
#: PostgreSQL's NUMERIC: digits before and after the point. More are refused everywhere, as a short text such as
#: 1e999999999 would take a gigabyte when written out.
NUMERIC_DIGITS, NUMERIC_PLACES = 131_072, 16_383

#: A fraction of a second of which microseconds do not hold every digit, and a distance from UTC.
_CUT_FRACTION = re.compile(r"[.,]\d{6}\d*[1-9]")
_OFFSET = re.compile(r"[+-](?=[\d:.]*[1-9])[\d:.]+$")
_HEX = re.compile(r"(?:0x|\\x)?([0-9a-fA-F]*)")
TOO_DEEP = "has more lists and objects inside one another than can be stored"
_INTEGERS = ("smallint", "integer", "bigint", "hugeint")
#: Forms of the integers that are narrower than 64 bits.
_NARROW_INTEGERS = {"smallint": "integer of 16 bits", "integer": "integer of 32 bits"}
#: Columns that hold any value as a text.
_TEXTS = ("text", "varchar", "character")
#: Forms of PostgreSQL's arrays by the type of their items; all others are made of texts.
_ARRAYS = {
    "json": "list",
    "jsonb": "list",
    "smallint": "integers of 16 bits",
    "integer": "integers of 32 bits",
    "bigint": "integers",
    "numeric": "numbers",
    "real": "numbers",
    "double precision": "numbers",
    "boolean": "booleans",
}


class UnfitError(ValueError):
    """A value cannot be stored in its column; the argument says why, without the value."""


class NarrowError(ValueError):
    """A value fits its property's type, but not the column yet; `kind` is what the column must become."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class UnreadableNumber:
    """A number that a tap wrote and no database can hold: NaN, Infinity, or an exponent beyond all bounds."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def form_of(kind: str, stored: str) -> str:
    """How values of this kind travel to a column of this type of the database, in lower case.

    A kind's own name, or for numbers `integer` (64 bits), `decimal` (38 digits, 18 after the point), `numeric`
    (any digits, as text) and `plain` (text without exponent and trailing zeros, so that equal numbers are equal
    texts); for columns narrower than that what `_NARROW_INTEGERS` and `_ARRAYS` say. A column of UUIDs takes texts as
    long as they are UUIDs.
    """
    if kind == "json" and stored.endswith("[]"):
        return _ARRAYS.get(stored.removesuffix("[]"), "texts")
    if kind == "json" and stored.startswith(_TEXTS):
        return "text"
    if kind in ("integer", "number"):
        if stored in _NARROW_INTEGERS:
            return _NARROW_INTEGERS[stored]
        if stored.startswith(_INTEGERS):
            return "integer"
        if stored == "double":
            return "whole double" if kind == "integer" else "double"
        if stored.startswith("decimal"):
            return "whole decimal" if kind == "integer" else "decimal"
        plain = "numeric" if stored.startswith("numeric") else "plain"
        return f"whole {plain}" if kind == "integer" else plain
    if stored == "uuid":
        return f"uuid or {kind}" if kind in ("string", "text") else kind
    return "string" if kind == "uuid" else kind


def is_cut(form: str, value: Any) -> bool:
    """Whether a moment or a time of day has more to it than its column keeps, microseconds and no distance from UTC."""
    if form not in ("date-time", "time") or not isinstance(value, str):
        return False
    return _CUT_FRACTION.search(value) is not None or (form == "time" and _OFFSET.search(value) is not None)


def json_line(value: Any) -> str:
    """Any record as JSON text that every database stores.

    A number that JSON does not have is a string. In a record with half a surrogate pair, which is escaped, numbers
    with a point are strings, too.
    """
    try:
        return _lossless.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError):
        return json.dumps(value, default=str)
    except RecursionError:  # it was read with less on the stack
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(2 * limit)
        try:
            return json_line(value)
        finally:
            sys.setrecursionlimit(limit)


def storable(text: str) -> str:
    """The text of a name or a message as every database stores it: no NUL, half surrogate pairs as their escape."""
    return str(without_nul(text)).encode(errors="backslashreplace").decode()


def without_nul(value: Any) -> Any:
    """The value with every NUL, also in nested values and keys, replaced by U+FFFD; no two keys become one."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        replaced: dict[Any, Any] = {key: without_nul(item) for key, item in value.items() if "\0" not in key}
        for key in value:
            if "\0" in key:
                name = without_nul(key)
                while name in replaced:
                    name += "\ufffd"
                replaced[name] = without_nul(value[key])
        return replaced
    return [without_nul(item) for item in value] if isinstance(value, list) else value


def _integer(value: Any, bits: int = 64) -> int:
    whole = _whole(value)
    if not -(2**63) <= whole < 2**63:
        raise NarrowError("number")
    if not -(2 ** (bits - 1)) <= whole < 2 ** (bits - 1):
        raise NarrowError("integer")
    return whole


def _list_of(item_of: Callable[[Any], Any]) -> Callable[[Any], str]:
    """The converter of an array whose items this one makes; of any other value the column becomes JSON.

    JSON keeps a value as it was sent: a list in a list of texts would become a text otherwise.
    """

    def convert(value: Any) -> str:
        try:
            items = [None if item is None else item_of(item) for item in value] if isinstance(value, list) else None
        except ValueError:
            items = None
        if items is None:
            _json_text(value)  # what JSON does not hold either is unfit
            raise NarrowError("json")
        return _json_text(items)

    return convert


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = _decimal(value, "an integer")
    if number != number.to_integral_value():
        raise UnfitError("is a number with a fraction where the schema says integer")
    return int(number)


def _decimal(value: Any, what: str = "a number") -> decimal.Decimal:
    if isinstance(value, UnreadableNumber):
        raise UnfitError(f"is not {what}, but NaN, Infinity or beyond every bound")
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        raise UnfitError(f"is not {what}")
    number = decimal.Decimal(repr(value)) if isinstance(value, float) else decimal.Decimal(value)
    if not number.is_finite():
        raise UnfitError(f"is not {what}, but NaN or Infinity")
    exponent = number.as_tuple().exponent
    if number and (number.adjusted() >= NUMERIC_DIGITS or int(exponent) < -NUMERIC_PLACES):
        raise UnfitError("is a number of more digits than a database holds")
    return number


def _duckdb_decimal(value: Any) -> decimal.Decimal:
    number = _decimal(value)
    if number and number.adjusted() >= DECIMAL_DIGITS - DECIMAL_PLACES:
        raise NarrowError("text")
    try:
        return number.quantize(_LAST_PLACE, context=_EXACTLY)
    except (decimal.Inexact, decimal.InvalidOperation):
        raise NarrowError("text") from None


def _double(value: Any) -> float:
    """A double whose shortest digits are the number's; any other number needs a column of text."""
    number = _decimal(value)
    try:
        double = float(number)
    except OverflowError:
        raise NarrowError("text") from None
    if double in (float("inf"), float("-inf")) or decimal.Decimal(repr(double)) != number:
        raise NarrowError("text")
    return double


def _numeric(value: Any) -> str:
    return str(_decimal(value))


def _plain(value: Any) -> str:
    text = format(_decimal(value), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitError("is not a boolean")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError("is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnfitError("holds half a surrogate pair, which is not valid Unicode") from None
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    is_number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
    return _plain(value) if is_number else _json_text(value)


def _text_or(form: str) -> Callable[[Any], str]:
    """The converter of a column of text that values of this form go to, too, as the database writes them as text."""

    def convert(value: Any) -> str:
        try:
            moment = str(_string(value) if is_cut(form, value) else CONVERTERS[form](value))
        except UnfitError:
            return _text(value)
        return moment.rstrip("0") if "." in moment and not is_cut(form, value) else moment

    return convert


def _json_text(value: Any) -> str:
    try:
        return _json.encode(value).decode()
    except UnfitError:
        raise
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError):
        raise UnfitError("holds text that is not valid Unicode") from None
    except RecursionError:
        raise UnfitError(TOO_DEEP) from None


def canonical(value: Any) -> Any:
    """The JSON value with the members of its objects in order and its numbers in one form: equal ones have one text."""
    if isinstance(value, dict):
        return {name: canonical(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    is_number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
    return decimal.Decimal(_plain(value)) if is_number else value


def _of_a_key(form: str) -> Callable[[Any], str]:
    """The converter to this form of values that are equal exactly if their texts are."""

    def convert(value: Any) -> str:
        try:
            return str(CONVERTERS[form](canonical(value)))
        except RecursionError:
            raise UnfitError(TOO_DEEP) from None

    return convert


def _readable(value: Any) -> str:
    if isinstance(value, UnreadableNumber):
        raise UnfitError("holds NaN, Infinity or a number beyond every bound, which JSON does not have")
    return str(value)


def _date_time(value: Any) -> dt.datetime:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise UnfitError("is not a date and time between the years 1 and 9999") from None
    if not isinstance(value, dt.datetime):
        raise UnfitError("is not a date and time")
    try:
        return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
    except OverflowError:
        raise UnfitError("is outside the years 1 to 9999 in UTC") from None


def _date(value: Any) -> dt.date:
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value)
        except ValueError:
            raise UnfitError("is not a date between the years 1 and 9999") from None
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise UnfitError("is not a date")
    return value


def _time(value: Any) -> dt.time:
    if isinstance(value, str):
        try:
            value = dt.time.fromisoformat(value)
        except ValueError:
            raise UnfitError("is not a time of day") from None
    if not isinstance(value, dt.time):
        raise UnfitError("is not a time of day")
    return value.replace(tzinfo=None)


def _bytes(value: Any) -> str:
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UnfitError("is not hexadecimal text")
    digits = match[1].lower()
    return f"0{digits}" if len(digits) % 2 else digits


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise UnfitError("is not a UUID") from None


def _uuid_or(form: str) -> Callable[[Any], str]:
    """The converter of a column of UUIDs to which any value of this form may come, which needs a column of text."""

    def convert(value: Any) -> str:
        CONVERTERS[form](value)
        try:
            return _uuid(value)
        except UnfitError:
            raise NarrowError("text") from None

    return convert


_json = msgspec.json.Encoder(decimal_format="number", enc_hook=_readable)
_lossless = msgspec.json.Encoder(decimal_format="number", enc_hook=str)

CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "integer of 32 bits": lambda value: _integer(value, 32),
    "integer of 16 bits": lambda value: _integer(value, 16),
    "integers": _list_of(_integer),
    "integers of 32 bits": _list_of(lambda value: _integer(value, 32)),
    "integers of 16 bits": _list_of(lambda value: _integer(value, 16)),
    "numbers": _list_of(_decimal),
    "booleans": _list_of(_boolean),
    "texts": _list_of(_string),
    "list": _list_of(lambda value: value),
    "decimal": _duckdb_decimal,
    "whole decimal": lambda value: _duckdb_decimal(_whole(value)),
    "double": _double,
    "whole double": lambda value: _double(_whole(value)),
    "numeric": _numeric,
    "whole numeric": lambda value: _numeric(_whole(value)),
    "plain": _plain,
    "whole plain": lambda value: _plain(_whole(value)),
    "boolean": _boolean,
    "string": _string,
    "text": _text,
    "json": _json_text,
    "text or date-time": _text_or("date-time"),
    "text or date": _text_or("date"),
    "text or time": _text_or("time"),
    "text or uuid": _text_or("uuid"),
    "date-time": _date_time,
    "date": _date,
    "time": _time,
    "bytes": _bytes,
    "uuid": _uuid,
    "uuid or string": _uuid_or("string"),
    "uuid or text": _uuid_or("text"),
}
#: The forms of what may be an object or a list, and those by which they are keys.
OF_A_KEY = {form: f"{form} of a key" for form in ("json", "text", "texts", *_ARRAYS.values())}
CONVERTERS |= {of_a_key: _of_a_key(form) for form, of_a_key in OF_A_KEY.items()}
