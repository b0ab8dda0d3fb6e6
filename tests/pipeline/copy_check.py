"""Compares the records of a portal with the rows of a warehouse, value by value.

This module computes the expected values from HubSpot's documents, independently of the tap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

Row = dict[str, Any]
INVALID = object()
_OURS = {"id", "created_at", "updated_at", "archived", "archived_at", "merged_into_id", "url", "invalid_properties"}


@cache  # values repeat
def _number(text: str) -> object:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
        return INVALID
    is_double = len(text.partition(".")[2].rstrip("0")) > 30  # HubSpot writes all digits of a double
    return Decimal(repr(float(text)) if is_double else text)


def _boolean(text: str) -> object:
    return {"true": True, "false": False}.get(text, INVALID)


def _date(text: str) -> object:
    timestamp = _timestamp(text)
    return timestamp.date() if isinstance(timestamp, datetime) else timestamp


@cache
def _timestamp(text: str) -> object:
    if re.fullmatch(r"-?[0-9]+", text):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    try:
        timestamp = datetime.fromisoformat(text)
    except ValueError:
        return INVALID
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


_EXPECTED: dict[str, Callable[[str], object]] = {
    "number": _number,
    "bool": _boolean,
    "date": _date,
    "datetime": _timestamp,
}


def typed(property_type: str, text: str) -> object:
    """Return the value of a property's text by its HubSpot type; INVALID for a text that does not fit the type."""
    convert = _EXPECTED.get(property_type)
    return convert(text) if convert else text


def object_differences(truth: Iterable[dict[str, Any]], rows: Iterable[Row], types: dict[str, str]) -> Iterator[str]:
    """Yield a sentence for every difference between live objects and live rows.

    `truth` has HubSpot's objects with all properties as text, `types` the HubSpot type of every property,
    `rows` the table's rows by column.
    """
    types = {name: type_ for name, type_ in types.items() if name != "hs_object_id"}
    copies = {row["id"]: row for row in rows if row["_sdc_deleted_at"] is None}
    for obj in truth:
        row = copies.pop(obj["id"], None)
        if row is None:
            yield f"{obj['id']} is missing"
            continue
        invalid = {}
        for name, text in obj["properties"].items():
            column = f"property_{name}" if name in _OURS else name
            if column not in row:
                yield f"{obj['id']}: no column for {name}"
                continue
            value = row[column]
            convert = _EXPECTED.get(types.get(name, ""))
            expected: object = text
            if convert is not None and text is not None:
                expected = convert(text) if text else None
                if expected is INVALID:
                    invalid[name], expected = text, None
                elif value is not None:
                    value = comparable(value)
            if value != expected:
                yield f"{obj['id']}: {name} is {value!r}, should be {expected!r}"
        kept = row["invalid_properties"]
        if (json.loads(kept) if isinstance(kept, str) else kept or {}) != invalid:
            yield f"{obj['id']}: invalid_properties is {kept}, should be {invalid}"
        for column, key in (("created_at", "createdAt"), ("updated_at", "updatedAt")):
            if comparable(row[column]) != _timestamp(obj[key]):
                yield f"{obj['id']}: {column} is {row[column]!r}, should be {obj[key]}"
    for extra in copies:
        yield f"{extra} is in the table and not in the portal"


def comparable(value: object) -> object:
    """Return a database's value in a form that is equal across databases."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, bool | date | str):
        return value
    if isinstance(value, int | float):
        return Decimal(str(value))
    return value


def association_rows(truth: Iterable[dict[str, Any]], names: dict[str, str], ranks: list[str]) -> set[tuple[Any, ...]]:
    """Return the rows that the table `associations` should have.

    `truth` has every edge in both directions by object type id, `names` the streams by object type id, `ranks` the
    object type ids in the order of reading: the tap reads an edge from the earlier type. An edge between objects of one
    type has two rows.
    """
    return {
        (
            names[edge["fromType"]],
            edge["fromId"],
            names[edge["toType"]],
            edge["toId"],
            edge["category"],
            edge["typeId"],
            edge["label"],
        )
        for edge in truth
        if ranks.index(edge["fromType"]) <= ranks.index(edge["toType"])
    }
