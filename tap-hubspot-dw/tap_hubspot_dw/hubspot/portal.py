"""All requests to HubSpot: one method per purpose, with results in HubSpot's words.

Pages are yielded, so none is kept after it was passed on. Descriptions of the portal are requested once and kept for
the run.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import quote

from tap_hubspot_dw.errors import (
    ForbiddenError,
    HubSpotError,
    NoPipelinesError,
    ReplyError,
    RequestError,
    RunStoppedError,
)
from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.client import Client, Decode, Traffic
from tap_hubspot_dw.http.rate_limits import ASSOCIATIONS, OBJECTS, SEARCH
from tap_hubspot_dw.http.replies import Reply, check_batch_errors, decode
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.change_window import (
    MOST_RESULTS,
    UnsortedError,
    Window,
    ascending_ids,
    is_last,
    search_body,
)
from tap_hubspot_dw.reading.id_ranges import (
    EVERYTHING,
    LEAST_TO_SPLIT,
    RANGE_RECORDS,
    NotPositionalError,
    Range,
    Slice,
    checked_page,
)
from tap_hubspot_dw.records.page_decoder import IDS_ONLY, PageDecoder
from tap_hubspot_dw.routes import path
from tap_hubspot_dw.timestamps import clock_ahead, now, parse_timestamp

HubSpotObject = dict[str, Any]
Page = list[HubSpotObject]
P = ParamSpec("P")

LIST_PAGE_SIZE = 100  # HubSpot's maximum, for batch read too (documented)
ASSOCIATION_INPUTS = 1000  # HubSpot's maximum since February 2025 (documented)
_LONGEST_URL = 15_000  # HubSpot's proxy answers 414 from about 16,200 characters (observed), or fewer (hearsay)
_TOO_LONG = frozenset({414, 431})
_OWNERS_PAGE_SIZE = 500
_SLICES_A_PAGE = 100  # two per halving, from centuries down to milliseconds
_EMPTY_PAGE_WAITS = (0.0, 0.5, 1.0, 2.0, 4.0)  # seconds
_SHORT_PAGE_WAITS = (0.0, 0.5)


def ids_of(page: Page) -> list[int]:
    """Return the ids of a page's objects."""
    return [int(hubspot_object["id"]) for hubspot_object in page]


def _by_ids_if_refused(
    read: Callable[Concatenate[Portal, ObjectType, PageDecoder, P], Iterator[Page]],
) -> Callable[Concatenate[Portal, ObjectType, PageDecoder, P], Iterator[Page]]:
    """Read a list again if its URL is too long for HubSpot, requesting only ids; some pages perhaps twice.

    From then on no list is requested with a URL of that length.
    """

    @wraps(read)
    def pages(
        portal: Portal, object_type: ObjectType, decoder: PageDecoder, /, *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[Page]:
        try:
            yield from read(portal, object_type, decoder, *args, **kwargs)
        except RequestError as error:
            if error.status not in _TOO_LONG:
                raise
            portal.avoid_urls_of(object_type, decoder)
            yield from read(portal, object_type, decoder, *args, **kwargs)

    return pages


class Portal:
    """One HubSpot account, as the tap reads it."""

    def __init__(
        self, client: Client, api_version: str, logger: logging.Logger, *, page_size: int = LIST_PAGE_SIZE
    ) -> None:
        self.client = client
        self._version = api_version
        self._logger = logger
        self._page_size = page_size
        self._traffic = Traffic()
        self._longest_url = [_LONGEST_URL]  # a list, so that all copies share what one learns
        self._described: dict[str, list[dict[str, Any]]] = {}
        self._nameless: set[str] = set()
        self._describing: dict[str, threading.Lock] = {}

    def counted_by(self, traffic: Traffic) -> Portal:
        """Return a view of the portal whose requests are counted in `traffic`."""
        portal = copy.copy(self)
        portal._traffic = traffic  # noqa: SLF001  our own class
        return portal

    def schemas(self) -> list[dict[str, Any]]:
        """Return the schemas of the portal's custom objects."""
        return self._describe("schemas", {})

    def properties(self, object_type: ObjectType, *, anew: bool = False) -> list[dict[str, Any]]:
        """Return the definitions of an object type's properties that are not archived; cached unless `anew`.

        A property without a name cannot be requested and is left out with a warning.
        """
        listed = self._describe("properties", {"type": object_type.type_id}, anew=anew)
        named = [definition for definition in listed if isinstance(definition.get("name"), str) and definition["name"]]
        if len(named) < len(listed) and object_type.type_id not in self._nameless:
            self._nameless.add(object_type.type_id)
            self._logger.warning(
                "%s: %s of HubSpot's properties have no name and are left out.",
                object_type.name,
                len(listed) - len(named),
            )
        return named

    def pipelines(self, object_type: ObjectType, *, anew: bool = False) -> list[dict[str, Any]]:
        """Return an object type's pipelines with their stages; cached unless `anew`.

        Raises:
            NoPipelinesError: HubSpot refuses those of a custom object, as it does if there are none (observed).
        """
        try:
            return self._describe("pipelines", {"type": object_type.type_id}, anew=anew)
        except (RequestError, ForbiddenError) as error:
            if object_type.has_pipelines is not None:
                raise
            raise NoPipelinesError(str(error)) from error

    def owners(self) -> Iterator[dict[str, Any]]:
        """Yield the active and the archived owners."""
        for archived in ("false", "true"):
            params = {"limit": str(_OWNERS_PAGE_SIZE), "archived": archived}
            for reply in self._pages(path("owners", self._version), params, shapes.owners):
                yield from reply["results"]

    @_by_ids_if_refused
    def listed(self, object_type: ObjectType, decoder: PageDecoder) -> Iterator[Page]:
        """Yield pages of all live objects by HubSpot's own cursor; some objects perhaps twice."""
        params, listed = self._list_params(object_type, decoder)
        where = path("list", self._version, type=object_type.type_id)
        for page in self._whole_list(where, params, listed.decode):
            yield page if listed is decoder else self._batch_read(object_type, page, decoder)

    @_by_ids_if_refused
    def listed_range(self, object_type: ObjectType, decoder: PageDecoder, id_slice: Slice) -> Iterator[Page]:
        """Yield pages of the live objects in a range of ids, starting above the last id reached.

        Reading ends where HubSpot says that the list ends, which may be too early: see `Account`.

        Raises:
            NotPositionalError: HubSpot's list cannot be entered at an id.
        """
        params, listed = self._list_params(object_type, decoder)
        where = path("list", self._version, type=object_type.type_id)
        above, waits = id_slice.reached, iter(_SHORT_PAGE_WAITS)
        while True:
            try:
                shifted = {**params, "after": str(above + 1)} if above else params
                reply = self._get(where, shifted, decoded=listed.decode)
            except RequestError as error:
                if above and error.status == 400:
                    raise NotPositionalError(str(error)) from error
                raise
            results, last = checked_page(reply, above, int(params["limit"]))
            through = id_slice.reach(last, len(results))
            page = [
                listed_object for listed_object in results if through is None or int(listed_object["id"]) <= through
            ]
            yield page if listed is decoder else self._batch_read(object_type, page, decoder)
            if not reply.get("paging") or (through is not None and last >= through):
                return
            if last == above:
                if (seconds := next(waits, None)) is None:
                    raise NotPositionalError(f"an empty page at id {above} has a cursor")
                self.client.wait(seconds)
            above = last

    def boundaries(
        self, object_type: ObjectType, above: int, window: Window | None = None, *, expected: int | None = None
    ) -> Iterator[int]:
        """Yield the id of every 10,000th object above an id, and of the last; with a window, of those modified in it.

        These are hints only: the search index lags and may lack objects. `expected` is its count, if known.
        """
        url = path("search", self._version, type=object_type.type_id)
        left = RANGE_RECORDS if expected is None else expected
        while left >= LEAST_TO_SPLIT:
            offset = min(left, RANGE_RECORDS) - 1
            body = search_body(object_type.modified_property, window, ["hs_object_id"], Range(above), 1)
            try:
                reply = self._post(url, {**body, "after": str(offset)}, SEARCH, decoded=IDS_ONLY.decode)
            except RequestError:  # not searchable: the list is one range
                return
            results, total = reply["results"], int(reply.get("total", 0))
            if results and int(results[0]["id"]) > above:
                above = int(results[0]["id"])
                yield above
                left = total - offset - 1 if total != MOST_RESULTS else RANGE_RECORDS  # it may be capped (hearsay)
            elif not results and total <= offset:
                left = total
            else:
                return

    def count(self, object_type: ObjectType, span: Range = EVERYTHING, window: Window | None = None) -> int | None:
        """Return the search index's count of live objects in a range of ids, of those modified in a window if given.

        The index may lag (documented). None if HubSpot refuses the search.
        """
        body = search_body(object_type.modified_property, window, ["hs_object_id"], span, 1)
        try:
            where = path("search", self._version, type=object_type.type_id)
            return int(self._post(where, body, SEARCH, decoded=shapes.counted)["total"])
        except RequestError:
            return None

    def archived(self, object_type: ObjectType) -> Iterator[HubSpotObject]:
        """Yield every object archived in the last 90 days (documented), with the properties of `IDS_ONLY`.

        Some come perhaps twice.

        Raises:
            RequestError: this object type has no list of archived objects (observed for some), or not now.
        """
        params = {"limit": str(LIST_PAGE_SIZE), "archived": "true", "properties": ",".join(IDS_ONLY.names)}
        for page in self._whole_list(path("list", self._version, type=object_type.type_id), params, IDS_ONLY.decode):
            yield from page

    def changed(
        self, object_type: ObjectType, window: Window | None, decoder: PageDecoder, span: Range = EVERYTHING
    ) -> Iterator[tuple[Page, int]]:
        """Yield pages of the live objects in a range of ids, by ascending id; with a window, of those modified in it.

        Each page comes with the number of objects in it and after it.

        Raises:
            UnsortedError: HubSpot does not sort this search by id.
        """
        url = path("search", self._version, type=object_type.type_id)
        while True:
            body = search_body(object_type.modified_property, window, decoder.names, span, 2 * self._page_size)
            reply = self._first_page(url, body, decoder)
            ids = ascending_ids(reply["results"], span.above)
            yield reply["results"], int(reply.get("total", len(ids)))
            if is_last(reply) or not ids:
                return
            span = Range(ids[-1], span.through)

    def changed_ids(self, object_type: ObjectType, window: Window) -> Iterator[list[int]]:
        """Yield the ids of the live objects modified in the window; some perhaps twice."""
        try:
            for page, _ in self.changed(object_type, window, IDS_ONLY):
                yield ids_of(page)
        except UnsortedError:
            for page in self.changed_in_slices(object_type, window, IDS_ONLY):
                yield ids_of(page)

    def changed_in_slices(self, object_type: ObjectType, window: Window, decoder: PageDecoder) -> Iterator[Page]:
        """Yield pages of the live objects modified in the window, in any order, from slices that fit on one page.

        The window is halved until a slice fits. Slices are read in order of time, and the last has no end, so it
        contains the objects that are edited during reading.

        Raises:
            ReplyError: more objects share a millisecond, or change during reading, than a search returns, or HubSpot
                ignores the window.
        """
        url = path("search", self._version, type=object_type.type_id)
        slices, now, asked, most = [window], self.client.now(), 0, 1
        while slices:
            if asked >= most:
                raise ReplyError(f"HubSpot's search at {url} ignores its slices of time: run again later.")
            part = slices.pop()
            body = search_body(object_type.modified_property, part, decoder.names, EVERYTHING, 2 * self._page_size)
            reply = self._first_page(url, body, decoder)
            total = int(reply.get("total", 0))
            asked, most = asked + 1, max(most, _SLICES_A_PAGE * (total // (2 * self._page_size) + 2))
            if is_last(reply):
                yield reply["results"]
            elif halves := part.halves(now):
                slices += reversed(halves)
            elif total > MOST_RESULTS:
                raise ReplyError(
                    f"{total:,} {object_type.name} changed in the same millisecond, and HubSpot does not sort them "
                    "by id: run with --full-refresh."
                    if part.until
                    else f"{total:,} {object_type.name} changed while changes were read, and HubSpot does not sort "
                    "them by id: run again."
                )
            else:
                yield from self._by_offset(url, body, reply, decoder)

    def _by_offset(self, url: str, body: dict[str, Any], reply: Reply, decoder: PageDecoder) -> Iterator[Page]:
        """Yield the pages of a search by `after`, from its first; read again if objects that left it shifted others.

        Raises:
            ReplyError: HubSpot counts more objects than it returns.
        """
        ids: set[str] = set()
        for _ in _EMPTY_PAGE_WAITS:
            read = 0
            while True:
                yield reply["results"]
                ids.update(result["id"] for result in reply["results"])
                if not reply.get("paging") or read > int(reply.get("total", 0)):
                    break
                read += len(reply["results"])  # not its `after`, which skips objects that a short page omits
                reply = self._first_page(url, {**body, "after": str(read)}, decoder)
            if len(ids) >= int(reply.get("total", 0)):
                return
            reply = self._first_page(url, body, decoder)
        raise ReplyError(f"HubSpot's search at {url} counts {reply.get('total')} and returns {len(ids)}: run again.")

    def live(self, object_type: ObjectType, ids: Sequence[int], decoder: PageDecoder) -> Iterator[Page]:
        """Yield pages of the live objects among these ids, without archived, merged and deleted ones."""
        for start in range(0, len(ids), LIST_PAGE_SIZE):
            page: Page = [{"id": str(id_)} for id_ in ids[start : start + LIST_PAGE_SIZE]]
            yield self._batch_read(object_type, page, decoder)

    def by_id(
        self, object_type: ObjectType, ids: Sequence[str], decoder: PageDecoder, *, archived: bool = False
    ) -> Iterator[Page]:
        """Yield pages of HubSpot's objects for these ids; for a merged one it is the survivor (observed)."""
        where = path("batch_read", self._version, type=object_type.type_id) + ("?archived=true" if archived else "")
        for start in range(0, len(ids), LIST_PAGE_SIZE):
            yield self._batch(where, object_type, ids[start : start + LIST_PAGE_SIZE], decoder)

    def usage(self) -> dict[str, int]:
        """Return the number of records by object type id, from HubSpot's record limits; empty if it gives none.

        What exactly these figures count, and how late they are, is not documented.
        """
        try:
            reply = self._get(path("limits", self._version), decoded=decode)
        except RunStoppedError:
            raise
        except HubSpotError as error:
            self._logger.debug("HubSpot does not say how many records there are: %s", error)
            return {}
        custom = reply.get("customObjectTypes")
        lists = [reply.get("hubspotDefinedObjectTypes"), custom.get("byObjectType") if isinstance(custom, dict) else ()]
        rows = [row for listed in lists if isinstance(listed, list) for row in listed if isinstance(row, dict)]
        return {str(row.get("objectTypeId")): row["usage"] for row in rows if isinstance(row.get("usage"), int)}

    def clock_ahead(self, object_type: ObjectType) -> timedelta | None:
        """Return how far this machine's clock is ahead of HubSpot's, from the body of a reply; None if it has no time.

        The reply to a batch read says when it was completed (observed). A proxy may write `Date`, but not that.
        """
        where = path("batch_read", self._version, type=object_type.type_id)
        sent_at = now()
        try:
            reply = self._post(where, {"inputs": [{"id": "1"}], "properties": []}, decoded=decode)
            completed_at = parse_timestamp(str(reply.get("completedAt")))
        except RunStoppedError:
            raise
        except (HubSpotError, ValueError) as error:
            self._logger.debug("HubSpot does not say what time it is: %s", error)
            return None
        return clock_ahead(completed_at, sent_at, now())

    def associations(self, from_type: ObjectType, to_type: ObjectType, inputs: Sequence[dict[str, str]]) -> Reply:
        """Return HubSpot's reply with the associations of up to 1,000 records: see `AssociationReader`."""
        where = path("associations", self._version, type=from_type.type_id, to=to_type.type_id)
        return self._post(where, {"inputs": inputs}, ASSOCIATIONS, decoded=shapes.associations)

    def association_types(self, from_type: ObjectType, to_type: ObjectType) -> list[dict[str, Any]]:
        """Return the association types defined from one object type to the other."""
        where = path("labels", self._version, type=from_type.type_id, to=to_type.type_id)
        types: list[dict[str, Any]] = self._get(where, budget=ASSOCIATIONS)["results"]
        return types

    def _describe(self, need: str, parts: Mapping[str, str], *, anew: bool = False) -> list[dict[str, Any]]:
        where = path(need, self._version, **parts)
        with self._describing.setdefault(where, threading.Lock()):  # one request, even if several streams need it
            if anew or where not in self._described:
                self._described[where] = self._get(where, decoded=shapes.DESCRIPTIONS[need])["results"]
            return self._described[where]

    def _get(
        self, where: str, params: dict[str, str] | None = None, *, budget: str = OBJECTS, decoded: Decode = shapes.rows
    ) -> Reply:
        return self.client.get(where, params, budget, traffic=self._traffic, decoded=decoded)

    def _post(self, where: str, body: dict[str, Any], budget: str = OBJECTS, *, decoded: Decode = shapes.rows) -> Reply:
        return self.client.post(where, body, budget, traffic=self._traffic, decoded=decoded)

    def _whole_list(self, where: str, params: dict[str, str], decoded: Decode) -> Iterator[Page]:
        """Yield the pages of a list of objects, and check every reply that may be incomplete.

        A short page whose cursor skips ids is requested again. Lists are sorted by id and can be entered at an id
        (observed), so the gap between such a page and the next is requested too, and so is the rest after the last
        page. If a list cannot be entered at an id, the replies are accepted in the end. Some objects come twice.
        """
        limit, after, last = int(params["limit"]), None, 0
        cycle, waits = shapes.CycleDetector(), iter(_SHORT_PAGE_WAITS)
        while True:
            reply = self._get(where, {**params, "after": after} if after else params, decoded=decoded)
            page = reply["results"]
            yield page
            last = max([last, *ids_of(page)])
            following = shapes.cursor(reply)
            if following is None:
                yield from self._between(where, params, decoded, last)
                return
            if len(page) < limit and following != str(last + 1):
                if (seconds := next(waits, None)) is not None:
                    self.client.wait(seconds)
                    continue
                if last and following.isdecimal() and int(following) > last:
                    yield from self._between(where, params, decoded, last, int(following))
                else:
                    limit = len(page) or limit  # this list's pages are that short
            waits = iter(_SHORT_PAGE_WAITS)
            if cycle.repeats(following):
                raise ReplyError(f"HubSpot's list at {where} does not advance beyond {last}: run again later.")
            after = following

    def _between(
        self, where: str, params: dict[str, str], decoded: Decode, last: int, end: int | None = None
    ) -> Iterator[Page]:
        """Yield the pages of a list between two ids; none if the list cannot be entered there."""
        while True:
            try:
                reply = self._get(where, {**params, "after": str(last + 1)} if last else params, decoded=decoded)
            except RequestError as error:
                if last and error.status == 400:
                    return
                raise
            page = [result for result in reply["results"] if int(result["id"]) > last]
            if not page:
                return
            yield page
            last = max(ids_of(page))
            if end is not None and last + 1 >= end:
                return

    def _pages(self, where: str, params: dict[str, str], decoded: Decode = shapes.rows) -> Iterator[Reply]:
        """Yield replies until one has no cursor; pages before that may be short or empty (observed)."""
        after, cycle = None, shapes.CycleDetector()
        while True:
            reply = self._get(where, {**params, "after": after} if after else params, decoded=decoded)
            yield reply
            after = shapes.cursor(reply)
            if not after:
                return
            if cycle.repeats(after):
                raise ReplyError(f"HubSpot's list at {where} does not advance beyond {after}: run again later.")

    def avoid_urls_of(self, object_type: ObjectType, decoder: PageDecoder) -> None:
        """Stop requesting lists with URLs as long as that of a list of these properties."""
        characters = self._characters(object_type, decoder)
        if characters <= self._longest_url[0]:
            self._longest_url[0] = characters - 1
            self._logger.info("HubSpot refuses URLs of %d characters: such lists are read by id.", characters)

    def _characters(self, object_type: ObjectType, decoder: PageDecoder) -> int:
        return len(path("list", self._version, type=object_type.type_id)) + len(
            quote(",".join(decoder.names), safe=",")
        )

    def _list_params(self, object_type: ObjectType, decoder: PageDecoder) -> tuple[dict[str, str], PageDecoder]:
        """Return a list's parameters, and the decoder of its replies: for ids only if the URL would be too long.

        Then batch reads get the properties. The sweep of archived objects covers an object that is archived between
        the two.
        """
        is_wide = self._characters(object_type, decoder) > self._longest_url[0]
        is_wide = is_wide or any("," in name for name in decoder.names)  # a URL would split such a name
        listed = IDS_ONLY if is_wide else decoder
        params = {"limit": str(self._page_size), "archived": "false", "properties": ",".join(listed.names)}
        return params, listed

    def _batch_read(self, object_type: ObjectType, page: Page, decoder: PageDecoder) -> Page:
        """Return the listed objects with their properties, in the page's order.

        For an id that was merged meanwhile HubSpot gives the survivor (observed), which the list has anyway.
        """
        if not page:
            return []
        where = path("batch_read", self._version, type=object_type.type_id)
        ids = [listed["id"] for listed in page]
        read = {result["id"]: result for result in self._batch(where, object_type, ids, decoder)}
        return [read[id_] for id_ in ids if id_ in read]

    def _batch(self, where: str, object_type: ObjectType, ids: Sequence[str], decoder: PageDecoder) -> Page:
        """Return the results of a batch read of up to 100 ids; ids that the reply omits are requested again.

        Raises:
            ReplyError: HubSpot keeps omitting some ids.
        """
        page: Page = []
        asked: Sequence[str] = ids
        for seconds in (*_EMPTY_PAGE_WAITS, None):
            body = {"inputs": [{"id": id_} for id_ in asked], "properties": decoder.names}
            reply = self._post(where, body, decoded=decoder.decode)
            check_batch_errors(reply, object_type.name)
            page += reply["results"]
            asked = _unexplained(asked, reply, decoder)
            if not asked:
                return page
            if seconds is not None:
                self.client.wait(seconds)
        raise ReplyError(
            f"HubSpot omits {len(asked)} {object_type.name} from the replies to a batch read: run again later."
        )

    def _first_page(self, url: str, body: dict[str, Any], decoder: PageDecoder) -> Reply:
        """Return a search's reply; retry while the page is empty although it has a cursor (observed).

        Following the cursor would skip the objects that the empty page omits.

        Raises:
            ReplyError: the page stays empty.
        """
        for seconds in (*_EMPTY_PAGE_WAITS, None):
            reply = self._post(url, body, SEARCH, decoded=decoder.decode)
            if reply["results"] or is_last(reply):
                return reply
            if seconds is not None:
                self.client.wait(seconds)
        raise ReplyError(
            f"HubSpot's search at {url} counts {reply.get('total')} more records and returns none: run again later."
        )


def _unexplained(asked: Sequence[str], reply: Reply, decoder: PageDecoder) -> list[str]:
    """Return the ids that a batch read's reply omits: not in its results, merged into one of them, or in an error."""
    explained: set[int] = set()
    for result in reply["results"]:
        explained.update(map(int, (result["id"], *filter(str.isdecimal, decoder.merged_ids(result["properties"])))))
    for error in reply.get("errors") or ():
        named = (error.get("context") or {}).get("ids")
        if not isinstance(named, list):
            return []  # HubSpot promises no field of an error: this one may be about any id
        explained.update(int(id_) for id_ in map(str, named) if id_.isdecimal())
    return [id_ for id_ in asked if int(id_) not in explained]
