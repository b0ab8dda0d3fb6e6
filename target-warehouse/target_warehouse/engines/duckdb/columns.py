"""How a column of a DuckDB table, whichever program created it, is widened to hold what a stream sends."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb

from target_warehouse.decode.forms import FORMS
from target_warehouse.engines.changed_keys import check_as_json, check_as_texts
from target_warehouse.engines.duckdb.catalog import definition_of, finds_in
from target_warehouse.engines.prepared_table import report_wider
from target_warehouse.engines.type_widening import is_nested, widened
from target_warehouse.errors import LoadError
from target_warehouse.tables.statements import identifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_warehouse.tables.table import Table

COLUMN_TYPES = {
    "integer": "BIGINT",
    "number": "DECIMAL(38,18)",
    "boolean": "BOOLEAN",
    "string": "VARCHAR",
    "text": "VARCHAR",
    "json": "JSON",
    "bytes": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "uuid": "UUID",
    "date-time": "TIMESTAMP",
}
#: Types that a key of another program's table may have. DuckDB cannot change a key's type: values out of range are
#: rejected.
_NARROW_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_DECIMAL = "decimal(38,18)"
#: Types in a list or an object whose values DuckDB writes in JSON otherwise than the target; the digits of a `float`
#: are those of the nearest double. Names in quotation marks are fields.
_SPELLED = re.compile(r"\b(float|timestamp\w*|time\w*|date|uuid|blob|bit|interval|union|variant|bignum|geometry)\b")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_EXACT = ("hugeint", "uhugeint", "ubigint", "bignum", "decimal")


def alter(
    connection: duckdb.DuckDBPyConnection,
    quoted_name: str,
    table: Table,
    column: tuple[str, str],
    wanted: str,
    *,
    is_needed: bool,
) -> None:
    """Widen a column, given as (name, type), of the table with this quoted name to hold the type `wanted` too.

    Nothing is lost. A UUID column, and an integer column that is a key, change only if `is_needed`: a value came that
    they do not hold.

    Raises:
        LoadError: DuckDB cannot change the column.
    """
    any_row = finds_in(connection)

    def has(condition: str) -> bool:
        return any_row(f"SELECT 1 FROM {quoted_name} WHERE {condition} LIMIT 1")  # noqa: S608 - quoted

    name, existing = identifier(column[0]), column[1]
    wider = wider_type(existing, wanted, has, name)
    if is_needed and existing == "UUID":
        wider = "varchar"
    if wider == existing.lower():
        return
    subject = f"The column {column[0]} of the table {table.name} is of type {existing}"
    value = converted(name, existing, wider)
    if is_nested(existing.lower()) and has(is_invalid_json(value)):
        msg = f"{subject} and would become JSON, but holds NaN or Infinity, which JSON does not have: replace them."
        raise LoadError(msg)
    if wider == "json" and _SPELLED.search(_QUOTED.sub("", existing.lower())):
        check_as_json(table, quoted_name, column[0], existing, any_row)
    if wider == "varchar":
        check_as_texts(
            table,
            quoted_name,
            column[0],
            (existing, existing),
            value,
            any_row,
        )
    try:
        connection.execute(f"ALTER TABLE {quoted_name} ALTER COLUMN {name} SET DATA TYPE {wider} USING {value}")
    except (duckdb.BinderException, duckdb.DependencyException) as error:
        if not is_needed and wanted == "BIGINT" and existing in _NARROW_INTEGERS:
            return
        msg = (
            f"{subject}, which does not hold what the stream sends, and cannot become {wider} because the table has an "
            "index or a key: drop it, or load into another table."
        )
        raise LoadError(msg) from error
    report_wider(table, column[0], existing, wider)


def wider_type(existing: str, wanted: str, has: Callable[[str], bool], name: str) -> str:
    """The type, in lower case, that holds both the values of the quoted column `name` and the stream's.

    `has` says whether a row of the table meets a condition: exact numbers become decimals if every value fits.
    """
    existing_type, numbers = existing.lower(), ("bigint", _DECIMAL)
    if existing_type == "float" and wanted.lower() in numbers:
        return "double"
    wider = widened(existing, wanted, number=_DECIMAL, json="json", text="varchar")
    if wider == "varchar" and wanted.lower() in numbers and existing_type.startswith(_EXACT):
        tried = f"TRY_CAST({name} AS {_DECIMAL})"
        if not has(f"{name} IS NOT NULL AND ({tried} IS NULL OR CAST({tried} AS {existing}) <> {name})"):
            return _DECIMAL
    return wider


def converted(name: str, existing: str, wider: str) -> str:
    """The expression that converts a quoted column to its new type exactly; equal values become equal texts."""
    existing = existing.lower()
    if wider == "varchar" and (existing == "json" or is_nested(existing)):
        return _json_as_text(f"to_json({name})")
    if is_nested(existing):
        return f"CAST(to_json({name}) AS {wider})"
    if wider == "varchar":
        return _as_text(name, existing)
    if existing == "float":  # by its digits: 0.1 stays 0.1
        return f"CAST(CAST({name} AS VARCHAR) AS {wider})"
    return f"CAST({name} AS {wider})"


def _json_as_text(value: str) -> str:
    """The expression that converts JSON to the text that the target writes: strings without their quotes."""
    text = f"CAST({value} AS VARCHAR)"
    return (
        f"CASE WHEN json_type({value}) = 'VARCHAR' THEN {value} ->> '$'"
        f" WHEN regexp_full_match({text}, '-0([.]0+)?') THEN '0'"
        f" WHEN regexp_full_match({text}, '-?[0-9]+[.][0-9]+') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
    )


def _as_text(name: str, column_type: str) -> str:
    """The expression that converts a column to the text that the target writes."""
    text = f"CAST({name} AS VARCHAR)"
    if column_type.startswith("decimal"):
        return comparable(name, column_type, as_text=True)
    if column_type in ("double", "float"):
        return f"CASE WHEN isfinite({name}) THEN {_plain_digits(name)} ELSE {text} END"
    if column_type.endswith("with time zone"):  # the session's time zone is UTC
        return f"regexp_replace({text}, '[+]00$', '')"
    return f"lower(hex({name}))" if column_type == "blob" else text


def _plain_digits(name: str) -> str:
    """The expression that writes a finite double, in text 5.0 or 1.5e+16, in digits without an exponent."""
    text = f"CAST({name} AS VARCHAR)"
    whole, exponent = f"regexp_extract({text}, '[0-9]+')", f"regexp_extract({text}, 'e(.+)$', 1)"
    digits = f"({whole} || regexp_extract({text}, '[.]([0-9]+)', 1))"
    point = f"(length({whole}) + coalesce(TRY_CAST({exponent} AS INTEGER), 0))"  # the number of digits before it
    before, after = f"repeat('0', 1 - {point})", f"repeat('0', {point} - length({digits}))"
    padded, place = f"({before} || {digits} || {after})", f"greatest({point}, 1)"
    plain = f"left({padded}, {place}) || '.' || substr({padded}, {place} + 1)"
    sign = f"CASE WHEN {name} < 0 THEN '-' ELSE '' END"
    return f"CASE WHEN {name} = 0 THEN '0' ELSE {sign} || rtrim(rtrim({plain}, '0'), '.') END"


def check_objects(connection: duckdb.DuckDBPyConnection, quoted_name: str, table: Table) -> None:
    """Check that keys that are objects or lists, in the table with this quoted name, are spelled as the target does.

    Raises:
        LoadError: another program or an older release spelled one differently; to DuckDB that is another key.
    """
    for column in table.key_columns:
        if column.kind != "json":
            continue
        text = f"CAST({identifier(column.name)} AS VARCHAR)"
        keys = connection.execute(f"SELECT DISTINCT {text} FROM {quoted_name} WHERE trim({text})[1] IN ('{{', '[')")  # noqa: S608
        if any(_is_respelled(text) for (text,) in keys.fetchall()):
            msg = (
                f"The key {column.name} of the table {table.name} is an object or a list, and a row does not spell it "
                "as the target does, with sorted members and no blanks: rows would be duplicated. Change the spelling "
                "of the values, or rename or empty the table and load everything again."
            )
            raise LoadError(msg)


def check_collations(connection: duckdb.DuckDBPyConnection, catalog: str, table: Table) -> None:
    """Check that no key of the table has a collation.

    Raises:
        LoadError: one has. The batch is reduced by exact texts, so the rows would depend on where a batch ends.
    """
    definition = definition_of(connection, catalog, table.schema, table.name)
    for name in table.key_names if " COLLATE " in definition else ():
        names = "|".join(re.escape(spelling) for spelling in (identifier(name), name))
        if re.search(f"[(,] ?({names}) VARCHAR COLLATE ", definition):
            msg = (
                f"The key {name} of the table {table.name} has a collation, by which different texts can be one key. "
                "Make the column without a collation, or load into another table."
            )
            raise LoadError(msg)


def _is_respelled(text: str) -> bool:
    try:
        value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        return False  # text that is not JSON is not an object
    return bool(FORMS["json of a key"].convert(value) != text)


def is_invalid_json(value: str) -> str:
    """The condition that DuckDB's JSON is invalid: it writes NaN and Infinity as such (observed, 2.0.0)."""
    without_texts = f"""regexp_replace(CAST({value} AS VARCHAR), '"(\\\\.|[^"\\\\])*"', '', 'g')"""
    return f"regexp_matches({without_texts}, '[NI]')"


_TIME = "%Y-%m-%d %H:%M:%S"


def comparable(column: str, column_type: str, *, as_text: bool) -> str:
    """The expression by which a column of a DuckDB or Arrow type is compared; see the protocol."""
    if not as_text:
        return column
    column_type, text = column_type.lower(), f"CAST({column} AS VARCHAR)"
    if column_type.startswith("decimal"):  # 1.500000000000000000 is 1.5
        return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
    if column_type.startswith(("timestamp", "date")):
        micros = f"strftime(CAST({column} AS TIMESTAMP), '{_TIME}.%f')"
        if column_type not in ("timestamp_ns", "timestamp[ns]"):
            return micros
        return f"CASE WHEN epoch_ns({column}) % 1000 = 0 THEN {micros} ELSE strftime({column}, '{_TIME}.%n') END"
    return text


def comparable_as_time(column: str) -> str:
    """The expression by which a text is compared with times: as `comparable` writes the time, if it is one."""
    is_exact = f"NOT regexp_matches({column}, '[.][0-9]{{7}}')"  # a cast would cut off further digits
    time = comparable(f"(TRY_CAST({column} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')", "timestamp", as_text=True)
    return f"coalesce(CASE WHEN {is_exact} THEN {time} END, {column})"


def exact(column: str, column_type: str) -> str:
    """The expression that reads a quoted column into Arrow, whose times have no time zone, without loss."""
    return f"CAST({column} AS VARCHAR)" if column_type == "TIME WITH TIME ZONE" else column
