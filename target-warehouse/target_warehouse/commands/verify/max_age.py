"""Parse ages such as `30m`, `24h`, `7d` and `off`. Pure: standard library only."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from target_warehouse.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT = dt.timedelta(hours=24)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def max_ages_of(texts: Iterable[str]) -> dict[str, dt.timedelta | None]:
    """The allowed age by stream, from `AGE` and `STREAM=AGE`; `""` is every other stream, None means no limit.

    Raises:
        SettingsError: a text has neither form.
    """
    ages: dict[str, dt.timedelta | None] = {"": DEFAULT}
    for text in texts:
        stream, _, age = text.rpartition("=")
        ages[stream] = _age(age)
    return ages


def _age(text: str) -> dt.timedelta | None:
    if text == "off":
        return None
    if not (match := re.fullmatch(r"(\d{1,6})([smhd])", text)):
        msg = f"{text!r} is not an age: write 30m, 24h, 7d or off, or for one stream deals=2h."
        raise SettingsError(msg)
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})
