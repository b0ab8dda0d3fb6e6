"""Associations: who is associated with whom, by which labels, for every pair of the chosen objects.

Changing an association touches neither record (observed), and it has another type id in each direction. So each
pair is read from one fixed side, its higher rank; every run reads again the ids that changed on either side; and a
full pass now and then shows which associations are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.errors import RequestError
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.parallel import in_parallel
from tap_hubspot_dw.portal import ASSOCIATION_INPUTS
from tap_hubspot_dw.records import Record
from tap_hubspot_dw.run import Run, SeenIds
from tap_hubspot_dw.schemas import KEY, TEXT
from tap_hubspot_dw.search import change_window
from tap_hubspot_dw.streams.base import HubSpotStream, described
from tap_hubspot_dw.timestamps import epoch_ms

if TYPE_CHECKING:
    from singer_sdk import Tap

SCHEMA = described(
    {
        "from_object_type": KEY,
        "from_id": KEY,
        "to_object_type": KEY,
        "to_id": KEY,
        "association_category": KEY,
        "association_type_id": {"type": ["integer"]},
        "label": TEXT,
    }
)


@dataclass(frozen=True)
class Pair:
    """Two object types whose associations are read from the first to the second."""

    from_kind: ObjectType
    to_kind: ObjectType

    @property
    def name(self) -> str:
        """How state and log call the pair."""
        return f"{self.from_kind.name}:{self.to_kind.name}"


def pairs(kinds: Iterable[ObjectType], chosen: Iterable[tuple[str, str]] | None) -> list[Pair]:
    """Return every unordered pair of `kinds`, or of those the `chosen` ones, each from its fixed side."""
    ordered = sorted(kinds, key=lambda kind: (kind.rank, kind.type_id), reverse=True)
    every = [Pair(kind, other) for i, kind in enumerate(ordered) for other in ordered[i:]]
    if chosen is None:
        return every
    wanted = {frozenset(names) for names in chosen}
    return [pair for pair in every if frozenset((pair.from_kind.name, pair.to_kind.name)) in wanted]


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

    def read(self) -> Iterator[Record]:
        """Yield the associations of changed records; of all records where a pair is new or a full pass is due."""
        state = self.load_state()
        full_pass = None
        if state.full_pass_at is None or state.is_full_pass_due(
            self.run.settings.association_refresh, self.run.started_at
        ):
            full_pass = state.begin_full_pass(self.run.started_at)
        self.done.mode = "full" if full_pass else "incremental"
        self.done.until = self.run.started_at
        state.version = state.version or epoch_ms(self.run.started_at) - 1
        self.set_version(full_pass.version if full_pass else state.version)
        for pair in pairs(self.run.kinds, self.run.settings.association_pairs):
            is_unfinished = full_pass is not None and pair.name not in full_pass.finished
            since = state.pairs.get(pair.name)
            yield from self._pair(pair, None if is_unfinished else since)
            state.pairs[pair.name] = self.run.started_at
            if is_unfinished and full_pass is not None:
                full_pass = state.full_pass = replace(full_pass, finished=(*full_pass.finished, pair.name))
            self.save_state(state)
        if full_pass:
            self.activate_version(full_pass.version)
            state.end_full_pass()
        state.bookmark = self.run.started_at
        self.save_state(state)

    def _pair(self, pair: Pair, bookmark: datetime | None) -> Iterator[Record]:
        """Yield a pair's associations: of every record, or of those that changed since the bookmark."""
        try:
            ids = self._all_ids(pair.from_kind) if bookmark is None else self._changed_ids(pair, bookmark)
            for results in self._associated(pair.from_kind, pair.to_kind, ids):
                for result in results:
                    yield from _rows(pair, result)
        except RequestError as error:
            if error.status not in {400, 404} or self.run.portal.is_pair_known(pair.from_kind, pair.to_kind):
                raise
            self.logger.warning("HubSpot knows no associations of %s: skipped (%s).", pair.name, error)

    def _associated(
        self, from_kind: ObjectType, to_kind: ObjectType, ids: Iterable[int]
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield HubSpot's association results for any number of ids, several requests at once."""

        def replies(chunk: list[int]) -> Iterator[list[dict[str, Any]]]:
            return self.run.portal.associations(from_kind, to_kind, chunk)

        for _, results in in_parallel(_chunks(ids), replies, self.run.settings.workers):
            if results is not None:
                yield results

    def _all_ids(self, kind: ObjectType) -> Iterable[int]:
        """Return the ids of all live objects, from this run's own full pass where there was one."""
        seen = self.run.seen.get(kind.name)
        if seen is not None and seen.since is None:
            return seen.ids
        return self._listed_ids(kind)

    def _listed_ids(self, kind: ObjectType) -> Iterator[int]:
        listed = SeenIds(since=None)
        for page in self.run.portal.listed(kind, ["hs_object_id"]):
            ids = [int(each["id"]) for each in page]
            listed.ids.extend(ids)
            yield from ids
        self.run.seen[kind.name] = listed

    def _changed_ids(self, pair: Pair, bookmark: datetime) -> Iterable[int]:
        """Return the ids on the pair's first side that changed, or are associated with one that changed."""
        window = change_window(bookmark, self.run.settings.lookback, self.run.started_at)
        self.done.since = min(self.done.since or window.since, window.since)
        changed = {}
        for kind in (pair.from_kind, pair.to_kind):
            seen = self.run.seen.get(kind.name)
            if seen is None or (seen.since is not None and seen.since > window.since):
                seen = SeenIds(since=window.since)
                for page, _ in self.run.portal.changed(kind, window, ["hs_object_id"]):
                    seen.ids.extend(int(each["id"]) for each in page)
                self.run.seen[kind.name] = seen
            if seen.since is None:  # a full pass: everything counts as changed
                return self._all_ids(pair.from_kind)
            changed[kind.name] = seen.ids
        ids = set(changed[pair.from_kind.name])
        for results in self._associated(pair.to_kind, pair.from_kind, changed[pair.to_kind.name]):
            ids.update(int(association["toObjectId"]) for result in results for association in result["to"])
        return sorted(ids)


def _rows(pair: Pair, result: dict[str, Any]) -> Iterator[Record]:
    for association in result["to"]:
        for each in association["associationTypes"]:
            yield {
                "from_object_type": pair.from_kind.name,
                "from_id": str(result["from"]["id"]),
                "to_object_type": pair.to_kind.name,
                "to_id": str(association["toObjectId"]),
                "association_category": each["category"],
                "association_type_id": each["typeId"],
                "label": each.get("label"),
            }


def _chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    source = iter(ids)
    while chunk := list(islice(source, ASSOCIATION_INPUTS)):
        yield chunk
