"""When an ACTIVATE_VERSION message is applied.

Rows of older versions may be deleted only after the stream was read completely. Most taps send the message after the
records. Taps of the Singer SDK send it before them: a message that comes before the first record of its stream waits
for the end of the run, so that a run that fails, or rejects a record, deletes nothing. A tap that stops in the middle
also ends the input; so a STATE has to follow the last record. While a message waits, no later STATE is printed, because
that STATE would say that the older rows are deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.mapper import RemoveRecordTransform

if TYPE_CHECKING:
    from target_warehouse.load.scope import Scope
    from target_warehouse.singer.sink import WarehouseSink
    from target_warehouse.singer.target import TargetWarehouse


class Activations:
    """The messages of a target that are not applied yet."""

    def __init__(self, target: TargetWarehouse) -> None:
        self._target = target
        #: The versions, by the names of sinks.
        self._waiting: dict[str, int] = {}

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
            if scope is None and not sink.load.rows_read and sink.has_outdated(version):
                self._waiting[sink.stream_name] = version
                self._target.committer.gate.wait_for_version(sink.stream_name)
            else:
                self._apply(sink, version, scope)

    def apply_all(self) -> None:
        """Apply the messages that wait, at the end of the input."""
        for name, version in list(self._waiting.items()):
            if self._target.committer.gate.is_followed_by_state(name):
                self._apply(self._target.get_sink(name), version, None)
            else:
                self._target.logger.warning(
                    "Stream %s: rows of older versions are kept, because the input ended without a STATE after the "
                    "stream's last record: the tap may have stopped in the middle. No STATE is printed that would pass "
                    "them.",
                    name,
                )

    def _apply(self, sink: WarehouseSink, version: int, scope: Scope | None) -> None:
        self._target.drain_one(sink)
        sink.activate_version(version, scope)
        if scope is None:
            self._waiting.pop(sink.stream_name, None)
            self._target.committer.gate.version_applied(sink.stream_name)
