"""When an ACTIVATE_VERSION message is applied.

Rows of older versions may be deleted only after the stream was read completely. Most taps send the message after the
records. Taps of the Singer SDK send it before them: such a message waits for the end of the run, so that a run that
fails, or rejects a record, deletes nothing. If no record of its stream follows the message, the stream is empty, and
the message is applied when the next one comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.mapper import RemoveRecordTransform

if TYPE_CHECKING:
    from target_warehouse.load.scope import Scope
    from target_warehouse.singer.target import TargetWarehouse


class Activations:
    """The messages of a target that are not applied yet, by stream."""

    def __init__(self, target: TargetWarehouse) -> None:
        self._target = target
        self._undecided: tuple[str, int] | None = None
        self._waiting: dict[str, int] = {}

    def take(self, stream: str, version: int, scope: Scope | None) -> None:
        """Apply a message, or let it wait if its stream has no records yet.

        A message with a scope is only sent after its records.
        """
        self._waiting.pop(stream, None)
        load = self._target.committer.loads.get(stream)
        if scope is None and (load is None or not load.rows_read):
            self._undecided = (stream, version)
        else:
            self._apply(stream, version, scope)

    def settle(self, next_stream: str | None = None) -> None:
        """Decide on the last message: it waits for the end if the next message is a record of its stream."""
        if self._undecided is None:
            return
        (stream, version), self._undecided = self._undecided, None
        if next_stream == stream:
            self._waiting[stream] = version
        else:
            self._apply(stream, version, None)

    def apply_all(self) -> None:
        """Apply all messages, at the end of the input."""
        self.settle()
        while self._waiting:
            self._apply(*self._waiting.popitem(), None)

    def _apply(self, stream: str, version: int, scope: Scope | None) -> None:
        target = self._target
        for stream_map in target.mapper.stream_maps.get(stream, ()):
            if not isinstance(stream_map, RemoveRecordTransform):
                sink = target.get_sink(stream_map.stream_alias)
                if sink.process_activate_version_messages and sink.is_activated_by(scope):
                    target.drain_one(sink)
                    sink.activate_version(version, scope)
