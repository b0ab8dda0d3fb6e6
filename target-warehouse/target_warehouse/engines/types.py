"""Which existing column types hold every value a stream sends, per engine, as a table of facts.

Pure: standard library only. Types are written as the database writes them, in lower case.
"""

from __future__ import annotations

_INTEGERS = ("smallint", "integer", "bigint")

#: (what the stream needs, what the column is) pairs that lose nothing, besides equal types and plain text.
_HOLDS = {
    *((narrow, wide) for i, narrow in enumerate(_INTEGERS) for wide in (*_INTEGERS[i + 1 :], "numeric")),
    ("smallint", "decimal(38,18)"),
    ("integer", "decimal(38,18)"),
    ("bigint", "decimal(38,18)"),
    ("bigint", "hugeint"),
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp", "timestamp with time zone"),
    ("date", "timestamp without time zone"),
    ("date", "timestamp"),
    ("jsonb", "json"),
    ("json", "jsonb"),
}
_TEXT = ("text", "varchar", "character varying")


def holds(existing: str, wanted: str) -> bool:
    """Whether a column of type `existing` keeps every value of type `wanted`.

    A `character varying(n)` holds text: one that is too long is an error of the database, not a loss.
    """
    existing, wanted = existing.lower(), wanted.lower()
    if existing == wanted or existing in _TEXT:
        return True
    if existing.startswith("character varying(") and wanted in _TEXT:
        return True
    return (wanted, existing) in _HOLDS
