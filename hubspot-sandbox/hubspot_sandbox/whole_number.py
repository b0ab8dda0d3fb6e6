"""Whole numbers in requests. `str.isdigit` accepts `²`, on which `int` raises, as it does on thousands of digits."""

from __future__ import annotations

#: HubSpot's ids and timestamps have 64 bits; 18 digits always fit.
_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """The number in a text of at most 18 ASCII digits; None for any other text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None
