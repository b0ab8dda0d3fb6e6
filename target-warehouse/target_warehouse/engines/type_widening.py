"""Which column types hold which others without loss, as a table of facts, and what a column becomes when it must.

Pure: standard library only. Types are written as the database writes them, in lower case.
"""

from __future__ import annotations

import re

_INTEGERS = ("smallint", "integer", "bigint")
_DECIMAL = "decimal(38,18)"
_SMALL = ("tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger")
_NESTED = ("struct(", "map(", "union(", "variant")
#: Of types, by how they begin, the family; of a family the kinds of values that find a row whose key has become text.
_FAMILIES = {
    "number": (
        *("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("uhugeint", "bignum", "decimal", "numeric", "double", "float", "real", "money"),
    ),
    "text": ("text", "varchar", "character", "bpchar", "enum(", '"char"', "name"),
    "date-time": ("timestamp",),
    **{kind: (kind,) for kind in ("boolean", "date", "time", "uuid", "json")},
}
_FOUND_AS_TEXT = {
    "number": ("integer", "number", "string", "text"),
    "boolean": ("string", "text"),
    "date": ("string", "text"),
    "json": ("json", "string", "text", "integer", "number", "boolean"),
}

#: (what is to be held, what holds it) pairs that lose nothing, besides equal types and plain text.
_HOLDS = {
    *((narrow, wide) for i, narrow in enumerate(_INTEGERS) for wide in (*_INTEGERS[i + 1 :], "numeric", _DECIMAL)),
    ("bigint", "hugeint"),
    ("real", "double precision"),
    ("real", "numeric"),
    ("double precision", "numeric"),
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp", "timestamp with time zone"),
    ("date", "timestamp without time zone"),
    ("date", "timestamp"),
    # DuckDB's, in tables that others made. A double or a UUID holds a value if it is one, which is seen when it comes.
    *((narrow, wide) for narrow in _SMALL for wide in ("bigint", "hugeint", _DECIMAL)),
    ("ubigint", "hugeint"),
    ("ubigint", _DECIMAL),
    *((number, "double") for number in (*_SMALL, "bigint", "float", _DECIMAL)),
    ("varchar", "uuid"),
    *((stamp, "timestamp") for stamp in ("timestamp_s", "timestamp_ms")),
    *((stamp, "timestamp with time zone") for stamp in ("timestamp_s", "timestamp_ms", "date")),
    *(("date", stamp) for stamp in ("timestamp_s", "timestamp_ms", "timestamp_ns")),
    *((stamp, "timestamp_ns") for stamp in ("timestamp_s", "timestamp_ms", "timestamp")),
    *(("time", time) for time in ("time_ns", "time with time zone")),
    ("jsonb", "json"),
    ("json", "jsonb"),
}
TEXT = ("text", "varchar", "character varying", "character")
_DIGITS_OF_BIGINT = 19
_WITH_LENGTH = re.compile(r"character varying\((\d+)\)")
_WITH_PLACES = re.compile(r"(numeric|decimal)\((\d+),(-?\d+)\)")


def holds(existing: str, wanted: str) -> bool:
    """Whether a column of type `existing` keeps every value of type `wanted`."""
    existing, wanted = existing.lower(), wanted.lower()
    if existing == wanted or existing in TEXT or (wanted, existing) in _HOLDS:
        return True
    if wanted.endswith("[]") or is_nested(wanted):
        return existing in ("jsonb", "json")
    decimals = _WITH_PLACES.fullmatch(existing) if existing.startswith("decimal") else None
    if decimals and wanted == "bigint":
        return int(decimals[2]) - int(decimals[3]) >= _DIGITS_OF_BIGINT
    length, wanted_length = _WITH_LENGTH.fullmatch(existing), _WITH_LENGTH.fullmatch(wanted)
    if length:
        return bool(wanted_length) and int(length[1]) >= int(wanted_length[1])  # type: ignore[index]
    places = _WITH_PLACES.fullmatch(wanted)
    if places and existing == _DECIMAL:
        return int(places[2]) - int(places[3]) <= 20 and int(places[3]) <= 18
    return bool(places) and existing == "numeric"


def family(kind: str) -> str:
    """What values a type has: numbers, texts, or those of one kind; empty for others."""
    kind = kind.lower()
    if kind.endswith("]"):
        return ""
    return next((name for name, begins in _FAMILIES.items() if kind.startswith(begins)), "")


def is_found_as_text(existing: str, kind: str, *, is_loose: bool) -> bool:
    """Whether a key of this type has but one spelling as a text, which values of the kind have that are equal to it.

    A moment has many, and a text that a source sends is not changed; of a loose kind the moments are.
    """
    found = family(existing)
    return found == "text" or kind in _FOUND_AS_TEXT.get(found, ()) or (is_loose and kind == found)


def is_nested(kind: str) -> bool:
    """Whether a type of DuckDB's, in lower case, has values inside."""
    return kind.startswith(_NESTED) or kind.endswith("]")


def widened(existing: str, wanted: str, *, number: str, json: str, text: str) -> str:
    """The type that holds what the column holds now and what the stream wants to add.

    It is the existing type or the wanted one if either holds the other, else the database's widest number or JSON
    type if that holds both, else text, which holds everything.
    """
    existing, wanted = existing.lower(), wanted.lower()
    for candidate in (existing, wanted, number, json):
        if holds(candidate, existing) and holds(candidate, wanted):
            return candidate
    return text
