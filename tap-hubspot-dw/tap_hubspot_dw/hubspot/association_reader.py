"""Reading associations: which pairs of object types HubSpot knows, and all associations of each requested id.

A reply may omit requested ids, by HubSpot's rules (ids without associations are errors in the reply) or by mistake. So
every id is accounted for: it is in a result, or an error names it, or it is requested again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tap_hubspot_dw.errors import ReplyError, RequestError, UnknownPairError
from tap_hubspot_dw.http.rate_limits import ASSOCIATIONS
from tap_hubspot_dw.http.replies import Reply, check_association_errors, named_ids
from tap_hubspot_dw.http.shapes import associations, cursor
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.records.page_decoder import IDS_ONLY

Input = dict[str, str]
Result = dict[str, Any]

ASSOCIATION_INPUTS = 1000  # HubSpot's maximum since February 2025 (documented)
_PAGE_UNIT = 100  # pages have 100 or 500 associations (observed); more may follow a full page without a cursor
_WAITS = (0.0, 0.5, 1.0, 2.0)  # seconds before ids that a reply omits are requested again


class AssociationReader:
    """Reads associations of one portal. Thread-safe."""

    def __init__(self, portal: Portal, logger: logging.Logger) -> None:
        self._portal = portal
        self._logger = logger
        self._asking: dict[tuple[str, str], threading.Lock] = {}
        self._known: dict[tuple[str, str], bool] = {}

    def is_known(self, from_type: ObjectType, to_type: ObjectType) -> bool:
        """Return whether HubSpot has associations from one object type to the other; requested once.

        HubSpot refuses to read the associations of an unknown pair; a pair with association types is known anyway.
        """
        pair = from_type.type_id, to_type.type_id
        with self._asking.setdefault(pair, threading.Lock()):
            if pair not in self._known:
                try:
                    self._reply(from_type, to_type, [{"id": "1"}])
                    self._known[pair] = True
                except RequestError:
                    self._known[pair] = self._has_types(from_type, to_type)
            return self._known[pair]

    def take_as_known(self, from_type: ObjectType, to_type: ObjectType) -> None:
        """Treat the pair as known without a request: HubSpot had such associations before."""
        self._known[from_type.type_id, to_type.type_id] = True

    def _has_types(self, from_type: ObjectType, to_type: ObjectType) -> bool:
        where = self._portal.api.path("labels", type=from_type.type_id, to=to_type.type_id)
        try:
            return bool(self._portal.api.get(where, budget=ASSOCIATIONS)["results"])
        except RequestError:
            return False

    def _reply(self, from_type: ObjectType, to_type: ObjectType, inputs: Sequence[Input]) -> Reply:
        where = self._portal.api.path("associations", type=from_type.type_id, to=to_type.type_id)
        return self._portal.api.post(where, {"inputs": inputs}, budget=ASSOCIATIONS, decoded=associations)

    def read(self, from_type: ObjectType, to_type: ObjectType, ids: Sequence[int]) -> Iterator[list[Result]]:
        """Yield the associations of up to 1,000 ids, a list for each reply: `{"from": {"id"}, "to": […]}`.

        Every page of every id is read, some perhaps twice. Ids without associations are errors in the reply, which is
        normal (observed). A request that HubSpot refuses with 400 is divided until the refused id is isolated (observed
        for deleted ones), which is skipped with a warning.

        Raises:
            UnknownPairError: HubSpot knows no associations between these object types.
            ReplyError: HubSpot keeps omitting ids of live records.
        """
        yield from self._read(from_type, to_type, [{"id": str(id_)} for id_ in ids])

    def _read(self, from_type: ObjectType, to_type: ObjectType, inputs: list[Input]) -> Iterator[list[Result]]:
        waits, met, doubted = iter(_WAITS), set[tuple[str, str]](), set[tuple[str, str]]()
        while inputs:
            try:
                reply = self._reply(from_type, to_type, inputs)
            except RequestError as error:
                yield from self._narrowed(from_type, to_type, inputs, error)
                return
            check_association_errors(reply, from_type.name, to_type.name)
            results = reply["results"]
            yield results
            following = list(_following(results))
            again = [entry for entry in _full_pages(results, inputs) if _place(entry) not in doubted]
            doubted.update(map(_place, again))
            silent = _silent(inputs, reply)
            if met.intersection(map(_place, following)):
                raise ReplyError(
                    f"HubSpot's associations from {from_type.name} to {to_type.name} repeat a page: run again later."
                )
            met.update(map(_place, following))
            if silent and (seconds := next(waits, None)) is not None:
                self._portal.api.wait(seconds)
            elif silent:
                self._check_gone(from_type, to_type, silent)
                silent = []
            inputs = [*following, *again, *silent]

    def _narrowed(
        self, from_type: ObjectType, to_type: ObjectType, inputs: list[Input], error: RequestError
    ) -> Iterator[list[Result]]:
        """Yield the associations of the inputs of a refused request, without those that HubSpot refuses."""
        if error.status not in {400, 404}:
            raise error
        if not self.is_known(from_type, to_type):
            raise UnknownPairError(str(error)) from error
        if error.status == 404:
            raise error
        if len(inputs) == 1:
            if self._live(from_type, inputs):
                raise error  # the record is live, so the id is not the reason
            self._logger.warning(
                "Associations of %s %s to %s: skipped: %s", from_type.name, inputs[0]["id"], to_type.name, error
            )
            return
        middle = len(inputs) // 2
        yield from self._read(from_type, to_type, inputs[:middle])
        yield from self._read(from_type, to_type, inputs[middle:])

    def _check_gone(self, from_type: ObjectType, to_type: ObjectType, silent: list[Input]) -> None:
        """Check that the records which HubSpot omits no longer exist.

        Raises:
            ReplyError: some are live.
        """
        if live := self._live(from_type, silent):
            raise ReplyError(
                f"HubSpot omits the associations to {to_type.name} of {len(live):,} {from_type.name} (such as "
                f"{live[0]}), even after {len(_WAITS) + 1} requests: run again later."
            )

    def _live(self, object_type: ObjectType, inputs: Iterable[Input]) -> list[str]:
        ids = [int(entry["id"]) for entry in inputs]
        return [str(id_) for page in self._portal.batch_reads.live(object_type, ids, IDS_ONLY) for id_ in page.ids]


def _place(entry: Input) -> tuple[str, str]:
    return entry["id"], entry.get("after", "")


def _following(results: Iterable[Result]) -> Iterator[Input]:
    for result in results:
        if after := cursor(result):
            yield {"id": str(result["from"]["id"]), "after": after}


def _full_pages(results: Iterable[Result], inputs: Iterable[Input]) -> Iterator[Input]:
    """Yield the inputs whose page is full but has no cursor: the cursor may be missing by mistake."""
    asked = {entry["id"]: entry for entry in inputs}
    for result in results:
        of_id = asked.get(str(result["from"]["id"]))
        if of_id and result["to"] and len(result["to"]) % _PAGE_UNIT == 0 and not cursor(result):
            yield of_id


def _silent(inputs: Iterable[Input], reply: Reply) -> list[Input]:
    """Return the inputs that a reply omits."""
    explained = {str(result["from"]["id"]) for result in reply["results"]} | named_ids(reply)
    return [entry for entry in inputs if entry["id"] not in explained]
