"""What every stream has in common: reading under observation, and state that only the reader moves.

The SDK takes a stream's bookmark from the records it sees; here the bookmark is the end of a window that was read
completely, so those hooks of the SDK are switched off. `read` runs on the main thread and saves its state after
the records that the state covers have been written.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel

from tap_hubspot_dw.errors import HubSpotError, RunStoppedError
from tap_hubspot_dw.progress import progress_line
from tap_hubspot_dw.run import Run, StreamRun, now
from tap_hubspot_dw.state import StreamState

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib import RecordMessage

    from tap_hubspot_dw.records import Record

_STATE_SECONDS = 3.0
_PROGRESS_RECORDS = 200  # how many records pass between two looks at the clock


class HubSpotStream(Stream):
    """A stream whose `read` yields finished records."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # records are converted once, in `records`

    def __init__(self, tap: Tap, run: Run, name: str, schema: dict[str, Any]) -> None:
        super().__init__(tap, schema=schema, name=name)
        self.run = run
        self.done = StreamRun(name, run.began_at)
        self._state_written = 0.0

    @abc.abstractmethod
    def read(self) -> Iterator[Record]:
        """Yield the records of this run.

        Raises:
            HubSpotError: this stream cannot be read.
        """

    def get_records(self, context: Context | None) -> Iterator[Record]:  # noqa: ARG002  the SDK's signature
        """Yield what `read` yields; its failure is kept for the end of the run, so that other streams go on."""
        self.done = StreamRun(self.name, now())
        self.run.history.append(self.done)
        traffic = self.run.portal.client.traffic
        before = (traffic.requests, traffic.retries, traffic.throttled_seconds)
        stop = self.run.stop
        stop.is_reading = True
        stop.check()
        try:
            told = time.monotonic()
            progress_seconds = self.run.settings.progress_seconds
            for number, record in enumerate(islice(self.read(), self.run.settings.max_records), 1):
                if record.get("_sdc_deleted_at"):
                    self.done.deletes += 1
                else:
                    self.done.records += 1
                stop.is_reading = False
                yield record
                stop.is_reading = True
                stop.check()
                if not progress_seconds or number % _PROGRESS_RECORDS:
                    continue
                if time.monotonic() - told >= progress_seconds:
                    told = time.monotonic()
                    requests, throttled = traffic.requests - before[0], traffic.throttled_seconds - before[2]
                    self.logger.info("%s: %s.", self.name, progress_line(self.done, now(), requests, throttled))
        except RunStoppedError as error:
            stop.check()
            self.done.error = str(error)
            raise
        except HubSpotError as error:
            self._fail(str(error))
        except Exception as error:  # whatever it is, the other streams must go on and the exit code tell
            self.logger.exception("%s: an error that the tap does not know; please report it.", self.name)
            self._fail(f"{type(error).__name__} in the tap itself")
        finally:
            stop.is_reading = False
            after = (traffic.requests, traffic.retries, traffic.throttled_seconds)
            self.done.requests, self.done.retries = after[0] - before[0], after[1] - before[1]
            self.done.throttled_seconds = after[2] - before[2]
            self.done.finished_at = now()
        self._tell()

    def load_state(self) -> StreamState:
        """Return this stream's state as the run found it.

        Raises:
            HubSpotError: the state is not one that this tap can read.
        """
        try:
            return StreamState.from_json(self.stream_state)
        except (ValueError, KeyError, TypeError) as error:
            raise HubSpotError(
                f"The state of {self.name} is not readable ({error}): look at it with `meltano state get`, "
                "or clear it and let the next run read everything."
            ) from error

    def save_state(self, state: StreamState) -> None:
        """Set this stream's state; all records that it covers have been yielded. Written every few seconds."""
        saved = self.stream_state
        saved.clear()
        saved.update(state.to_json(self.replication_key))
        self.state_manager.is_flushed = False
        if time.monotonic() - self._state_written >= _STATE_SECONDS and not self.in_batches:
            self._state_written = time.monotonic()
            self.run.stop.is_reading = False
            self._write_state_message()
            self.run.stop.is_reading = True
            self.run.stop.check()

    def set_version(self, version: int) -> None:
        """Let the records that follow carry this table version."""
        self._stream_version = version

    def activate_version(self, version: int) -> None:
        """Tell the target that rows of earlier versions are gone from HubSpot.

        Not with BATCH messages: their records carry no version and may not have been written yet.
        """
        if self.run.settings.activate_versions and not self.in_batches:
            self.run.stop.is_reading = False
            self._write_activate_version_message(version)
            self.run.stop.is_reading = True

    @property
    def in_batches(self) -> bool:
        """Whether records leave as BATCH files."""
        return self.get_batch_config(self.config) is not None

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
        """Yield the messages of a record; a delete record stays partial even where a stream map reads all columns."""
        if not record.get("_sdc_deleted_at"):
            yield from super()._generate_record_messages(record)
            return
        padded = dict.fromkeys(self.schema["properties"]) | record
        for message in super()._generate_record_messages(padded):
            message.record = {name: value for name, value in message.record.items() if value is not None}
            yield message

    def _fail(self, message: str) -> None:
        self.done.error = message
        self.run.failures[self.name] = message
        self.logger.error("%s: %s", self.name, message)

    def _tell(self) -> None:
        done = self.done
        if done.error:
            return
        parts = [f"{done.records:,} records"]
        if done.deletes:
            parts.append(f"{done.deletes:,} deletes")
        parts.append(f"{done.requests:,} requests")
        if done.throttled_seconds:
            parts.append(f"{done.throttled_seconds:.1f} s throttled")
        self.logger.info("%s: %s: %s.", self.name, done.mode or "read", ", ".join(parts))
        if done.invalid_values:
            named = ", ".join(f"{name} ({count:,})" for name, count in done.invalid_values.most_common())
            self.logger.warning(
                "%s: values that do not fit their property's type are null, their text is in invalid_properties: %s.",
                self.name,
                named,
            )


def described(columns: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON schema of a stream with fixed columns."""
    return {"type": "object", "properties": dict(columns)}
