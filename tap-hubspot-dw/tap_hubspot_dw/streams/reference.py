"""The small streams that describe the portal: a table of them, read in full by every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_hubspot_dw.errors import NoPipelinesError
from tap_hubspot_dw.events import Activation, Event
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.portal import Portal
from tap_hubspot_dw.records import Record
from tap_hubspot_dw.run import Run
from tap_hubspot_dw.schemas import ARRAY, BOOLEAN, DATE_TIME, INTEGER, KEY, OBJECT, TEXT
from tap_hubspot_dw.streams.base import HubSpotStream, described
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from singer_sdk import Tap


@dataclass(frozen=True)
class Reference:
    """A reference stream: its key, its columns and how its records come about.

    `columns` gives each column its schema and the key of what `of_account` or `of_type` gives, HubSpot's own mostly;
    records of a type get its name as `object_type`.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, tuple[dict[str, Any], str]]
    of_account: Callable[[Portal], Iterable[dict[str, Any]]] | None = None
    of_type: Callable[[Portal, ObjectType], Iterable[dict[str, Any]]] | None = None


def _stages(portal: Portal, kind: ObjectType) -> Iterator[dict[str, Any]]:
    for pipeline in portal.pipelines(kind):
        for stage in pipeline["stages"]:
            yield {**stage, "pipeline_id": pipeline["id"]}


_TIMES = {"created_at": (DATE_TIME, "createdAt"), "updated_at": (DATE_TIME, "updatedAt")}
_ARCHIVED = {"archived": (BOOLEAN, "archived")}

REFERENCES = (
    Reference(
        "owners",
        ("id",),
        {
            "id": (KEY, "id"),
            "email": (TEXT, "email"),
            "type": (TEXT, "type"),
            "first_name": (TEXT, "firstName"),
            "last_name": (TEXT, "lastName"),
            "user_id": (INTEGER, "userId"),
            "user_id_including_inactive": (INTEGER, "userIdIncludingInactive"),
            "teams": (ARRAY, "teams"),
            **_TIMES,
            **_ARCHIVED,
        },
        of_account=Portal.owners,
    ),
    Reference(
        "pipelines",
        ("object_type", "id"),
        {
            "object_type": (KEY, "object_type"),
            "id": (KEY, "id"),
            "label": (TEXT, "label"),
            "display_order": (INTEGER, "displayOrder"),
            **_TIMES,
            **_ARCHIVED,
        },
        of_type=Portal.pipelines,
    ),
    Reference(
        "pipeline_stages",
        ("object_type", "pipeline_id", "id"),
        {
            "object_type": (KEY, "object_type"),
            "pipeline_id": (KEY, "pipeline_id"),
            "id": (KEY, "id"),
            "label": (TEXT, "label"),
            "display_order": (INTEGER, "displayOrder"),
            "metadata": (OBJECT, "metadata"),
            **_TIMES,
            **_ARCHIVED,
        },
        of_type=_stages,
    ),
    Reference(
        "properties",
        ("object_type", "name"),
        {
            "object_type": (KEY, "object_type"),
            "name": (KEY, "name"),
            "label": (TEXT, "label"),
            "type": (TEXT, "type"),
            "field_type": (TEXT, "fieldType"),
            "description": (TEXT, "description"),
            "group_name": (TEXT, "groupName"),
            "options": (ARRAY, "options"),
            "display_order": (INTEGER, "displayOrder"),
            "calculated": (BOOLEAN, "calculated"),
            "external_options": (BOOLEAN, "externalOptions"),
            "has_unique_value": (BOOLEAN, "hasUniqueValue"),
            "hidden": (BOOLEAN, "hidden"),
            "hubspot_defined": (BOOLEAN, "hubspotDefined"),
            "form_field": (BOOLEAN, "formField"),
            "data_sensitivity": (TEXT, "dataSensitivity"),
            "referenced_object_type": (TEXT, "referencedObjectType"),
            **_TIMES,
            **_ARCHIVED,
        },
        of_type=Portal.properties,
    ),
)


class ReferenceStream(HubSpotStream):
    """One of `REFERENCES`: read whole, with a version of its own, so that what is gone is marked deleted.

    Not in a run that leaves out objects which earlier ones had, or may not read theirs: those rows have not been read.
    """

    def __init__(self, tap: Tap, run: Run, reference: Reference) -> None:
        columns = {name: kind for name, (kind, _) in reference.columns.items()}
        schema = described(columns, f"HubSpot's {reference.name.replace('_', ' ')}.")
        super().__init__(tap, run, reference.name, schema)
        self.primary_keys = reference.key
        self.reference = reference

    def read(self) -> Iterator[Event]:
        """Yield every record, and that there are no others."""
        self.done.mode = "full"
        if self.reference.of_account is not None:
            records = [self._record(each) for each in self.reference.of_account(self.portal)]
            self.version = epoch_ms(self.run.started_at)
            yield self.block(records)
            yield Activation(self.version)
            return
        records, names = [], []
        for kind in self.run.kinds:
            try:
                records += [self._record({**each, "object_type": kind.name}) for each in self._of_type(kind)]
                names.append(kind.name)
            except NoPipelinesError as error:
                self.logger.warning(
                    "%s: none of %s, unless the token may not read them: %s", self.name, kind.name, error
                )
        self.version = epoch_ms(self.run.started_at)
        yield self.block(records)
        state = self.load_state()
        unread = [name for name in state.objects if name not in names]
        if not unread:
            yield Activation(self.version)
        state.objects = (*names, *unread)
        yield self.checkpoint(state)

    def _of_type(self, kind: ObjectType) -> Iterable[dict[str, Any]]:
        return self.reference.of_type(self.portal, kind) if self.reference.of_type else ()

    def _record(self, source: Mapping[str, Any]) -> Record:
        return {name: _value(source.get(key), kind) for name, (kind, key) in self.reference.columns.items()}


def _value(value: Any, kind: dict[str, Any]) -> Any:
    """Return HubSpot's JSON value; its date-times come with and without fractions (observed)."""
    return format_timestamp(parse_timestamp(value)) if value and kind is DATE_TIME else value
