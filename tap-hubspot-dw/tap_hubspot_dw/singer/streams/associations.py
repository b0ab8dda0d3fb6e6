"""The stream of associations: which records are associated, with which labels, for every pair of the chosen objects.

A change of an association modifies neither record (observed), and its type id differs by direction. So each pair is
read from one fixed side, the type of higher rank. Every run reads again the ids that changed on either side, and
regular full passes find the associations that are gone. Ids come from the object streams while those are being read.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.errors import HubSpotError, ReplyError, RunStoppedError, UnknownPairError
from tap_hubspot_dw.http.rate_limits import ASSOCIATIONS
from tap_hubspot_dw.hubspot.association_reader import ASSOCIATION_INPUTS, AssociationReader
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.association_pairs import Group, Pair, pairs
from tap_hubspot_dw.reading.change_window import Window, change_window
from tap_hubspot_dw.reading.id_ranges import EVERYTHING
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.reading.stream_state import PairPass, StreamState, is_too_old
from tap_hubspot_dw.records.page_decoder import IDS_ONLY
from tap_hubspot_dw.records.record_forms import Record
from tap_hubspot_dw.records.schemas import KEY, TEXT
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.singer.events import Activation, Block, Event, Scope
from tap_hubspot_dw.singer.streams.base import HubSpotStream, described

if TYPE_CHECKING:
    from singer_sdk import Tap

_MOST_GROUPS = 8
_BLOCK_ROWS = 2_000
_OF_PAIR = ("from_object_type", "to_object_type")
_ENOUGH = 0.9  # of the associations that a pair had at its last full pass; fewer are read again
_DOUBT_SECONDS = 2.0
_LATE, _LATE_SHARE = 20, 0.02  # objects that HubSpot may count but not list, because its index lags
_UNREAD = (
    "Removed associations stay for now: scoped_versions is false, and this run did not read the associations of %s, "
    "which the table has."
)
_REQUESTS_AT_ONCE = 4  # per group; HubSpot allows 10 to 20 a second over all groups

SCHEMA = described(
    {
        "from_object_type": KEY,
        "from_id": KEY,
        "to_object_type": KEY,
        "to_id": KEY,
        "association_category": KEY,
        "association_type_id": {"type": ["integer"]},
        "label": TEXT,
    },
    "Associations between HubSpot's records: a row for each association type between two of them.",
)


class AssociationStream(HubSpotStream):
    """A row for each association type between two records."""

    primary_keys = (
        "from_object_type",
        "from_id",
        "to_object_type",
        "to_id",
        "association_category",
        "association_type_id",
    )

    def __init__(self, tap: Tap, run: Run) -> None:
        super().__init__(tap, run, "associations", SCHEMA)

    def begin(self) -> None:
        """Get ready for `events`, without the results of an earlier reading in this process."""
        super().begin()
        self._unknown: dict[str, str] = {}
        self._failed: dict[str, HubSpotError] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._rows_read = Counter[str]()
        self._reader = AssociationReader(self.portal, self.logger)
        self._before: dict[str, PairPass] = {}
        self._versions: dict[str, int] = {}  # of pairs whose changes are read; other pairs get the stream's version

    def read(self) -> Iterator[Event]:
        """Yield the associations of changed records; all associations of a pair that is new or due for a full pass.

        An activation, which marks removed associations, follows each pair that was read in full.

        Raises:
            HubSpotError: some pairs could not be read; the others are complete.
        """
        if self.run.settings.only_ids is not None:
            yield from self._chosen(self.run.settings.only_ids)
            return
        state = self.load_state()
        if state.full_pass:  # from an older release, over all pairs: its rows have that version
            state.version, state.full_pass = max(state.version, state.full_pass.version), None
        self._before = dict(state.pair_passes)
        known = {*state.pairs, *state.pair_passes}
        chosen = pairs(self.run.object_types, self.run.settings.association_pairs)
        groups = self._groups(state, chosen)
        is_whole = any(group.window is None for group in groups)
        changed = [group.pairs[0].name for group in groups if group.window]
        self._versions = {name: state.pair_passes[name].version for name in changed if name in state.pair_passes}
        self.done.mode = "full" if is_whole else "incremental"
        self.done.until = self.run.started_at
        if is_whole or not state.version:
            state.version = state.next_version(self.run.started_at)
        self.version = state.version
        for group, block in in_parallel(groups, self._group, workers=max(1, min(len(groups), _MOST_GROUPS))):
            if block is not None:
                yield block
                continue
            finished = [pair for pair in group.pairs if not {pair.name} & {*self._failed, *self._unknown}]
            state.pairs |= dict.fromkeys((pair.name for pair in finished), self.run.started_at)
            self.done.pairs |= {pair.name: self._rows_read[pair.name] for pair in finished}
            if group.window is None and finished:
                for pair in finished:
                    rows = self._rows_read[pair.name]
                    state.pair_passes[pair.name] = PairPass(self.run.started_at, state.version, rows)
                if self.run.settings.scoped_versions:
                    yield Activation(state.version, _scope(finished))
            yield self.checkpoint(state)
        self._check_failed()
        passes = [state.pair_passes[pair.name].started_at for pair in chosen if pair.name in state.pair_passes]
        if is_whole and known and not self.run.settings.scoped_versions:
            if unread := [name for name in sorted(known) if not self._has_read_all(state, name)]:
                self.logger.info(_UNREAD, ", ".join(unread))
            else:
                yield Activation(state.version)
        state.full_pass_at = min(passes, default=None)
        state.bookmark = self.run.started_at
        yield self.checkpoint(state)

    def _check_failed(self) -> None:
        if self._failed:
            first = next(iter(self._failed.values()))
            raise HubSpotError(f"{', '.join(self._failed)} could not be read: {first}") from first

    def _chosen(self, only_ids: Mapping[str, Iterable[str]]) -> Iterator[Block]:
        """Yield the associations of these records, on either side of a pair, as HubSpot has them now.

        Records that are not live are left out: HubSpot refuses a request that names one.
        """
        self.done.mode = "chosen"
        for pair in pairs(self.run.object_types, self.run.settings.association_pairs):
            firsts, seconds = (
                self._live(object_type, {int(id_) for id_ in only_ids.get(object_type.name, ())})
                for object_type in (pair.from_type, pair.to_type)
            )
            ids = firsts | self._partners(pair, _chunks(sorted(seconds)))
            for chunk in _chunks(sorted(ids)):
                for results in self._replies(pair, pair.from_type, pair.to_type, chunk):
                    rows = [row for result in results for row in _rows(pair, result)]
                    chosen = [r for r in rows if int(r["from_id"]) in firsts or int(r["to_id"]) in seconds]
                    self._rows_read[pair.name] += len(chosen)
                    yield self.block(chosen)
            if pair.name not in self._failed and pair.name not in self._unknown:
                self.done.pairs[pair.name] = self._rows_read[pair.name]
        self._check_failed()

    def _live(self, object_type: ObjectType, ids: set[int]) -> set[int]:
        """Return the ids that their object stream has read as live; all ids if there is no such stream."""
        feed = self.run.id_feeds.get(object_type.name)
        return ids if feed is None else ids.intersection(id_ for chunk in feed.arriving(len(ids) or 1) for id_ in chunk)

    def _has_read_all(self, state: StreamState, name: str) -> bool:
        """Return whether this run has read a pair in full."""
        last = state.pair_passes.get(name)
        return last is not None and last.started_at == self.run.started_at

    def _groups(self, state: StreamState, chosen: Iterable[Pair]) -> list[Group]:
        """Return the groups to read: pairs to read in full, grouped by the type they start from; each other pair alone.

        If HubSpot does not even answer whether it knows a pair, the pair has failed.
        """
        whole: dict[ObjectType, list[Pair]] = {}
        groups = []
        due = {pair.name for pair in chosen if self._is_due(state, pair)}
        for pair in chosen:
            since = state.pairs.get(pair.name)
            if since is not None:
                self._reader.take_as_known(pair.from_type, pair.to_type)
            is_left = since is None and state.bookmark is not None  # skipped by an earlier run as unknown
            try:
                is_unknown = is_left and not self._reader.is_known(pair.from_type, pair.to_type)
            except RunStoppedError:
                raise
            except HubSpotError as error:
                self._failed[pair.name] = error
                continue
            if is_unknown:
                self._skip(pair.name, "it refuses to read them")
            elif since is None or pair.name in due or (due and not self.run.settings.scoped_versions):
                whole.setdefault(pair.from_type, []).append(pair)
            else:
                window = change_window(since, self.run.settings.lookback, self.run.started_at)
                self.done.since = min(self.done.since or window.since, window.since)
                groups.append(Group((pair,), window))
        return [*(Group(tuple(chosen)) for chosen in whole.values()), *groups]

    def _is_due(self, state: StreamState, pair: Pair) -> bool:
        """Return whether a known pair is due for a full pass: its last one is too old or from an older release."""
        since, last = state.pairs.get(pair.name), state.pair_passes.get(pair.name)
        if since is None:
            return False  # a new pair is read in full anyway, if HubSpot knows it
        refresh, started_at = self.run.settings.association_refresh, self.run.started_at
        return (
            last is None
            or since > started_at
            or is_too_old(last.started_at, refresh, started_at)
            or is_too_old(state.full_pass_at, refresh, started_at)
        )

    def _group(self, group: Group) -> Iterator[Block]:
        """Yield the associations of a group of pairs; keep the error of a failed pair for the end."""
        try:
            if group.window:
                changed = self._changed_ids(group.pairs[0], group.window)
                yield from self._associated((group.pairs[0], chunk) for chunk in changed)
                return
            ids = self._all_ids(group.from_type)
            yield from self._associated((pair, chunk) for chunk in ids for pair in group.pairs)
            for pair in group.pairs:
                yield from self._doubted(pair)
        except RunStoppedError:
            raise
        except HubSpotError as error:
            for pair in group.pairs:
                self._failed.setdefault(pair.name, error)

    def _doubted(self, pair: Pair) -> Iterator[Block]:
        """Yield a pair's associations again if they are far fewer than before, or none at the pair's first full pass.

        Only a confirmed answer may delete: rows that the first answer omitted then get this version, too.
        """
        last, rows = self._before.get(pair.name), self._rows_read[pair.name]
        if pair.name in self._failed or pair.name in self._unknown or (rows >= last.rows * _ENOUGH if last else rows):
            return
        if last:
            warning = "%s: HubSpot has %d of the %d associations of the last full pass: reading them again to be sure."
            self.logger.warning(warning, pair.name, rows, last.rows)
        self.portal.api.wait(_DOUBT_SECONDS if last else 0)
        self._rows_read[pair.name] = 0
        ids = self._all_ids(pair.from_type)
        yield from self._associated((pair, chunk) for chunk in (ids if last else islice(ids, 1)))
        again = self._rows_read[pair.name]
        if not last and not again:
            return
        if not last or (again < last.rows * _ENOUGH and abs(again - rows) > last.rows * (1 - _ENOUGH) / 2):
            error = ReplyError(
                f"HubSpot gave {rows:,} associations of {pair.name}, and {again:,} when they were read again, so "
                "removed associations are not marked: run again later."
            )
            self._failed.setdefault(pair.name, error)

    def _associated(self, tasks: Iterable[tuple[Pair, list[int]]]) -> Iterator[Block]:
        """Yield the associations of each pair's ids, several requests at once."""

        def blocks(task: tuple[Pair, list[int]]) -> Iterator[Block]:
            pair, ids = task
            for results in self._replies(pair, pair.from_type, pair.to_type, ids):
                rows = (row for result in results for row in _rows(pair, result))
                while part := list(islice(rows, _BLOCK_ROWS)):  # a reply may hold half a million
                    yield self.block(part, version=self._versions.get(pair.name))

        for (pair, _), block in in_parallel(tasks, blocks, _REQUESTS_AT_ONCE, self.run.permits[ASSOCIATIONS]):
            if block is not None:
                self._rows_read[pair.name] += block.total
                yield block

    def _replies(
        self, pair: Pair, from_type: ObjectType, to_type: ObjectType, ids: list[int]
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield HubSpot's results for up to 1,000 ids, from either side of a pair.

        A pair that HubSpot does not know has no results and one warning; any other refusal fails only its pair.
        """
        direction = f"{from_type.name}:{to_type.name}"
        if direction in self._unknown or pair.name in self._failed:
            return
        try:
            yield from self._reader.read(from_type, to_type, ids)
        except RunStoppedError:
            raise
        except UnknownPairError as error:
            self._skip(direction, str(error))
        except HubSpotError as error:
            self._failed.setdefault(pair.name, error)

    def _skip(self, direction: str, why: str) -> None:
        if self._unknown.setdefault(direction, why) is why:
            self.logger.warning("HubSpot knows no associations of %s: skipped (%s).", direction, why)

    def _all_ids(self, object_type: ObjectType) -> Iterator[list[int]]:
        """Yield the ids of all live objects, from this run's own full pass if there is one, or else from the list."""
        feed, known = self.run.id_feeds.get(object_type.name), frozenset[int]()
        if feed is not None and feed.holds_all():
            yield from feed.arriving(ASSOCIATION_INPUTS)
            if feed.is_complete():
                return
            known = frozenset(id_ for chunk in feed.arriving(ASSOCIATION_INPUTS) for id_ in chunk)
        yield from _chunks(self._listed_ids(object_type, known))

    def _listed_ids(self, object_type: ObjectType, known: Collection[int]) -> Iterator[int]:
        """Yield the ids of all live objects but those known already, from a list that is as long as HubSpot counts.

        Raises:
            ReplyError: the list is much shorter, twice.
        """
        total, listed = self.portal.searches.count(object_type, EVERYTHING) or 0, set[int]()
        for _ in range(2):
            for page in self.portal.lists.live(object_type, IDS_ONLY):
                new = set(page.ids) - listed
                listed |= new
                yield from sorted(new.difference(known))
            if len(listed) + max(_LATE, total * _LATE_SHARE) >= total:
                return
        raise ReplyError(
            f"HubSpot lists {len(listed):,} {object_type.name} and counts {total:,}, so associations would be missed: "
            "run again later."
        )

    def _changed_ids(self, pair: Pair, window: Window) -> Iterator[list[int]]:
        """Yield the ids on the pair's first side that changed, or are associated with a changed id on the second."""
        firsts, seconds = (self._changed(object_type, window) for object_type in (pair.from_type, pair.to_type))
        if firsts.since is None or seconds.since is None:  # after a full pass everything counts as changed
            yield from self._all_ids(pair.from_type)
            return
        ids = {id_ for chunk in firsts.arriving(ASSOCIATION_INPUTS) for id_ in chunk}
        ids |= self._partners(pair, seconds.arriving(ASSOCIATION_INPUTS))
        yield from _chunks(sorted(ids))

    def _partners(self, pair: Pair, seconds: Iterable[list[int]]) -> set[int]:
        """Return the ids on the pair's first side that are associated with one of `seconds` on its second."""

        def partners(chunk: list[int]) -> Iterator[set[int]]:
            for results in self._replies(pair, pair.to_type, pair.from_type, chunk):
                yield {int(association["toObjectId"]) for result in results for association in result["to"]}

        ids = set[int]()
        for _, some_ids in in_parallel(seconds, partners, _REQUESTS_AT_ONCE, self.run.permits[ASSOCIATIONS]):
            ids |= some_ids or set()
        return ids

    def _changed(self, object_type: ObjectType, window: Window) -> IdFeed:
        """Return a feed of the ids that changed in the window: this run's own if it covers that, or else by search."""
        with self._lock_of(object_type.name):
            feed = self.run.id_feeds.get(object_type.name)
            if feed is None or not feed.holds_since(window.since):
                feed = IdFeed()
                feed.begin(window.since)
                self.portal.descriptions.check_searchable(object_type)
                for ids in self.portal.searches.changed_ids(object_type, window):
                    feed.add(ids)
                feed.end(complete=True)
                self.run.id_feeds[object_type.name] = feed
        return feed

    def _lock_of(self, name: str) -> threading.Lock:
        return self._locks.setdefault(name, threading.Lock())


def _scope(finished: Iterable[Pair]) -> Scope:
    return Scope(_OF_PAIR, tuple((pair.from_type.name, pair.to_type.name) for pair in finished))


def _rows(pair: Pair, result: dict[str, Any]) -> Iterator[Record]:
    for association in result["to"]:
        for association_type in association["associationTypes"]:
            yield {
                "from_object_type": pair.from_type.name,
                "from_id": str(result["from"]["id"]),
                "to_object_type": pair.to_type.name,
                "to_id": str(association["toObjectId"]),
                "association_category": association_type["category"],
                "association_type_id": association_type["typeId"],
                "label": association_type.get("label"),
            }


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    source = iter(ids)
    while chunk := list(islice(source, ASSOCIATION_INPUTS)):
        yield chunk
