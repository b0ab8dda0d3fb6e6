"""Records become rows: one batch of records of a stream becomes one Arrow table.

`to_table` works column by column. The common case costs one pass over the values' types and one call into Arrow;
anything unusual goes value by value through the converter of the column's form (`values`), which decides by the
same rules. `sift` finds the records that are to blame when a column does not take its values.
"""

from __future__ import annotations

import decimal
import operator
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from target_warehouse.decode.converters import (
    CONVERTERS,
    DECIMAL_DIGITS,
    DECIMAL_PLACES,
    OF_A_KEY,
    TOO_DEEP,
    NarrowError,
    UnfitError,
    form_of,
    is_cut,
    without_nul,
)
from target_warehouse.tables.table import DELETED_AT, is_loose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from target_warehouse.load.last_per_key import Record
    from target_warehouse.tables.table import Column

# 0001-01-01 and 9999-12-31 in days since 1970; Arrow reads the year 0, and an offset may lead into the year 10000.
_FIRST_DAY, _LAST_DAY, _MICROSECONDS = -719_162, 2_932_896, 86_400_000_000
_BOUNDS = {
    "date": (_FIRST_DAY, _LAST_DAY),
    "date-time": (_FIRST_DAY * _MICROSECONDS, (_LAST_DAY + 1) * _MICROSECONDS - 1),
}
_DECIMAL = pa.decimal128(DECIMAL_DIGITS, DECIMAL_PLACES)
_TYPES = {
    "integer": pa.int64(),
    "double": pa.float64(),
    "whole double": pa.float64(),
    "integer of 32 bits": pa.int32(),
    "integer of 16 bits": pa.int16(),
    "decimal": _DECIMAL,
    "whole decimal": _DECIMAL,
    "numeric": _DECIMAL,  # as long as the values fit; else text, which takes any
    "whole numeric": _DECIMAL,
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "date-time": pa.timestamp("us"),
}
_TEXT = ("text", "varchar", "character")  # as the databases call it
#: Forms whose plain values Arrow takes, refusing those of any other type.
_AS_THEY_ARE = ("boolean", "string", "text", OF_A_KEY["text"])
#: Python types that Arrow turns into the form's numbers as they are.
_NUMBERS_OF: dict[str, set[type]] = {
    "integer": {int},
    "integer of 32 bits": {int},
    "integer of 16 bits": {int},
    "decimal": {int, decimal.Decimal},
    "numeric": {int, decimal.Decimal},
    "whole decimal": {int},
    "whole numeric": {int},
}
#: Forms whose values are equal exactly if the Python values are.
_EQUAL_AS_THEY_ARE = (
    *("integer", "integer of 32 bits", "integer of 16 bits", "numeric", "plain", "decimal", "string", "boolean"),
)


class MisfitError(Exception):
    """Some values do not fit their columns.

    `unfit` are columns with values that no column could hold as what they claim to be; `narrow` says, for columns
    whose values are fine, which kind the column must become to hold them.
    """

    def __init__(self, unfit: Sequence[Column], narrow: dict[str, str]) -> None:
        super().__init__()
        self.unfit = tuple(unfit)
        self.narrow = narrow


@dataclass
class Losses:
    """The values that lost something on their way to their columns, counted by property.

    `nul`: a NUL was replaced, which is done only where `replaces_nul` is set. `cut`: digits beyond microseconds, or a
    time's distance from UTC.
    """

    replaces_nul: bool = True
    nul: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    def update(self, other: Losses) -> None:
        """Add what others lost."""
        self.nul.update(other.nul)
        self.cut.update(other.cut)


def form_of_column(column: Column) -> str:
    """The form of a column's values; those of a format stay alike when others have made the column one of text."""
    if is_loose(column) and column.stored.startswith(_TEXT) and column.kind in ("date-time", "date", "time", "uuid"):
        return f"text or {column.kind}"
    form = form_of(column.kind, column.stored)
    return OF_A_KEY.get(form, form) if column.is_key else form


def arrow_type(column: Column) -> pa.DataType:
    """The Arrow type in which a column's values travel; numbers that it does not hold exactly travel as text."""
    return _TYPES.get(form_of_column(column), pa.string())


def to_table(records: Sequence[Record], columns: Iterable[Column], losses: Losses) -> pa.Table:
    """The rows of these records, one Arrow column for each of `columns`; what a record lacks is null.

    `losses` counts the values that are not stored as they are, and says whether every NUL in text becomes U+FFFD.

    Raises:
        MisfitError: a value does not fit its column, or a required or non-nullable property has none.
    """
    columns = tuple(columns)
    arrays, unfit, narrow = [], [], {}
    for column, values in zip(columns, _by_column(records, columns), strict=True):
        try:
            if not column.is_nullable or column.is_required:
                for value, record in zip(values, records, strict=True):
                    _check_presence(column, value, record)
            arrays.append(to_array(column, values, losses))
        except UnfitError:
            unfit.append(column)
        except NarrowError as error:
            narrow[column.property] = error.kind
    if unfit or narrow:
        raise MisfitError(unfit, narrow)
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def sift(
    records: Sequence[Record], columns: Iterable[Column], keys: Sequence[str]
) -> tuple[list[Record], list[tuple[Record, str]]]:
    """The records that these columns take, and those they do not take, each with the reason.

    A key is not taken if its column does not keep all of it: two keys would become one.
    """
    columns = tuple(columns)
    good: list[Record] = []
    bad: list[tuple[Record, str]] = []
    for record in records:
        try:
            for column in columns:
                _check(column, record, is_key=column.property in keys)
        except UnfitError as reason:
            bad.append((record, f"its property {column.property} {reason}"))
        else:
            good.append(record)
    return good, bad


def key_reader(columns: Sequence[Column], *, replace_nul: bool) -> Callable[[Record], Any] | None:
    """What makes two records have one key in the database: a function of a record, hashable.

    None when the keys' own values do. An instant may be spelled in two ways, and a UUID, and hexadecimal text.

    The function raises `UnfitError` for a value that does not fit its column.
    """
    forms = [form_of_column(column) for column in columns]
    if all(is_equal_as_it_is(column) for column in columns) and not (replace_nul and "string" in forms):
        return None

    def key(record: Record) -> tuple[Any, ...]:
        found = []
        for column, form in zip(columns, forms, strict=True):
            value = record[column.property]
            value = without_nul(value) if replace_nul else value
            found.append(_whole_key(column, form, value))
        return tuple(found)

    return key


def is_equal_as_it_is(column: Column) -> bool:
    """Whether two values of this column are equal in the database exactly if the Python values are."""
    return form_of_column(column) in _EQUAL_AS_THEY_ARE


def _whole_key(column: Column, form: str, value: Any) -> Any:
    if is_cut(form, value):
        raise UnfitError("has more digits than microseconds, or a distance from UTC, which a key must not lose")
    return _equal(column, form, value)


def _equal(column: Column, form: str, value: Any) -> Any:
    try:
        return CONVERTERS[form.replace("numeric", "plain")](value)  # 1.0 and 1 are one key
    except NarrowError:
        return CONVERTERS["plain" if column.kind in ("integer", "number") else OF_A_KEY["text"]](value)
    except UnfitError:
        if not is_loose(column):
            raise
        return CONVERTERS[f"text or {form}" if f"text or {form}" in CONVERTERS else "text"](value)


def _check(column: Column, record: Record, *, is_key: bool) -> None:
    value = _members(column, record) if column.members else record.get(column.property)
    if value is None:
        if column.members:
            return
        if record.get(DELETED_AT) is None or column.property in record:
            _check_presence(column, value, record)
        return
    (_whole_key if is_key else _equal)(column, form_of_column(column), value)


def _by_column(records: Sequence[Record], columns: Sequence[Column]) -> Iterable[Sequence[Any]]:
    """The values of each column; what a record lacks is None.

    A record at a time, because a wide record is read fastest while it is in the processor's cache: taking one column
    after the other from thousands of dicts took a third of the time of loading 250 columns.
    """
    if not records:
        return ([] for _ in columns)
    names = [column.property for column in columns if not column.members]
    if len(names) == 1:
        picked = [(record.get(names[0]),) for record in records]
    else:
        pick = operator.itemgetter(*names)
        blank = dict.fromkeys(names)
        picked = []
        for record in records:
            try:
                picked.append(pick(record))
            except KeyError:
                picked.append(pick(blank | record))
    plain = zip(*picked, strict=True)
    return ([_members(column, record) for record in records] if column.members else next(plain) for column in columns)


def _members(column: Column, record: Record) -> dict[str, Any] | None:
    return {name: record[name] for name in column.members if record.get(name) is not None} or None


def _check_presence(column: Column, value: Any, record: Record) -> None:
    if value is not None:
        return
    is_there = column.property in record
    if is_there and not column.is_nullable:
        raise UnfitError("is null, which the stream's schema does not allow")
    if not is_there and column.is_required:
        raise UnfitError("is missing, which the stream's schema does not allow")


def to_arrays(columns: Sequence[Column], values: Sequence[Sequence[Any]], losses: Losses) -> list[pa.Array]:
    """The columns of these values, each as `to_array` makes it.

    Columns of one form are made together, as parts of one long column: a call into Arrow costs as much as fifty
    values, and of a wide stream not many more rows are at hand at a time.
    """
    groups: dict[str, list[int]] = {}
    for i, column in enumerate(columns):
        groups.setdefault(form_of_column(column), []).append(i)
    arrays: list[pa.Array] = [None] * len(columns)
    for form, members in groups.items():
        count, target = len(values[members[0]]), arrow_type(columns[members[0]])
        joined = list(chain.from_iterable(values[i] for i in members))
        joined_array = _fast(form, joined, target)
        if joined_array is None or (losses.replaces_nul and _may_have_nul(joined_array)):
            for i in members:
                arrays[i] = to_array(columns[i], values[i], losses)
        else:
            for place, i in enumerate(members):
                arrays[i] = joined_array.slice(place * count, count)
    return arrays


def to_array(column: Column, values: Sequence[Any], losses: Losses) -> pa.Array:
    """The column of these values, by the rules of `to_table`, which also checks that required values are there.

    Raises:
        UnfitError: a value fits no column of this kind.
        NarrowError: the column must become wider for a value.
    """
    form, target = form_of_column(column), arrow_type(column)
    fast = _fast(form, values, target)
    if fast is None:
        return _one_by_one(column, form, values, target, losses)
    return _without_nul(column, fast, losses.nul) if losses.replaces_nul else fast


def _fast(form: str, values: Sequence[Any], target: pa.DataType) -> pa.Array | None:
    """All values at once; None if any of them needs a closer look."""
    try:
        if form in _AS_THEY_ARE:
            return pa.array(values, target)  # Arrow refuses what is of another type
        if form in _BOUNDS:
            if all(value is None for value in values):
                return pa.nulls(
                    len(values), target
                )  # a cast would load Arrow's functions, for as long as `_within` says
            texts = pa.array(values, pa.string())
            read = texts.cast(pa.timestamp("us", "UTC")) if form == "date-time" else texts
            return _within(_BOUNDS[form], read.cast(target))
        types = set(map(type, values)) - {type(None)}
        if types <= _NUMBERS_OF.get(form, set()):
            return pa.array(values, target)  # Arrow refuses what it would have to round
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None
    return None


def _within(bounds: tuple[int, int], array: pa.Array) -> pa.Array | None:
    import pyarrow.compute as pc  # takes as long as some thousand records, and few runs need it

    found = pc.min_max(array)
    earliest, latest = found["min"], found["max"]
    is_within = not earliest.is_valid or (bounds[0] <= earliest.value and latest.value <= bounds[1])
    return array if is_within else None


def _may_have_nul(array: pa.Array) -> bool:
    data = array.buffers()[2] if array.type == pa.string() else None
    return data is not None and b"\0" in bytes(data)  # a hundred times faster than looking at each text


def _without_nul(column: Column, array: pa.Array, replaced: Counter[str]) -> pa.Array:
    if not _may_have_nul(array):
        return array
    import pyarrow.compute as pc

    count = pc.sum(pc.match_substring(array, "\0")).as_py() or 0
    if not count:
        return array
    replaced[column.property] += count
    return pc.replace_substring(array, "\0", "\ufffd")


def _one_by_one(column: Column, form: str, values: Sequence[Any], target: pa.DataType, losses: Losses) -> pa.Array:
    convert, can_be_cut = CONVERTERS[form], form in ("date-time", "time")
    converted: list[Any] = []
    narrow: NarrowError | None = None
    for value in values:
        try:
            result = None if value is None else convert(value)
            if losses.replaces_nul and isinstance(result, str) and ("\0" in result or "\\u0000" in result):
                clean = without_nul(value)
                if clean != value:
                    losses.nul[column.property] += 1
                    result = convert(clean)
            if can_be_cut and is_cut(form, value):
                losses.cut[column.property] += 1
        except RecursionError:
            raise UnfitError(TOO_DEEP) from None
        except NarrowError as error:  # what does not fit any column comes first
            narrow = error
            result = None
        except UnfitError:
            if not is_loose(column):
                raise
            narrow = NarrowError("text")
            result = None
        converted.append(result)
    if narrow:
        raise narrow
    return pa.array(converted, pa.string() if form in ("numeric", "whole numeric") else target)
