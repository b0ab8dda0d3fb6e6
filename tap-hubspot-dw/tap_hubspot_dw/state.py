"""A stream's bookmark: what the next run starts from, as it stands in Singer state.

    {"bookmarks": {"contacts": {
        "replication_key": "updated_at",
        "replication_key_value": "2026-11-23T20:00:00.000Z",   the end of the last window read
        "version": 1795464000000,                              the table version its records carry
        "full_pass_at": "2026-11-23T20:00:00.000Z",            the start of the last complete full pass
        "archived": "eJxj5GZk…",                                  the ids that were archived then, see `id_sets`
        "properties": "eJwBrwX…",                              the checksums of the properties' names it has read
        "full_pass": {"version": …, "started_at": …, "ranges": [[0, 20000]]}   one that is under way
    }, "associations": {… "pairs": {"deals:contacts": "2026-11-23T20:00:00.000Z"}},
    "properties": {"objects": ["contacts", "deals"]}}}                         the objects that its rows belong to

State that another tap left with a `replication_key_value` is read as it is. Meltano merges the state of a run with
`--full-refresh` into the old one, so a `full_pass` that is not newer than `version` is a leftover and ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tap_hubspot_dw.id_sets import pack, unpack
from tap_hubspot_dw.ranges import Range
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp, parse_timestamp


@dataclass(frozen=True)
class FullPass:
    """A full pass under way: its table version, when it began and how far it came.

    `ranges` are the ids of objects that are done, `finished` names the pairs of associations that are.
    """

    version: int
    started_at: datetime
    ranges: tuple[Range, ...] = ()
    finished: tuple[str, ...] = ()


@dataclass
class StreamState:
    """What is known of a stream's past; every field is empty before its first run."""

    bookmark: datetime | None = None
    version: int = 0
    full_pass_at: datetime | None = None
    full_pass: FullPass | None = None
    pairs: dict[str, datetime] = field(default_factory=dict)
    archived: set[int] = field(default_factory=set)
    objects: tuple[str, ...] = ()
    properties: set[int] = field(default_factory=set)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> StreamState:
        """Read a stream's bookmark.

        Raises:
            ValueError, KeyError, TypeError: it was not written by this tap or a similar one.
        """
        version = int(saved.get("version", 0))
        under_way = saved.get("full_pass")
        full_pass = None
        if under_way and int(under_way["version"]) > version:
            full_pass = FullPass(
                int(under_way["version"]),
                parse_timestamp(under_way["started_at"]),
                tuple(Range(above, through) for above, through in under_way.get("ranges", ())),
                tuple(under_way.get("finished", ())),
            )
        return cls(
            bookmark=_moment(saved.get("replication_key_value")),
            version=version,
            full_pass_at=_moment(saved.get("full_pass_at")),
            full_pass=full_pass,
            pairs={pair: parse_timestamp(text) for pair, text in saved.get("pairs", {}).items()},
            objects=tuple(saved.get("objects", ())),
            archived=unpack(saved["archived"]) if "archived" in saved else set(),
            properties=unpack(saved["properties"]) if "properties" in saved else set(),
        )

    def to_json(self, replication_key: str | None) -> dict[str, Any]:
        """Return the bookmark to save; what is empty is left out."""
        saved: dict[str, Any] = {}
        if self.bookmark:
            saved |= {"replication_key": replication_key} if replication_key else {}
            saved["replication_key_value"] = format_timestamp(self.bookmark)
        if self.version:
            saved["version"] = self.version
        if self.full_pass_at:
            saved["full_pass_at"] = format_timestamp(self.full_pass_at)
        if self.pairs:
            saved["pairs"] = {pair: format_timestamp(moment) for pair, moment in self.pairs.items()}
        if self.objects:
            saved["objects"] = list(self.objects)
        if self.archived:
            saved["archived"] = pack(self.archived)
        if self.properties:
            saved["properties"] = pack(self.properties)
        if self.full_pass:
            ranges = self.full_pass.ranges
            saved["full_pass"] = {
                "version": self.full_pass.version,
                "started_at": format_timestamp(self.full_pass.started_at),
                # Empty ones too: Meltano may merge this into a state that has those of an older pass.
                "ranges": [[each.above, each.through] for each in ranges],
                "finished": list(self.full_pass.finished),
            }
        return saved

    def begin_full_pass(self, started_at: datetime) -> FullPass:
        """Return the pass under way, or begin one with a version above every earlier one."""
        if self.full_pass is None:
            self.full_pass = FullPass(max(epoch_ms(started_at), self.version + 1), started_at)
        return self.full_pass

    def end_full_pass(self) -> None:
        """Make the pass under way the stream's past."""
        if self.full_pass is None:
            raise ValueError("no full pass is under way")
        self.version, self.full_pass_at = self.full_pass.version, self.full_pass.started_at
        self.full_pass = None

    def is_full_pass_due(self, refresh: timedelta | None, started_at: datetime) -> bool:
        """Tell whether a pass is under way, or the last one is older than `refresh` (None: never too old).

        One in the future says nothing: the clock was ahead then.
        """
        if self.full_pass:
            return True
        if not refresh or not self.full_pass_at:
            return False
        return self.full_pass_at > started_at or started_at - self.full_pass_at >= refresh


def _moment(text: str | None) -> datetime | None:
    return parse_timestamp(text) if text else None
