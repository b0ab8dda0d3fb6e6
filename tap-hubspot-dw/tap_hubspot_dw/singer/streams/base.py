"""The base of all streams: reading as a sequence of events, and state that only checkpoints advance.

The SDK takes a stream's bookmark from the records it sees. Here the bookmark is the start of a run that read a window
completely, so those hooks of the SDK are disabled. `read` runs in a thread of its own and yields events, which the
main thread acts on (`emitter`). `get_records` gives the SDK the same records, for its tests and its BATCH files.
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

    from tap_hubspot_dw.records.record_forms import AnyRecord, Record


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
        self._without_scope: set[str] = set()  # mapped streams with a warning about their scope

    @abc.abstractmethod
    def read(self) -> Iterator[Event]:
        """Yield the records of this run, and checkpoints after the records that they cover.

        Raises:
            HubSpotError: this stream cannot be read.
        """

    def begin(self) -> None:
        """Get ready for `events`, on the main thread, and add this stream to the run's history."""
        self.done = StreamRun(self.name, now())
        self.portal = self.run.portal.counted_by(self.done.traffic)
        self.run.history.append(self.done)
        self._saved = self.stream_state  # the SDK's dictionary; getting it may add it to the whole state
        self.dropped = [name for name in self.schema["properties"] if not self.mask["properties", name]]
        self._is_plain = (
            [type(stream_map) for stream_map in self.stream_maps] == [SameRecordTransform]
            and not self.stream_maps[0].flattening_enabled
            and not self.in_batches
            and self.ABORT_AT_RECORD_COUNT is None
            and self.run.settings.max_records is None
        )

    @property
    def are_lines_final(self) -> bool:
        """Whether records are written as they were made: with every column, and without stream maps or the SDK."""
        return self._is_plain and not self.dropped

    def events(self) -> Iterator[Event]:
        """Yield the events of `read`; keep its failure for the end of the run, so that other streams continue."""
        try:
            yield from self._sample(self.read())
            self.done.is_complete = True
        except RunStoppedError as error:
            if self.run.stop.signal is None and not isinstance(error, DailyLimitError):
                self.done.error = str(error)
            raise
        except HubSpotError as error:
            self._fail(str(error))
        except Exception as error:  # any error: the other streams continue, and the exit code shows the failure
            self.logger.exception("%s: an unexpected error in the tap; please report it.", self.name)
            self._fail(f"{type(error).__name__} in the tap itself")
        finally:
            self.done.finished_at = now()
            self.ended()

    def ended(self) -> None:
        """Clean up after the reading, however it ended."""

    def block(
        self,
        records: Sequence[AnyRecord],
        *,
        deletes: int = 0,
        repeated: int = 0,
        invalid: Iterable[str] = (),
        version: int | None = None,
    ) -> Block:
        """Return these records as lines; as dictionaries if stream maps or other parts of the SDK need them.

        Their version is the stream's, unless another is given.
        """
        version = version or self.version
        at, total = self.run.now(), len(records)
        counts = (at, version, total, deletes, repeated, Counter(invalid))
        if self.are_lines_final:
            return Block(*counts, (), record_lines(self.name, records, version, at))
        dicts = [record if isinstance(record, dict) else record.as_dict() for record in records]
        if not self._is_plain:
            return Block(*counts, dicts, ())
        for name in self.dropped:
            for record in dicts:
                record.pop(name, None)
        return Block(*counts, (), record_lines(self.name, dicts, version, at))

    def write(self, block: Block) -> None:
        """Write a block's records one by one, through the SDK."""
        for record in self._taken(block):
            self._write_record_message(record)

    def activations(self, activation: Activation) -> Iterator[ActivateVersionMessage]:
        """Yield the messages of an activation, one for each stream that stream maps make of this one."""
        scope = activation.scope
        for stream_map in self.stream_maps:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            alias = stream_map.stream_alias
            if scope is None:
                yield ActivateVersionMessage(stream=alias, version=activation.version)
                continue
            keys = [dict(zip(scope.columns, values, strict=True)) for values in scope.values]
            kept = [tuple(key.values()) for key in keys if self._keeps(stream_map, key)]
            if kept:
                named = {"version": activation.version, "columns": scope.columns, "values": kept}
                yield ScopedVersionMessage(stream=alias, version=BELOW_ALL, scope=named)
            if len(kept) < len(scope.values) and alias not in self._without_scope:
                self._without_scope.add(alias)
                self.logger.warning(
                    "%s: not all deletions are marked in the stream %s, as its stream map filters by, or changes, %s "
                    "or the key.",
                    self.name,
                    alias,
                    " or ".join(scope.columns),
                )

    def _keeps(self, stream_map: StreamMap, keys: Mapping[str, str]) -> bool:
        """Return whether a stream map leaves these key columns unchanged, so that they identify the same rows."""
        if isinstance(stream_map, SameRecordTransform):
            return True
        if not set(keys) <= set(stream_map.transformed_key_properties or ()):
            return False
        try:
            mapped = stream_map.transform({**dict.fromkeys(self.schema["properties"]), **keys})
        except Exception:  # noqa: BLE001  the map's expressions get null columns here and may raise anything
            return False
        return mapped is not None and all(mapped.get(name) == value for name, value in keys.items())

    def count(self, block: Block) -> None:
        """Add a written block's counts to the run's history."""
        self.done.records += block.total - block.deletes
        self.done.deletes += block.deletes
        self.done.bytes_written += sum(map(len, block.lines))
        self.done.repeated += block.repeated
        self.done.invalid_values.update(block.invalid)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Set this stream's state; all records that it covers have been written."""
        self._saved.clear()
        self._saved.update(checkpoint.state)
        self.state_manager.is_flushed = False

    def load_state(self) -> StreamState:
        """Return this stream's state from the last run, without a full pass that began in the future.

        Raises:
            SettingsError: the state is not one that this tap can read.
        """
        state = self.state_of(self._saved)
        if state.full_pass and state.full_pass.started_at > self.run.started_at:
            state.version, state.full_pass = max(state.version, state.full_pass.version), None
        return state

    def check_state(self) -> None:
        """Check the state before anything is written; warn if it has nothing that this tap can use.

        Raises:
            SettingsError: the state is not one that this tap can read.
        """
        saved = dict(self.stream_state)
        if self.state_of(saved) == StreamState() and (names := names_of(saved)):
            self.logger.warning(
                "%s: its state has %s, but nothing that this tap can use, so it is read as if it had no state.",
                self.name,
                names,
            )

    def state_of(self, saved: Mapping[str, Any]) -> StreamState:
        """Return the state in a bookmark of this stream.

        Raises:
            SettingsError: the bookmark is not one that this tap can read.
        """
        try:
            return StreamState.from_json(saved)
        except ValueError as error:
            raise SettingsError(
                f"The state of {self.name} is not readable ({error}): correct it with `meltano state get` and `set`, "
                "or clear it and let the next run read everything."
            ) from error

    def checkpoint(self, state: StreamState) -> Checkpoint:
        """Return the current state; all records that it covers have been yielded."""
        return Checkpoint(state.to_json(self.replication_key))

    @property
    def in_batches(self) -> bool:
        """Whether records are written to BATCH files."""
        return self.get_batch_config(self.config) is not None

    @property
    def mask(self) -> SelectionMask:
        """The selection; it always includes `_sdc_deleted_at`, without which a delete record would look live."""
        mask = super().mask
        if "_sdc_deleted_at" in self.schema["properties"]:
            mask["properties", "_sdc_deleted_at"] = True
        return mask

    # Reading through the SDK.

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002  the SDK's signature
        """Yield the records of `events` one by one, and keep the state.

        No version is activated: records in BATCH files have no version and may not have been written yet.
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

    # Hooks of the SDK, which must neither move bookmarks nor activate versions by itself.

    @property
    def emit_activate_version_messages(self) -> bool:
        """False: the SDK would write them before the records, when the result is still unknown."""
        return False

    def get_replication_key_signpost(self, context: Context | None = None) -> datetime | None:  # noqa: ARG002
        """None: no value in a record can move the bookmark."""
        return None

    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Leave the state alone."""

    def _increment_stream_state(self, latest_record: Record, *, context: Context | None = None) -> None:
        """Leave the state alone."""

    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """Yield the messages of a record; `deletions` handles delete records, which are partial."""
        for message in super()._generate_record_messages(record):
            message.time_extracted = self._extracted_at
            yield message

    def _taken(self, block: Block) -> Iterator[Record]:
        """Yield a block's records for the SDK, which takes the other fields of their messages from the stream."""
        for record in block.records:
            self._stream_version, self._extracted_at = block.version, block.extracted_at
            yield record

    def _sample(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield events up to `max_records` records; all without that setting."""
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
        """Log what was read."""
        if self.done.error:
            return
        self.logger.info("%s: %s.", self.name, outcome(self.done))
        if self.done.invalid_values:
            named = ", ".join(f"{name} ({count:,})" for name, count in self.done.invalid_values.most_common())
            self.logger.warning(
                "%s: values that do not fit their property's type are null; their text is in invalid_properties: %s.",
                self.name,
                shown(named),
            )


def described(columns: Mapping[str, dict[str, Any]], description: str) -> dict[str, Any]:
    """Return the JSON schema of a stream with fixed columns."""
    return {"type": "object", "description": description, "properties": dict(columns)}
