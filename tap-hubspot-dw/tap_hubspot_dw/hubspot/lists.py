"""Lists of objects: all live or archived objects of a type, or the live ones in a range of ids.

A list's URL names the properties. If it is too long, the list gives only ids, and batch reads get the properties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

from tap_hubspot_dw.errors import ReplyError, RequestError
from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.client import Decode
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.batch_reads import BatchReads
from tap_hubspot_dw.hubspot.limits import LIST_PAGE_SIZE, Limits
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.id_ranges import NotPositionalError, Slice, checked_last
from tap_hubspot_dw.records.object_page import ObjectPage
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder

_LONGEST_URL = 15_000  # HubSpot's proxy answers 414 from about 16,200 characters (observed), or fewer (hearsay)
_TOO_LONG = frozenset({414, 431})


class LongestUrl:
    """The characters of the longest URL of a list that HubSpot accepts, as far as the run knows."""

    def __init__(self) -> None:
        self.characters = _LONGEST_URL


class Lists:
    """Reads the lists of one account."""

    def __init__(self, api: Api, batch_reads: BatchReads, limits: Limits, longest_url: LongestUrl) -> None:
        self._api = api
        self._batch_reads = batch_reads
        self._limits = limits
        self._longest_url = longest_url

    def live(self, object_type: ObjectType, decoder: PageDecoder) -> Iterator[ObjectPage]:
        """Yield pages of all live objects by HubSpot's own cursor; some objects perhaps twice."""

        def pages() -> Iterator[ObjectPage]:
            params, listed = self._params(object_type, decoder)
            for page in self._whole(self._path(object_type), params, listed.decode):
                yield page if listed is decoder else self._batch_reads.page(object_type, page.ids, decoder)

        return self._by_ids_if_refused(object_type, decoder, pages)

    def live_range(self, object_type: ObjectType, decoder: PageDecoder, id_slice: Slice) -> Iterator[ObjectPage]:
        """Yield pages of the live objects in a range of ids, starting above the last id reached.

        Reading ends where HubSpot says that the list ends, which may be too early: see `Account`.

        Raises:
            NotPositionalError: HubSpot's list cannot be entered at an id.
        """
        return self._by_ids_if_refused(object_type, decoder, lambda: self._range(object_type, decoder, id_slice))

    def _range(self, object_type: ObjectType, decoder: PageDecoder, id_slice: Slice) -> Iterator[ObjectPage]:
        params, listed = self._params(object_type, decoder)
        above, waits = id_slice.reached, iter(self._limits.short_page_waits)
        while True:
            try:
                shifted = {**params, "after": str(above + 1)} if above else params
                reply = self._api.get(self._path(object_type), shifted, decoded=listed.decode)
            except RequestError as error:
                if above and error.status == 400:
                    raise NotPositionalError(str(error)) from error
                raise
            page: ObjectPage = reply["results"]
            last = checked_last(page.ids, shapes.cursor(reply), above, int(params["limit"]))
            through = id_slice.reach(last, len(page))
            page = page.between(above, through)
            yield page if listed is decoder else self._batch_reads.page(object_type, page.ids, decoder)
            if not reply.get("paging") or (through is not None and last >= through):
                return
            if last == above:
                if (seconds := next(waits, None)) is None:
                    raise NotPositionalError(f"an empty page at id {above} has a cursor")
                self._api.wait(seconds)
            above = last

    def archived(self, object_type: ObjectType) -> Iterator[ObjectPage]:
        """Yield pages of every object archived in the last 90 days (documented), decoded by `IDS_ONLY`.

        Some come perhaps twice.

        Raises:
            RequestError: this object type has no list of archived objects (observed for some), or not now.
        """
        params = {"limit": str(LIST_PAGE_SIZE), "archived": "true", "properties": ",".join(IDS_ONLY.names)}
        return self._whole(self._path(object_type), params, IDS_ONLY.decode)

    def _whole(self, where: str, params: dict[str, str], decoded: Decode) -> Iterator[ObjectPage]:
        """Yield the pages of a list of objects, and check every reply that may be incomplete.

        A short page whose cursor skips ids is requested again. Lists are sorted by id and can be entered at an id
        (observed), so the gap between such a page and the next is requested too, and so is the rest after the last
        page. If a list cannot be entered at an id, the replies are accepted in the end. Some objects come twice.
        """
        limit, after, last = int(params["limit"]), None, 0
        cycle, waits = shapes.CycleDetector(), iter(self._limits.short_page_waits)
        while True:
            reply = self._api.get(where, {**params, "after": after} if after else params, decoded=decoded)
            page: ObjectPage = reply["results"]
            yield page
            last = max([last, *page.ids])
            following = shapes.cursor(reply)
            if following is None:
                yield from self._between(where, params, decoded, last)
                return
            if len(page) < limit and following != str(last + 1):
                if (seconds := next(waits, None)) is not None:
                    self._api.wait(seconds)
                    continue
                if last and following.isdecimal() and int(following) > last:
                    yield from self._between(where, params, decoded, last, int(following))
                else:
                    limit = len(page) or limit  # this list's pages are that short
            waits = iter(self._limits.short_page_waits)
            if cycle.repeats(following):
                raise ReplyError(f"HubSpot's list at {where} does not advance beyond {last}: run again later.")
            after = following

    def _between(
        self, where: str, params: dict[str, str], decoded: Decode, last: int, end: int | None = None
    ) -> Iterator[ObjectPage]:
        """Yield the pages of a list between two ids; none if the list cannot be entered there."""
        while True:
            try:
                reply = self._api.get(where, {**params, "after": str(last + 1)} if last else params, decoded=decoded)
            except RequestError as error:
                if last and error.status == 400:
                    return
                raise
            page: ObjectPage = reply["results"].between(last)
            if not page:
                return
            yield page
            last = max(page.ids)
            if end is not None and last + 1 >= end:
                return

    def _by_ids_if_refused(
        self, object_type: ObjectType, decoder: PageDecoder, read: Callable[[], Iterator[ObjectPage]]
    ) -> Iterator[ObjectPage]:
        """Read a list again if its URL is too long for HubSpot, requesting only ids; some pages perhaps twice.

        From then on no list is requested with a URL of that length.
        """
        try:
            yield from read()
        except RequestError as error:
            if error.status not in _TOO_LONG:
                raise
            characters = self._characters(object_type, decoder)
            if characters <= self._longest_url.characters:
                self._longest_url.characters = characters - 1
                self._api.logger.info("HubSpot refuses URLs of %d characters: such lists are read by id.", characters)
            yield from read()

    def _path(self, object_type: ObjectType) -> str:
        return self._api.path("list", type=object_type.type_id)

    def _characters(self, object_type: ObjectType, decoder: PageDecoder) -> int:
        return len(self._path(object_type)) + len(quote(",".join(decoder.names), safe=","))

    def _params(self, object_type: ObjectType, decoder: PageDecoder) -> tuple[dict[str, str], PageDecoder]:
        """Return a list's parameters, and the decoder of its replies: for ids only if the URL would be too long.

        Then batch reads get the properties. The sweep of archived objects covers an object that is archived between
        the two.
        """
        is_wide = self._characters(object_type, decoder) > self._longest_url.characters
        is_wide = is_wide or any("," in name for name in decoder.names)  # a URL would split such a name
        listed = IDS_ONLY if is_wide else decoder
        params = {"limit": str(self._limits.page_size), "archived": "false", "properties": ",".join(listed.names)}
        return params, listed
