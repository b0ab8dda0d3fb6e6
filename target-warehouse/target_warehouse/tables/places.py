"""Columns that keep fewer than six decimal places of a second, and values that need more.

A table that was not created by the target may have a column of the type `timestamp(0)`. The database rounds values to
it, and two keys could become one. So the target widens the column as soon as a value needs more decimal places.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from target_warehouse.tables.table import Column

_MOST = 6
_WITH_PLACES = re.compile(r"(?:time|timestamp)\((\d)\).*", re.IGNORECASE)


def places_of(kind: str) -> int | None:
    """The number of decimal places of a second that a column of this type keeps, if fewer than six; else None."""
    match = _WITH_PLACES.fullmatch(kind)
    return int(match[1]) if match and int(match[1]) < _MOST else None


def need_more(values: pa.ChunkedArray, places: int) -> bool:
    """Whether one of these times has more than `places` decimal places of a second."""
    from pyarrow import compute, int64, scalar, types  # takes about 20 ms, and few tables have such columns

    if not types.is_temporal(values.type) or types.is_date(values.type):
        return False
    microseconds, unit = values.cast(int64()), scalar(10 ** (_MOST - places))
    whole = compute.multiply(compute.divide(microseconds, unit), unit)
    return bool(compute.any(compute.not_equal(whole, microseconds)).as_py())


def too_exact(rows: pa.Table, columns: Iterable[Column]) -> list[Column]:
    """The columns that keep fewer decimal places of a second than these rows have."""
    too_narrow = []
    for column in columns:
        places = places_of(column.stored)
        if places is not None and column.name in rows.schema.names and need_more(rows[column.name], places):
            too_narrow.append(column)
    return too_narrow
