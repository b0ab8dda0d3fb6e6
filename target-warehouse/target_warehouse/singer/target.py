"""The target: messages in, commits and STATE out.

A STATE is printed only after every row before it is committed, during the run, and at most `commit_interval_seconds`
after its rows were read. If the target is killed at any time, it leaves whole batches and a STATE that is not ahead of
them. SIGTERM and SIGINT end it after the current batch, with exit code 128 + the signal's number.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from contextlib import suppress
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
import msgspec
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.plugin_base import PluginBase
from singer_sdk.singerlib.json import serialize_json
from singer_sdk.target_base import Target

from target_warehouse.engines import open_engine
from target_warehouse.errors import (
    ConnectionFailedError,
    RejectedRecordsError,
    RetryTransactionError,
    WarehouseError,
)
from target_warehouse.load import failed_starts, rejected_records
from target_warehouse.load.claims import Claims
from target_warehouse.load.dry_run_text import announcement
from target_warehouse.load.load_history import RUNNING, LoadHistory, StreamLoad
from target_warehouse.load.scope import Scope
from target_warehouse.redaction import configuration_of, redacted_configuration
from target_warehouse.settings import Settings, check_types, config_json_schema
from target_warehouse.singer.flattening import UNMAPPABLE, why_unmappable
from target_warehouse.singer.message_reader import LineReader
from target_warehouse.singer.signals import Signals
from target_warehouse.singer.state_gate import StateGate
from target_warehouse.singer.understanding import UnderstandingTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    import pyarrow as pa
    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from target_warehouse.decode.record_groups import RecordGroup
    from target_warehouse.engines.protocol import Counts, Engine, Transaction
    from target_warehouse.singer.sink import WarehouseSink
    from target_warehouse.tables.table import Table

#: Maximum input in memory, over all streams; as Python objects and Arrow data it takes about six times as much.
PENDING_BYTES = 28 << 20
_state_json = msgspec.json.Encoder(decimal_format="number")


class TargetWarehouse(UnderstandingTarget):
    """Loads a Singer stream into a DuckDB file or a PostgreSQL database."""

    name = "target-warehouse"
    config_jsonschema = config_json_schema()
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        *Target.capabilities,
        PluginCapabilities.ACTIVATE_VERSION,
        TargetCapabilities.TARGET_SCHEMA,
        TargetCapabilities.HARD_DELETE,
    ]
    message_reader_class = LineReader
    message_reader: LineReader
    #: Whether record groups may be loaded as a whole; without it, the rows are the same, only slower.
    has_fast_path = True
    #: Whether the history has recorded the outcome of this run.
    start: failed_starts.Start

    _history: LoadHistory
    claims: Claims
    _rejects: Table | None = None

    def __init__(self, **kwargs: Any) -> None:
        self._signals, self.start = Signals(), failed_starts.Start()
        super().__init__(**kwargs)
        self.max_parallelism = 1  # one connection: batches are committed one after the other
        self.settings = Settings.from_config(self.config)
        self.run_id = uuid.uuid4().hex
        self._engine: Engine | None = None
        self.state_gate = StateGate()
        self.loads: dict[str, StreamLoad] = {}
        self._printed_state: Any = None
        self._pending_bytes = 0
        self._slow_stream: str | None = None  # the stream whose refused batch is being loaded by the slow path
        self._next_commit = time.monotonic() + self.settings.commit_interval_seconds
        self.message_reader.idle_seconds = max(min(self.settings.commit_interval_seconds, 1.0), 0.05)
        self.message_reader.on_idle = self._commit_if_due
        self.message_reader.check = self._signals.check
        if self.has_fast_path:
            self.message_reader.take_group = self._take_group
        self.message_reader.reject_line = lambda stream, line: self.reject_whole(stream, line.decode(errors="replace"))

    @classmethod
    def invoke(  # type: ignore[override]  # as in the SDK's own targets
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        file_input: IO[str] | None = None,
    ) -> None:
        """Run a target with this configuration; `main` prints its errors."""
        PluginBase.invoke.__func__(cls, about=about, about_format=about_format)  # type: ignore[attr-defined]
        with failed_starts.note_failure(os.environ, cls.logger) as start:
            check_types(config.config if config else {})
            target = cls(config=config.config if config else {}, parse_env_config=bool(config and config.parse_env))
            start.is_recorded, target.start = target.settings.dry_run, start
            target.run(file_input)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """The configuration from the files.

        Raises:
            SettingsError: a file cannot be read, or is not a JSON object.
        """
        config = super().cb_config(ctx, param, tuple(file for file in value if file == "ENV"))
        for file in value:
            if file != "ENV":
                config.config |= configuration_of(file)
        return config

    def run(self, file_input: IO[str] | None = None) -> None:
        """Read to the end of the input; however the run ends, print the STATE of what is committed, and close."""
        try:
            with self._signals.immediate():
                _ = self.engine  # open the warehouse before the first line is read, so that a failure is early
            with self._signals.deferred():
                self.listen(file_input)
        except BaseException as error:
            self._signals.ignore_further()
            with suppress(BrokenPipeError):
                self._print_state()
            self.finish(error)
            raise

    @property
    def engine(self) -> Engine:
        """The warehouse, opened when first needed."""
        if self._engine is None:
            self._engine = open_engine(self.settings)
            self._setup_signal_handlers()  # target-postgres' SSH tunnel installs handlers of its own
            configuration = redacted_configuration(self.config, self.settings)
            schema = self.settings.default_target_schema
            self._history = LoadHistory.begun(self._engine, self.run_id, schema, configuration)
            self.claims = Claims(self._engine, self._history, self.settings.duckdb_path)
        return self._engine

    def get_sink_class(self, stream_name: str) -> type[WarehouseSink]:  # noqa: ARG002 - the SDK's hook
        """The sink class."""
        from target_warehouse.singer.sink import WarehouseSink

        return WarehouseSink

    def get_sink(
        self,
        stream_name: str,
        *,
        record: dict[str, Any] | None = None,
        schema: dict[str, Any] | None = None,
        key_properties: Sequence[str] | None = None,
    ) -> WarehouseSink:
        """The stream's sink; if the schema changed, the old sink is drained before the new one takes a row.

        The SDK would keep the old sink until the next full drain, and its older rows would overwrite newer rows.
        """
        old: WarehouseSink | None = self._sinks_active.get(stream_name)  # type: ignore[assignment]
        if schema is not None and old is not None:
            if old.original_schema == schema and list(old.key_properties) == list(key_properties or ()):
                return old
            self.drain_one(old)
            old.clean_up()
            del self._sinks_active[stream_name]
        sink: WarehouseSink = super().get_sink(  # type: ignore[assignment]
            stream_name, record=record, schema=schema, key_properties=key_properties
        )
        return sink

    def load_of(self, sink: WarehouseSink) -> StreamLoad:
        """The load of the sink's stream in this run, which is written to the history when it is created."""
        load = self.load_of_stream(sink.stream_name, sink.table)
        load.table = sink.table
        return load

    def load_of_stream(self, stream: str, table: Table) -> StreamLoad:
        """The history of a stream in this run."""
        load = self.loads.get(stream)
        if load is None:
            load = self.loads[stream] = StreamLoad(stream, table)
            with self._signals.blocked(), self.engine.transaction() as transaction:
                self._history.write(transaction, [(load, RUNNING, None)])
        return load

    def count_record(self, sink: WarehouseSink) -> int:
        """Count a record that was added to this sink; return the size of its input line in bytes."""
        size = self.message_reader.line_bytes
        self._count_read(sink, 1, size)
        return size

    def _count_read(self, sink: WarehouseSink, rows: int, size: int) -> None:
        load = self.loads[sink.stream_name]
        load.rows_read += rows
        load.size += size
        self._pending_bytes += size
        self.state_gate.record(sink.stream_name)

    def _take_group(self, group: RecordGroup) -> bool:
        """The fast path: add a group to its stream's sink, in parts if it is larger than a batch.

        Return False if the slow path must load it.
        """
        sink = self._sink_of_groups(group.stream)
        if sink is None or sink.decoder is None:
            return False
        if not sink.holds_fast_batch or group.rows > sink.max_size - sink.current_size:
            self.drain_one(sink)
        self.message_reader.decoders[group.stream] = decoder = sink.decoder  # drain_one may have changed it
        if group.rows > sink.max_size:
            for part in group.split(sink.max_size):
                if not self._take_group(part):
                    self.message_reader.process_by_slow_path(part)
            return True
        if group.decoded_by is not decoder:
            group.decoded = decoder.decode(group)
        if group.decoded is None:
            self.drain_one(sink)
            return False
        sink.take_group(group)
        self._count_read(sink, group.rows, group.size)
        if sink.is_full:
            self.drain_one(sink)
        self._commit_if_much_or_due()
        return True

    def _sink_of_groups(self, stream: str) -> WarehouseSink | None:
        """The sink that gets a stream's records unchanged; None if there is none, or more than one."""
        maps = self.mapper.stream_maps.get(stream, ())
        if len(maps) != 1 or type(maps[0]) is not SameRecordTransform:
            return None
        sink: WarehouseSink | None = self._sinks_active.get(maps[0].stream_alias)  # type: ignore[assignment]
        return sink

    def load_by_slow_path(self, sink: WarehouseSink, groups: Sequence[RecordGroup]) -> None:
        """Load groups that the database refused by the slow path; until they are written, no later STATE is printed."""
        load = self.loads[sink.stream_name]
        load.rows_read -= sum(group.rows for group in groups)
        load.size -= sink.pending_bytes
        self._pending_bytes -= sink.pending_bytes
        sink.pending_bytes = 0
        self._slow_stream = sink.stream_name
        for group in groups:
            self.message_reader.process_by_slow_path(group)
        self.drain_one(sink)
        self._slow_stream = None
        self.state_gate.committed(sink.stream_name)

    def commit(self, sink: WarehouseSink, work: Callable[[Transaction], Counts], *, is_last: bool = True) -> None:
        """Do the work and write the stream's history in one transaction; signals wait for its end.

        The last commit of a batch also writes the rejected records; after it, no record of the stream is pending.
        """
        load = self.loads[sink.stream_name]
        refused = self._rejected_by(sink) if is_last else None
        with self._signals.blocked():
            counts = self._written(load, sink, work, refused)
            load.counts, load.is_cleared = counts, load.is_cleared or load.rows_read > 0
            if is_last:
                sink.rejected.clear()
                self._pending_bytes -= sink.pending_bytes
                if sink.stream_name != self._slow_stream:
                    self.state_gate.committed(sink.stream_name)

    def _written(
        self,
        load: StreamLoad,
        sink: WarehouseSink,
        work: Callable[[Transaction], Counts],
        refused: tuple[Table, pa.Table] | None,
    ) -> Counts:
        while True:
            with suppress(RetryTransactionError), self.engine.transaction() as transaction:
                counts = load.counts
                if self.config.get("load_method") == "overwrite" and load.rows_read and not load.is_cleared:
                    counts += transaction.clear(sink.table)
                counts += work(transaction)
                if refused:
                    transaction.append(*refused)
                self._history.write(transaction, [(load, RUNNING, None)], counts)
                return counts

    def _rejected_by(self, sink: WarehouseSink) -> tuple[Table, pa.Table] | None:
        if not sink.rejected:
            return None
        from target_warehouse.decode.arrow_columns import Losses, to_table

        if self._rejects is None:
            self._rejects = self.engine.prepare(
                rejected_records.rejected_records_table(self.settings.default_target_schema)
            )
        records = [
            rejected_records.rejected_row(self.run_id, sink.stream_name, record, reason)
            for record, reason in sink.rejected
        ]
        escaped = self.engine.escaped
        rows = [
            {name: escaped(value) if isinstance(value, str) else value for name, value in row.items()}
            for row in records
        ]
        return self._rejects, to_table(rows, self._rejects.columns, Losses())

    def commit_all(self) -> None:
        """Commit every pending record, then print the STATE."""
        self.drain_all()
        self._print_state()
        self._next_commit = time.monotonic() + self.settings.commit_interval_seconds

    def process_endofpipe(self) -> None:
        """Finish at the end of the input: commit everything, print the last STATE, and check for rejected records."""
        self.commit_all()
        for sink in self._sinks_active.values():
            sink.clean_up()
        if (changes := self.engine.planned_changes()) is not None:
            self.logger.info("%s", announcement(self.loads.values(), changes))
        else:
            self.engine.make_views(self.settings.default_target_schema, self.settings.views_schema)
        try:
            self._check_rejected()
        except RejectedRecordsError as error:
            self.check_refused(error)
            raise
        self.check_refused()
        self.finish()

    def _check_rejected(self) -> None:
        if loads := [load for load in self.loads.values() if load.rejected]:
            is_kept, limit = not self.settings.dry_run, self.settings.max_rejected
            self.logger.warning(
                "%s", rejected_records.rejection_summary(loads, self._history.table.schema, limit, is_kept=is_kept)
            )

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        if self.is_refused(message_dict):
            return
        sink: WarehouseSink | None = self._sinks_active.get(message_dict.get("stream", ""))  # type: ignore[assignment]
        if sink is not None and sink.holds_fast_batch:
            self.drain_one(sink)  # a batch takes one path
        try:
            super()._process_record_message(message_dict)
        except UNMAPPABLE as error:
            self.reject_whole(message_dict["stream"], message_dict["record"], why_unmappable(error))
        self._commit_if_much_or_due()

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        super()._process_schema_message(message_dict)
        self._print_state()  # a superseded sink may just have been drained

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"value"})
        if message_dict["value"]:  # an empty state has no information, and Meltano warns about it
            self.state_gate.state(message_dict["value"])
            self._commit_if_due()

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"stream", "version"})
        if self.is_refused(message_dict):
            return
        self.assert_known(message_dict["stream"], "ACTIVATE_VERSION")
        scope = Scope.of_message(message_dict)
        for stream_map in self.mapper.stream_maps[message_dict["stream"]]:
            if not isinstance(stream_map, RemoveRecordTransform):
                sink = self.get_sink(stream_map.stream_alias)
                if sink.process_activate_version_messages:
                    sink.activate_version(message_dict["version"], scope)

    def _commit_if_much_or_due(self) -> None:
        """If too much input is pending, commit the stream with most of it, so that the other batches can grow."""
        if self._pending_bytes >= PENDING_BYTES:
            self.drain_one(max(self._sinks_active.values(), key=attrgetter("pending_bytes")))
            self._print_state()
            if not self._pending_bytes:
                self._next_commit = time.monotonic() + self.settings.commit_interval_seconds
        self._commit_if_due()

    def _commit_if_due(self) -> None:
        if self.state_gate.is_waiting and time.monotonic() >= self._next_commit:
            self.commit_all()

    def _print_state(self) -> None:
        state = self.state_gate.release()
        if state is not None and state != self._printed_state and not self.settings.dry_run:
            self._write_state_message(state)
            self._printed_state = state

    def _write_state_message(self, state: dict[str, Any]) -> None:
        try:
            text = _state_json.encode(state).decode()
        except UnicodeEncodeError:  # half a surrogate pair, which must be escaped
            text = serialize_json(state)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def finish(self, error: BaseException | None = None) -> None:
        """Write every stream's final history row and close the warehouse; `error` ended the run, if any."""
        if self._engine is None:
            return
        rows = [(load, *load.outcome(error)) for load in self.loads.values()]
        notes = failed_starts.own_notes(os.environ) if rows and not self.settings.dry_run else []
        try:
            if rows and not isinstance(error, ConnectionFailedError):  # there is no connection to write them
                with self._engine.transaction() as transaction:
                    self._history.write(transaction, rows)
                    self._history.write_failed_starts(transaction, list(self.loads.values()), notes)
                failed_starts.remove(os.environ, notes)
                self.start.is_recorded = True
        except WarehouseError as refused:
            if error is None:
                raise
            self.logger.warning("The failure could not be written to %s: %s", self._history.table.name, refused)
        finally:
            if not self._signals.has_come:  # a user who stops the run does not want to wait
                self._engine.compact()
            self._engine.close()
            self._engine = None

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the SDK's hook
        self._signals.handle(signum)
