"""Names that a database accepts, in place of names that it does not accept.

A name gets a short name if it is too long for the database, empty, not storable, reserved, or already taken by another
spelling. The short name is the beginning of the name and a hash of the whole name. It depends only on the name, and a
name that the database already has is kept, so names stay the same from run to run. Pure: standard library only.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

_HASH_DIGITS = 8


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
    """Each name with its name in the database.

    existing: the names in the database; a name that is among them is kept.
    most_bytes: the maximum length that the database accepts (None: no limit).
    ignores_case: whether `Email` and `email` are the same name to the database. The name that exists, or the first in
        `names`, is kept.
    unusable: names that the database does not accept for other reasons; their short names keep only ASCII letters.
    given: names that are already decided; no other name gets the same result.
    respelled: names that, if missing, may use an existing name in another case, unless another name uses it.
    barred: results that no name may get.
    """
    wanted = list(names)
    there = set(existing)
    decided = {*given.values(), *barred}
    fitted = {name: given.get(name, name) for name in wanted if name in given or name in there - decided}
    taken = {_folded(name, ignores_case=ignores_case) for name in there | decided}
    spellings: dict[str, list[str]] = {}
    for name in there - decided - set(fitted.values()):
        spellings.setdefault(name.casefold(), []).append(name)
    for name in wanted:
        if name in fitted:
            continue
        short = _shortened(name, most_bytes, _ascii(name) if name in unusable else name)
        if name in respelled and short not in there:
            same = spellings.pop(name.casefold(), [])
            if len(same) == 1:
                fitted[name] = same[0]
                continue
        is_free = name not in unusable and _folded(name, ignores_case=ignores_case) not in taken
        if is_free and is_usable(name, most_bytes):
            fitted[name] = name
        else:
            fitted[name] = short
        taken.add(_folded(fitted[name], ignores_case=ignores_case))
    return {name: fitted[name] for name in wanted}


def is_usable(name: str, most_bytes: int | None) -> bool:
    """Whether a database accepts this name unchanged."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return False
    return bool(name) and "\0" not in name and (most_bytes is None or size <= most_bytes)


def hashed(name: str) -> str:
    """The short name of a name that is taken; the name must not be too long."""
    return _shortened(name, None, name)


def _folded(name: str, *, ignores_case: bool) -> str:
    return name.casefold() if ignores_case else name


def _ascii(name: str) -> str:
    return name.encode("ascii", "ignore").decode()


def _shortened(name: str, most_bytes: int | None, kept: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    start = kept.replace("\0", "").encode("utf-8", "ignore")
    if most_bytes is not None:
        start = start[: most_bytes - _HASH_DIGITS - 1]
    return f"{start.decode('utf-8', 'ignore')}_{digest}"
