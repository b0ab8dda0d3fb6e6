"""What every stream has in common: reading under observation, and state that only the reader moves.

The SDK takes a stream's bookmark from the records it sees; here the bookmark is the end of a window that was read
completely, so those hooks of the SDK are switched off. `read` runs in a thread of its own and tells everything by
events; what they ask for is done on the main thread (`together`). `get_records` is the SDK's way to the same records,
for its tests and its BATCH files.
"""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.singerlib import ActivateVersionMessage

from tap_hubspot_dw.errors import DailyLimitError, HubSpotError, RunStoppedError, SettingsError
from tap_hubspot_dw.reading.stream_state import StreamState, names_of
from tap_hubspot_dw.run.progress import outcome
from tap_hubspot_dw.run.run import Run, StreamRun
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.singer.events import (
    BELOW_ALL,
    Activation,
    Block,
    Checkpoint,
    Event,
    ScopedVersionMessage,
    record_lines,
)
from tap_hubspot_dw.timestamps import now

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context
    from singer_sdk.mapper import StreamMap
    from singer_sdk.singerlib import RecordMessage, SelectionMask

    from tap_hubspot_dw.object_types import ObjectType
    from tap_hubspot_dw.records.compiled_records import WrittenRecord
    from tap_hubspot_dw.records.full_records import FullRecord, Record


class HubSpotStream(Stream):
    """A stream whose `read` yields events with finished records."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # records are converted once, in `records`

    def __init__(self, tap: Tap, run: Run, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.run = run
        self.portal = run.portal
        self.done = StreamRun(name, run.began_at)
        self.version: int | None = None
        self._extracted_at: datetime | None = None
        self._without_scope: set[str] = set()  # the streams of which that was counts

    @abc.abstractmethod
    def read(self) -> Iterator[Event]:
        """Yield the records of this run, and checkpoints behind what they cover.

        Raises:
            HubSpotError: this stream cannot be read.
        """

    def begin(self) -> None:
        """Get ready for `events`, on the main thread; from here on the run's history has this stream."""
        self.done = StreamRun(self.name, now())
        self.portal = self.run.portal.counted_by(self.done.traffic)
        self.run.history.append(self.done)
        self._saved = self.stream_state  # the SDK's dictionary; to ask for it may add it to the whole state
        self.dropped = [name for name in self.schema["properties"] if not self.mask["properties", name]]
        self._is_plain = (
            [type(each) for each in self.stream_maps] == [SameRecordTransform]
            and not self.stream_maps[0].flattening_enabled
            and not self.in_batches
            and self.ABORT_AT_RECORD_COUNT is None
            and self.run.settings.max_records is None
        )

    @property
    def are_lines_final(self) -> bool:
        """Whether a record is written as it was made, with every column and by nobody else."""
        return self._is_plain and not self.dropped

    def events(self) -> Iterator[Event]:
        """Yield what `read` yields; its failure is kept for the end of the run, so that other streams go on."""
        try:
            yield from self._sample(self.read())
            self.done.is_complete = True
        except RunStoppedError as error:
            if self.run.stop.signal is None and not isinstance(error, DailyLimitError):
                self.done.error = str(error)
            raise
        except HubSpotError as error:
            self._fail(str(error))
        except Exception as error:  # whatever it is, the other streams must go on and the exit code tell
            self.logger.exception("%s: an error that the tap does not know; please report it.", self.name)
            self._fail(f"{type(error).__name__} in the tap itself")
        finally:
            self.done.finished_at = now()
            self.ended()

    def ended(self) -> None:
        """Do what has to be done when the reading is over, however it ended."""

    def block(
        self,
        records: Sequence[Record | FullRecord | WrittenRecord],
        *,
        deletes: int = 0,
        repeated: int = 0,
        invalid: Iterable[str] = (),
        version: int | None = None,
    ) -> Block:
        """Return these records as they are written: as lines, or for the SDK where stream maps or others want them.

        Their version is the stream's, if it is not another one.
        """
        version = version or self.version
        at, total = self.run.now(), len(records)
        counts = (at, version, total, deletes, repeated, Counter(invalid))
        if self.are_lines_final:
            return Block(*counts, (), record_lines(self.name, records, version, at))
        dicts = [each if isinstance(each, dict) else each.as_dict() for each in records]
        if not self._is_plain:
            return Block(*counts, dicts, ())
        for name in self.dropped:
            for record in dicts:
                record.pop(name, None)
        return Block(*counts, (), record_lines(self.name, dicts, version, at))

    def write(self, block: Block) -> None:
        """Write a block's records the SDK's way, one by one."""
        for record in self._taken(block):
            self._write_record_message(record)

    def activations(self, activation: Activation) -> Iterator[ActivateVersionMessage]:
        """Yield the messages of an activation, one for each stream that stream maps make of this one."""
        scope = activation.scope
        for each in self.stream_maps:
            if isinstance(each, RemoveRecordTransform):
                continue
            if scope is None:
                yield ActivateVersionMessage(stream=each.stream_alias, version=activation.version)
                continue
            kept = [
                values for values in scope.values if self._keeps(each, dict(zip(scope.columns, values, strict=True)))
            ]
            if kept:
                named = {"version": activation.version, "columns": scope.columns, "values": kept}
                yield ScopedVersionMessage(stream=each.stream_alias, version=BELOW_ALL, scope=named)
            if len(kept) < len(scope.values) and each.stream_alias not in self._without_scope:
                self._without_scope.add(each.stream_alias)
                self.logger.warning(
                    "%s: not all that is gone is marked as deleted in the stream %s, as its stream map filters by, or "
                    "changes, %s or the key.",
                    self.name,
                    each.stream_alias,
                    " or ".join(scope.columns),
                )

    def _keeps(self, stream_map: StreamMap, keys: Mapping[str, str]) -> bool:
        """Tell whether a stream map leaves these columns of the key as they are: then their rows are what was read."""
        if isinstance(stream_map, SameRecordTransform):
            return True
        if not set(keys) <= set(stream_map.transformed_key_properties or ()):
            return False
        try:
            mapped = stream_map.transform({**dict.fromkeys(self.schema["properties"]), **keys})
        except Exception:  # noqa: BLE001  an expression over columns that are null here: anything may come of it
            return False
        return mapped is not None and all(mapped.get(name) == value for name, value in keys.items())

    def count(self, block: Block) -> None:
        """Add a block that was written to the run's history."""
        self.done.records += block.total - block.deletes
        self.done.deletes += block.deletes
        self.done.bytes_written += sum(map(len, block.lines))
        self.done.repeated += block.repeated
        self.done.invalid_values.update(block.invalid)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Set this stream's state; everything that it covers has been written."""
        self._saved.clear()
        self._saved.update(checkpoint.state)
        self.state_manager.is_flushed = False

    def load_state(self) -> StreamState:
        """Return this stream's state as the run found it; a full pass that began in the future is begun anew.

        Raises:
            SettingsError: the state is not one that this tap can read.
        """
        state = self.state_of(self._saved)
        if state.full_pass and state.full_pass.started_at > self.run.started_at:
            state.version, state.full_pass = max(state.version, state.full_pass.version), None
        return state

    def check_state(self) -> None:
        """Check the state before anything is written; warn of one that only looks like one.

        Raises:
            SettingsError: the state is not one that this tap can read.
        """
        saved = dict(self.stream_state)
        if self.state_of(saved) == StreamState() and (names := names_of(saved)):
            self.logger.warning(
                "%s: its state has %s, and nothing that this tap can go on from: it is read as if it had none.",
                self.name,
                names,
            )

    def state_of(self, saved: Mapping[str, Any]) -> StreamState:
        """Return what a bookmark of this stream says.

        Raises:
            SettingsError: it is not one that this tap can read.
        """
        try:
            return StreamState.from_json(saved)
        except ValueError as error:
            raise SettingsError(
                f"The state of {self.name} is not readable ({error}): correct it with `meltano state get` and `set`, "
                "or clear it and let the next run read everything."
            ) from error

    def check_searchable(self, object_type: ObjectType) -> None:
        """Refuse to search by a property that is not there: HubSpot finds nothing by it, without an error (observed).

        Raises:
            HubSpotError: the type has no modified property.
        """
        lists = (self.portal.properties(object_type, anew=anew) for anew in (False, True))  # one may come cut short
        if not any(object_type.modified_property == each["name"] for found in lists for each in found):
            raise HubSpotError(
                f"HubSpot lists no property {object_type.modified_property} for {object_type.name}, so the tap cannot "
                "ask for changes: run with --full-refresh, and report it."
            )

    def checkpoint(self, state: StreamState) -> Checkpoint:
        """Return the state as it is now; all records that it covers have been yielded."""
        return Checkpoint(state.to_json(self.replication_key))

    @property
    def in_batches(self) -> bool:
        """Whether records leave as BATCH files."""
        return self.get_batch_config(self.config) is not None

    @property
    def mask(self) -> SelectionMask:
        """What is selected; the mark of a deletion always is, or a delete record would pass for a live one."""
        mask = super().mask
        if "_sdc_deleted_at" in self.schema["properties"]:
            mask["properties", "_sdc_deleted_at"] = True
        return mask

    # The SDK's way.

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002  the SDK's signature
        """Yield the records of `events` one by one, and keep the state on the way.

        No version is activated: in BATCH files records carry none and may not have been written yet.
        """
        stop = self.run.stop
        self.begin()
        stop.is_reading = True
        try:
            for event in self.events():
                stop.is_reading = False
                if isinstance(event, Block):
                    self.count(event)
                    yield from self._taken(event)
                elif isinstance(event, Checkpoint):
                    self.keep(event)
                stop.is_reading = True
                stop.check()
        finally:
            stop.is_reading = False
        self.log_outcome()

    # Hooks of the SDK: it must neither move bookmarks nor activate versions by itself.

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK's would come before the records, when nothing is known yet."""
        return False

    def get_replication_key_signpost(self, context: Context | None = None) -> datetime | None:  # noqa: ARG002
        """None: no value that a record carries can move the bookmark."""
        return None

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state alone."""

    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        """Leave the state alone."""

    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """Yield the messages of a record; of a delete record, which is partial, only what it carries (`deletions`)."""
        for message in super()._generate_record_messages(record):
            message.time_extracted = self._extracted_at
            yield message

    def _taken(self, block: Block) -> Iterator[Record]:
        """Yield a block's records for the SDK, which asks the stream for what stands beside them in a message."""
        for record in block.records:
            self._stream_version, self._extracted_at = block.version, block.extracted_at
            yield record

    def _sample(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield the events up to the setting's number of records; all without one."""
        left = self.run.settings.max_records
        for event in events:
            if left is None or not isinstance(event, Block):
                yield event
                continue
            yield event.first(left)
            left -= event.total
            if left <= 0:
                self.done.is_sample = True
                return

    def _fail(self, message: str) -> None:
        self.done.error = message
        self.run.failures[self.name] = message
        self.logger.error("%s: %s", self.name, message)

    def log_outcome(self) -> None:
        """Say in the log what was read."""
        if self.done.error:
            return
        self.logger.info("%s: %s.", self.name, outcome(self.done))
        if self.done.invalid_values:
            named = ", ".join(f"{name} ({count:,})" for name, count in self.done.invalid_values.most_common())
            self.logger.warning(
                "%s: values that do not fit their property's type are null, their text is in invalid_properties: %s.",
                self.name,
                shown(named),
            )


def described(columns: Mapping[str, dict[str, Any]], description: str) -> dict[str, Any]:
    """Return the JSON schema of a stream with fixed columns."""
    return {"type": "object", "description": description, "properties": dict(columns)}
