"""Reading a saved state: its bookmarks, and the values in them.

A value of a key is of its type, or a ValueError says which key has what instead, without the value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tap_hubspot_dw.timestamps import EPOCH, parse_timestamp

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)  # HubSpot has nothing older; the look-back must stay within datetime
_MOST_SECONDS = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973
_NUMBER = re.compile(r"-?\d{1,19}(\.\d{1,9})?", re.ASCII)
_MOST = 2**62  # versions and ids are 64-bit numbers in databases
_NAMED_KEYS = 5


def bookmarks_of(state: Any) -> dict[str, dict[str, Any]]:
    """Return the bookmarks in a state, by stream; the state may be wrapped as Meltano or a tap prints it.

    Raises:
        ValueError: the value is not a state, so the run would start without one; the message says what is wrong.
    """
    while isinstance(state, dict) and "bookmarks" not in state:
        if "singer_state" in state:  # as `meltano state get` prints it
            state = state["singer_state"]
        elif state.get("type") == "STATE" and "value" in state:  # a line of a tap's output
            state = state["value"]
        else:
            break
    if not isinstance(state, dict):
        raise ValueError(f"it is {type_name(state)}, not an object with bookmarks")
    if not state:
        return {}
    if "bookmarks" not in state:
        raise ValueError(f"it has no bookmarks, but {some_names(state)}")
    bookmarks = state["bookmarks"]
    if not isinstance(bookmarks, dict):
        raise ValueError(f"its bookmarks are {type_name(bookmarks)}, not an object")
    for stream, bookmark in bookmarks.items():
        if not isinstance(bookmark, dict):
            raise ValueError(f"the bookmark of {stream} is {type_name(bookmark)}, not an object")
    return bookmarks


def names_of(saved: Mapping[str, Any]) -> str:
    """Return the names of a bookmark's non-empty values as text; empty if there are none."""
    return some_names([name for name, value in saved.items() if value not in (None, "", [], {})])


def some_names(keys: Iterable[str]) -> str:
    """Return the first of these names as text."""
    names = list(keys)
    return ", ".join(names[:_NAMED_KEYS]) + (", …" if len(names) > _NAMED_KEYS else "")


def type_name(value: Any) -> str:
    """Return what kind of JSON value this is, with its article."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def timestamp_at(key: str, value: Any) -> datetime | None:
    """Return a timestamp written as ISO 8601, or as seconds or milliseconds since 1970; not before 1970."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value) if "." in value else int(value)
    try:
        if isinstance(value, str):
            timestamp = parse_timestamp(value.strip())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            timestamp = EPOCH + timedelta(seconds=value if abs(value) < _MOST_SECONDS else value / 1000)
        else:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(f"{key} is {type_name(value)} that is not a timestamp") from None
    return max(timestamp, _EARLIEST)


def whole_at(key: str, value: Any) -> int:
    """Return a whole number, which may be written as a text; not negative, and of 62 bits at most."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value == math.floor(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError(f"{key} has {type_name(value)} where a whole number belongs")
    return value


def object_at(key: str, value: Any) -> dict[str, Any]:
    """Return an object; an empty one for null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is {type_name(value)}, not an object")
    return value


def text_at(key: str, value: Any) -> str | None:
    """Return a text; None for null."""
    if not isinstance(value, str | None):
        raise ValueError(f"{key} is {type_name(value)}, not a text")
    return value


def texts_at(key: str, value: Any) -> list[str]:
    """Return a list of texts; an empty one for null."""
    if not isinstance(value, list | None) or not all(isinstance(text, str) for text in value or ()):
        raise ValueError(f"{key} is {type_name(value)}, not a list of texts")
    return value or []
