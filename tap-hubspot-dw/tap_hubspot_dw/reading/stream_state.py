"""A stream's bookmark in Singer state, from which the next run starts.

    {"bookmarks": {"contacts": {
        "replication_key": "updated_at",
        "replication_key_value": "2026-11-23T20:00:00.000Z",   the start of the last run that read all changes
        "version": 1795464000000,                              the table version of its records
        "full_pass_at": "2026-11-23T20:00:00.000Z",            the start of the last complete full pass
        "archived": "eJxj5GZk…",                               the ids archived at the last run, see `id_sets`
        "properties": "eJwBrwX…",                              checksums of the properties read so far, with their types
        "restored_at": "2026-11-23T20:00:00.000Z",             the last run that found a restored record
        "archived_list": true,                                 HubSpot has given a list of archived objects
        "records": 5964,                                       how many records the last full pass read
        "portal": 62515, "object_type": "0-1",                 the account and the object type that all this is about
        "form": 0,                                             a checksum of the form of its records, see `record_form`
        "full_pass": {"version": …, "started_at": …,           a pass under way: the finished ranges of ids, with
                      "ranges": [[0, 20000, 180]]}             the number of records in each
    }, "associations": {…
        "pairs": {"deals:contacts": "2026-11-23T20:00:00.000Z"},               up to when each pair's changes are read
        "pair_passes": {"deals:contacts": {                                    the pair's last full pass
            "at": "2026-11-23T20:00:00.000Z", "version": 1795464000000, "rows": 512}}},
    "properties": {"lists": {"contacts": 120, "deals": 80}}}}                  the length of each of HubSpot's lists

The `replication_key_value` of another tap's state is used as a bookmark. Meltano merges the state of a run with
`--full-refresh` into the old state, so a `full_pass` whose version is not above `version` is a leftover and ignored.
State without `pair_passes` is from an older release, which could mark associations that it had not read as deleted:
every pair is read in full once more. That release did not count records either: a range without a number of records
is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tap_hubspot_dw.reading.id_ranges import Range
from tap_hubspot_dw.reading.id_sets import pack, unpack
from tap_hubspot_dw.reading.saved_values import (
    object_at,
    text_at,
    texts_at,
    timestamp_at,
    type_name,
    whole_at,
)
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp

_FAR = timedelta(days=366)


@dataclass(frozen=True)
class FullPass:
    """A full pass under way: its table version, when it began and the finished ranges of ids."""

    version: int
    started_at: datetime
    ranges: tuple[Range, ...] = ()


@dataclass(frozen=True)
class PairPass:
    """The last full pass of a pair of object types: when it began, its version and its number of rows."""

    started_at: datetime
    version: int
    rows: int


@dataclass
class StreamState:
    """The state of a stream after earlier runs; every field is empty before the first run.

    `lists` has the lengths of HubSpot's lists at the last run; None if the length is unknown. `archived` is None if no
    run has read the list of archived objects, or if it was too long.
    """

    bookmark: datetime | None = None
    version: int = 0
    full_pass_at: datetime | None = None
    full_pass: FullPass | None = None
    pairs: dict[str, datetime] = field(default_factory=dict)
    pair_passes: dict[str, PairPass] = field(default_factory=dict)
    archived: set[int] | None = None
    lists: dict[str, int | None] = field(default_factory=dict)
    properties: set[int] = field(default_factory=set)
    lists_archived: bool = False
    restored_at: datetime | None = None
    records: int = 0
    portal: int | None = None
    object_type: str | None = None
    form: int | None = None

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> StreamState:
        """Return the state in a stream's bookmark; null counts as missing.

        Raises:
            ValueError: the bookmark is not from this tap or a similar one; the message says what is wrong.
        """
        version = 0 if saved.get("version") is None else whole_at("version", saved["version"])
        full_pass = _full_pass(object_at("full_pass", saved.get("full_pass")))
        if full_pass and full_pass.version <= version:
            full_pass = None
        pairs = object_at("pairs", saved.get("pairs"))
        lists: dict[str, int | None] = dict.fromkeys(texts_at("objects", saved.get("objects")))  # an older release's
        lists |= {name: whole_at("lists", length) for name, length in object_at("lists", saved.get("lists")).items()}
        return cls(
            bookmark=timestamp_at("replication_key_value", saved.get("replication_key_value")),
            version=version,
            full_pass_at=timestamp_at("full_pass_at", saved.get("full_pass_at")),
            full_pass=full_pass,
            pairs={pair: timestamp for pair, value in pairs.items() if (timestamp := timestamp_at("pairs", value))},
            pair_passes=_pair_passes(object_at("pair_passes", saved.get("pair_passes"))),
            lists=lists,
            archived=_ids("archived", saved.get("archived")),
            properties=_ids("properties", saved.get("properties")) or set(),
            lists_archived=bool(saved.get("archived_list") or saved.get("archived")),
            restored_at=timestamp_at("restored_at", saved.get("restored_at")),
            records=0 if saved.get("records") is None else whole_at("records", saved["records"]),
            portal=None if saved.get("portal") is None else whole_at("portal", saved["portal"]),
            form=None if saved.get("form") is None else whole_at("form", saved["form"]),
            object_type=text_at("object_type", saved.get("object_type")),
        )

    def to_json(self, replication_key: str | None) -> dict[str, Any]:
        """Return the bookmark to save, without empty fields."""
        saved: dict[str, Any] = {}
        if self.bookmark:
            saved |= {"replication_key": replication_key} if replication_key else {}
            saved["replication_key_value"] = format_timestamp(self.bookmark)
        if self.version:
            saved["version"] = self.version
        if self.full_pass_at:
            saved["full_pass_at"] = format_timestamp(self.full_pass_at)
        if self.pairs:
            saved["pairs"] = {pair: format_timestamp(timestamp) for pair, timestamp in self.pairs.items()}
        if self.pair_passes:
            saved["pair_passes"] = {
                pair: {"at": format_timestamp(last.started_at), "version": last.version, "rows": last.rows}
                for pair, last in self.pair_passes.items()
            }
        if self.lists:
            saved["lists"] = {name: count for name, count in self.lists.items() if count is not None}
            if unknown := [name for name, count in self.lists.items() if count is None]:
                saved["objects"] = unknown
        if self.archived is not None:
            saved["archived"] = pack(self.archived)
        if self.properties:
            saved["properties"] = pack(self.properties)
        if self.lists_archived:
            saved["archived_list"] = True
        if self.restored_at:
            saved["restored_at"] = format_timestamp(self.restored_at)
        if self.records:
            saved["records"] = self.records
        if self.portal:
            saved["portal"] = self.portal
        if self.object_type:
            saved["object_type"] = self.object_type
        if self.form is not None:
            saved["form"] = self.form
        if self.full_pass:
            saved["full_pass"] = {
                "version": self.full_pass.version,
                "started_at": format_timestamp(self.full_pass.started_at),
                # Also when empty: Meltano may merge this into a state that has the ranges of an older pass.
                "ranges": [[span.above, span.through, span.records] for span in self.full_pass.ranges],
            }
        return saved

    def begin_full_pass(self, started_at: datetime) -> FullPass:
        """Return the pass under way, or begin one with a version above all earlier ones."""
        if self.full_pass is None:
            self.full_pass = FullPass(self.next_version(started_at), started_at)
        return self.full_pass

    def forget_future(self, started_at: datetime) -> list[str]:
        """Forget a full pass begun in the future and versions far in it; return all times in the future.

        A run of a year ahead is possible with a wrong clock, and its rows have its version. Beyond that the state was
        edited, and rows with such a version would keep a target from ever marking deletions.
        """
        most, found = epoch_ms(started_at + _FAR), []
        if self.full_pass and self.full_pass.started_at > started_at:
            self.abandon_full_pass()
        if self.full_pass and self.full_pass.version > most:
            found.append(f"full_pass version {self.full_pass.version}")
            self.full_pass = None
        if self.version > most:
            found.append(f"version {self.version}")
            self.version = 0
        if self.full_pass_at and self.full_pass_at > started_at:
            found.append(f"full_pass_at {format_timestamp(self.full_pass_at)}")
        if self.restored_at and self.restored_at > started_at:
            found.append(f"restored_at {format_timestamp(self.restored_at)}")
            self.restored_at = started_at
        for name, last in list(self.pair_passes.items()):
            if last.version > most:
                found.append(f"{name} version {last.version}")
                del self.pair_passes[name]
            elif last.started_at > started_at:
                found.append(f"{name} at {format_timestamp(last.started_at)}")
        return found

    def abandon_full_pass(self) -> None:
        """Forget the pass under way, if any; the next one has a version above its rows'."""
        if self.full_pass:
            self.version, self.full_pass = max(self.version, self.full_pass.version), None

    def next_version(self, started_at: datetime) -> int:
        """Return a version above all earlier ones."""
        return max(epoch_ms(started_at), self.version + 1)

    def end_full_pass(self) -> None:
        """Record the pass under way as the last complete one."""
        if self.full_pass is None:
            raise ValueError("no full pass is under way")
        self.version, self.full_pass_at = self.full_pass.version, self.full_pass.started_at
        self.full_pass = None

    def is_full_pass_due(self, refresh: timedelta | None, started_at: datetime) -> bool:
        """Return whether a pass is under way, or the last one is older than `refresh` (None: never too old)."""
        return self.full_pass is not None or is_too_old(self.full_pass_at, refresh, started_at)


def is_too_old(timestamp: datetime | None, refresh: timedelta | None, started_at: datetime) -> bool:
    """Return whether data read at `timestamp` has to be read again; never if `refresh` is None.

    A timestamp in the future counts as too old: the clock was ahead when it was written.
    """
    if not refresh or not timestamp:
        return False
    return timestamp > started_at or started_at - timestamp >= refresh


def _ids(key: str, value: Any) -> set[int] | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{key} is {type_name(value)}, not a text")
    return unpack(value)


def _full_pass(saved: Mapping[str, Any]) -> FullPass | None:
    if not saved:
        return None
    started_at = timestamp_at("full_pass", saved.get("started_at"))
    ranges = saved.get("ranges")
    if started_at is None or not isinstance(ranges, list | None):
        raise ValueError("full_pass is not one that this tap began")
    return FullPass(
        whole_at("full_pass", saved.get("version")),
        started_at,
        tuple(_range(span) for span in ranges or () if not _is_uncounted(span)),
    )


def _is_uncounted(saved: Any) -> bool:
    """Return whether this range is from an older release, which did not count records."""
    return isinstance(saved, list) and len(saved) == 2 and bool(_range(saved))


def _range(saved: Any) -> Range:
    if not isinstance(saved, list) or len(saved) not in {2, 3}:
        raise ValueError("full_pass has a range that is not a pair of ids")
    above, through, *records = saved
    span = Range(
        whole_at("full_pass", above),
        None if through is None else whole_at("full_pass", through),
        *(whole_at("full_pass", count) for count in records),
    )
    if span.through is not None and span.through < span.above:
        raise ValueError("full_pass has a range that ends before it begins")
    return span


def _pair_passes(saved: Mapping[str, Any]) -> dict[str, PairPass]:
    passes = {}
    for pair, value in saved.items():
        values = object_at("pair_passes", value)
        at = timestamp_at("pair_passes", values.get("at"))
        if at and values.get("version") is not None:
            version, rows = (whole_at("pair_passes", values.get(key)) for key in ("version", "rows"))
            passes[pair] = PairPass(at, version, rows)
    return passes
