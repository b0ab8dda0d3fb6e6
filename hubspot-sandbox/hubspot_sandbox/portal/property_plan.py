"""How the `properties` object of a fixed set of names is written quickly: ready-made fragments, and computed values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import msgspec

encode = msgspec.json.encode


@lru_cache(maxsize=4_096)
def fragments(key: bytes, pool: tuple[str | None, ...]) -> tuple[bytes, ...]:
    """`"name":"value"` for every value of a pool, each once in memory; kept, so that a reset is quick.

    A page picks thirty thousand of them; what takes the time is that they are not in the processor's cache.
    """
    known = {value: key + encode(value) for value in pool}
    return tuple(known[value] for value in pool)


@dataclass(frozen=True)
class Plan:
    """How to write the `properties` object of one fixed set of names: fragments to pick, and computed ones."""

    place: dict[str, int]
    pick: Callable[[bytes], tuple[int, ...]]
    pools: tuple[tuple[bytes, ...], ...]
    keys: tuple[bytes, ...]
    computed: tuple[tuple[int, str], ...]
    nulls: tuple[bytes, ...]
