"""Finding the types and schemas of the chosen objects: in the catalog where there is one, else in HubSpot."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.errors import HubSpotError, RunStoppedError
from tap_hubspot_dw.object_types import ObjectType, needs_schemas, resolve
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.records.schemas import json_schema_of_all, object_schema
from tap_hubspot_dw.run.run import Run, StreamRun
from tap_hubspot_dw.timestamps import now

if TYPE_CHECKING:
    from singer_sdk.singerlib import Catalog


class ObjectDiscovery:
    """Describes the objects of a run's settings, all at once."""

    def __init__(self, run: Run, catalog: Catalog | None, logger: logging.Logger) -> None:
        self._run = run
        self._catalog = catalog
        self._logger = logger

    def described(self) -> Iterator[tuple[ObjectType, dict[str, Any]]]:
        """Yield the type and schema of each object; note and log a failure of each that cannot be described.

        Raises:
            RunStoppedError: no object can be described any more.
        """
        run, names = self._run, self._run.settings.objects
        described = {
            name: outcome
            for name, outcome in in_parallel(names, self._described, max(len(names), 1))
            if outcome is not None
        }
        for name in names:
            outcome = described[name]
            if isinstance(outcome, HubSpotError):
                run.failures[name] = str(outcome)
                run.history.append(StreamRun(name, now(), finished_at=now(), error=str(outcome)))
                self._logger.error("%s: left out: %s", name, outcome)
            else:
                yield outcome

    def _described(self, name: str) -> Iterator[tuple[ObjectType, dict[str, Any]] | HubSpotError]:
        """Yield an object's type and schema, or the error that prevents it.

        Raises:
            RunStoppedError: no other object can be described either.
        """
        try:
            object_type = self._resolved(name)
            entry = self._catalog.get_stream(object_type.name) if self._catalog else None
            if self._catalog and entry is None:
                raise HubSpotError("the catalog lacks it: run discovery again, or remove it from the setting objects.")
            yield object_type, entry.schema.to_dict() if entry else self._schema(object_type)
        except RunStoppedError:
            raise
        except HubSpotError as error:
            yield error

    def _schema(self, object_type: ObjectType) -> dict[str, Any]:
        """Return the schema of an object type's stream, with the properties that the settings choose."""
        chosen = self._run.chosen_properties(object_type)
        schema = json_schema_of_all() if self._run.settings.properties_as_json else object_schema(chosen)
        return schema | {"description": f"HubSpot's {object_type.name} ({object_type.type_id}): a row for each record."}

    def _resolved(self, name: str) -> ObjectType:
        type_ids = self._run.settings.object_type_ids
        return resolve(name, type_ids, self._run.portal.descriptions.schemas() if needs_schemas(name, type_ids) else [])
