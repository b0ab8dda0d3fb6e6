"""The form of a column: everything about its values that decoding has to know, in one table.

`form_of` derives a column's form from the kind in the stream's schema and the type of the column in the database,
because a column can be wider than its stream (an integer column that became text).
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from target_warehouse.decode.converters import (
    DECIMAL_DIGITS,
    DECIMAL_PLACES,
    TOO_DEEP,
    NarrowError,
    UnfitError,
    canonical,
    list_of,
    to_boolean,
    to_bytes,
    to_decimal,
    to_double,
    to_duckdb_decimal,
    to_integer,
    to_json,
    to_numeric,
    to_plain,
    to_string,
    to_text,
    to_uuid,
    to_whole,
)
from target_warehouse.decode.time_converters import is_cut, to_date, to_date_time, to_time, with_hyphens
from target_warehouse.tables.table import is_loose

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_warehouse.tables.table import Column

# 0001-01-01 and 9999-12-31 in days since 1970. Arrow also reads the year 0, and an offset may lead to the year 10000.
_FIRST_DAY, _LAST_DAY, _MICROSECONDS = -719_162, 2_932_896, 86_400_000_000
_STRING = pa.string()
_DECIMAL = pa.decimal128(DECIMAL_DIGITS, DECIMAL_PLACES)
_INT, _NUMBERS = frozenset({int}), frozenset({int, decimal.Decimal})


@dataclass(frozen=True)
class ColumnForm:
    """What values of a column become.

    `convert` is the converter, `arrow` the Arrow type. `in_c` is the form's name in the C extension; "RAW": the
    extension returns the values as JSON.
    """

    name: str
    convert: Callable[[Any], Any]
    arrow: pa.DataType = _STRING
    in_c: str = "RAW"
    #: The Arrow type of values that were converted one by one: text where `arrow` does not hold all of them.
    converted: pa.DataType | None = None
    #: The converter where the schema allows any text beside the form's values, if it is another one.
    of_a_union: Callable[[Any], Any] | None = None
    #: Whether Arrow takes plain values as they are, and rejects values of other types.
    is_taken_as_it_is: bool = False
    #: Python types that Arrow converts to the form's numbers exactly.
    numbers: frozenset[type] = frozenset()
    #: Arrow's first and last value that the database has, too.
    bounds: tuple[int, int] | None = None
    #: Whether values are equal in the database if and only if the Python values are equal.
    is_equal_as_it_is: bool = False
    #: The name of the form by which values are compared, if it is another one: 1.0 and 1 are one key.
    compared_as: str | None = None

    @property
    def converter_in_a_union(self) -> Callable[[Any], Any]:
        """The converter where the schema allows any text: there digits alone are not a date, but text."""
        return self.of_a_union or self.convert


def _text_or(form: ColumnForm) -> ColumnForm:
    """The form of a text column that also gets values of this form; it writes them as the database would."""

    def convert(value: Any) -> str:
        try:
            text = str(to_string(value) if is_cut(form.name, value) else form.converter_in_a_union(value))
        except UnfitError:
            return to_text(value)
        return text.rstrip("0") if "." in text and not is_cut(form.name, value) else text

    return ColumnForm(f"text or {form.name}", convert)


def _uuid_or(form: ColumnForm) -> ColumnForm:
    """The form of a UUID column for values of this form; a value that is not a UUID needs a text column."""

    def convert(value: Any) -> str:
        form.convert(value)
        try:
            return to_uuid(value)
        except UnfitError:
            raise NarrowError("text") from None

    return ColumnForm(f"uuid or {form.name}", convert)


def _uuid_or_string(value: Any) -> str:
    """A UUID in its canonical spelling, which is one key however it was spelled, or another text as it is."""
    text = to_string(value)
    try:
        return to_uuid(text)
    except UnfitError:
        return text


def _of_a_key(form: ColumnForm) -> ColumnForm:
    """The form of key values that may be objects or lists, such that equal values have equal texts."""

    def convert(value: Any) -> str:
        try:
            return str(form.convert(canonical(value)))
        except RecursionError:
            raise UnfitError(TOO_DEEP) from None

    return replace(form, name=f"{form.name} of a key", convert=convert)


def _whole(form: ColumnForm) -> ColumnForm:
    """The form of integers in a column of numbers."""

    def convert(value: Any) -> Any:
        return form.convert(to_whole(value))

    return replace(
        form,
        name=f"whole {form.name}",
        convert=convert,
        in_c="WHOLE" if form.in_c == "DECIMAL" else form.in_c,
        numbers=form.numbers & _INT,
        is_equal_as_it_is=False,
        compared_as=f"whole {form.compared_as}" if form.compared_as else None,
    )


def _integer_of(bits: int, arrow: pa.DataType) -> ColumnForm:
    name = "integer" if bits == 64 else f"integer of {bits} bits"
    convert = partial(to_integer, bits=bits)
    return ColumnForm(name, convert, arrow, "INTEGER", numbers=_INT, is_equal_as_it_is=True)


_STRINGS = ColumnForm("string", to_string, in_c="TEXT", is_taken_as_it_is=True, is_equal_as_it_is=True)
_TEXTS = ColumnForm("text", to_text, in_c="TEXT", is_taken_as_it_is=True)
_JSON = ColumnForm("json", to_json)
_UUID = ColumnForm("uuid", to_uuid)
_UUID_AS_TEXT = ColumnForm("uuid as text", _uuid_or_string)
_DATE = ColumnForm(
    "date", to_date, pa.date32(), "DAY", of_a_union=with_hyphens(to_date), bounds=(_FIRST_DAY, _LAST_DAY)
)
_DATE_TIME = ColumnForm(
    "date-time",
    to_date_time,
    pa.timestamp("us"),
    "TIMESTAMP",
    of_a_union=with_hyphens(to_date_time),
    bounds=(_FIRST_DAY * _MICROSECONDS, (_LAST_DAY + 1) * _MICROSECONDS - 1),
)
_TIME = ColumnForm("time", to_time, pa.time64("us"))
_OF_NUMBERS = (
    ColumnForm("decimal", to_duckdb_decimal, _DECIMAL, "DECIMAL", numbers=_NUMBERS, is_equal_as_it_is=True),
    ColumnForm("double", to_double, pa.float64()),
    # Of any number of digits: a decimal if all values fit, otherwise text.
    ColumnForm(
        "numeric",
        to_numeric,
        _DECIMAL,
        "DECIMAL",
        converted=_STRING,
        numbers=_NUMBERS,
        is_equal_as_it_is=True,
        compared_as="plain",
    ),
    # Text without exponent and trailing zeros, so that equal numbers are equal texts.
    ColumnForm("plain", to_plain, is_equal_as_it_is=True),
)
#: PostgreSQL's arrays, by the type of their items; all others hold texts.
_LISTS = {
    ("json", "jsonb"): ColumnForm("list", list_of(lambda value: value)),
    ("smallint",): ColumnForm("integers of 16 bits", list_of(partial(to_integer, bits=16))),
    ("integer",): ColumnForm("integers of 32 bits", list_of(partial(to_integer, bits=32))),
    ("bigint",): ColumnForm("integers", list_of(to_integer)),
    ("numeric", "real", "double precision"): ColumnForm("numbers", list_of(to_decimal)),
    ("boolean",): ColumnForm("booleans", list_of(to_boolean)),
}
_LIST_OF_TEXTS = ColumnForm("texts", list_of(to_string))
_ARRAYS = {item_type: form for item_types, form in _LISTS.items() for item_type in item_types}

_MAY_BE_NESTED = (_JSON, _TEXTS, _LIST_OF_TEXTS, *_LISTS.values())
FORMS = {
    form.name: form
    for form in (
        _integer_of(64, pa.int64()),
        _integer_of(32, pa.int32()),
        _integer_of(16, pa.int16()),
        *_OF_NUMBERS,
        *map(_whole, _OF_NUMBERS),
        ColumnForm("boolean", to_boolean, pa.bool_(), "BOOLEAN", is_taken_as_it_is=True, is_equal_as_it_is=True),
        *(_STRINGS, _DATE_TIME, _DATE, _TIME, _UUID, _UUID_AS_TEXT),
        *map(_text_or, (_DATE_TIME, _DATE, _TIME, _UUID)),
        *map(_uuid_or, (_STRINGS, _TEXTS)),
        ColumnForm("bytes", to_bytes),
        *_MAY_BE_NESTED,
        *map(_of_a_key, _MAY_BE_NESTED),
    )
}
#: Text columns of the databases, by their names of the type.
_TEXT_TYPES = ("text", "varchar", "character")
_INTEGER_TYPES = ("smallint", "integer", "bigint", "hugeint")
_NARROW_INTEGERS = {"smallint": FORMS["integer of 16 bits"], "integer": FORMS["integer of 32 bits"]}


def form_of(column: Column) -> ColumnForm:
    """The form of a column's values; `column.stored` is the database's type, in lower case.

    Values with a format keep one spelling if the column has become a text column, and so do keys that are UUIDs.
    """
    kind, stored = column.kind, column.stored
    if is_loose(column) and stored.startswith(_TEXT_TYPES) and kind in ("date-time", "date", "time", "uuid"):
        return FORMS[f"text or {kind}"]
    if kind == "uuid" and column.is_key and stored.startswith(_TEXT_TYPES):
        return _UUID_AS_TEXT
    form = _form(kind, stored)
    return FORMS.get(f"{form.name} of a key", form) if column.is_key else form


def _form(kind: str, stored: str) -> ColumnForm:
    if kind == "json" and stored.endswith("[]"):
        return _ARRAYS.get(stored.removesuffix("[]"), _LIST_OF_TEXTS)
    if kind == "json" and stored.startswith(_TEXT_TYPES):
        return _TEXTS
    if kind in ("integer", "number"):
        return _form_of_numbers(stored, "whole " if kind == "integer" else "")
    if stored == "uuid":
        return FORMS[f"uuid or {kind}"] if kind in ("string", "text") else FORMS[kind]
    return _STRINGS if kind == "uuid" else FORMS[kind]


def _form_of_numbers(stored: str, whole: str) -> ColumnForm:
    if stored in _NARROW_INTEGERS:
        return _NARROW_INTEGERS[stored]
    if stored.startswith(_INTEGER_TYPES):
        return FORMS["integer"]
    if stored == "double":
        return FORMS[f"{whole}double"]
    name = next((name for name in ("decimal", "numeric") if stored.startswith(name)), "plain")
    return FORMS[whole + name]
