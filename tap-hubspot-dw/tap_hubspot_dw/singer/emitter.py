"""The run's main loop: all streams are read concurrently, and one thread writes their messages.

This uses all three of HubSpot's rate limits at the same time: associations are read while objects are still being
read. RECORD messages of different streams interleave, in blocks of one reply; those of one stream keep their order.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_hubspot_dw.errors import RunStoppedError
from tap_hubspot_dw.reading.parallel import in_parallel
from tap_hubspot_dw.run.progress import progress_line
from tap_hubspot_dw.run.run import Run
from tap_hubspot_dw.singer.activations import Activations
from tap_hubspot_dw.singer.events import Block, Checkpoint, Event
from tap_hubspot_dw.singer.output import MessageWriter
from tap_hubspot_dw.timestamps import now

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.metrics import Counter

    from tap_hubspot_dw.singer.streams.base import HubSpotStream
    from tap_hubspot_dw.singer.streams.stream_reading import StreamReading


_SWITCH_SECONDS = 0.05  # enough for a page: switching threads within a page costs a tenth more CPU time
_COLLECT_EVERY = 50_000  # a few pages; records have no reference cycles, so there is little garbage to find
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # of glibc's malloc.h
_REPLY_BYTES = 1_000_000  # a reply with all properties of a wide portal is larger


@dataclass(frozen=True, eq=False)
class _Output:
    """A stream that is being written: its reading, and what its messages need."""

    stream: HubSpotStream
    reading: StreamReading
    activations: Activations
    counter: Counter


class Emitter:
    """Writes the events of concurrently read streams; used by the main thread only."""

    def __init__(self, tap: Tap, run: Run, writer: MessageWriter, *, owns_process: bool) -> None:
        self._tap = tap
        self._run = run
        self._writer = writer
        self._owns_process = owns_process
        self._wrote_since_state = False

    def write(self, streams: Sequence[HubSpotStream], history: Sequence[HubSpotStream]) -> None:
        """Read the streams concurrently, and write the history after them even if they fail.

        Raises:
            RunStoppedError: no stream can be read any more.
            SystemExit: a signal arrived.
        """
        try:
            self._sync(streams)
        except BrokenPipeError:  # the reader of the output is gone
            raise
        except BaseException as error:
            self._run.ended_by = error
            self.finish(history)
            raise
        self.finish(history)

    def _sync(self, streams: Sequence[HubSpotStream]) -> None:
        """Write all events of the streams; a STATE follows every checkpoint that covers something new.

        A stream that fails does not stop the others.

        Raises:
            RunStoppedError: no stream can be read any more.
            SystemExit: a signal arrived.
        """
        stop = self._run.stop
        if self._owns_process:
            _tune_interpreter()
        with ExitStack() as contexts:
            outputs = [contexts.enter_context(self._opened(stream)) for stream in streams]
            contexts.enter_context(self._progress_logged([output.reading for output in outputs]))
            try:
                stop.is_reading = True
                stop.check()
                for output, event in in_parallel(outputs, _events, workers=len(outputs)):
                    stop.is_reading = False
                    if event is None:
                        output.reading.log_outcome()
                    else:
                        self._write(output, event)
                    stop.is_reading = True
                    stop.check()
            except RunStoppedError:
                stop.check()
                raise
            finally:
                stop.is_reading = False

    def finish(self, streams: Sequence[HubSpotStream]) -> None:
        """Write streams that make no requests, and the last state; also after a signal."""
        for stream in streams:
            with self._opened(stream) as output:
                for event in output.reading.events():
                    self._write(output, event)
            output.reading.log_outcome()
        self._write_state()

    @contextmanager
    def _opened(self, stream: HubSpotStream) -> Iterator[_Output]:
        """Begin a reading of a stream, and write its SCHEMA."""
        reading = stream.begin()
        stream._write_schema_message()  # noqa: SLF001  the SDK's own writer of it
        with stream.get_record_counter() as counter:
            yield _Output(stream, reading, Activations(stream), counter)

    def _write(self, output: _Output, event: Event) -> None:
        if isinstance(event, Block):
            if event.lines:
                self._writer.write_lines(event.lines)
            else:
                output.stream.write(event)
            output.reading.count(event)
            output.counter.increment(event.total)
            self._wrote_since_state |= event.total > 0
        elif isinstance(event, Checkpoint):
            output.reading.keep(event)
            if self._wrote_since_state:
                self._write_state()
        elif self._run.settings.activate_versions:
            for message in output.activations.messages(event):
                self._tap.write_message(message)

    def _write_state(self) -> None:
        if self._run.settings.only_ids is None:  # reading some records must not move bookmarks
            self._tap.state_writer.write_state(self._tap.state)
        self._wrote_since_state = False

    @contextmanager
    def _progress_logged(self, readings: Sequence[StreamReading]) -> Iterator[None]:
        """Log, every few seconds, the progress of the streams that made requests since the last time."""
        over = threading.Event()

        def log_progress() -> None:
            requests: dict[str, int] = {}
            while not over.wait(self._run.settings.progress_seconds):
                for reading in readings:
                    done = reading.done
                    if done.finished_at is None and done.traffic.requests > requests.get(reading.name, 0):
                        requests[reading.name] = done.traffic.requests
                        reading.logger.info("%s: %s.", reading.name, progress_line(done, now()))

        if self._run.settings.progress_seconds:
            threading.Thread(target=log_progress, daemon=True).start()
        try:
            yield
        finally:
            over.set()


def _events(output: _Output) -> Iterator[Event]:
    return output.reading.events()


def _tune_interpreter() -> None:
    """Tune this process for many threads that all produce pages of text.

    Imported objects are exempted from garbage collection: examining them again and again costs a tenth more CPU time.
    The number of malloc arenas is limited: with glibc's heap per thread, memory grows steadily over a million records.
    HubSpot's replies of a megabyte get memory of their own, as in a heap among small objects they fragment it.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _REPLY_BYTES)
