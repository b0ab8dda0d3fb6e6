"""Converters from a JSON value to the value of a column, and texts that every database can store.

No conversion rounds a number. A value that does not fit exactly raises `NarrowError` (the column must become wider
first) or `UnfitError` (the value is not valid for its kind). `forms` says which column has which converter.
"""

from __future__ import annotations

import decimal
import json
import re
import sys
import uuid
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

#: DuckDB's widest decimal, with digits before and after the point for HubSpot's amounts and its 17-digit scores.
DECIMAL_DIGITS, DECIMAL_PLACES = 38, 18
_LAST_PLACE = decimal.Decimal(1).scaleb(-DECIMAL_PLACES)
_EXACTLY = decimal.Context(prec=100, traps=[decimal.Inexact, decimal.InvalidOperation])
#: PostgreSQL's NUMERIC: digits before and after the point. Numbers with more digits are rejected on every engine: a
#: short text such as 1e999999999 would take a gigabyte when written out.
NUMERIC_DIGITS, NUMERIC_PLACES = 131_072, 16_383

_HEX = re.compile(r"(?:0x|\\x)?([0-9a-fA-F]*)")
TOO_DEEP = "nests lists and objects deeper than can be stored"


class UnfitError(ValueError):
    """A value cannot be stored in any column of its kind; the message says why, without the value."""


class NarrowError(ValueError):
    """A value is valid, but the column is too narrow for it; `kind` is the kind that the column must become."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class UnreadableNumber:
    """A number that no database can hold: NaN, Infinity, or a number with an exponent that is too large."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Binary:
    """Bytes of a parquet file that are not UTF-8 text, which no JSON value can be."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __str__(self) -> str:
        return self.value.hex()


def json_line(value: Any) -> str:
    """Any record as JSON text that every database can store.

    A number that JSON does not have becomes a string. Half a surrogate pair is escaped; in a record that has one,
    numbers with a point become strings, too.
    """
    try:
        return _lossless.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError):
        return json.dumps(value, default=str)
    except RecursionError:  # the record was read with fewer frames on the stack
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(2 * limit)
        try:
            return json_line(value)
        finally:
            sys.setrecursionlimit(limit)


def storable(text: str) -> str:
    """A name or message as text that every database can store: NUL replaced, half surrogate pairs escaped."""
    return str(without_nul(text)).encode(errors="backslashreplace").decode()


def without_nul(value: Any) -> Any:
    """The value with every NUL replaced by U+FFFD, also in nested values and member names, which stay distinct."""
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


def to_integer(value: Any, bits: int = 64) -> int:
    """An integer of this many bits; a larger one needs a wider column."""
    whole = to_whole(value)
    if not -(2**63) <= whole < 2**63:
        raise NarrowError("number")
    if not -(2 ** (bits - 1)) <= whole < 2 ** (bits - 1):
        raise NarrowError("integer")
    return whole


def list_of(item_of: Callable[[Any], Any]) -> Callable[[Any], str]:
    """The converter of an array whose items are converted by `item_of`; for any other value the column becomes JSON.

    JSON keeps a value as it was sent; as an item of an array of texts, a list would become a text.
    """

    def convert(value: Any) -> str:
        try:
            items = [None if item is None else item_of(item) for item in value] if isinstance(value, list) else None
        except ValueError:
            items = None
        if items is None:
            to_json(value)  # raises UnfitError if JSON cannot hold the value either
            raise NarrowError("json")
        return to_json(items)

    return convert


def to_whole(value: Any) -> int:
    """An integer of any size; 5.0 is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = to_decimal(value, "an integer")
    if number != number.to_integral_value():
        raise UnfitError("is a number with a fraction where the schema says integer")
    return int(number)


def to_decimal(value: Any, what: str = "a number") -> decimal.Decimal:
    """A finite number, with its digits as they were written."""
    if isinstance(value, UnreadableNumber):
        raise UnfitError(f"is not {what}, but NaN, Infinity or a number with an exponent that is too large")
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        raise UnfitError(f"is not {what}")
    number = decimal.Decimal(repr(value)) if isinstance(value, float) else decimal.Decimal(value)
    if not number.is_finite():
        raise UnfitError(f"is not {what}, but NaN or Infinity")
    exponent = number.as_tuple().exponent
    if number and (number.adjusted() >= NUMERIC_DIGITS or int(exponent) < -NUMERIC_PLACES):
        raise UnfitError("is a number with more digits than a database can hold")
    return number


def to_duckdb_decimal(value: Any) -> decimal.Decimal:
    """A number with the places of DuckDB's decimal column; any other number needs a text column."""
    number = to_decimal(value)
    if number and number.adjusted() >= DECIMAL_DIGITS - DECIMAL_PLACES:
        raise NarrowError("text")
    try:
        return number.quantize(_LAST_PLACE, context=_EXACTLY)
    except (decimal.Inexact, decimal.InvalidOperation):
        raise NarrowError("text") from None


def to_double(value: Any) -> float:
    """The double whose shortest decimal text equals the number; any other number needs a text column."""
    number = to_decimal(value)
    try:
        double = float(number)
    except OverflowError:
        raise NarrowError("text") from None
    if double in (float("inf"), float("-inf")) or decimal.Decimal(repr(double)) != number:
        raise NarrowError("text")
    return double


def to_numeric(value: Any) -> str:
    """A number of any digits as text."""
    return str(to_decimal(value))


def to_plain(value: Any) -> str:
    """A number as text without exponent and trailing zeros."""
    text = format(to_decimal(value), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def to_boolean(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise UnfitError("is not a boolean")
    return value


def to_string(value: Any) -> str:
    """A text that is valid Unicode."""
    if not isinstance(value, str):
        raise UnfitError("is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnfitError("contains half a surrogate pair, which is not valid Unicode") from None
    return value


def to_text(value: Any) -> str:
    """Any value as text; a value that is not text as JSON."""
    if isinstance(value, str):
        return to_string(value)
    is_number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
    return to_plain(value) if is_number else to_json(value)


def to_json(value: Any) -> str:
    """Any value as JSON text."""
    try:
        return _json.encode(value).decode()
    except UnfitError:
        raise
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError):
        raise UnfitError("contains text that is not valid Unicode") from None
    except RecursionError:
        raise UnfitError(TOO_DEEP) from None


def canonical(value: Any) -> Any:
    """The JSON value with sorted members and plain numbers, so that equal values have equal texts."""
    if isinstance(value, dict):
        return {name: canonical(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    is_number = isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)
    return decimal.Decimal(to_plain(value)) if is_number else value


def _readable(value: Any) -> str:
    if isinstance(value, Binary):
        raise UnfitError("contains binary data that is not UTF-8 text")
    if isinstance(value, UnreadableNumber):
        raise UnfitError("contains NaN, Infinity or a number with an exponent that is too large for JSON")
    return str(value)


def to_bytes(value: Any) -> str:
    """Hexadecimal text: two lower-case digits a byte."""
    match = _HEX.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UnfitError("is not hexadecimal text")
    digits = match[1].lower()
    return f"0{digits}" if len(digits) % 2 else digits


def to_uuid(value: Any) -> str:
    """A UUID in its canonical spelling."""
    try:
        return str(uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise UnfitError("is not a UUID") from None


_json = msgspec.json.Encoder(decimal_format="number", enc_hook=_readable)
_lossless = msgspec.json.Encoder(decimal_format="number", enc_hook=str)
