"""Ages as people write them: `30m`, `24h`, `7d`, `off`. Pure: standard library only."""

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
    """The age allowed by stream, from `AGE` and `STREAM=AGE`; `""` stands for every other stream, None for any age.

    Raises:
        SettingsError: a text is neither.
    """
    ages: dict[str, dt.timedelta | None] = {"": DEFAULT}
    for text in texts:
        stream, _, age = text.rpartition("=")
        ages[stream] = _age(age)
    return ages


def _age(text: str) -> dt.timedelta | None:
    if text == "off":
        return None
    if not (found := re.fullmatch(r"(\d{1,6})([smhd])", text)):
        msg = f"{text!r} is no age: write it as 30m, 24h, 7d or off, for one stream as deals=2h."
        raise SettingsError(msg)
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})
