"""Which column types hold which others without loss, as a table, and the type that a narrow column becomes.

Pure: standard library only. Types are written as the database writes them, in lower case.
"""

from __future__ import annotations

import re

_INTEGERS = ("smallint", "integer", "bigint")
_DECIMAL = "decimal(38,18)"
_SMALL = ("tinyint", "smallint", "integer", "utinyint", "usmallint", "uinteger")
_NESTED = ("struct(", "map(", "union(", "variant")
#: The family of a type, by the beginning of its name.
_FAMILIES = {
    "number": (
        *("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint"),
        *("uhugeint", "bignum", "decimal", "numeric", "double", "float", "real", "money"),
    ),
    "text": ("text", "varchar", "character", "bpchar", "enum(", '"char"', "name"),
    "date-time": ("timestamp",),
    **{kind: (kind,) for kind in ("boolean", "date", "time", "uuid", "json")},
}
#: For each family, the schema types whose values still match a key of that family after the key has become text.
_MATCH_AS_TEXT = {
    "number": ("integer", "number", "string", "text"),
    "boolean": ("string", "text"),
    "date": ("string", "text"),
    "json": ("json", "string", "text", "integer", "number", "boolean"),
}

#: Pairs (narrow, wide) in which `wide` holds every value of `narrow`, besides equal types and plain text.
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
    # DuckDB's, in tables of other programs. Whether a double or a UUID holds a value is checked per value, on loading.
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


def family(column_type: str) -> str:
    """The family of a type: number, text, or a family of one type; empty for other types."""
    column_type = column_type.lower()
    if column_type.endswith("]"):
        return ""
    return next((name for name, begins in _FAMILIES.items() if column_type.startswith(begins)), "")


def has_one_spelling(existing: str, sent: str, *, is_loose: bool) -> bool:
    """Whether keys of the column type `existing`, turned into text, are spelled like the values of the type `sent`.

    A timestamp has many spellings, and text from the source is stored unchanged; loose columns normalise timestamps.
    """
    existing_family = family(existing)
    return (
        existing_family == "text"
        or sent in _MATCH_AS_TEXT.get(existing_family, ())
        or (is_loose and sent == existing_family)
    )


def is_nested(column_type: str) -> bool:
    """Whether a DuckDB type, in lower case, is a list, struct, map, union or variant."""
    return column_type.startswith(_NESTED) or column_type.endswith("]")


def widened(existing: str, wanted: str, *, number: str, json: str, text: str) -> str:
    """The type that holds both the column's values and the stream's.

    It is the existing or the wanted type if it holds the other, else the database's widest number or JSON type if that
    holds both, else text.
    """
    existing, wanted = existing.lower(), wanted.lower()
    for candidate in (existing, wanted, number, json):
        if holds(candidate, existing) and holds(candidate, wanted):
            return candidate
    return text
