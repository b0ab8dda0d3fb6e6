"""The key of a record, as the value by which records of a batch are the same row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_warehouse.decode.converters import NarrowError, UnfitError, without_nul
from target_warehouse.decode.forms import FORMS, form_of
from target_warehouse.decode.time_converters import is_cut
from target_warehouse.tables.table import is_loose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_warehouse.decode.forms import ColumnForm
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.tables.table import Column


def key_reader(columns: Sequence[Column], *, replace_nul: bool) -> Callable[[Record], Any] | None:
    """A function that returns a record's key as the database compares it, hashable.

    None if the key's values can be compared directly. Timestamps, UUIDs and hexadecimal texts cannot: each can be
    spelled in several ways.

    The function raises `UnfitError` for a value that does not fit its column.
    """
    forms = [form_of(column) for column in columns]
    if all(form.is_equal_as_it_is for form in forms) and not (replace_nul and FORMS["string"] in forms):
        return None

    def key(record: Record) -> tuple[Any, ...]:
        values = []
        for column, form in zip(columns, forms, strict=True):
            value = record[column.property]
            value = without_nul(value) if replace_nul else value
            values.append(_whole_key(column, form, value))
        return tuple(values)

    return key


def _whole_key(column: Column, form: ColumnForm, value: Any) -> Any:
    if is_cut(form.name, value):
        raise UnfitError("has more digits than microseconds, or a UTC offset, which a key must not lose")
    return _equal(column, form, value)


def _equal(column: Column, form: ColumnForm, value: Any) -> Any:
    """The value such that values which the database compares as equal are equal."""
    form = FORMS[form.compared_as] if form.compared_as else form
    try:
        return (form.converter_in_a_union if is_loose(column) else form.convert)(value)
    except NarrowError:
        return FORMS["plain" if column.kind in ("integer", "number") else "text of a key"].convert(value)
    except UnfitError:
        if not is_loose(column):
            raise
        return FORMS.get(f"text or {form.name}", FORMS["text"]).convert(value)
