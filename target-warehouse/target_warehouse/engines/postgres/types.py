"""The types that columns of PostgreSQL tables have, who ever made them, and what becomes of one that is too narrow.

A type is *ours* if the target makes or widens columns of it. Any other (a domain, an enum, `citext`, `inet`,
`interval`, `xml` …) was chosen by somebody, and stays: PostgreSQL converts what is sent, and what it refuses is
rejected. Pure: standard library only. Types are written as `format_type` writes them.
"""

from __future__ import annotations

import re

from target_warehouse.engines.type_widening import TEXT, holds, widened

_NUMBERS = frozenset(["smallint", "integer", "bigint", "numeric", "real", "double precision", "money"])
_DAYS = frozenset(["date", "timestamp without time zone", "timestamp with time zone"])
_CLOCKS = frozenset(["time without time zone", "time with time zone"])
_TEXTS = frozenset([*TEXT, "bpchar"])
#: Types that cut a text without a word; they become text.
_CUT_TEXTS = frozenset(['"char"', "name"])
_OURS = frozenset([*_NUMBERS, *_DAYS, *_CLOCKS, *_TEXTS, *_CUT_TEXTS, "boolean", "json", "jsonb", "uuid", "bytea"])
#: Types of which two values that are written differently may be equal.
LOOSE = ("citext", "interval")
#: How many digits before the point an integer may have.
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_IN_BRACKETS = re.compile(r"\([^()]*\)")


def plain(kind: str) -> str:
    """The type without what is in brackets: how long, or how exact, its values may be."""
    return _IN_BRACKETS.sub("", kind)


def element(kind: str) -> str:
    """The type of an array's elements, or the type itself."""
    return kind.removesuffix("[]")


def is_ours(kind: str) -> bool:
    """Whether the target makes or widens columns of this type, or of arrays of it."""
    return plain(element(kind)) in _OURS


def are_alike(kind: str, other: str) -> bool:
    """Whether both are numbers, days or times of day, so that values of the one can be compared with the other's."""
    return any({plain(kind), plain(other)} <= family for family in (_NUMBERS, _DAYS, _CLOCKS))


def is_number(kind: str) -> bool:
    """Whether values of this type are numbers."""
    return plain(kind) in _NUMBERS


def is_text(kind: str) -> bool:
    """Whether a column of this type takes a text as it is."""
    return plain(kind) in _TEXTS


def wider(stored: str, base: str, wanted: str) -> str:
    """The type that holds what the column holds and what the stream sends; `stored` itself if nothing is to change.

    `base` is what a domain was made of, else `stored`. A type that keeps fewer digits of a second than are sent
    is no matter here: it is widened when a value needs it.
    """
    if not is_ours(base) or _holds(base, wanted):
        return stored
    if base != stored and (is_text(base) or are_alike(base, wanted)):
        return stored  # the domain's own check, and ours of what is rounded, say which values it takes
    if base == stored == "uuid" and is_text(wanted):
        return stored  # as long as the texts that come are UUIDs
    if base.endswith("[]") and wanted.endswith("[]"):
        inner = wider(element(base), element(base), element(wanted))
        if not is_text(inner) or (is_text(element(base)) and is_text(element(wanted))):
            return f"{inner}[]"
    if plain(base) == "money":
        base = "numeric" if plain(wanted) in _NUMBERS else base
    return widened(without_places(base), wanted, number="numeric", json="jsonb", text="text")


def without_places(kind: str) -> str:
    """The type that keeps every digit of a second; any other type is itself."""
    return plain(kind) if plain(kind) in _DAYS | _CLOCKS else kind


def _holds(existing: str, wanted: str) -> bool:
    existing, wanted = without_places(existing), without_places(wanted)
    if holds(existing, wanted) or (existing, wanted) == ("time with time zone", "time without time zone"):
        return True
    if existing.endswith("[]") and wanted.endswith("[]"):  # an integer in an array of texts would be another value
        inner, sent = element(existing), element(wanted)
        return is_text(inner) == is_text(sent) and _holds(inner, sent)
    number, other = _NUMERIC.fullmatch(existing), _NUMERIC.fullmatch(wanted)
    if number and wanted in _DIGITS:
        return int(number[1]) - int(number[2]) >= _DIGITS[wanted]
    if number and other:
        places = int(number[2]), int(other[2])
        return places[0] >= places[1] and int(number[1]) - places[0] >= int(other[1]) - places[1]
    return False
