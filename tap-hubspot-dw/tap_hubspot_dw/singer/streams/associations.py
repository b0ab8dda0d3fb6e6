"""The stream of associations: which records are associated, with which labels, for every pair of the chosen objects.

A change of an association modifies neither record (observed), and its type id differs by direction. So each pair is
read from one fixed side, the type of higher rank. Every run reads again the ids that changed on either side, and
regular full passes find the associations that are gone. Ids come from the object streams while those are being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from tap_hubspot_dw.errors import HubSpotError, ReplyError, RunStoppedError
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.association_pairs import Group, Pair, pairs
from tap_hubspot_dw.reading.change_window import change_window
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.reading.stream_state import PairPass, StreamState, is_too_old
from tap_hubspot_dw.records.schemas import KEY, TEXT
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.singer.events import Activation, Block, Event, Scope
from tap_hubspot_dw.singer.streams.association_ids import AssociationIds, chunks
from tap_hubspot_dw.singer.streams.association_rows import AssociationRows, rows_of
from tap_hubspot_dw.singer.streams.base import HubSpotStream, described
from tap_hubspot_dw.singer.streams.saved_state import state_of
from tap_hubspot_dw.singer.streams.stream_reading import StreamReading

if TYPE_CHECKING:
    from singer_sdk import Tap

_MOST_GROUPS = 8
_OF_PAIR = ("from_object_type", "to_object_type")
_ENOUGH = 0.9  # of the associations that a pair had at its last full pass; fewer are read again
_DOUBT_SECONDS = 2.0
_UNREAD = (
    "Removed associations stay for now: scoped_versions is false, and this run did not read the associations of %s, "
    "which the table has."
)

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

    def new_reading(self) -> StreamReading:
        """Return a reading of the associations."""
        return AssociationReading(self)


class AssociationReading(StreamReading):
    """Reads the associations of all pairs, each in full or the changes."""

    def __init__(self, stream: AssociationStream) -> None:
        super().__init__(stream)
        self._rows = AssociationRows(self)
        self._ids = AssociationIds(self, self._rows)
        self._pairs = pairs(self.run.object_types, self.run.settings.association_pairs)
        #: The last run that found a restored record of this type.
        self._restored_at = {each.name: self._state_of(each).restored_at for each in self.run.object_types}
        self._before: dict[str, PairPass] = {}  # the last full pass of each pair
        self._versions: dict[str, int] = {}  # of the rows of each pair

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
        state.abandon_full_pass()  # of an older release, over all pairs
        self._before = dict(state.pair_passes)
        if self.has_new_form(state):
            self.logger.warning("%s: stream_maps changed since the last run: reading everything.", self.name)
            state.pair_passes = {}
        known = {*state.pairs, *state.pair_passes}
        groups = self._groups(state)
        is_whole = any(group.window is None for group in groups)
        self.done.mode = "full" if is_whole else "incremental"
        self.done.until = self.run.started_at
        if is_whole or not state.version:
            state.version = state.next_version(self.run.started_at)
        self._versions = _versions(groups, state)
        for group, block in in_parallel(groups, self._group, workers=max(1, min(len(groups), _MOST_GROUPS))):
            if block is not None:
                yield block
            else:
                yield from self._finished(group, state)
        self._rows.check()
        if is_whole and known and not self.run.settings.scoped_versions:
            if unread := [name for name in sorted(known) if not self._has_read_all(state, name)]:
                self.logger.info(_UNREAD, ", ".join(unread))
            else:
                yield Activation(state.version)
        passes = [state.pair_passes[pair.name].started_at for pair in self._pairs if pair.name in state.pair_passes]
        state.full_pass_at = min(passes, default=None)
        state.bookmark = self.run.started_at
        yield self.checkpoint(state)

    def _finished(self, group: Group, state: StreamState) -> Iterator[Event]:
        """Yield what follows a group that was read: an activation if it was read in full, and a checkpoint."""
        finished = [pair for pair in group.pairs if self._rows.is_read(pair)]
        state.pairs |= dict.fromkeys((pair.name for pair in finished), self.run.started_at)
        self.done.pairs |= {pair.name: self._rows.read[pair.name] for pair in finished}
        if group.window is None and finished:
            for pair in finished:
                rows = self._rows.read[pair.name]
                state.pair_passes[pair.name] = PairPass(self.run.started_at, state.version, rows)
            if self.run.settings.scoped_versions:
                ends = tuple((pair.from_type.name, pair.to_type.name) for pair in finished)
                yield Activation(state.version, Scope(_OF_PAIR, ends))
        yield self.checkpoint(state)

    def _chosen(self, only_ids: Mapping[str, Iterable[str]]) -> Iterator[Block]:
        """Yield the associations of these records, on either side of a pair, as HubSpot has them now.

        Records that are not live are left out: HubSpot refuses a request that names one.
        """
        self.done.mode = "chosen"
        for pair in self._pairs:
            firsts, seconds = (
                self._ids.live(object_type, {int(id_) for id_ in only_ids.get(object_type.name, ())})
                for object_type in (pair.from_type, pair.to_type)
            )
            ids = firsts | self._rows.partners(pair, chunks(sorted(seconds)))
            for chunk in chunks(sorted(ids)):
                for results in self._rows.replies(pair, pair.from_type, pair.to_type, chunk):
                    rows = [row for result in results for row in rows_of(pair, result)]
                    chosen = [r for r in rows if int(r["from_id"]) in firsts or int(r["to_id"]) in seconds]
                    self._rows.read[pair.name] += len(chosen)
                    yield self.blocks.block(chosen)
            if self._rows.is_read(pair):
                self.done.pairs[pair.name] = self._rows.read[pair.name]
        self._rows.check()

    def _has_read_all(self, state: StreamState, name: str) -> bool:
        """Return whether this run has read a pair in full."""
        last = state.pair_passes.get(name)
        return last is not None and last.started_at == self.run.started_at

    def _groups(self, state: StreamState) -> list[Group]:
        """Return the groups to read: pairs to read in full, grouped by the type they start from; each other pair alone.

        If HubSpot does not even answer whether it knows a pair, the pair has failed.
        """
        whole: dict[ObjectType, list[Pair]] = {}
        groups = []
        due = {pair.name for pair in self._pairs if self._is_due(state, pair)}
        for pair in self._pairs:
            since = state.pairs.get(pair.name)
            if since is not None:
                self._rows.reader.take_as_known(pair.from_type, pair.to_type)
            is_left = since is None and state.bookmark is not None  # skipped by an earlier run as unknown
            try:
                is_unknown = is_left and not self._rows.reader.is_known(pair.from_type, pair.to_type)
            except RunStoppedError:
                raise
            except HubSpotError as error:
                self._rows.fail(pair, error)
                continue
            if is_unknown:
                self._rows.skip(pair.name, "it refuses to read them")
            elif since is None or pair.name in due or (due and not self.run.settings.scoped_versions):
                whole.setdefault(pair.from_type, []).append(pair)
            else:
                window = change_window(since, self.run.settings.lookback, self.run.started_at)
                self.done.since = min(self.done.since or window.since, window.since)
                groups.append(Group((pair,), window))
        return [*(Group(tuple(chosen)) for chosen in whole.values()), *groups]

    def _state_of(self, object_type: ObjectType) -> StreamState:
        """Return the state of the stream of these objects."""
        return state_of(object_type.name, self.stream.tap_state.get("bookmarks", {}).get(object_type.name, {}))

    def _is_due(self, state: StreamState, pair: Pair) -> bool:
        """Return whether a known pair is due for a full pass.

        Its last one is too old or from an older release, or it began before a record was seen to be restored.
        """
        since, last = state.pairs.get(pair.name), state.pair_passes.get(pair.name)
        if since is None:
            return False  # a new pair is read in full anyway, if HubSpot knows it
        refresh, started_at = self.run.settings.association_refresh, self.run.started_at
        restored_at = (self._restored_at[end.name] for end in (pair.from_type, pair.to_type))
        return (
            last is None
            or any(at and at >= last.started_at for at in restored_at)
            or since > started_at
            or is_too_old(last.started_at, refresh, started_at)
            or is_too_old(state.full_pass_at, refresh, started_at)
        )

    def _group(self, group: Group) -> Iterator[Block]:
        """Yield the associations of a group of pairs; keep the error of a failed pair for the end."""
        try:
            if group.window:
                changed = self._ids.changed(group.pairs[0], group.window)
                yield from self._rows.blocks(((group.pairs[0], chunk) for chunk in changed), self._versions)
                return
            ids = self._ids.everything(group.from_type)
            yield from self._rows.blocks(((pair, chunk) for chunk in ids for pair in group.pairs), self._versions)
            for pair in group.pairs:
                yield from self._doubted(pair)
        except RunStoppedError:
            raise
        except HubSpotError as error:
            for pair in group.pairs:
                self._rows.fail(pair, error)

    def _doubted(self, pair: Pair) -> Iterator[Block]:
        """Yield a pair's associations again if they are far fewer than before, or none at the pair's first full pass.

        Only a confirmed answer may delete: rows that the first answer omitted then get this version, too.
        """
        last, rows = self._before.get(pair.name), self._rows.read[pair.name]
        if not self._rows.is_read(pair) or (rows >= last.rows * _ENOUGH if last else rows):
            return
        if last:
            warning = "%s: HubSpot has %d of the %d associations of the last full pass: reading them again to be sure."
            self.logger.warning(warning, pair.name, rows, last.rows)
        self.portal.api.wait(_DOUBT_SECONDS if last else 0)
        self._rows.read[pair.name] = 0
        ids = self._ids.everything(pair.from_type)
        tasks = ((pair, chunk) for chunk in (ids if last else islice(ids, 1)))
        yield from self._rows.blocks(tasks, self._versions)
        again = self._rows.read[pair.name]
        if not last and not again:
            return
        if not last or (again < last.rows * _ENOUGH and abs(again - rows) > last.rows * (1 - _ENOUGH) / 2):
            error = ReplyError(
                f"HubSpot gave {rows:,} associations of {pair.name}, and {again:,} when they were read again, so "
                "removed associations are not marked: run again later."
            )
            self._rows.fail(pair, error)


def _versions(groups: Iterable[Group], state: StreamState) -> dict[str, int]:
    """Return the version of each pair's rows: that of its last full pass if only changes are read."""
    versions = {pair.name: state.version for group in groups for pair in group.pairs}
    for name in [group.pairs[0].name for group in groups if group.window]:
        if (last := state.pair_passes.get(name)) and last.version:
            versions[name] = last.version
    return versions
