"""Names that a database accepts, in place of names that it does not accept.

A name gets a *short name* if it is too long for the database, empty, not storable, reserved, or already taken by
another spelling. A short name depends only on the name, and has one of two forms:

    x1_ec31682f                     the name and a hash of it
    how_di_0a1b2c3d4e5f6a7b8c9d     the beginning of the name, a longer hash, and a checksum of the two

The second form is for names that are not kept whole, and where the first is taken. Each form can be recognised without
knowing the name: by its hash or its checksum. A property whose own name is a short name gets a short name of that, so a
column belongs to one property for good, whatever the order of properties and runs, and no state is needed.

Earlier releases used the first form also for names that are not kept whole. It cannot be recognised for certain. Such
columns are kept, and no new column gets a name that looks like one. Pure: standard library only.
"""

from __future__ import annotations

import hashlib
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from target_warehouse.errors import InputError
from target_warehouse.shown import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

_HASH_DIGITS = 8
#: So many that two names with the same hash are not found by trying.
_LONG_HASH_DIGITS, _CHECK_DIGITS = 14, 6
_FIRST_FORM = re.compile(rf"(.*)_([0-9a-f]{{{_HASH_DIGITS}}})", re.DOTALL)
_SECOND_FORM = re.compile(rf"(.*_[0-9a-f]{{{_LONG_HASH_DIGITS}}})([0-9a-f]{{{_CHECK_DIGITS}}})", re.DOTALL)
_CUT_BYTES = 3  # the most bytes of a character that are lost where a name is cut

_NONE: Mapping[str, str] = MappingProxyType({})


def fit(
    names: Iterable[str],
    existing: Iterable[str],
    *,
    most_bytes: int | None,
    ignores_case: bool,
    unusable: Collection[str] = (),
    given: Mapping[str, str] = _NONE,
    respelled: Container[str] = (),
    barred: Iterable[str] = (),
) -> dict[str, str]:
    """Each property with the name of its column; no two have the same.

    existing: the table's columns; a name that is among them is kept, unless it is the short name of another.
    most_bytes: the maximum length that the database accepts (None: no limit).
    ignores_case: whether `Email` and `email` are the same name to the database. The name that exists, or the first in
        `names`, is kept.
    unusable: names that the database does not accept for other reasons; their short names keep only ASCII letters.
    given: names that are already decided; no other name gets the same result.
    respelled: names that, if missing, may use an existing name in another case, unless another name uses it.
    barred: results that no name may get.

    Raises:
        InputError: two names have the same hash.
    """
    wanted, columns, decided = list(names), set(existing), {*given.values(), *barred}
    fitted = {name: given[name] for name in wanted if name in given}
    rest = [name for name in wanted if name not in given]
    fitted |= _existing(rest, columns - decided, most_bytes, unusable)
    free = columns - decided - set(fitted.values())
    fitted |= _respelled([name for name in rest if name not in fitted and name in respelled], free)
    taken = {_folded(name, ignores_case=ignores_case) for name in columns | decided}
    for name in rest:
        if name in fitted:
            continue
        for new in _new_names(name, most_bytes, unusable, ignores_case=ignores_case):
            if _folded(new, ignores_case=ignores_case) not in taken:
                break
        else:
            raise InputError(_no_name(name))
        fitted[name] = new
        taken.add(_folded(new, ignores_case=ignores_case))
    return {name: fitted[name] for name in wanted}


def fit_table(
    name: str, existing: Iterable[str], *, most_bytes: int | None, ignores_case: bool, unusable: Collection[str] = ()
) -> str:
    """The name of a table, beside tables with the names `existing`; a name that is among them is kept.

    Two streams may get the same name. That is an error, so a table needs no name that can be recognised (`claims`).
    """
    there = set(existing)
    taken = {_folded(other, ignores_case=ignores_case) for other in there}
    is_free = name not in unusable and _folded(name, ignores_case=ignores_case) not in taken
    if name in there or (is_free and is_usable(name, most_bytes)):
        return name
    return _short_names(name, most_bytes, unusable)[0]


def is_usable(name: str, most_bytes: int | None) -> bool:
    """Whether a database accepts this name unchanged."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return bool(name) and "\0" not in name and (most_bytes is None or size <= most_bytes)


def is_short(name: str) -> bool:
    """Whether this is the short name of another name."""
    if (first := _FIRST_FORM.fullmatch(name)) and _digest(first[1], _HASH_DIGITS) == first[2]:
        return True
    second = _SECOND_FORM.fullmatch(name)
    return second is not None and _checksum(second[1]) == second[2]


def hashed(name: str) -> str:
    """The short name of a name that is taken; the name must not be too long."""
    return f"{name}_{_digest(name, _HASH_DIGITS)}"


def _existing(
    names: Iterable[str], columns: Collection[str], most_bytes: int | None, unusable: Collection[str]
) -> dict[str, str]:
    """The names that have one of these columns, under their own name or a short one.

    Short names come first: in a table of an earlier release, one may also be the name of another property.
    """
    if not columns:
        return {}
    own = {name: name for name in names if name in columns and not is_short(name)}
    found: dict[str, str] = {}
    for name in names:
        if name in own:
            continue
        first, second = _short_names(name, most_bytes, unusable)
        known = [first, second] if first == hashed(name) or is_usable(name, None) else [second]
        column = next((short for short in known if short in columns and short not in found.values()), None)
        if column is not None:
            found[name] = column
    used = set(found.values())
    return found | {name: name for name in own if name not in used}


def _respelled(names: Iterable[str], columns: Iterable[str]) -> dict[str, str]:
    """The names that one of these columns has in another case, if only one has it; short names are not respelled."""
    spellings: dict[str, list[str]] = {}
    for column in columns:
        if not is_short(column):
            spellings.setdefault(column.casefold(), []).append(column)
    same = {name: spellings.pop(name.casefold(), []) for name in names}
    return {name: found[0] for name, found in same.items() if len(found) == 1}


def _new_names(name: str, most_bytes: int | None, unusable: Collection[str], *, ignores_case: bool) -> Iterator[str]:
    """The names that a new column may have, the best first."""
    is_plain = name not in unusable and is_usable(name, most_bytes)
    if is_plain and not _seems_short(name, most_bytes, ignores_case=ignores_case):
        yield name
    first, second = _short_names(name, most_bytes, unusable)
    if first == hashed(name):
        yield first
    yield second


def _seems_short(name: str, most_bytes: int | None, *, ignores_case: bool) -> bool:
    """Whether a new column of this name could be taken for a short name, of whichever release."""
    if is_short(name) or (ignores_case and is_short(name.casefold())):
        return True
    is_cut = most_bytes is not None and len(name.encode()) >= most_bytes - _CUT_BYTES
    return is_cut and bool(_FIRST_FORM.fullmatch(name))


def _short_names(name: str, most_bytes: int | None, unusable: Collection[str]) -> tuple[str, str]:
    """The two forms. The first may not keep the whole name, as in earlier releases."""
    kept = (name.encode("ascii", "ignore").decode() if name in unusable else name).replace("\0", "")
    first = _joined(kept, _digest(name, _HASH_DIGITS), most_bytes)
    room = None if most_bytes is None else most_bytes - _CHECK_DIGITS
    second = _joined(kept, _digest(name, _LONG_HASH_DIGITS), room)
    return first, second + _checksum(second)


def _joined(start: str, digits: str, most_bytes: int | None) -> str:
    encoded = start.encode("utf-8", "ignore")
    if most_bytes is not None:
        encoded = encoded[: most_bytes - len(digits) - 1]
    return f"{encoded.decode('utf-8', 'ignore')}_{digits}"


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def _checksum(start: str) -> str:
    """The last digits of the second form; the same in any case, so that names that differ in case have the same."""
    return _digest(start.casefold(), _CHECK_DIGITS)


def _no_name(name: str) -> str:
    return (
        f"The property {shown(name)} cannot have a column, because its short name is that of another property: give it "
        "another name by the setting stream_maps."
    )


def _folded(name: str, *, ignores_case: bool) -> str:
    return name.casefold() if ignores_case else name
