"""The ids whose associations are read: all live ones, those that changed, or chosen ones.

They come from the object streams while those are being read, or else from lists and searches of this stream's own.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.hubspot.association_reader import ASSOCIATION_INPUTS
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.association_pairs import Pair
from tap_hubspot_dw.reading.change_window import Window
from tap_hubspot_dw.reading.id_ranges import EVERYTHING
from tap_hubspot_dw.reading.shared_ids import IdFeed
from tap_hubspot_dw.records.page_decoder import IDS_ONLY
from tap_hubspot_dw.singer.streams.association_rows import AssociationRows

if TYPE_CHECKING:
    from tap_hubspot_dw.singer.streams.stream_reading import StreamReading

_LATE, _LATE_SHARE = 20, 0.02  # objects that HubSpot may count but not list, because its index lags


class AssociationIds:
    """Yields ids, at most as many at a time as a request for associations may have. Thread-safe."""

    def __init__(self, reading: StreamReading, rows: AssociationRows) -> None:
        self._portal = reading.portal
        self._feeds = reading.run.id_feeds
        self._rows = rows
        self._locks: dict[str, threading.Lock] = {}

    def everything(self, object_type: ObjectType) -> Iterator[list[int]]:
        """Yield the ids of all live objects, from this run's own full pass if there is one, or else from the list."""
        feed, known = self._feeds.get(object_type.name), frozenset[int]()
        if feed is not None and feed.holds_all():
            yield from feed.arriving(ASSOCIATION_INPUTS)
            if feed.is_complete():
                return
            known = frozenset(id_ for chunk in feed.arriving(ASSOCIATION_INPUTS) for id_ in chunk)
        yield from chunks(self._listed(object_type, known))

    def _listed(self, object_type: ObjectType, known: Collection[int]) -> Iterator[int]:
        """Yield the ids of all live objects but those known already, from a list that is as long as HubSpot counts.

        Raises:
            ReplyError: the list is much shorter, twice.
        """
        total, listed = self._portal.searches.count(object_type, EVERYTHING) or 0, set[int]()
        for _ in range(2):
            for page in self._portal.lists.live(object_type, IDS_ONLY):
                new = set(page.ids) - listed
                listed |= new
                yield from sorted(new.difference(known))
            if len(listed) + max(_LATE, total * _LATE_SHARE) >= total:
                return
        raise ReplyError(
            f"HubSpot lists {len(listed):,} {object_type.name} and counts {total:,}, so associations would be missed: "
            "run again later."
        )

    def changed(self, pair: Pair, window: Window) -> Iterator[list[int]]:
        """Yield the ids on the pair's first side that changed, or are associated with a changed id on the second."""
        firsts, seconds = (self._feed(object_type, window) for object_type in (pair.from_type, pair.to_type))
        if firsts.since is None or seconds.since is None:  # after a full pass everything counts as changed
            yield from self.everything(pair.from_type)
            return
        ids = {id_ for chunk in firsts.arriving(ASSOCIATION_INPUTS) for id_ in chunk}
        ids |= self._rows.partners(pair, seconds.arriving(ASSOCIATION_INPUTS))
        yield from chunks(sorted(ids))

    def _feed(self, object_type: ObjectType, window: Window) -> IdFeed:
        """Return a feed of the ids that changed in the window: this run's own if it covers that, or else by search."""
        with self._locks.setdefault(object_type.name, threading.Lock()):
            feed = self._feeds.get(object_type.name)
            if feed is None or not feed.holds_since(window.since):
                feed = IdFeed()
                feed.begin(window.since)
                self._portal.descriptions.check_searchable(object_type)
                for ids in self._portal.searches.changed_ids(object_type, window):
                    feed.add(ids)
                feed.end(complete=True)
                self._feeds[object_type.name] = feed
        return feed

    def live(self, object_type: ObjectType, ids: set[int]) -> set[int]:
        """Return the ids that their object stream has read as live; all ids if there is no such stream."""
        feed = self._feeds.get(object_type.name)
        return ids if feed is None else ids.intersection(id_ for chunk in feed.arriving(len(ids) or 1) for id_ in chunk)


def chunks(ids: Iterable[int]) -> Iterator[list[int]]:
    """Yield the ids in lists that one request for associations may have."""
    source = iter(ids)
    while chunk := list(islice(source, ASSOCIATION_INPUTS)):
        yield chunk
