"""When an ACTIVATE_VERSION message is applied.

Rows of older versions may be deleted only after the stream was read completely. Most taps send the message after the
records. Taps of the Singer SDK send it before them: a message that comes before the first record of its stream waits
for the end of the run, so that a run that fails, or rejects a record, deletes nothing. While it waits, no later STATE
is printed, because that STATE would say that the older rows are deleted.

A tap that stops in the middle also ends the input, so a STATE has to follow the last line of the stream. A message that
comes again between the records, as for each parent of a child stream, proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from singer_sdk.mapper import RemoveRecordTransform

if TYPE_CHECKING:
    from target_warehouse.load.scope import Scope
    from target_warehouse.singer.sink import WarehouseSink
    from target_warehouse.singer.target import TargetWarehouse


_BETWEEN = (
    "Stream %s: rows of older versions are kept, because ACTIVATE_VERSION comes again and again between the records, "
    "so none of these messages says that the stream was read completely."
)
_UNFINISHED = (
    "Stream %s: rows of older versions are kept, because the input ended without a STATE after the stream's last "
    "message: the tap may have stopped in the middle. No STATE is printed that would pass them."
)


@dataclass
class _Waiting:
    """A message that waits: its version, its stream, and the last line of the input that the stream has.

    `is_repeated`: another one of its stream has come after records.
    """

    version: int
    stream: str
    last_line: int
    is_repeated: bool = False


class Activations:
    """The messages of a target that are not applied yet."""

    def __init__(self, target: TargetWarehouse) -> None:
        self._target = target
        #: By the names of sinks.
        self._waiting: dict[str, _Waiting] = {}
        #: Sinks whose messages prove nothing.
        self._ignored: set[str] = set()
        self._last_state = 0

    def note_record(self, stream: str, line: int) -> None:
        """Note the number of a line with a record. A group of records may reach beyond a STATE that follows it."""
        for name, each in list(self._waiting.items()):
            if each.stream == stream:
                each.last_line = max(each.last_line, line)
                if each.is_repeated:
                    self._target.logger.warning(_BETWEEN, stream)
                    self._ignored.add(name)
                    self._settled(name)

    def note_state(self, line: int) -> None:
        """Note the number of a line with a STATE."""
        self._last_state = line

    def take(self, stream: str, version: int, scope: Scope | None) -> None:
        """Apply a message, or let it wait if its stream has no records yet.

        A message with a scope is only sent after its records. If several streams are loaded into one table, each with
        its own versions, a version of one says nothing about the rows of the others, so it is ignored.
        """
        if stream in self._target.message_reader.mixed:
            self._target.logger.warning(
                "Stream %s: rows of older versions are kept, because other streams are loaded into the same table, and "
                "their rows must not count as deleted.",
                stream,
            )
            return
        for stream_map in self._target.mapper.stream_maps.get(stream, ()):
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            sink = self._target.get_sink(stream_map.stream_alias)
            if not (sink.process_activate_version_messages and sink.is_activated_by(scope)):
                continue
            name, line = sink.stream_name, self._target.message_reader.line_number
            if scope is None and name in self._ignored:
                continue
            if scope is None and name in self._waiting:
                self._waiting[name] = _Waiting(version, stream, line, is_repeated=bool(sink.load.rows_read))
            elif scope is None and not sink.load.rows_read and sink.has_outdated(version):
                self._waiting[name] = _Waiting(version, stream, line)
                self._target.committer.gate.wait_for_version(name)
            else:
                self._apply(sink, version, scope)

    def apply_all(self) -> None:
        """Apply the messages that wait, at the end of the input."""
        for name, waiting in list(self._waiting.items()):
            if waiting.last_line < self._last_state:
                self._apply(self._target.get_sink(name), waiting.version, None)
            else:
                self._target.logger.warning(_UNFINISHED, waiting.stream)

    def _apply(self, sink: WarehouseSink, version: int, scope: Scope | None) -> None:
        self._target.drain_one(sink)
        sink.activate_version(version, scope)
        if scope is None:
            self._settled(sink.stream_name)

    def _settled(self, name: str) -> None:
        self._waiting.pop(name, None)
        self._target.committer.gate.version_applied(name)
