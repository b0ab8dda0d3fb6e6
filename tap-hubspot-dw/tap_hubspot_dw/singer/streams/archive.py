"""What was archived, and what was restored, since the last run.

HubSpot lists archived objects and counts them nowhere: what was in the list before is all that shows it to be whole.
It is read with doubt (`Portal.archived`), and a refusal of a list that HubSpot gave before fails the stream.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from tap_hubspot_dw.errors import HubSpotError, ReplyError, RequestError
from tap_hubspot_dw.hubspot.portal import HubSpotObject, Page, Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.records.full_records import Record, archived_records
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder
from tap_hubspot_dw.singer.events import Block
from tap_hubspot_dw.timestamps import parse_timestamp

# Meetings, communications, deal splits, carts: HubSpot answers 400 to a list of archived ones (observed).
_NO_ARCHIVED_LIST = frozenset({"0-47", "0-18", "0-72", "0-64"})
_WAITS = (1.0, 2.0)  # seconds between asking for a list of archived objects again
MOST_ARCHIVED = 10_000  # ids in the state, two or three bytes each; of a larger archive none are kept
_BLOCK_RECORDS = 1000


class ArchiveSweep:
    """The sweep of one object type; `to_block` makes the records of a page of live ones, `to_deletes` a block."""

    def __init__(
        self,
        portal: Portal,
        object_type: ObjectType,
        decoder: PageDecoder,
        to_block: Callable[[Page], Block],
        to_deletes: Callable[[Sequence[Record]], Block],
        logger: logging.Logger,
    ) -> None:
        self._portal = portal
        self._object_type = object_type
        self._decoder = decoder
        self._to_block = to_block
        self._to_deletes = to_deletes
        self._logger = logger

    def since(self, state: StreamState, since: datetime) -> Iterator[Block]:
        """Yield a delete record for each object archived since then; deleting does not touch last-modified.

        What was merged into it before is told with it: nothing else names that any more. Restoring need not touch
        last-modified either: what was archived at the last run and is not any more is read again, if it is live; by a
        full pass, too, which may have been past it when it was restored.

        Raises:
            HubSpotError: the list of archived objects is refused, or lacks some, though HubSpot gave it before.
        """
        archived: set[int] = set()
        for seconds in (*_WAITS, None):
            yield from self._archived_since(state, since, archived)
            lost = state.archived - archived
            for page in self._portal.live(self._object_type, sorted(lost), self._decoder):
                yield self._to_block(page)
                lost -= {int(each["id"]) for each in page}
            if not lost or not self._are_archived(lost):
                break
            if seconds is None:
                raise ReplyError(
                    f"HubSpot's list of archived {self._object_type.name} lacks some archived records, so the bookmark "
                    "stays: run again later."
                )
            self._portal.client.wait(seconds)
        state.archived = archived if len(archived) <= MOST_ARCHIVED else set()

    def _archived_since(self, state: StreamState, since: datetime, archived: set[int]) -> Iterator[Block]:
        """Yield the delete records of the objects archived since then, and put the ids of all into `archived`."""
        records: list[Record] = []
        for each in self._archived_objects(state):
            if int(each["id"]) in archived:
                continue
            archived.add(int(each["id"]))
            if parse_timestamp(each.get("archivedAt") or each["updatedAt"]) >= since:
                records += archived_records(each, IDS_ONLY.merged_ids(each["properties"]))
            if len(records) >= _BLOCK_RECORDS:
                yield self._to_deletes(records)
                records = []
        yield self._to_deletes(records)

    def _archived_objects(self, state: StreamState) -> Iterator[HubSpotObject]:
        """Yield the archived objects; none, with a warning, of a type whose list HubSpot never gave.

        A refusal may pass, so it is asked again.

        Raises:
            HubSpotError: it is refused, though HubSpot gave it before.
        """
        waits = iter(() if self._object_type.type_id in _NO_ARCHIVED_LIST and not state.lists_archived else _WAITS)
        while True:
            is_listed = False
            try:
                for each in self._portal.archived(self._object_type):
                    is_listed = True
                    yield each
                state.lists_archived = True
                return
            except RequestError as error:
                if is_listed or error.status not in {400, 404}:
                    raise
                if (seconds := next(waits, None)) is not None:
                    self._portal.client.wait(seconds)
                    continue
                if state.lists_archived:
                    raise HubSpotError(
                        f"HubSpot gave a list of archived {self._object_type.name} before and refuses it now "
                        f"({error}), so the bookmark stays: run again later; if HubSpot still refuses it, run once "
                        "with --full-refresh."
                    ) from error
                self._logger.warning(
                    "%s: HubSpot gives no list of archived records here (%s): a full pass shows deletions.",
                    self._object_type.name,
                    error,
                )
                return

    def _are_archived(self, ids: Collection[int]) -> bool:
        """Tell whether some of these are archived, where HubSpot says that; others are gone for good."""
        try:
            pages = self._portal.by_id(self._object_type, sorted(map(str, ids)), IDS_ONLY, archived=True)
            return any(int(each["id"]) in ids for page in pages for each in page)
        except RequestError as error:
            if error.status not in {400, 404}:
                raise
            return False
