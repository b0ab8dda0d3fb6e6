"""Converting HubSpot objects to Singer records: the only place where the tap changes the form of data.

A full record has every selected column. A *delete record* has only the key, `_sdc_deleted_at` and the facts about
the deletion, so that a target can mark the row and keep its last values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple

from tap_hubspot_dw.records.compiled_records import WrittenRecord, written_record
from tap_hubspot_dw.records.converters import Memo, to_date_time
from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.records.schemas import Column, are_plain

Record = dict[str, Any]

_NO_TIMESTAMP = "1970-01-01T00:00:00.000Z"  # HubSpot always sends one; without a timestamp the row would stay live


class FullRecord(msgspec.Struct):
    """A full record: the tap's own columns. Each `RecordMaker` makes a subclass that adds the columns of properties.

    Dictionaries with hundreds of columns would cost 50 % more instructions per record, decoding included.
    """

    id: str
    created_at: str | None
    updated_at: str | None
    archived: bool
    archived_at: None
    merged_into_id: None
    url: str | None
    invalid_properties: dict[str, str] | None
    _sdc_deleted_at: None

    def as_dict(self) -> Record:
        """Return the record as a dictionary, with the names and order of its JSON."""
        return dict(zip(self.__struct_encode_fields__, astuple(self), strict=True))


class RecordMaker:
    """Makes full records with the given columns: the slow path, in Python. Thread-safe."""

    def __init__(self, columns: Sequence[Column], decoder: PageDecoder, *, all_in: str | None = None) -> None:
        """Take the columns, the decoder of the objects, and a column name for all properties as texts, if wanted."""
        self._names = decoder.names
        self._all_in = all_in
        converters = {column.convert for column in columns if column.convert} | {to_date_time}
        memos = {convert: Memo(convert) for convert in converters}
        self._timestamps = memos[to_date_time]
        self._columns = [
            (decoder.names.index(column.property_name), memos[column.convert] if column.convert else None)
            for column in columns
        ]
        names = [column.name for column in columns] + ([all_in] if all_in else [])
        self._record = _struct_of(names) if are_plain(names) else _writer_of(names)

    def __call__(self, objects: Sequence[Mapping[str, Any]]) -> Sequence[FullRecord | WrittenRecord]:
        """Return the full records of a page of live objects.

        HubSpot writes a cleared value as `""` (observed), which becomes null in all columns but text. A value that
        does not convert becomes null; its text is in `invalid_properties` under HubSpot's property name.
        """
        properties = [hubspot_object["properties"] for hubspot_object in objects]
        if not properties or isinstance(properties[0], WrittenRecord):  # all objects of a reply take the same path
            return properties
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


def archived_records(hubspot_object: Mapping[str, Any], merged_ids: Iterable[str]) -> Iterator[Record]:
    """Yield the delete records of an archived object and of the objects merged into it before."""
    archived_at = to_date_time(hubspot_object.get("archivedAt") or hubspot_object["updatedAt"])
    id_ = str(hubspot_object["id"])
    yield {"id": id_, "archived": True, "archived_at": archived_at, "_sdc_deleted_at": archived_at}
    yield from merged_records(id_, merged_ids, archived_at)


def merged_records(survivor_id: str, merged_ids: Iterable[str], timestamp: str | None) -> Iterator[Record]:
    """Yield a delete record for every object that was merged into the survivor.

    HubSpot does not say when they were merged; `timestamp` is that of the survivor's last change.
    """
    for merged_id in merged_ids:
        if merged_id == survivor_id:  # in older merges the winner kept its id and is listed too
            continue
        yield {"id": merged_id, "merged_into_id": survivor_id, "_sdc_deleted_at": timestamp or _NO_TIMESTAMP}
