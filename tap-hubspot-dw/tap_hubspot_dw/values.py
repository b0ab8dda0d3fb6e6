"""HubSpot's property values, which are all text, as JSON values.

A converter takes non-empty text and returns a JSON value, or raises ValueError: then the record gets null and the
text goes to `invalid_properties`, so that nothing is lost and nothing dies.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

from tap_hubspot_dw.timestamps import format_timestamp, parse_timestamp

Converter = Callable[[str], object]

_NUMBER = re.compile(r"[+-]?(\d{1,1000}(\.\d{0,1000})?|\.\d{1,1000})([eE][+-]?\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def to_number(text: str) -> int | Decimal:
    """Return the exact number: an int of at most 18 digits, else a Decimal with the digits as written."""
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    raise ValueError(text)


def to_boolean(text: str) -> bool:
    """Return the truth of `true` and `false`, in any case."""
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError as error:
        raise ValueError(text) from error


def to_date(text: str) -> str:
    """Return the day as `2026-11-30`, from ISO text or from milliseconds at midnight UTC."""
    if len(text) == len("2026-11-30"):
        return date.fromisoformat(text).isoformat()
    moment = parse_timestamp(text)
    if moment - moment.replace(hour=0, minute=0, second=0, microsecond=0):
        raise ValueError(text)
    return moment.date().isoformat()


def to_date_time(text: str) -> str:
    """Return the moment as fixed-width UTC text with milliseconds."""
    return format_timestamp(parse_timestamp(text.strip()))
