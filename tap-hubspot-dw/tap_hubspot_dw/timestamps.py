"""Timestamps, as HubSpot writes them and as records carry them.

A record's date-times are fixed-width UTC text with milliseconds (`2026-03-30T12:00:00.000Z`), so that they compare
as text. HubSpot writes ISO 8601 with or without a fraction, or milliseconds since 1970 as digits (both observed).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
_EPOCH_MS = re.compile(r"-?\d{1,15}", re.ASCII)


def parse_timestamp(text: str) -> datetime:
    """Return the timestamp in `text`, in UTC.

    Accepts ISO 8601 (UTC if it has no offset, midnight if it has no time) and milliseconds since 1970.

    Raises:
        ValueError: `text` is neither, or is outside the years 1 to 9999.
    """
    if _EPOCH_MS.fullmatch(text):
        try:
            return EPOCH + timedelta(milliseconds=int(text))
        except OverflowError as error:
            raise ValueError(text) from error
    if not _ISO_DATE_TIME.fullmatch(text):
        raise ValueError(text)
    timestamp = datetime.fromisoformat(text)
    try:
        return timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(text) from error


def format_timestamp(timestamp: datetime) -> str:
    """Return `timestamp` (in UTC) as fixed-width text, truncated to milliseconds."""
    return f"{timestamp.year:04}-{timestamp:%m-%dT%H:%M:%S}.{timestamp.microsecond // 1000:03}Z"


def now() -> datetime:
    """Return the current time in UTC, by this machine's clock."""
    return datetime.now(UTC)


def clock_ahead(said: datetime, sent_at: datetime, received_at: datetime) -> timedelta:
    """Return how far our clock is ahead of the server's, which stated its time as `said` in reply to a request.

    Zero if that time lies between sending and receiving; `said` may be in whole seconds. Otherwise the result errs
    upwards, so that a time computed by the server's clock is too early rather than too late.
    """
    agrees = sent_at - timedelta(seconds=1) <= said <= received_at
    return timedelta() if agrees else received_at - said


def epoch_ms(timestamp: datetime) -> int:
    """Return the milliseconds from 1970 to `timestamp`, rounded down."""
    return (timestamp - EPOCH) // timedelta(milliseconds=1)
