"""The slow path from HubSpot objects to full records, which have every selected column, in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from tap_hubspot_dw.records.converters import Memo, to_date_time
from tap_hubspot_dw.records.record_forms import FullRecord, WrittenRecord, written_record
from tap_hubspot_dw.records.schemas import Column, are_plain

Texts = tuple[str | None, ...]


class RecordMaker:
    """Makes full records with the given columns. Thread-safe."""

    def __init__(self, names: Sequence[str], columns: Sequence[Column], *, all_in: str | None = None) -> None:
        """Take the names of the properties, the columns, and a column name for all properties as texts, if wanted."""
        self._names = names
        self._all_in = all_in
        converters = {column.convert for column in columns if column.convert} | {to_date_time}
        memos = {convert: Memo(convert) for convert in converters}
        self._timestamps = memos[to_date_time]
        self._columns = [
            (names.index(column.property_name), memos[column.convert] if column.convert else None) for column in columns
        ]
        fields = [column.name for column in columns] + ([all_in] if all_in else [])
        self._record = _struct_of(fields) if are_plain(fields) else _writer_of(fields)

    def __call__(
        self, objects: Sequence[Mapping[str, Any]], properties: Sequence[Texts]
    ) -> Sequence[FullRecord | WrittenRecord]:
        """Return the full records of a page of live objects with the texts of their properties.

        HubSpot writes a cleared value as `""` (observed), which becomes null in all columns but text. A value that
        does not convert becomes null; its text is in `invalid_properties` under HubSpot's property name.
        """
        if not objects:
            return []
        invalid: list[dict[str, str]] = [{} for _ in objects]
        created, updated = (
            _converted([_text(row.get(name)) for row in objects], self._timestamps, name, invalid)
            for name in ("createdAt", "updatedAt")
        )
        texts = list(zip(*properties, strict=True))
        columns = [
            _converted(texts[place], memo, self._names[place], invalid) if memo is not None else texts[place]
            for place, memo in self._columns
        ]
        if self._all_in:
            columns.append([dict(zip(self._names, values, strict=True)) for values in properties])
        nothing = [None] * len(objects)
        return list(
            map(
                self._record,
                [str(row["id"]) for row in objects],
                created,
                updated,
                [bool(row.get("archived", False)) for row in objects],
                nothing,
                nothing,
                [row.get("url") for row in objects],
                [kept or None for kept in invalid],
                nothing,
                *columns,
            )
        )


def _struct_of(names: Sequence[str]) -> Any:
    """Return a class of full records with these columns."""
    fields = [f"p{number}" for number in range(len(names))]  # a column's name need not be a Python identifier
    return msgspec.defstruct(
        "FullRecord",
        [(field, Any) for field in fields],
        bases=(FullRecord,),
        rename=dict(zip(fields, names, strict=True)),
        gc=False,
    )


def _writer_of(names: Sequence[str]) -> Callable[..., WrittenRecord]:
    """Return a function that makes a record of the same values, for names that a struct's fields cannot have."""
    fields = (*FullRecord.__struct_fields__, *names)
    return lambda *values: written_record(dict(zip(fields, values, strict=True)))


def _converted(
    texts: Sequence[str | None], memo: Memo, name: str, invalid: Sequence[dict[str, str]]
) -> Sequence[object]:
    """Return a column's values; texts that do not convert go to `invalid`, which has a dictionary per row."""
    try:
        return [None if text is None else memo[text] for text in texts]
    except ValueError:
        pass
    values: list[object] = []
    for text, row in zip(texts, invalid, strict=True):
        try:
            values.append(memo[text])
        except ValueError:
            row[name] = str(text)
            values.append(None)
    return values


def _text(value: object) -> str | None:
    return value if value is None else str(value)
