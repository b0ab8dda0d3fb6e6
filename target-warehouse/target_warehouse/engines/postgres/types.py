"""The types of columns of PostgreSQL tables, whichever program created them, and the types that narrow ones become.

A type is *ours* if the target creates or widens columns of it. Any other type (a domain, an enum, `citext`, `inet`,
`interval`, `xml` …) was chosen by the user and stays: PostgreSQL converts the values, and values that it refuses are
rejected. Pure: standard library only. Types are written as `format_type` writes them.
"""

from __future__ import annotations

import re

from target_warehouse.engines.type_widening import TEXT, holds, widened

_NUMBERS = frozenset(["smallint", "integer", "bigint", "numeric", "real", "double precision", "money"])
_DAYS = frozenset(["date", "timestamp without time zone", "timestamp with time zone"])
_CLOCKS = frozenset(["time without time zone", "time with time zone"])
_TEXTS = frozenset([*TEXT, "bpchar"])
#: Types that truncate text silently; columns of these types become text.
_CUT_TEXTS = frozenset(['"char"', "name"])
_OURS = frozenset([*_NUMBERS, *_DAYS, *_CLOCKS, *_TEXTS, *_CUT_TEXTS, "boolean", "json", "jsonb", "uuid", "bytea"])
#: Types of ours in which two differently written values may be equal: `character` ignores blanks at the end.
_LOOSE_OF_OURS = frozenset(["money", "character", "bpchar"])
#: Types whose values in an array have one spelling, and become JSON as the target writes it.
PLAIN_ELEMENTS = frozenset(
    [*TEXT, "smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "json", "jsonb"]
)
#: Types whose values PostgreSQL calls equal if they are as large as one another, or does not compare at all.
WITHOUT_EQUALITY = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})
#: The most digits of an integer.
_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_IN_BRACKETS = re.compile(r"\([^()]*\)")


def plain(sql_type: str) -> str:
    """The type without its length, precision or scale in brackets."""
    return _IN_BRACKETS.sub("", sql_type)


def element(sql_type: str) -> str:
    """The type of an array's elements, or the type itself."""
    return sql_type.removesuffix("[]")


def is_ours(sql_type: str) -> bool:
    """Whether the target creates or widens columns of this type, or of arrays of it."""
    return plain(element(sql_type)) in _OURS


def is_exact(sql_type: str) -> bool:
    """Whether values of this type, as the target writes them, are equal only if they are the same text."""
    if sql_type.endswith("[]"):
        return element(sql_type) in PLAIN_ELEMENTS
    return is_ours(sql_type) and plain(sql_type) not in _LOOSE_OF_OURS


def are_alike(sql_type: str, other: str) -> bool:
    """Whether both types are numbers, days or times of day, so that their values can be compared."""
    return any({plain(sql_type), plain(other)} <= family for family in (_NUMBERS, _DAYS, _CLOCKS))


def is_number(sql_type: str) -> bool:
    """Whether values of this type are numbers."""
    return plain(sql_type) in _NUMBERS


def is_text(sql_type: str) -> bool:
    """Whether a column of this type takes text unchanged."""
    return plain(sql_type) in _TEXTS


def wider(stored: str, base: str, wanted: str) -> str:
    """The type that holds both the column's values and the stream's; `stored` if the column need not change.

    `base` is the base type of a domain, else `stored`. Digits of a second do not matter here: the column is widened
    when a value needs it.
    """
    if not is_ours(base) or _holds(base, wanted):
        return stored
    if base != stored and (is_text(base) or are_alike(base, wanted)):
        return stored  # the domain's check, and our check for rounding, reject the values that it does not hold
    if base == stored == "uuid" and is_text(wanted):
        return stored  # as long as all texts are UUIDs
    if base.endswith("[]") and wanted.endswith("[]"):
        inner = wider(element(base), element(base), element(wanted))
        if not is_text(inner) or (is_text(element(base)) and is_text(element(wanted))):
            return f"{inner}[]"
    if plain(base) == "money":
        base = "numeric" if plain(wanted) in _NUMBERS else base
    return widened(without_places(base), wanted, number="numeric", json="jsonb", text="text")


def without_places(sql_type: str) -> str:
    """The type that keeps every digit of a second; types that are not times are returned unchanged."""
    return plain(sql_type) if plain(sql_type) in _DAYS | _CLOCKS else sql_type


def _holds(existing: str, wanted: str) -> bool:
    existing, wanted = without_places(existing), without_places(wanted)
    if holds(existing, wanted) or (existing, wanted) == ("time with time zone", "time without time zone"):
        return True
    if existing.endswith("[]") and wanted.endswith("[]"):  # in an array of text, an integer would be another value
        inner, sent = element(existing), element(wanted)
        return is_text(inner) == is_text(sent) and _holds(inner, sent)
    number, other = _NUMERIC.fullmatch(existing), _NUMERIC.fullmatch(wanted)
    if number and wanted in _DIGITS:
        return int(number[1]) - int(number[2]) >= _DIGITS[wanted]
    if number and other:
        places = int(number[2]), int(other[2])
        return places[0] >= places[1] and int(number[1]) - places[0] >= int(other[1]) - places[1]
    return False
