"""Converting HubSpot's property values, which are all text, to JSON values.

A converter takes non-empty text and returns a JSON value. If it raises ValueError, the record gets null and the text
goes to `invalid_properties`, so no value is lost and the run continues.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tap_hubspot_dw.timestamps import format_timestamp, parse_timestamp

Converter = Callable[[str], object]

_MOST_TEXTS = 20_000  # per type: a few megabytes

# A converter runs for every value of every record, so it first tries the form that nearly all values have.
_PLAIN_NUMBER = re.compile(r"-?\d{1,18}\.\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,1000}(\.\d{0,1000})?|\.\d{1,1000})([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_PLACES, _MOST_PLACES, _DIGITS_OF_A_DOUBLE = 18, 30, 17
_BOOLEANS = {"true": True, "false": False}


class Memo(dict[str | None, Any]):
    """A converter, called by subscript, that caches results: texts in a CRM repeat within and across columns.

    None and `""`, which is how HubSpot writes a cleared value, give None. Thread-safe.
    """

    def __init__(self, convert: Converter) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, text: str | None) -> object:
        """Convert a text that is not in the cache.

        Raises:
            ValueError: the text has no such value.
        """
        value = self._convert(text) if text else None
        if len(self) >= _MOST_TEXTS:
            self.clear()
        self[text] = value
        return value


def to_number(text: str) -> int | Decimal:
    """Return the exact number: an int of at most 18 digits, else a Decimal with the digits as written.

    Numbers that HubSpot has calculated are an exception: see `_shortest`.
    """
    if len(text) <= 18 and text.isascii() and text.isdigit():
        return int(text)
    if _PLAIN_NUMBER.fullmatch(text):
        return Decimal(text)
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return _shortest(Decimal(text))
    raise ValueError(text)


def _shortest(number: Decimal) -> Decimal:
    """Return the shortest decimal of a double if HubSpot wrote out or computed with its binary value (observed).

    HubSpot writes a probability of 0.2 as 0.200000000000000011102230246251565404236316680908203125, and a million
    times that value with just as many digits. A number with more than 18 decimal places that equals a double exactly
    was a double: nobody types such digits. The same holds for any number with more than 30 decimal places. All other
    numbers stay as written.
    """
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or exponent >= -_PLACES:
        return number
    while exponent < 0 and len(digits) > 1 and not digits[-1]:
        digits, exponent = digits[:-1], exponent + 1
    if exponent >= -_PLACES:
        return Decimal((sign, digits, exponent))
    double = float(number)
    if len(digits) <= _DIGITS_OF_A_DOUBLE or not sys.float_info.min <= abs(double) < 2.0**53:
        return number
    return Decimal(repr(double)) if exponent < -_MOST_PLACES or number == Decimal(double) else number


def to_boolean(text: str) -> bool:
    """Return the boolean for `true` or `false`, ignoring case."""
    try:
        return _BOOLEANS[text]
    except KeyError:
        truth = _BOOLEANS.get(text.strip().lower())
        if truth is None:
            raise ValueError(text) from None
        return truth


def to_date(text: str) -> str:
    """Return the date as `2026-11-30`, from ISO text or from milliseconds at midnight UTC."""
    if len(text) == 10 and text[4] == text[7] == "-":
        date.fromisoformat(text)
        return text
    timestamp = parse_timestamp(text.strip())
    if timestamp - timestamp.replace(hour=0, minute=0, second=0, microsecond=0):
        raise ValueError(text)
    return timestamp.date().isoformat()


def to_date_time(text: str) -> str:
    """Return the timestamp as fixed-width UTC text with milliseconds."""
    if len(text) == 24 and text[4] == text[7] == "-" and text[10] == "T" and text[19] == "." and text[23] == "Z":
        datetime.fromisoformat(text)
        return text
    return format_timestamp(parse_timestamp(text.strip()))
