"""What HubSpot says about an account: schemas, properties, pipelines, owners, usage, its clock.

Descriptions that several streams need are requested once and kept for the run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tap_hubspot_dw.errors import ForbiddenError, HubSpotError, NoPipelinesError, RequestError, RunStoppedError
from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.replies import decode
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.timestamps import clock_ahead, parse_timestamp

Description = dict[str, Any]

_OWNERS_PAGE_SIZE = 500


@dataclass(frozen=True)
class Kept:
    """The descriptions that a run has requested, by path."""

    lists: dict[str, list[Description]] = field(default_factory=dict)
    locks: dict[str, threading.Lock] = field(default_factory=dict)
    warned_of: set[str] = field(default_factory=set)  # object types some of whose properties have no name


class Descriptions:
    """The descriptions of one account."""

    def __init__(self, api: Api, kept: Kept) -> None:
        self._api = api
        self._kept = kept

    def schemas(self) -> list[Description]:
        """Return the schemas of the portal's custom objects."""
        return self._listed("schemas", {})

    def properties(self, object_type: ObjectType, *, anew: bool = False) -> list[Description]:
        """Return the definitions of an object type's properties that are not archived; cached unless `anew`.

        A property without a name cannot be requested and is left out with a warning.
        """
        listed = self._listed("properties", {"type": object_type.type_id}, anew=anew)
        named = [definition for definition in listed if isinstance(definition.get("name"), str) and definition["name"]]
        if len(named) < len(listed) and object_type.type_id not in self._kept.warned_of:
            self._kept.warned_of.add(object_type.type_id)
            self._api.logger.warning(
                "%s: %s of HubSpot's properties have no name and are left out.",
                object_type.name,
                len(listed) - len(named),
            )
        return named

    def is_searchable(self, object_type: ObjectType, *, anew: bool = False) -> bool:
        """Return whether the modified property exists: HubSpot finds nothing by a missing one, and gives no error.

        (Observed.) The answer is that of the cached properties unless `anew`.
        """
        names = (definition["name"] for definition in self.properties(object_type, anew=anew))
        return object_type.modified_property in names

    def check_searchable(self, object_type: ObjectType) -> None:
        """Check that the modified property exists.

        Raises:
            HubSpotError: the type has no modified property.
        """
        if not any(self.is_searchable(object_type, anew=anew) for anew in (False, True)):  # a list may be truncated
            raise HubSpotError(
                f"HubSpot lists no property {object_type.modified_property} for {object_type.name}, so the tap cannot "
                "ask for changes: run with --full-refresh, and report it."
            )

    def pipelines(self, object_type: ObjectType, *, anew: bool = False) -> list[Description]:
        """Return an object type's pipelines with their stages; cached unless `anew`.

        Raises:
            NoPipelinesError: HubSpot refuses those of a custom object, as it does if there are none (observed).
        """
        try:
            return self._listed("pipelines", {"type": object_type.type_id}, anew=anew)
        except (RequestError, ForbiddenError) as error:
            if object_type.has_pipelines is not None:
                raise
            raise NoPipelinesError(str(error)) from error

    def owners(self) -> Iterator[Description]:
        """Yield the active and the archived owners."""
        for archived in ("false", "true"):
            params = {"limit": str(_OWNERS_PAGE_SIZE), "archived": archived}
            for reply in self._api.pages(self._api.path("owners"), params, shapes.owners):
                yield from reply["results"]

    def usage(self) -> dict[str, int]:
        """Return the number of records by object type id, from HubSpot's record limits; empty if it gives none.

        What exactly these figures count, and how late they are, is not documented.
        """
        try:
            reply = self._api.get(self._api.path("limits"), decoded=decode)
        except RunStoppedError:
            raise
        except HubSpotError as error:
            self._api.logger.debug("HubSpot does not say how many records there are: %s", error)
            return {}
        custom = reply.get("customObjectTypes")
        lists = [reply.get("hubspotDefinedObjectTypes"), custom.get("byObjectType") if isinstance(custom, dict) else ()]
        rows = [row for listed in lists if isinstance(listed, list) for row in listed if isinstance(row, dict)]
        return {str(row.get("objectTypeId")): row["usage"] for row in rows if isinstance(row.get("usage"), int)}

    def portal_id(self) -> int | None:
        """Return the account's id; None if HubSpot does not say it to this token."""
        try:
            portal_id = self._api.get(self._api.path("account"), decoded=decode).get("portalId")
        except HubSpotError as error:  # also one that stops the run: then the streams cannot be read either
            self._api.logger.debug("HubSpot does not say which account this is: %s", error)
            return None
        return portal_id if isinstance(portal_id, int) and portal_id > 0 else None

    def clock_ahead(self, object_type: ObjectType) -> timedelta | None:
        """Return how far this machine's clock is ahead of HubSpot's, from the body of a reply; None if it has no time.

        The reply to a batch read says when it was completed (observed). A proxy may write `Date`, but not that.
        """
        where = self._api.path("batch_read", type=object_type.type_id)
        machine_time = self._api.client.machine_time
        sent_at = machine_time()
        try:
            reply = self._api.post(where, {"inputs": [{"id": "1"}], "properties": []}, decoded=decode)
            completed_at = parse_timestamp(str(reply.get("completedAt")))
        except RunStoppedError:
            raise
        except (HubSpotError, ValueError) as error:
            self._api.logger.debug("HubSpot does not say what time it is: %s", error)
            return None
        return clock_ahead(completed_at, sent_at, machine_time())

    def _listed(self, need: str, parts: Mapping[str, str], *, anew: bool = False) -> list[Description]:
        where, lists = self._api.path(need, **parts), self._kept.lists
        with self._kept.locks.setdefault(where, threading.Lock()):  # one request, even if several streams need it
            if anew or where not in lists:
                lists[where] = self._api.get(where, decoded=shapes.DESCRIPTIONS[need])["results"]
            return lists[where]
