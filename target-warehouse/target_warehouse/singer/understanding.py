"""SCHEMA messages, and input that is skipped because it cannot be understood: streams, and records nested too deeply.

The SDK, its stream maps and the sinks get the schemas that `schemas` returns. If a stream is skipped, the others are
loaded; no STATE after its messages is printed, and the run fails at its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from singer_sdk.helpers._batch import BaseBatchFileEncoding
from singer_sdk.mapper import RemoveRecordTransform

from target_warehouse.decode.converters import TOO_DEEP
from target_warehouse.errors import InputError, SchemaError, StreamsRefusedError
from target_warehouse.singer.committing import CommittingTarget
from target_warehouse.singer.flattening import FlatteningMapper
from target_warehouse.singer.message_reader import LineReader
from target_warehouse.singer.schemas import understood
from target_warehouse.tables.table import table_of

if TYPE_CHECKING:
    from target_warehouse.load.last_per_key import Record
    from target_warehouse.singer.sink import WarehouseSink


class UnderstandingTarget(CommittingTarget):
    """A target that normalises schemas, and skips streams whose schemas cannot be understood."""

    message_reader: LineReader

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._schemas: dict[str, tuple[Any, Any]] = {}  # schema and keys of each stream's last SCHEMA, as sent
        self._refused: set[str] = set()

    def setup_mapper(self) -> None:
        """Make the mapper, which flattens without loss and whose stream maps preserve deletions."""
        self.mapper = FlatteningMapper(plugin_config=dict(self.config), logger=self.logger)

    def active_sink(self, stream: str) -> WarehouseSink | None:
        """The sink of a stream, by its name after the stream map; None if it has none."""
        sink: WarehouseSink | None = self._sinks_active.get(stream)  # type: ignore[assignment]
        return sink

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"stream", "schema"})
        stream, sent = message_dict["stream"], (message_dict["schema"], message_dict.get("key_properties"))
        if self._schemas.get(stream) == sent:
            return
        self._schemas[stream] = sent
        try:
            message, notes = understood(message_dict)
            for note in notes:
                self.logger.warning("Stream %s: in its SCHEMA %s; any value is loaded there, as text.", stream, note)
            super()._process_schema_message(message)
        except SchemaError as error:
            self._refuse(stream, str(error))
        else:
            self._refused.discard(stream)
            self._find_mixed()

    def _find_mixed(self) -> None:
        """Let the reader keep the order of the records of streams to which stream maps give one name.

        Those that the setting names count before their first SCHEMA too.
        """
        sources: dict[str, set[str]] = {}
        for stream, named in (self.config.get("stream_maps") or {}).items():
            if isinstance(named, dict) and "__alias__" in named:
                sources.setdefault(named["__alias__"], set()).add(stream)
        for stream, maps in self.mapper.stream_maps.items():
            for stream_map in maps:
                if not isinstance(stream_map, RemoveRecordTransform):
                    sources.setdefault(stream_map.stream_alias, set()).add(stream)
        self.message_reader.mixed.clear()
        self.message_reader.mixed.update(*(streams for streams in sources.values() if len(streams) > 1))

    def _refuse(self, stream: str, reason: str) -> None:
        """Skip a stream from here on: write its earlier records; no STATE after its later records is printed."""
        for stream_map in self.mapper.stream_maps.pop(stream, ()):
            old = self.active_sink(stream_map.stream_alias)
            if old is not None:
                self.drain_one(old)
                old.clean_up()
                del self._sinks_active[stream_map.stream_alias]
        default = self.committer.settings.default_target_schema
        table = table_of(stream, {"properties": {}}, (), default_schema=default, interpret_encoding=False)
        self._refused.add(stream)
        load = self.committer.load_of(stream, table)
        load.refusal = (
            f"The SCHEMA of the stream {stream} cannot be understood: {reason}. No later record of the stream is "
            "loaded; correct the schema in the tap, or deselect the stream there."
        )
        self.logger.error("%s", load.refusal)

    def is_refused(self, message: dict[str, Any]) -> bool:
        """Whether a message belongs to a skipped stream; if so, no later STATE is printed."""
        if message.get("stream") not in self._refused:
            return False
        self.committer.loads[message["stream"]].size += self.message_reader.line_bytes
        self.committer.gate.lose()
        return True

    def reject_whole(self, stream: str, record: Record | str, reason: str = f"it {TOO_DEEP}") -> bool:
        """Reject a record that cannot be mapped, in every table of its stream; return whether there is a table."""
        if self.is_refused({"type": "RECORD", "stream": stream}):
            return True
        maps = self.mapper.stream_maps.get(stream, ())
        sinks = [sink for stream_map in maps if (sink := self.active_sink(stream_map.stream_alias))]
        for sink in sinks:
            if sink.holds_fast_batch:
                self.drain_one(sink)
            sink.reject_whole(record, reason)
        return bool(sinks)

    def _process_batch_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"stream", "encoding", "manifest"})
        if self.is_refused(message_dict):
            return
        self.assert_known(message_dict["stream"], "BATCH")
        from target_warehouse.singer.batch_files import check_encoding

        check_encoding(message_dict["stream"], message_dict["encoding"], message_dict["manifest"])
        encoding = BaseBatchFileEncoding.from_dict(message_dict["encoding"])
        for stream_map in self.mapper.stream_maps[message_dict["stream"]]:
            if not isinstance(stream_map, RemoveRecordTransform):
                sink = cast("WarehouseSink", self.get_sink(stream_map.stream_alias))
                self.drain_one(sink)
                sink.load_files(encoding, message_dict["manifest"], stream_map, self.message_reader.check)

    def assert_known(self, stream: str, kind: str) -> None:
        """Check that the stream's SCHEMA has been read.

        Raises:
            InputError: it has not.
        """
        if stream not in self.mapper.stream_maps:
            msg = f"The input has a message of the type {kind} for the stream {stream} before its SCHEMA."
            raise InputError(msg)

    def check_refused(self, cause: Exception | None = None) -> None:
        """Fail the run if a stream was skipped; `cause` is another error of the run, if any.

        Raises:
            StreamsRefusedError: a stream was skipped.
        """
        if refusals := [load.refusal for load in self.committer.loads.values() if load.refusal]:
            if cause:
                self.logger.error("%s", cause)
            raise StreamsRefusedError(" ".join(refusals)) from cause
