"""The options and the results of a verification, as values. Pure: standard library only."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: The longest observed lag of HubSpot's search index.
LATE = dt.timedelta(hours=1)
_MOST_KEYS = 100


@dataclass(frozen=True)
class Choices:
    """The user's options. `max_ages` are by stream; `""` is every other stream, None means no limit."""

    max_ages: Mapping[str, dt.timedelta | None]
    sample: int
    tap: str
    ignored: Sequence[str] = ()
    shows_values: bool = False


@dataclass(frozen=True)
class Finding:
    """A sentence about a stream; `is_drift` if the copy differs from HubSpot. Keys are ids, fields are columns."""

    check: str
    stream: str
    text: str
    is_drift: bool
    keys: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass
class StreamCheck:
    """The figures of a stream. Times are UTC without a zone."""

    stream: str
    loaded_until: dt.datetime | None
    age_seconds: float | None
    live_rows: int | None = None
    deleted_rows: int | None = None
    hubspot_total: int | None = None
    sampled: int = 0
    sampled_deleted: int = 0
    changed_since: int = 0
    #: Live rows of objects that the tap does not read with its settings.
    unread_rows: int = 0
    #: Whether the stream was compared; if not, a finding says why.
    is_compared: bool = False


@dataclass
class PairCheck:
    """The figures of a pair of object types. Times are UTC without a zone; None is not known."""

    pair: str
    live_rows: int
    deleted_rows: int
    last_read: dt.datetime | None = None
    last_full_pass: dt.datetime | None = None
    sampled: int = 0
    changed_since: int = 0


@dataclass
class Verification:
    """The result of a verification."""

    asked_at: dt.datetime
    streams: list[StreamCheck] = field(default_factory=list)
    pairs: list[PairCheck] = field(default_factory=list)
    #: The streams that the tap has read again.
    read: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_true(self) -> bool:
        """Whether nothing differs."""
        return not any(finding.is_drift for finding in self.findings)


def finding(check: str, stream: str, text: str, keys: Iterable[str] = (), fields: Iterable[str] = ()) -> Finding:
    """A difference; keeps only the first keys of many."""
    return Finding(check, stream, text, True, tuple(sorted(keys))[:_MOST_KEYS], tuple(fields))
