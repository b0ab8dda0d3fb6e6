"""Digits of a second: which columns keep fewer than six of them, and which values need more.

A table that somebody else made may have a column `timestamp(0)`. A database rounds what is put there, and two keys
would become one; so the column becomes wider when a value needs it, and stays what it is until then.
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
    """How many digits of a second a column of this type keeps, if they are fewer than six."""
    found = _WITH_PLACES.fullmatch(kind)
    return int(found[1]) if found and int(found[1]) < _MOST else None


def need_more(values: pa.ChunkedArray, places: int) -> bool:
    """Whether a time among these has more digits of a second than `places`."""
    from pyarrow import compute, int64, scalar, types  # some 20 ms, and few tables have such columns

    if not types.is_temporal(values.type) or types.is_date(values.type):
        return False
    microseconds, unit = values.cast(int64()), scalar(10 ** (_MOST - places))
    whole = compute.multiply(compute.divide(microseconds, unit), unit)
    return bool(compute.any(compute.not_equal(whole, microseconds)).as_py())


def too_exact(rows: pa.Table, columns: Iterable[Column]) -> list[Column]:
    """The columns that do not keep every digit of a second in these rows."""
    found = []
    for column in columns:
        places = places_of(column.stored)
        if places is not None and column.name in rows.schema.names and need_more(rows[column.name], places):
            found.append(column)
    return found
