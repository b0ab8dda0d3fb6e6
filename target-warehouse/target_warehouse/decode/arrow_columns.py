"""From records to rows: one batch of a stream's records becomes one Arrow table.

`to_table` works column by column. The common case takes one pass over the types of the values and one call into Arrow.
Other values are converted one by one, by the converter of the column's form (`forms`), with the same rules. If a
column cannot take its values, `sift` finds the records to blame.
"""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from target_warehouse.decode.converters import TOO_DEEP, NarrowError, UnfitError, without_nul
from target_warehouse.decode.forms import FORMS, form_of
from target_warehouse.decode.record_keys import _equal, _whole_key
from target_warehouse.decode.time_converters import is_cut
from target_warehouse.tables.table import DELETED_AT, is_loose

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_warehouse.decode.forms import ColumnForm
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.tables.table import Column


class MisfitError(Exception):
    """Some values do not fit their columns.

    `unfit` are columns with invalid values, which no column of that kind could hold. `narrow` maps the properties of
    columns that are too narrow for valid values to the kind that they must become.
    """

    def __init__(self, unfit: Sequence[Column], narrow: dict[str, str]) -> None:
        super().__init__()
        self.unfit = tuple(unfit)
        self.narrow = narrow


@dataclass
class Losses:
    """The numbers of values that are not stored exactly, by property.

    `nul` counts values in which a NUL was replaced, which only happens if `replaces_nul` is set. `cut` counts values
    that lost digits beyond microseconds, or the UTC offset of a time of day.
    """

    replaces_nul: bool = True
    nul: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    def update(self, other: Losses) -> None:
        """Add the numbers of other losses."""
        self.nul.update(other.nul)
        self.cut.update(other.cut)


def to_table(records: Sequence[Record], columns: Iterable[Column], losses: Losses) -> pa.Table:
    """The rows of these records, with one Arrow column for each of `columns`; missing properties are null.

    `losses` counts the values that are not stored exactly, and says whether every NUL in text becomes U+FFFD.

    Raises:
        MisfitError: a value does not fit its column, a required property is missing, or a non-nullable one is null.
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
    """The records that fit these columns, and those that do not, each with the reason.

    A key does not fit if its column would cut it, because two keys could become one.
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


def _check(column: Column, record: Record, *, is_key: bool) -> None:
    value = _members(column, record) if column.members else record.get(column.property)
    if value is None:
        if column.members:
            return
        if record.get(DELETED_AT) is None or column.property in record:
            _check_presence(column, value, record)
        return
    (_whole_key if is_key else _equal)(column, form_of(column), value)


def _by_column(records: Sequence[Record], columns: Sequence[Column]) -> Iterable[Sequence[Any]]:
    """The values of each column; missing properties are None.

    The loop goes record by record, because a wide record is read fastest while it is in the processor's cache: reading
    column by column from thousands of dicts took a third of the time of loading 250 columns.
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
    is_present = column.property in record
    if is_present and not column.is_nullable:
        raise UnfitError("is null, which the stream's schema does not allow")
    if not is_present and column.is_required:
        raise UnfitError("is missing, which the stream's schema does not allow")


def to_arrays(columns: Sequence[Column], values: Sequence[Sequence[Any]], losses: Losses) -> list[pa.Array]:
    """The columns of these values, each as `to_array` would make it.

    Columns of one form are converted as slices of one long array. A call into Arrow costs as much as fifty values, and
    a group of a wide stream often has not many more rows.
    """
    groups: dict[str, list[int]] = {}
    for i, column in enumerate(columns):
        groups.setdefault(form_of(column).name, []).append(i)
    arrays: list[pa.Array] = [None] * len(columns)
    for form, members in groups.items():
        count = len(values[members[0]])
        joined = list(chain.from_iterable(values[i] for i in members))
        joined_array = _fast(FORMS[form], joined)
        if joined_array is None or (losses.replaces_nul and _may_have_nul(joined_array)):
            for i in members:
                arrays[i] = to_array(columns[i], values[i], losses)
        else:
            for place, i in enumerate(members):
                arrays[i] = joined_array.slice(place * count, count)
    return arrays


def to_array(column: Column, values: Sequence[Any], losses: Losses) -> pa.Array:
    """The column of these values, by the rules of `to_table`, without the check that required values are present.

    Raises:
        UnfitError: a value fits no column of this kind.
        NarrowError: the column must become wider for a value.
    """
    form = form_of(column)
    fast = _fast(form, values)
    if fast is None:
        return _one_by_one(column, form, values, losses)
    return _without_nul(column, fast, losses.nul) if losses.replaces_nul else fast


def _fast(form: ColumnForm, values: Sequence[Any]) -> pa.Array | None:
    """All values converted at once; None if any of them needs the converter."""
    try:
        if form.is_taken_as_it_is:
            return pa.array(values, form.arrow)  # Arrow rejects values of another type
        if form.bounds:
            if all(value is None for value in values):
                return pa.nulls(len(values), form.arrow)  # a cast would import Arrow's functions, which is slow
            texts = pa.array(values, pa.string())
            read = texts.cast(pa.timestamp("us", "UTC")) if form.name == "date-time" else texts
            return _within(form.bounds, read.cast(form.arrow))
        types = set(map(type, values)) - {type(None)}
        if types <= form.numbers:
            return pa.array(values, form.arrow)  # Arrow rejects values that it would have to round
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return None
    return None


def _within(bounds: tuple[int, int], array: pa.Array) -> pa.Array | None:
    import pyarrow.compute as pc  # takes as long as about a thousand records, and few runs need it

    extremes = pc.min_max(array)
    earliest, latest = extremes["min"], extremes["max"]
    is_within = not earliest.is_valid or (bounds[0] <= earliest.value and latest.value <= bounds[1])
    return array if is_within else None


def _may_have_nul(array: pa.Array) -> bool:
    data = array.buffers()[2] if array.type == pa.string() else None
    return data is not None and b"\0" in bytes(data)  # a hundred times faster than checking each text


def _without_nul(column: Column, array: pa.Array, replaced: Counter[str]) -> pa.Array:
    if not _may_have_nul(array):
        return array
    import pyarrow.compute as pc

    count = pc.sum(pc.match_substring(array, "\0")).as_py() or 0
    if not count:
        return array
    replaced[column.property] += count
    return pc.replace_substring(array, "\0", "\ufffd")


def _one_by_one(column: Column, form: ColumnForm, values: Sequence[Any], losses: Losses) -> pa.Array:
    convert = form.converter_in_a_union if is_loose(column) else form.convert
    can_be_cut = form.name in ("date-time", "time")
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
            if can_be_cut and is_cut(form.name, value):
                losses.cut[column.property] += 1
        except RecursionError:
            raise UnfitError(TOO_DEEP) from None
        except NarrowError as error:  # raised at the end, because an UnfitError takes precedence
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
    return pa.array(converted, form.converted or form.arrow)
