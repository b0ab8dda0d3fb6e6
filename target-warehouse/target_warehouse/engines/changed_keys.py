"""Check a table whose stream has a new key. Pure, except for the queries passed in.

A new key that is unique in the existing rows becomes the table's key. Any other is refused: an upsert by it would
duplicate existing rows or overwrite the wrong ones.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from target_warehouse.engines.type_widening import has_one_spelling
from target_warehouse.errors import LoadError
from target_warehouse.tables.statements import column_list, identifier, literal
from target_warehouse.tables.table import DELETED_AT, EXTRACTED_AT, is_loose, own_column

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

#: Text types, as the databases name them.
_TEXTS = ("varchar", "text", "character", "citext")
_NUMBER = (
    r"^\s*[-+]?([0-9][0-9,_' ]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$",
    r"^(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])$",
)
_DIGIT = "[0-9]"  # dates and times are written in many ways: 1/2/2026, Jan 2 2026, 20260102
#: For each type: a pattern of texts that may be such a value, and of the spelling that the target writes as text.
_SPELLINGS = {
    "integer": _NUMBER,
    "number": _NUMBER,
    "boolean": (
        r"^\s*([tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[yY][eE][sS]|[nN][oO]|[oO][nN]|[oO][fF][fF]|[tTfFyYnN01])\s*$",
        r"^(true|false)$",
    ),
    "date": (_DIGIT, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    "time": (_DIGIT, r"^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?$"),
    "date-time": (
        _DIGIT,
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?$",
    ),
    "uuid": (
        r"^\s*(urn:)?(uuid:)?[{]?([0-9a-fA-F]-?){32}[}]?\s*$",
        r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    ),
}


def is_of_a_target(types: Mapping[str, str]) -> bool:
    """Whether a target created or loaded a table with these columns; only then may its constraints change."""
    return own_column(EXTRACTED_AT, types) is not None or own_column(DELETED_AT, types) is not None


def has_another_key(
    table: Table, quoted_name: str, types: Mapping[str, str], known: Collection[str], any_row: Callable[[str], bool]
) -> bool:
    """Whether the table's key, `known`, must be replaced by the stream's key before this run.

    `quoted_name` is the table's, `types` are its columns, and `any_row` says whether a SELECT returns a row.

    Raises:
        LoadError: the stream's key is not unique in the existing rows.
    """
    keys = table.key_names
    if not types or set(keys) == set(known):
        return False
    if not keys:
        sent = {column.name for column in table.columns}
        if not sent.issuperset(known):
            return False
        if not any_row(f"SELECT 1 FROM {quoted_name} LIMIT 1"):  # noqa: S608 - quoted
            logger.warning("Table %s: it no longer has a key; the key was %s.", table.name, " and ".join(sorted(known)))
            return True
        if _has_duplicates(quoted_name, known, any_row):
            return False  # these columns are NOT NULL, but not a key
        key, alias = " and ".join(sorted(known)), json.dumps({table.name: {"__key_properties__": sorted(known)}})
        msg = (
            f"The stream has no key now, but its table {table.name} has the key {key}: every record would add a row. "
            f"Set the stream's key in the setting stream_maps, as in {alias} with the stream's name, or rename the "
            f"table; if {key} is not a key, drop NOT NULL from the column."
        )
        raise LoadError(msg)
    missing = [key for key in keys if key not in types]
    nulls = " OR ".join(f"{identifier(key)} IS NULL" for key in keys)
    is_unknown = any_row(f"SELECT 1 FROM {quoted_name} WHERE {'true' if missing else nulls} LIMIT 1")  # noqa: S608 - quoted
    if is_unknown or (not missing and _has_duplicates(quoted_name, keys, any_row)):
        before = f"was {' and '.join(sorted(known))} before" if known else "was not known before"
        what = "have no value for it" if is_unknown else "share a value of it"
        msg = (
            f"The key of the stream of the table {table.name} is {' and '.join(keys)} now and {before}, and rows of "
            f"the table {what}: the load would duplicate rows or overwrite the wrong ones. Rename or empty "
            "the table and load everything again, or restore the stream's former key with __key_properties__ in the "
            "setting stream_maps."
        )
        raise LoadError(msg)
    if known:
        logger.warning(
            "Table %s: its key is %s now and was %s before; the new key is unique in all existing rows.",
            table.name,
            " and ".join(keys),
            " and ".join(sorted(known)),
        )
    return True


def check_spellings(
    table: Table, quoted_name: str, types: Mapping[str, str], any_row: Callable[[str], bool], matches: str
) -> None:
    """Check the spelling of keys that are text in the table and of another type in the stream.

    `matches` is the database's condition that a `{text}` matches a `{pattern}`.

    Raises:
        LoadError: another program wrote `1.0` where the target writes `1`; to the database these are two keys.
    """
    for column in table.key_columns:
        if column.kind not in _SPELLINGS or not types.get(column.name, "").lower().startswith(_TEXTS):
            continue
        if is_loose(column) and is_of_a_target(types):
            continue  # any text may be a key there, and the target spelled the others itself
        value, own = (
            matches.format(text=identifier(column.name), pattern=literal(text)) for text in _SPELLINGS[column.kind]
        )
        if any_row(f"SELECT 1 FROM {quoted_name} WHERE {value} AND NOT {own} LIMIT 1"):  # noqa: S608 - quoted
            msg = (
                f"The key {column.name} of the table {table.name} is text there and a {column.kind} in the stream, "
                "and a row does not spell it as the target does (1.5 for a number, true for a boolean, 2026-01-31 "
                "08:00:00 in UTC for a timestamp, a UUID in lower case with hyphens): rows would be duplicated. Change "
                "the type of the column, change the spelling of its values, or rename or empty the table and load "
                "everything again."
            )
            raise LoadError(msg)


def check_as_texts(
    table: Table, quoted_name: str, name: str, types: tuple[str, str], text: str, any_row: Callable[[str], bool]
) -> None:
    """Check that a key column can become text, by this expression, and still identify each existing row.

    `types` are the column's type and the type that a domain is based on.

    Raises:
        LoadError: it cannot. A timestamp has many spellings; `5` and `"5"`, two keys in JSON, are the same text.
    """
    column = next((column for column in table.key_columns if column.name == name), None)
    if column is None:
        return
    existing, base = types
    is_stable = has_one_spelling(base, column.kind, is_loose=is_loose(column))
    is_json = base.lower().startswith("json")
    respelled = str(not is_stable)
    if is_stable and is_json:  # a database puts its own blanks between the members of an object
        respelled = f"left(CAST({identifier(name)} AS text), 1) IN ('{{', '[')"
    if any_row(f"SELECT 1 FROM {quoted_name} WHERE {respelled} LIMIT 1"):  # noqa: S608 - quoted
        msg = (
            f"The key {name} of the table {table.name} is of type {existing.lower()}, which does not hold what the "
            "stream sends. Converted to text, existing keys may be spelled differently from the stream's, and rows "
            "would be duplicated. Convert the column to text, spelled as the stream sends it, or rename or empty the "
            "table and load everything again."
        )
        raise LoadError(msg)
    if not is_json:
        return
    others = [identifier(key) for key in table.key_names if key != name]
    if any_row(f"SELECT 1 FROM {quoted_name} GROUP BY {', '.join([*others, text])} HAVING count(*) > 1 LIMIT 1"):  # noqa: S608
        msg = (
            f"The key column {name} of the table {table.name} would become text, and some of its rows would then have "
            'the same key, like the number 5 and the text "5". Rename or empty the table and load everything '
            "again, or let the tap send keys of one type."
        )
        raise LoadError(msg)


def check_as_json(table: Table, quoted_name: str, name: str, existing: str, any_row: Callable[[str], bool]) -> None:
    """Check that a key column of lists or objects, whose values have several spellings, has no rows yet.

    Raises:
        LoadError: it has. It would become JSON, and the database writes timestamps, for example, in its own way.
    """
    if name not in table.key_names:
        return
    if any_row(f"SELECT 1 FROM {quoted_name} LIMIT 1"):  # noqa: S608 - quoted
        msg = (
            f"The key {name} of the table {table.name} is of type {existing.lower()} and would become JSON, in which "
            "its existing values may be spelled differently from the stream's, and rows would be duplicated. Convert "
            "the column to JSON, spelled as the stream sends it, or rename or empty the table and load everything "
            "again."
        )
        raise LoadError(msg)


def _has_duplicates(quoted_name: str, keys: Collection[str], any_row: Callable[[str], bool]) -> bool:
    columns = column_list(keys)
    return any_row(f"SELECT 1 FROM {quoted_name} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1")  # noqa: S608 - quoted


def may_be_null(table: Table, known: Collection[str]) -> list[str]:
    """Columns of the former key that the stream no longer sends, or may send as null."""
    kept = {column.name for column in table.columns if not column.is_nullable} | set(table.key_names)
    return [name for name in sorted(known) if name not in kept]
