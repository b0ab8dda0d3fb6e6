"""One reading of a stream: a sequence of events, its row of the run's history, and the state that it saves.

`read` runs in a thread of its own and yields events, which the main thread acts on (`emitter`). A reading is made for
each run of its stream, so nothing of an earlier one is left in it.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tap_hubspot_dw.errors import DailyLimitError, HubSpotError, RunStoppedError
from tap_hubspot_dw.reading.saved_values import some_names
from tap_hubspot_dw.reading.stream_state import StreamState
from tap_hubspot_dw.run.progress import outcome
from tap_hubspot_dw.run.run import StreamRun
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.singer.events import Block, Checkpoint, Event
from tap_hubspot_dw.singer.record_form import form_of
from tap_hubspot_dw.singer.streams.blocks import BlockMaker
from tap_hubspot_dw.singer.streams.saved_state import state_of
from tap_hubspot_dw.timestamps import now

if TYPE_CHECKING:
    from tap_hubspot_dw.singer.streams.base import HubSpotStream


class StreamReading(abc.ABC):
    """One reading of a stream; made on the main thread."""

    def __init__(self, stream: HubSpotStream) -> None:
        self.stream = stream
        self.name, self.run, self.logger = stream.name, stream.run, stream.logger
        self.done = StreamRun(self.name, now())
        self.portal = self.run.portal.counted_by(self.done.traffic)
        self.blocks = BlockMaker(stream, self.run.now)
        self._form = form_of(self.name, stream.config, stream.stream_maps, as_json=self.run.settings.properties_as_json)
        self._saved = stream.stream_state  # the SDK's dictionary; getting it may add it to the whole state

    @abc.abstractmethod
    def read(self) -> Iterator[Event]:
        """Yield the records of this run, and checkpoints after the records that they cover.

        Raises:
            HubSpotError: this stream cannot be read.
        """

    def events(self) -> Iterator[Event]:
        """Yield the events of `read`; keep its failure for the end of the run, so that other streams continue."""
        try:
            yield from self._sampled(self.read())
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
            self.ended()

    def ended(self) -> None:
        """Note the end of the reading, however it ended."""
        self.done.finished_at = now()

    def load_state(self) -> StreamState:
        """Return the stream's state from the last run, without what cannot be true, with a warning.

        Raises:
            SettingsError: the state is not one that this tap can read.
        """
        state = state_of(self.name, self._saved)
        if future := state.forget_future(self.run.started_at):
            self.logger.warning(
                "%s: its state has times in the future (%s), which count as too old: a clock was wrong.",
                self.name,
                shown(some_names(future)),
            )
        return state

    def has_new_form(self, state: StreamState) -> bool:
        """Return whether earlier runs made records of another form; a state of an older release does not say so."""
        return state.form not in {None, self._form}

    def checkpoint(self, state: StreamState) -> Checkpoint:
        """Return the current state; all records that it covers have been yielded."""
        state.form = self._form
        state.portal, state.object_type = self.run.portal_id or state.portal, self.stream.type_id
        return Checkpoint(state.to_json(self.stream.replication_key))

    def count(self, block: Block) -> None:
        """Add a written block's counts to the run's history."""
        self.done.records += block.total - block.deletes
        self.done.deletes += block.deletes
        self.done.bytes_written += sum(map(len, block.lines))
        self.done.repeated += block.repeated
        self.done.invalid_values.update(block.invalid)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Set the stream's state; all records that it covers have been written."""
        self._saved.clear()
        self._saved.update(checkpoint.state)
        self.stream.state_manager.is_flushed = False

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

    def _sampled(self, events: Iterator[Event]) -> Iterator[Event]:
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
