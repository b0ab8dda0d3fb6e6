"""Converters of dates, times of day and timestamps; see `converters`."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from target_warehouse.decode.converters import UnfitError

if TYPE_CHECKING:
    from collections.abc import Callable

#: A fraction of a second with more digits than microseconds, and a UTC offset.
_CUT_FRACTION = re.compile(r"[.,]\d{6}\d*[1-9]")
_OFFSET = re.compile(r"[+-](?=[\d:.]*[1-9])[\d:.]+$")


def is_cut(form: str, value: Any) -> bool:
    """Whether a column would cut this timestamp or time of day: digits beyond microseconds, or a time's UTC offset."""
    if form not in ("date-time", "time") or not isinstance(value, str):
        return False
    return _CUT_FRACTION.search(value) is not None or (form == "time" and _OFFSET.search(value) is not None)


def to_date_time(value: Any) -> dt.datetime:
    """A timestamp in UTC, without a time zone."""
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


def with_hyphens(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The converter of a date or timestamp that is written with hyphens: 2026-01-31."""

    def strictly(value: Any) -> Any:
        if isinstance(value, str) and not value[4:5] == value[7:8] == "-":
            raise UnfitError("is not a date")
        return convert(value)

    return strictly


def to_date(value: Any) -> dt.date:
    """A date."""
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value)
        except ValueError:
            raise UnfitError("is not a date between the years 1 and 9999") from None
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise UnfitError("is not a date")
    return value


def to_time(value: Any) -> dt.time:
    """A time of day, without its UTC offset."""
    if isinstance(value, str):
        if value[2:3] != ":":  # digits alone may be a date or a number
            raise UnfitError("is not a time of day")
        try:
            value = dt.time.fromisoformat(value)
        except ValueError:
            raise UnfitError("is not a time of day") from None
    if not isinstance(value, dt.time):
        raise UnfitError("is not a time of day")
    return value.replace(tzinfo=None)
