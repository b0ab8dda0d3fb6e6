"""The target: messages in, commits and STATE out.

A STATE is printed only after every row before it is committed, during the run, and at most `commit_interval_seconds`
after its rows were read. If the target is killed at any time, it leaves whole batches and a STATE that is not ahead of
them. SIGTERM and SIGINT end it after the current batch, with exit code 128 + the signal's number.
"""

from __future__ import annotations

import datetime as dt
import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TargetCapabilities
from singer_sdk.plugin_base import PluginBase
from singer_sdk.target_base import Target

from target_warehouse.decode.extension import IMPLEMENTATION
from target_warehouse.errors import InputError, RejectedRecordsError, SettingsError
from target_warehouse.load import failed_starts
from target_warehouse.load.committer import Committer
from target_warehouse.load.dry_run_text import announcement
from target_warehouse.load.scope import Scope, version_of
from target_warehouse.redaction import configuration_of
from target_warehouse.setting_definitions import config_json_schema
from target_warehouse.settings import Settings, check_types, with_numbers
from target_warehouse.singer.activations import Activations
from target_warehouse.singer.fast_path import FastPath
from target_warehouse.singer.flattening import UNMAPPABLE, why_unmappable
from target_warehouse.singer.message_reader import LineReader
from target_warehouse.singer.signals import Signals
from target_warehouse.singer.understanding import UnderstandingTarget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from target_warehouse.singer.sink import WarehouseSink


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
    #: When this process began, which the command notes; None in another program.
    process_began_at: ClassVar[dt.datetime | None] = None

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805  the SDK's hook for `--config=ENV`
        return with_numbers(super()._env_var_config, cls.config_jsonschema["properties"])

    def __init__(self, *, owns_process: bool = False, **kwargs: Any) -> None:
        """A target of this configuration; with `owns_process`, it handles signals and tunes the process for itself."""
        self._signals, self._owns_process = Signals(), owns_process
        super().__init__(**kwargs)
        self.max_parallelism = 1  # one connection: batches are committed one after the other
        committer = Committer(
            self.config,
            Settings.from_config(self.config),
            self.logger,
            unbroken=self._signals.blocked,
            opened=self._setup_signal_handlers,  # target-postgres' SSH tunnel installs handlers of its own
            line_bytes=lambda: self.message_reader.line_bytes,
            read_slowly=self.message_reader.process_by_slow_path,
            owns_process=owns_process,
            began_at=(self.process_began_at if owns_process else None) or dt.datetime.now(dt.UTC),
        )
        self.commit_with(committer)
        self.activations = Activations(self)
        self.message_reader.idle_seconds = max(min(committer.settings.commit_interval_seconds, 1.0), 0.05)
        self.message_reader.on_idle = self.commit_if_due
        self.message_reader.check = self._signals.check
        if self.has_fast_path:
            self.message_reader.take_group = FastPath(self).take
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
            parse_env = bool(config and config.parse_env)
            target = cls(config=config.config if config else {}, parse_env_config=parse_env, owns_process=True)
            start.is_recorded, target.committer.start = target.committer.settings.dry_run, start
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
            self.logger.debug("RECORD lines are decoded by the implementation in %s.", IMPLEMENTATION)
            with self._signals.immediate():
                _ = self.committer.engine  # open it before the first line is read, so that a failure is early
            with self._signals.deferred():
                self.listen(file_input)
        except BaseException as error:
            self._signals.ignore_further()
            with suppress(BrokenPipeError):
                self.print_state()
            self.finish(error)
            raise

    def get_sink_class(self, stream_name: str) -> type[WarehouseSink]:  # noqa: ARG002 - the SDK's hook
        """The sink class."""
        # `--about` does not need Arrow.
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
        old = self.active_sink(stream_name)
        if schema is not None and old is not None:
            if old.original_schema == schema and list(old.key_properties) == list(key_properties or ()):
                return old
            self.drain_one(old)
            old.clean_up()
            del self._sinks_active[stream_name]
        try:
            sink: WarehouseSink = super().get_sink(  # type: ignore[assignment]
                stream_name, record=record, schema=schema, key_properties=key_properties
            )
        except (InputError, SettingsError):  # the table cannot be this stream's
            self.commit_all()
            raise
        return sink

    def process_endofpipe(self) -> None:
        """Finish at the end of the input: commit everything, print the last STATE, and check for rejected records."""
        self.activations.apply_all()
        self.commit_all()
        for sink in self._sinks_active.values():
            sink.clean_up()
        engine, settings = self.committer.engine, self.committer.settings
        if (changes := engine.planned_changes()) is not None:
            self.logger.info("%s", announcement(self.committer.loads.values(), changes))
        else:
            engine.make_views(settings.default_target_schema, settings.views_schema)
        try:
            self.committer.check_rejected()
        except RejectedRecordsError as error:
            self.check_refused(error)
            raise
        self.check_refused()
        self.finish()

    def _process_record_message(self, message_dict: dict[str, Any]) -> None:
        self.activations.note_record(message_dict.get("stream", ""), self.message_reader.line_number)
        if self.is_refused(message_dict):
            return
        sink = self.active_sink(message_dict.get("stream", ""))
        if sink is not None and sink.holds_fast_batch:
            self.drain_one(sink)  # a batch takes one path
        try:
            super()._process_record_message(message_dict)
        except UNMAPPABLE as error:
            self.reject_whole(message_dict["stream"], message_dict["record"], why_unmappable(error))
        self.commit_if_much_or_due()

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        super()._process_schema_message(message_dict)
        self.print_state()  # a superseded sink may just have been drained

    def _process_state_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"value"})
        self.activations.note_state(self.message_reader.line_number)
        self.committer.gate.state(message_dict["value"])
        self.commit_if_due()

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        self._assert_line_requires(message_dict, requires={"stream", "version"})
        if self.is_refused(message_dict):
            return
        self.assert_known(message_dict["stream"], "ACTIVATE_VERSION")
        self.activations.take(message_dict["stream"], version_of(message_dict), Scope.of_message(message_dict))

    def finish(self, error: BaseException | None = None) -> None:
        """Write the outcome to the history and close the warehouse; a user who stops the run does not want to wait."""
        self.committer.finish(error, tidy_up=not self._signals.has_come)

    def _setup_signal_handlers(self) -> None:
        if self._owns_process:
            super()._setup_signal_handlers()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the SDK's hook
        self._signals.handle(signum)
