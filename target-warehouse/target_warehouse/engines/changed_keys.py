"""What it means for a table that its stream has another key than before. Pure but for the queries it is given.

A key that tells the rows apart that are there becomes the table's; any other is refused, as the rows that are there
would not be found by it: they would be doubled, or taken for one another.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from target_warehouse.engines.type_widening import is_found_as_text
from target_warehouse.errors import LoadError
from target_warehouse.tables.statements import column_list, identifier, literal
from target_warehouse.tables.table import DELETED_AT, EXTRACTED_AT, is_loose, own_column

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from target_warehouse.tables.table import Table

logger = logging.getLogger("target-warehouse")

#: Types of texts, as the databases call them.
_TEXTS = ("varchar", "text", "character", "citext")
_NUMBER = (
    r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$",
    r"^(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])$",
)
#: What a text looks like that may be a value of this kind, and how the target itself spells one in a column of texts.
_SPELLINGS = {
    "integer": _NUMBER,
    "number": _NUMBER,
    "boolean": (r"^\s*([tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|[tTfFyYnN01])\s*$", r"^(true|false)$"),
    "date": (r"^\s*[0-9]{4}-?[0-9]{2}-?[0-9]{2}", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    "time": (r"^\s*[0-9]{2}:?[0-9]{2}", r"^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?$"),
    "date-time": (
        r"^\s*[0-9]{4}-?[0-9]{2}-?[0-9]{2}",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,5}[1-9])?$",
    ),
}


def is_of_a_target(types: Mapping[str, str]) -> bool:
    """Whether a target made or loaded a table of these columns: its constraints may be changed then."""
    return own_column(EXTRACTED_AT, types) is not None or own_column(DELETED_AT, types) is not None


def has_another_key(
    table: Table, where: str, types: Mapping[str, str], known: Collection[str], any_row: Callable[[str], bool]
) -> bool:
    """Whether a table, as it is before the run, has to get the stream's key instead of the one that is known of it.

    `where` is its quoted name, `types` are its columns, and `any_row` says whether a SELECT has a row.

    Raises:
        LoadError: the rows that are there cannot be told apart by it.
    """
    keys = table.key_names
    if not types or set(keys) == set(known):
        return False
    if not keys:
        sent = {column.name for column in table.columns}
        if not sent.issuperset(known):
            return False
        if not any_row(f"SELECT 1 FROM {where} LIMIT 1"):  # noqa: S608 - quoted
            logger.warning("Table %s: it has no key now; it was %s before.", table.name, " and ".join(sorted(known)))
            return True
        if _are_alike(where, known, any_row):
            return False  # columns that may not be null, and no key
        key, alias = " and ".join(sorted(known)), json.dumps({table.name: {"__key_properties__": sorted(known)}})
        msg = (
            f"The stream has no key now, and the rows of its table {table.name} have the key {key}: each record would "
            f"become a row more. Give the stream its key by the setting stream_maps, as in {alias} with the stream's "
            "name, or rename the table; if that is no key, let the column be null."
        )
        raise LoadError(msg)
    missing = [key for key in keys if key not in types]
    nulls = " OR ".join(f"{identifier(key)} IS NULL" for key in keys)
    is_unknown = any_row(f"SELECT 1 FROM {where} WHERE {'true' if missing else nulls} LIMIT 1")  # noqa: S608 - quoted
    if is_unknown or (not missing and _are_alike(where, keys, any_row)):
        before = f"was {' and '.join(sorted(known))} before" if known else "was not known before"
        what = "have none" if is_unknown else "have the same"
        msg = (
            f"The key of the stream of the table {table.name} is {' and '.join(keys)} now and {before}, and rows of "
            f"the table {what}: they would not be found, but doubled or taken for one another. Rename or empty "
            "the table and load everything again, or give the stream its former key by __key_properties__ in the "
            "setting stream_maps."
        )
        raise LoadError(msg)
    if known:
        logger.warning(
            "Table %s: its key is %s now and was %s before; it tells all rows apart that are there.",
            table.name,
            " and ".join(keys),
            " and ".join(sorted(known)),
        )
    return True


def check_spellings(
    table: Table, where: str, types: Mapping[str, str], any_row: Callable[[str], bool], matches: str
) -> None:
    """Check that keys which are texts in the table, and something else in the stream, are spelled as the target does.

    `matches` has the places `{text}` and `{pattern}`, and is the database's condition that the one fits the other.

    Raises:
        LoadError: others wrote `1.0` where the target writes `1`: to the database that is another key.
    """
    for column in table.key_columns:
        if column.kind not in _SPELLINGS or not types.get(column.name, "").lower().startswith(_TEXTS):
            continue
        value, own = (
            matches.format(text=identifier(column.name), pattern=literal(each)) for each in _SPELLINGS[column.kind]
        )
        if any_row(f"SELECT 1 FROM {where} WHERE {value} AND NOT {own} LIMIT 1"):  # noqa: S608 - quoted
            msg = (
                f"The key {column.name} of the table {table.name} is a text there and a {column.kind} in the stream, "
                "and a row has it in another spelling than the target's, which is 1.5 for numbers, true for truth "
                "values and 2026-01-31 08:00:00 in UTC for moments: rows would be doubled. Give the column that type, "
                "or spell it so, or rename or empty the table and load everything again."
            )
            raise LoadError(msg)


def check_as_texts(
    table: Table, where: str, name: str, types: tuple[str, str], text: str, any_row: Callable[[str], bool]
) -> None:
    """Check that the rows of a table are found and told apart when this column becomes this expression, a text.

    `types` are its type, and that without a name that somebody gave it.

    Raises:
        LoadError: it is a key, and they are not. A moment is spelled in many ways; `5` and `"5"`, two keys in JSON,
            are one text.
    """
    column = next((column for column in table.key_columns if column.name == name), None)
    if column is None:
        return
    existing, base = types
    is_found, is_json = is_found_as_text(base, column.kind, is_loose=is_loose(column)), base.lower().startswith("json")
    # A database has blanks of its own between the members of an object.
    unlike = f"left(CAST({identifier(name)} AS text), 1) IN ('{{', '[')" if is_found and is_json else str(not is_found)
    if any_row(f"SELECT 1 FROM {where} WHERE {unlike} LIMIT 1"):  # noqa: S608 - quoted
        msg = (
            f"The key {name} of the table {table.name} is of type {existing.lower()}, which does not hold what the "
            "stream sends. As text the keys of the rows that are there may be spelled in another way than the "
            "stream's, and rows would be doubled: turn the column into texts as the stream sends them, or rename or "
            "empty the table and load everything again."
        )
        raise LoadError(msg)
    if not is_json:
        return
    others = [identifier(key) for key in table.key_names if key != name]
    if any_row(f"SELECT 1 FROM {where} GROUP BY {', '.join([*others, text])} HAVING count(*) > 1 LIMIT 1"):  # noqa: S608
        msg = (
            f"The key column {name} of the table {table.name} would become text, and rows of the table would have "
            'the same key then, as the number 5 and the text "5" do. Rename or empty the table and load everything '
            "again, or have the tap send keys of one type."
        )
        raise LoadError(msg)


def _are_alike(where: str, keys: Collection[str], any_row: Callable[[str], bool]) -> bool:
    columns = column_list(keys)
    return any_row(f"SELECT 1 FROM {where} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1")  # noqa: S608 - quoted


def may_be_null(table: Table, known: Collection[str]) -> list[str]:
    """Columns of the former key that the stream does not send any more, or sends as null."""
    kept = {column.name for column in table.columns if not column.is_nullable} | set(table.key_names)
    return [name for name in sorted(known) if name not in kept]
