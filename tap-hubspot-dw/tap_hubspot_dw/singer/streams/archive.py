"""The objects archived and restored since the last run.

HubSpot lists archived objects but counts them nowhere, so only comparison with the previous list shows whether a list
is complete. Every reply is checked (`Lists.archived`), and the stream fails if HubSpot refuses a list that it gave
before. The list may be late, so a record in it is requested by id before it is marked as deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from tap_hubspot_dw.errors import HubSpotError, ReplyError, RequestError
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.records.delete_records import archived_records
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import IDS_ONLY
from tap_hubspot_dw.singer.events import Block
from tap_hubspot_dw.singer.streams.object_source import ObjectSource
from tap_hubspot_dw.timestamps import EPOCH, parse_timestamp

# Meetings, communications, deal splits, carts: HubSpot answers 400 to a list of archived objects (observed).
_NO_ARCHIVED_LIST = frozenset({"0-47", "0-18", "0-72", "0-64"})
MOST_ARCHIVED = 10_000  # ids in the state, two or three bytes each; the ids of a larger archive are not kept

#: The id of an object, when it was archived, and the ids of those merged into it before.
Archival = tuple[int, str, list[str]]


class ArchiveSweep:
    """The sweep of one object type."""

    def __init__(self, source: ObjectSource) -> None:
        self._source = source
        self._portal, self._object_type = source.portal, source.object_type

    def since(self, state: StreamState, since: datetime) -> Iterator[Block]:
        """Yield a delete record for each object archived since a timestamp, and the objects restored meanwhile.

        Archiving does not change the last-modified date. An archived object also yields delete records of the objects
        merged into it before: no other reply names them any more. Restoring need not change the last-modified date
        either: so an object that was archived at the last run and no longer is gets read again if it is live. A full
        pass does this too, as it may have passed the object's id before it was restored. Its associations may have
        been marked as removed, and its date brings them back no more than it does the object: so the state notes the
        run, and full passes of its pairs follow.

        With the setting `archived_from_start` the first list yields all its objects, whenever they were archived.

        Raises:
            HubSpotError: HubSpot refuses the list of archived objects although it gave it before, or the list lacks
                some archived objects.
        """
        if self._source.run.settings.archived_from_start and not state.lists_archived:
            since = EPOCH
        archived: set[int] = set()
        for seconds in (*self._portal.limits.archived_list_waits, None):
            yield from self._archived_since(state, since, archived)
            lost = (state.archived or set()) - archived
            for page in self._live(lost):
                yield self._source.to_block(page)
                lost.difference_update(page.ids)
                if page.ids:
                    state.restored_at = self._source.run.started_at
            if not lost or not self._are_archived(lost):
                break
            if seconds is None:
                raise ReplyError(
                    f"HubSpot's list of archived {self._object_type.name} lacks some archived records, so the bookmark "
                    "stays: run again later."
                )
            self._portal.api.wait(seconds)
        is_known = state.lists_archived and len(archived) <= MOST_ARCHIVED
        state.archived = archived if is_known else None

    def _archived_since(self, state: StreamState, since: datetime, archived: set[int]) -> Iterator[Block]:
        """Yield the delete records of the objects archived since a timestamp; add the ids of all to `archived`.

        An object that the last run did not find in the list is new whatever its date: the list can be late, and the
        date can be missing or wrong. If that list is not known, only a missing date counts as new.
        """
        found: list[Archival] = []
        for page in self._pages(state):
            undated = page.undated()
            for archival in page.archivals():
                id_, archived_at, _ = archival
                if id_ in archived:
                    continue
                archived.add(id_)
                is_dated = id_ not in undated
                is_unknown = (state.archived is not None or not is_dated) and id_ not in (state.archived or ())
                if is_unknown or (is_dated and parse_timestamp(archived_at) >= since):
                    found.append(archival)
                if len(found) >= self._portal.limits.archived_block:
                    yield from self._gone(found)
                    found = []
        yield from self._gone(found)

    def _gone(self, found: Sequence[Archival]) -> Iterator[Block]:
        """Yield the delete records of archived objects; those that are live after all are read instead.

        HubSpot's list can be late: it may still have an object that was restored.
        """
        live: set[int] = set()
        for page in self._live(id_ for id_, _, _ in found):
            yield self._source.to_block(page)
            live.update(page.ids)
        gone = (archived_records(*archival) for archival in found if archival[0] not in live)
        yield self._source.deletes([record for records in gone for record in records])

    def _live(self, ids: Iterable[int]) -> Iterator[ObjectPage]:
        return self._portal.batch_reads.live(self._object_type, sorted(ids), self._source.decoder)

    def _pages(self, state: StreamState) -> Iterator[ObjectPage]:
        """Yield pages of the archived objects; none, with a warning, if HubSpot refuses the list and never gave it.

        A refusal may be temporary, so it is retried.

        Raises:
            HubSpotError: HubSpot refuses the list although it gave it before.
        """
        is_refused = self._object_type.type_id in _NO_ARCHIVED_LIST and not state.lists_archived
        waits = iter(() if is_refused else self._portal.limits.archived_list_waits)
        while True:
            is_listed = False
            try:
                for page in self._portal.lists.archived(self._object_type):
                    is_listed = is_listed or len(page) > 0
                    yield page
                state.lists_archived = True
                return
            except RequestError as error:
                if is_listed or error.status not in {400, 404}:
                    raise
                if (seconds := next(waits, None)) is not None:
                    self._portal.api.wait(seconds)
                    continue
                if state.lists_archived:
                    raise HubSpotError(
                        f"HubSpot gave a list of archived {self._object_type.name} before and refuses it now "
                        f"({error}), so the bookmark stays: run again later; if HubSpot still refuses it, run once "
                        "with --full-refresh."
                    ) from error
                self._source.logger.warning(
                    "%s: HubSpot gives no list of archived records here (%s): a full pass shows deletions.",
                    self._object_type.name,
                    error,
                )
                return

    def _are_archived(self, ids: Collection[int]) -> bool:
        """Return whether HubSpot says that some of these objects were archived before this run began.

        One that was archived since comes with the next run; the others are deleted for good.
        """
        started_at = self._source.run.started_at
        try:
            pages = self._portal.batch_reads.by_id(self._object_type, sorted(map(str, ids)), IDS_ONLY, archived=True)
            return any(
                id_ in ids and (id_ in page.undated() or parse_timestamp(archived_at) < started_at)
                for page in pages
                for id_, archived_at, _ in page.archivals()
            )
        except RequestError as error:
            if error.status not in {400, 404}:
                raise
            return False
