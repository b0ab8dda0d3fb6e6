"""Timestamps: epoch milliseconds inside, ISO 8601 in UTC with three decimals in replies, as HubSpot writes them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache

from hubspot_sandbox.whole_number import whole_number

DAY_MS = 86_400_000

#: Every seeded timestamp is between these two, so a portal does not depend on when it is started.
SEED_START_MS = 1_483_228_800_000  # 2017-01-01T00:00:00Z
SEED_END_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z


class Clock:
    """The real clock plus an offset in milliseconds, which tests and commands may change."""

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms
        self._fixed_ms: int | None = None

    def now_ms(self) -> int:
        """Return the sandbox's current time in epoch milliseconds."""
        return time.time_ns() // 1_000_000 + self.offset_ms if self._fixed_ms is None else self._fixed_ms

    @contextmanager
    def at(self, epoch_ms: int) -> Iterator[None]:
        """Stop the clock at this timestamp inside the `with` block."""
        self._fixed_ms = epoch_ms
        try:
            yield
        finally:
            self._fixed_ms = None


@lru_cache(maxsize=16_384)
def iso(epoch_ms: int) -> str:
    """`1616000000123` → `2021-03-17T16:53:20.123Z`; cached, because a record carries its timestamps twice."""
    seconds, ms = divmod(epoch_ms, 1000)
    t = time.gmtime(seconds)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}.{ms:03d}Z"


def iso_date(epoch_ms: int) -> str:
    """The UTC date of a timestamp, `2021-03-17`."""
    t = time.gmtime(epoch_ms // 1000)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}"


def parse_timestamp(text: str) -> int | None:
    """Epoch milliseconds of a text in epoch milliseconds or ISO 8601, else None (HubSpot's filters take both)."""
    stripped = text.strip()
    number = whole_number(stripped.removeprefix("-"))
    if number is not None:
        return -number if stripped.startswith("-") else number
    try:
        parsed = datetime.fromisoformat(stripped)
    except ValueError:
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return round(parsed.timestamp() * 1000)
