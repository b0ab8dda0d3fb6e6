"""Whole numbers in what was sent: `isdigit` takes `²` for one, and `int` refuses it, as it does thousands of digits."""

from __future__ import annotations

#: As many as fit into the 64 bits of HubSpot's ids and moments.
_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """The number that a few ASCII digits write; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None
