"""Searches: counts, and the objects in a range of ids or modified in a window.

The search index may lag (documented), so no search alone shows that an object is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tap_hubspot_dw.errors import ReplyError, RequestError
from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.rate_limits import SEARCH
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.limits import Limits
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import UnsortedError, Window, check_ascending, is_last, search_body
from tap_hubspot_dw.reading.id_ranges import EVERYTHING, Range
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder

_SLICES_A_PAGE = 100  # two per halving, from centuries down to milliseconds


class Searches:
    """Searches the objects of one account."""

    def __init__(self, api: Api, limits: Limits) -> None:
        self._api = api
        self._limits = limits
        self._page_size = 2 * limits.page_size

    def count(self, object_type: ObjectType, span: Range = EVERYTHING, window: Window | None = None) -> int | None:
        """Return the search index's count of live objects in a range of ids, of those modified in a window if given.

        None if HubSpot refuses the search.
        """
        body = search_body(object_type.modified_property, window, ["hs_object_id"], span, 1)
        try:
            return int(self._api.post(self._path(object_type), body, budget=SEARCH, decoded=shapes.counted)["total"])
        except RequestError:
            return None

    def boundaries(
        self, object_type: ObjectType, above: int, window: Window | None = None, *, expected: int | None = None
    ) -> Iterator[int]:
        """Yield the id of every 10,000th object above an id, and of the last; with a window, of those modified in it.

        These are hints only, as the index may lack objects. `expected` is its count, if known.
        """
        most = self._limits.range_records
        left = most if expected is None else expected
        while left >= self._limits.least_to_split:
            offset = min(left, most) - 1
            body = search_body(object_type.modified_property, window, ["hs_object_id"], Range(above), 1)
            body["after"] = str(offset)
            try:
                reply = self._api.post(self._path(object_type), body, budget=SEARCH, decoded=IDS_ONLY.decode)
            except RequestError:  # not searchable: the list is one range
                return
            ids, total = reply["results"].ids, int(reply.get("total", 0))
            if ids and ids[0] > above:
                above = ids[0]
                yield above
                left = total - offset - 1 if total != self._limits.search_results else most  # may be capped (hearsay)
            elif not ids and total <= offset:
                left = total
            else:
                return

    def changed(
        self, object_type: ObjectType, window: Window | None, decoder: PageDecoder, span: Range = EVERYTHING
    ) -> Iterator[tuple[ObjectPage, int]]:
        """Yield pages of the live objects in a range of ids, by ascending id; with a window, of those modified in it.

        Each page comes with the number of objects in it and after it.

        Raises:
            UnsortedError: HubSpot does not sort this search by id.
        """
        while True:
            body = search_body(object_type.modified_property, window, decoder.names, span, self._page_size)
            reply = self._first_page(self._path(object_type), body, decoder)
            page: ObjectPage = reply["results"]
            check_ascending(page.ids, span.above)
            yield page, int(reply.get("total", len(page)))
            if is_last(reply) or not page:
                return
            span = Range(page.ids[-1], span.through)

    def changed_ids(self, object_type: ObjectType, window: Window) -> Iterator[list[int]]:
        """Yield the ids of the live objects modified in the window; some perhaps twice."""
        try:
            for page, _ in self.changed(object_type, window, IDS_ONLY):
                yield list(page.ids)
        except UnsortedError:
            for page in self.changed_in_slices(object_type, window, IDS_ONLY):
                yield list(page.ids)

    def changed_in_slices(self, object_type: ObjectType, window: Window, decoder: PageDecoder) -> Iterator[ObjectPage]:
        """Yield pages of the live objects modified in the window, in any order, from slices that fit on one page.

        The window is halved until a slice fits. Slices are read in order of time, and the last has no end, so it
        contains the objects that are edited during reading.

        Raises:
            ReplyError: more objects share a millisecond, or change during reading, than a search returns, or HubSpot
                ignores the window.
        """
        url = self._path(object_type)
        slices, now, asked, most = [window], self._api.client.now(), 0, 1
        while slices:
            if asked >= most:
                raise ReplyError(f"HubSpot's search at {url} ignores its slices of time: run again later.")
            part = slices.pop()
            body = search_body(object_type.modified_property, part, decoder.names, EVERYTHING, self._page_size)
            reply = self._first_page(url, body, decoder)
            total = int(reply.get("total", 0))
            asked, most = asked + 1, max(most, _SLICES_A_PAGE * (total // self._page_size + 2))
            if is_last(reply):
                yield reply["results"]
            elif halves := part.halves(now):
                slices += reversed(halves)
            elif total > self._limits.search_results:
                raise ReplyError(
                    f"{total:,} {object_type.name} changed in the same millisecond, and HubSpot does not sort them "
                    "by id: run with --full-refresh."
                    if part.until
                    else f"{total:,} {object_type.name} changed while changes were read, and HubSpot does not sort "
                    "them by id: run again."
                )
            else:
                yield from self._by_offset(url, body, reply, decoder)

    def _by_offset(self, url: str, body: dict[str, Any], reply: Reply, decoder: PageDecoder) -> Iterator[ObjectPage]:
        """Yield the pages of a search by `after`, from its first; read again if objects that left it shifted others.

        Raises:
            ReplyError: HubSpot counts more objects than it returns.
        """
        ids: set[int] = set()
        for _ in self._limits.empty_page_waits:
            read = 0
            while True:
                yield reply["results"]
                ids.update(reply["results"].ids)
                if not reply.get("paging") or read > int(reply.get("total", 0)):
                    break
                read += len(reply["results"])  # not its `after`, which skips objects that a short page omits
                reply = self._first_page(url, {**body, "after": str(read)}, decoder)
            if len(ids) >= int(reply.get("total", 0)):
                return
            reply = self._first_page(url, body, decoder)
        raise ReplyError(f"HubSpot's search at {url} counts {reply.get('total')} and returns {len(ids)}: run again.")

    def _first_page(self, url: str, body: dict[str, Any], decoder: PageDecoder) -> Reply:
        """Return a search's reply; retry while the page is empty although it has a cursor (observed).

        Following the cursor would skip the objects that the empty page omits.

        Raises:
            ReplyError: the page stays empty.
        """
        for seconds in (*self._limits.empty_page_waits, None):
            reply = self._api.post(url, body, budget=SEARCH, decoded=decoder.decode)
            if reply["results"] or is_last(reply):
                return reply
            if seconds is not None:
                self._api.wait(seconds)
        raise ReplyError(
            f"HubSpot's search at {url} counts {reply.get('total')} more records and returns none: run again later."
        )

    def _path(self, object_type: ObjectType) -> str:
        return self._api.path("search", type=object_type.type_id)
