"""The fast path: groups of RECORD lines that go to their sink as a whole, without a Python object for each record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.mapper import SameRecordTransform

if TYPE_CHECKING:
    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.singer.sink import WarehouseSink
    from target_warehouse.singer.target import TargetWarehouse


class FastPath:
    """Passes the record groups of the message reader to the sinks."""

    def __init__(self, target: TargetWarehouse) -> None:
        self._target = target
        self._reader = target.message_reader

    def take(self, group: RecordGroup) -> bool:
        """Add a group to its stream's sink, in parts if it is larger than a batch.

        Return False if the slow path must load it.
        """
        target, sink = self._target, self._sink_of(group.stream)
        target.activations.note_record(group.stream, group.spans[-1][0])
        if sink is None or sink.decoder is None:
            return False
        if not sink.holds_fast_batch or group.rows > sink.max_size - sink.current_size:
            target.drain_one(sink)
        self._reader.decoders[group.stream] = decoder = sink.decoder  # drain_one may have changed it
        if group.rows > sink.max_size:
            for part in group.split(sink.max_size):
                if not self.take(part):
                    self._reader.process_by_slow_path(part)
            return True
        if group.decoded_by is not decoder:
            group.decoded = decoder.decode(group)
        if group.decoded is None:
            target.drain_one(sink)
            return False
        sink.take_group(group)
        if sink.is_full:
            target.drain_one(sink)
        target.commit_if_much_or_due()
        return True

    def _sink_of(self, stream: str) -> WarehouseSink | None:
        """The sink that gets a stream's records unchanged; None if there is none, or more than one."""
        maps = self._target.mapper.stream_maps.get(stream, ())
        if len(maps) != 1 or type(maps[0]) is not SameRecordTransform:
            return None
        return self._target.active_sink(maps[0].stream_alias)
