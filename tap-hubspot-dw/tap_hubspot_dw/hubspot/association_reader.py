"""HubSpot's answers about associations: which pairs of object types it knows, and for every id asked about, all of it.

A reply may leave out ids that it was asked about, by its own rules (it names those without associations as errors) or
by mistake. So each id is accounted for: it is in a result, or in an error that names it, or else it is asked about
again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tap_hubspot_dw.errors import ReplyError, RequestError, UnknownPairError
from tap_hubspot_dw.http.replies import Reply, check_association_errors, named_ids
from tap_hubspot_dw.http.shapes import cursor
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.records.page_decoder import IDS_ONLY

Input = dict[str, str]
Result = dict[str, Any]

_PAGE_UNIT = 100  # pages have 100 or 500 associations (observed): one that is full may hide that there are more
_WAITS = (0.0, 0.5, 1.0, 2.0)  # seconds, before ids that a reply passes over are asked about again


class AssociationReader:
    """Reads associations of one portal; safe from several threads."""

    def __init__(self, portal: Portal, logger: logging.Logger) -> None:
        self._portal = portal
        self._logger = logger
        self._asking: dict[tuple[str, str], threading.Lock] = {}
        self._known: dict[tuple[str, str], bool] = {}

    def is_known(self, from_type: ObjectType, to_type: ObjectType) -> bool:
        """Tell whether HubSpot has associations from one object type to the other; asked once.

        It refuses to read those of a pair that it does not know; a pair with association types it knows all the same.
        """
        pair = from_type.type_id, to_type.type_id
        with self._asking.setdefault(pair, threading.Lock()):
            if pair not in self._known:
                try:
                    self._portal.associations(from_type, to_type, [{"id": "1"}])
                    self._known[pair] = True
                except RequestError:
                    self._known[pair] = self._has_types(from_type, to_type)
            return self._known[pair]

    def take_as_known(self, from_type: ObjectType, to_type: ObjectType) -> None:
        """Never doubt that HubSpot has associations between these: it had them before."""
        self._known[from_type.type_id, to_type.type_id] = True

    def _has_types(self, from_type: ObjectType, to_type: ObjectType) -> bool:
        try:
            return bool(self._portal.association_types(from_type, to_type))
        except RequestError:
            return False

    def read(self, from_type: ObjectType, to_type: ObjectType, ids: Sequence[int]) -> Iterator[list[Result]]:
        """Yield the associations of up to 1,000 ids, a list for each reply: `{"from": {"id"}, "to": […]}`.

        Every page of every id is read, some perhaps twice. Ids without associations are errors in the reply, and
        normal (observed). A reply of 400 is narrowed down to the id that HubSpot refuses (observed for deleted ones),
        which is skipped with a warning.

        Raises:
            UnknownPairError: HubSpot knows no associations between these object types.
            ReplyError: it does not say which ones some records have, though it has these.
        """
        yield from self._read(from_type, to_type, [{"id": str(each)} for each in ids])

    def _read(self, from_type: ObjectType, to_type: ObjectType, inputs: list[Input]) -> Iterator[list[Result]]:
        waits, met, doubted = iter(_WAITS), set[tuple[str, str]](), set[tuple[str, str]]()
        while inputs:
            try:
                reply = self._portal.associations(from_type, to_type, inputs)
            except RequestError as error:
                yield from self._narrowed(from_type, to_type, inputs, error)
                return
            check_association_errors(reply, from_type.name, to_type.name)
            results = reply["results"]
            yield results
            following = list(_following(results))
            again = [each for each in _full_ones(results, inputs) if _place(each) not in doubted]
            doubted.update(map(_place, again))
            silent = _silent(inputs, reply)
            if met.intersection(map(_place, following)):
                raise ReplyError(
                    f"HubSpot's associations from {from_type.name} to {to_type.name} come back to a page: run again "
                    "later."
                )
            met.update(map(_place, following))
            if silent and (seconds := next(waits, None)) is not None:
                self._portal.client.wait(seconds)
            elif silent:
                self._check_gone(from_type, to_type, silent)
                silent = []
            inputs = [*following, *again, *silent]

    def _narrowed(
        self, from_type: ObjectType, to_type: ObjectType, inputs: list[Input], error: RequestError
    ) -> Iterator[list[Result]]:
        """Yield the associations of those inputs of a refused request that HubSpot does not refuse."""
        if error.status not in {400, 404}:
            raise error
        if not self.is_known(from_type, to_type):
            raise UnknownPairError(str(error)) from error
        if error.status == 404:
            raise error
        if len(inputs) == 1:
            if self._live(from_type, inputs):
                raise error  # its record is there: it is not the id that is wrong
            self._logger.warning(
                "Associations of %s %s to %s: skipped: %s", from_type.name, inputs[0]["id"], to_type.name, error
            )
            return
        middle = len(inputs) // 2
        yield from self._read(from_type, to_type, inputs[:middle])
        yield from self._read(from_type, to_type, inputs[middle:])

    def _check_gone(self, from_type: ObjectType, to_type: ObjectType, silent: list[Input]) -> None:
        """Check that records which HubSpot passes over are not there any more.

        Raises:
            ReplyError: some are.
        """
        if live := self._live(from_type, silent):
            raise ReplyError(
                f"HubSpot does not say which associations to {to_type.name} {len(live):,} {from_type.name} have "
                f"({live[0]} is one), though it was asked {len(_WAITS) + 1} times: run again later."
            )

    def _live(self, object_type: ObjectType, inputs: Iterable[Input]) -> list[str]:
        ids = [int(each["id"]) for each in inputs]
        return [str(each["id"]) for page in self._portal.live(object_type, ids, IDS_ONLY) for each in page]


def _place(each: Input) -> tuple[str, str]:
    return each["id"], each.get("after", "")


def _following(results: Iterable[Result]) -> Iterator[Input]:
    for result in results:
        if after := cursor(result):
            yield {"id": str(result["from"]["id"]), "after": after}


def _full_ones(results: Iterable[Result], inputs: Iterable[Input]) -> Iterator[Input]:
    """Yield the inputs whose page is full and says that nothing follows: perhaps it only does not say."""
    asked = {each["id"]: each for each in inputs}
    for result in results:
        of_id = asked.get(str(result["from"]["id"]))
        if of_id and result["to"] and len(result["to"]) % _PAGE_UNIT == 0 and not cursor(result):
            yield of_id


def _silent(inputs: Iterable[Input], reply: Reply) -> list[Input]:
    """Return the inputs of which a reply says nothing."""
    explained = {str(result["from"]["id"]) for result in reply["results"]} | named_ids(reply)
    return [each for each in inputs if each["id"] not in explained]
