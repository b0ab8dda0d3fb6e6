"""Batch reads: objects by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.http.replies import Reply, check_batch_errors
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.limits import LIST_PAGE_SIZE, Limits
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import PageDecoder


class BatchReads:
    """Reads objects of one account by their ids."""

    def __init__(self, api: Api, limits: Limits) -> None:
        self._api = api
        self._waits = (*limits.empty_page_waits, None)

    def live(self, object_type: ObjectType, ids: Sequence[int], decoder: PageDecoder) -> Iterator[ObjectPage]:
        """Yield pages of the live objects among these ids, without archived, merged and deleted ones."""
        for start in range(0, len(ids), LIST_PAGE_SIZE):
            yield self.page(object_type, ids[start : start + LIST_PAGE_SIZE], decoder)

    def page(self, object_type: ObjectType, ids: Sequence[int], decoder: PageDecoder) -> ObjectPage:
        """Return the live objects among up to 100 ids, in the order of the ids.

        For an id that was merged HubSpot gives the survivor (observed), which is left out unless its own id is given.
        """
        if not ids:
            return ObjectPage()
        where = self._api.path("batch_read", type=object_type.type_id)
        return self._batch(where, object_type, list(map(str, ids)), decoder).in_order_of(ids)

    def by_id(
        self, object_type: ObjectType, ids: Sequence[str], decoder: PageDecoder, *, archived: bool = False
    ) -> Iterator[ObjectPage]:
        """Yield pages of HubSpot's objects for these ids; for a merged one it is the survivor (observed)."""
        where = self._api.path("batch_read", type=object_type.type_id) + ("?archived=true" if archived else "")
        for start in range(0, len(ids), LIST_PAGE_SIZE):
            yield self._batch(where, object_type, ids[start : start + LIST_PAGE_SIZE], decoder)

    def _batch(self, where: str, object_type: ObjectType, ids: Sequence[str], decoder: PageDecoder) -> ObjectPage:
        """Return the results of a batch read of up to 100 ids; ids that the reply omits are requested again.

        Raises:
            ReplyError: HubSpot keeps omitting some ids.
        """
        page = ObjectPage()
        asked: Sequence[str] = ids
        for seconds in self._waits:
            body = {"inputs": [{"id": id_} for id_ in asked], "properties": decoder.names}
            reply = self._api.post(where, body, decoded=decoder.decode)
            check_batch_errors(reply, object_type.name)
            results: ObjectPage = reply["results"]
            page += results
            asked = _unexplained(asked, reply)
            if not asked:
                return page
            if seconds is not None:
                self._api.wait(seconds)
        raise ReplyError(
            f"HubSpot omits {len(asked)} {object_type.name} from the replies to a batch read: run again later."
        )


def _unexplained(asked: Sequence[str], reply: Reply) -> list[str]:
    """Return the ids that a batch read's reply omits: not in its results, merged into one of them, or in an error."""
    page: ObjectPage = reply["results"]
    explained = set(page.ids)
    for _, merged_ids in page.merges():
        explained.update(map(int, merged_ids))
    for error in reply.get("errors") or ():
        named = (error.get("context") or {}).get("ids")
        if not isinstance(named, list):
            return []  # HubSpot promises no field of an error: this one may be about any id
        explained.update(int(id_) for id_ in map(str, named) if id_.isdecimal())
    return [id_ for id_ in asked if int(id_) not in explained]
