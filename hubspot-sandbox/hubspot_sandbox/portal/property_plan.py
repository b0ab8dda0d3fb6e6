"""Fast writing of the `properties` object for a fixed set of names: ready-made fragments and computed values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

encode = msgspec.json.encode


@lru_cache(maxsize=4_096)
def fragments(key: bytes, pool: tuple[str | None, ...]) -> tuple[bytes, ...]:
    """`"name":"value"` for every value of a pool; cached, so that a reset is fast.

    Equal values share one fragment: a page picks thirty thousand fragments, and most of the time goes into misses of
    the processor's cache.
    """
    fragment_of = {value: key + encode(value) for value in pool}
    return tuple(fragment_of[value] for value in pool)


@dataclass(frozen=True)
class Plan:
    """The recipe for the `properties` object of one set of names: pools of fragments, and the computed properties."""

    place: dict[str, int]
    pick: Callable[[bytes], tuple[int, ...]]
    pools: tuple[tuple[bytes, ...], ...]
    keys: tuple[bytes, ...]
    computed: tuple[tuple[int, str], ...]
    nulls: tuple[bytes, ...]
