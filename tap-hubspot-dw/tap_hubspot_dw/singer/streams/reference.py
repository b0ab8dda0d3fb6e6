"""The small streams that describe the portal: one table defines them, and every run reads them in full."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from tap_hubspot_dw.errors import HubSpotError, NoPipelinesError, ReplyError, RunStoppedError
from tap_hubspot_dw.hubspot.descriptions import Descriptions
from tap_hubspot_dw.object_types import ObjectType
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.records.record_forms import Record
from tap_hubspot_dw.records.schemas import ARRAY, BOOLEAN, DATE_TIME, INTEGER, KEY, OBJECT, TEXT
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.singer.events import Activation, Block, Event, Scope
from tap_hubspot_dw.singer.streams.base import HubSpotStream, described
from tap_hubspot_dw.singer.streams.stream_reading import StreamReading
from tap_hubspot_dw.timestamps import epoch_ms, format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from singer_sdk import Tap


class OfType(Protocol):
    """A function that returns HubSpot's objects for an object type, from the cache or `anew`."""

    def __call__(
        self, descriptions: Descriptions, object_type: ObjectType, /, *, anew: bool = False
    ) -> Iterable[dict[str, Any]]:
        """Return HubSpot's objects."""


Ask = Callable[[bool], list[Record]]

_WAITS = (2.0, 4.0)  # seconds before a list is requested again


@dataclass(frozen=True)
class Reference:
    """A reference stream: its key, its columns and the source of its records.

    `columns` maps each column to its schema and to the key of its value in the objects of `of_account` or `of_type`.
    Records of a type get its name as `object_type`. Only types that `may_have` accepts are requested.
    """

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, tuple[dict[str, Any], str]]
    of_account: Callable[[Descriptions], Iterable[dict[str, Any]]] | None = None
    of_type: OfType | None = None
    may_have: Callable[[ObjectType], bool] = lambda _: True


def _may_have_pipelines(object_type: ObjectType) -> bool:
    return object_type.has_pipelines is not False


def _stages(descriptions: Descriptions, object_type: ObjectType, *, anew: bool = False) -> Iterator[dict[str, Any]]:
    for pipeline in descriptions.pipelines(object_type, anew=anew):
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
        of_account=Descriptions.owners,
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
        of_type=Descriptions.pipelines,
        may_have=_may_have_pipelines,
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
        may_have=_may_have_pipelines,
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
        of_type=Descriptions.properties,
    ),
)


class ReferenceStream(HubSpotStream):
    """One of `REFERENCES`: a list of the account or a list for each object."""

    def __init__(self, tap: Tap, run: Run, reference: Reference) -> None:
        columns = {name: schema for name, (schema, _) in reference.columns.items()}
        schema = described(columns, f"HubSpot's {reference.name.replace('_', ' ')}.")
        super().__init__(tap, run, reference.name, schema)
        self.primary_keys = reference.key
        self.reference = reference

    def new_reading(self) -> StreamReading:
        """Return a reading of the lists."""
        return ReferenceReading(self)


class ReferenceReading(StreamReading):
    """Reads all lists in full.

    Deletions are activated list by list. A list that is shorter than before is requested until HubSpot has given the
    same list twice: only then may it delete.
    """

    def __init__(self, stream: ReferenceStream) -> None:
        super().__init__(stream)
        self._reference = stream.reference
        self._version: int | None = None  # of the records; None until a list was read

    def read(self) -> Iterator[Event]:
        """Yield all records, and an activation for the lists that were read.

        With the setting `only_ids`, yield only the records: without state, no list is known to be whole.

        Raises:
            HubSpotError: some lists could not be read; the others are complete.
        """
        if self.run.settings.only_ids is not None:
            self.done.mode = "chosen"
            yield from (event for event in self._all(StreamState()) if isinstance(event, Block))
        else:
            self.done.mode = "full"
            yield from self._all(self.load_state())

    def _all(self, state: StreamState) -> Iterator[Event]:
        is_first = not state.lists
        for object_type in self.run.object_types:
            if not self._reference.may_have(object_type):
                state.lists.pop(object_type.name, None)  # an older release saved it
        known = dict(state.lists)
        failed: dict[str, HubSpotError] = {}
        read: list[str] = []
        for name, ask in self._lists():
            try:
                records = self._settled(name, ask, known.get(name))
            except RunStoppedError:
                raise
            except NoPipelinesError as error:
                if known.get(name):
                    failed[name] = error
                    continue
                self.logger.warning("%s: %s has none, unless the token may not read them: %s", self.name, name, error)
                if is_first:
                    state.lists[name] = 0
            except HubSpotError as error:
                failed[name] = error
            else:
                self._version = epoch_ms(self.run.started_at)
                yield self.blocks.block(records, self._version)
                state.lists[name] = len(records)
                read.append(name)
        yield from self._activations(read, known)
        yield self.checkpoint(state)
        if failed:
            first = next(iter(failed.values()))
            raise HubSpotError(f"The list of {', '.join(failed)} could not be read: {first}") from first

    def _lists(self) -> Iterator[tuple[str, Ask]]:
        """Yield the name of each list and the function that reads it, from the cache or anew."""
        of_account, of_type = self._reference.of_account, self._reference.of_type
        if of_account is not None:
            yield self.name, lambda _: [self._record(source) for source in of_account(self.portal.descriptions)]
        if of_type is not None:
            for object_type in self.run.object_types:
                if self._reference.may_have(object_type):
                    yield object_type.name, partial(self._records_of, of_type, object_type)

    def _records_of(self, of_type: OfType, object_type: ObjectType, anew: bool) -> list[Record]:
        sources = of_type(self.portal.descriptions, object_type, anew=anew)
        return [self._record({**source, "object_type": object_type.name}) for source in sources]

    def _settled(self, name: str, ask: Ask, before: int | None) -> list[Record]:
        """Return a list that is at least as long as before, or that HubSpot gave twice.

        If its earlier length is unknown, a list is accepted at once unless it is empty or has pages, which can get
        lost.

        Raises:
            ReplyError: HubSpot gave another list each time.
        """
        records = ask(False)
        if before is None and records and self._reference.of_account is None:
            return records
        for seconds in _WAITS:
            if before is not None and len(records) >= before:
                return records
            self.portal.api.wait(seconds if before else 0)
            again = ask(True)
            if self._keys(again) == self._keys(records):
                return again
            records = again
        raise ReplyError(
            f"HubSpot gave a different list of {self.name} of {name} each time, {len(records):,} at last: run again "
            "later."
        )

    def _keys(self, records: Iterable[Record]) -> set[tuple[Any, ...]]:
        return {tuple(record[name] for name in self._reference.key) for record in records}

    def _activations(self, read: Sequence[str], known: Mapping[str, int | None]) -> Iterator[Activation]:
        """Yield the activations of the lists that were read, which mark deleted rows."""
        if self._version is None or not read:
            return
        if self._reference.of_account is not None:
            yield Activation(self._version)
        elif self.run.settings.scoped_versions:
            yield Activation(self._version, Scope(("object_type",), tuple((name,) for name in read)))
        elif known and {name for name, count in known.items() if count != 0} <= set(read):
            yield Activation(self._version)

    def _record(self, source: Mapping[str, Any]) -> Record:
        return {name: _value(source.get(key), schema) for name, (schema, key) in self._reference.columns.items()}


def _value(value: Any, schema: dict[str, Any]) -> Any:
    """Return HubSpot's JSON value; its date-times come with and without fractions (observed)."""
    return format_timestamp(parse_timestamp(value)) if value and schema is DATE_TIME else value
