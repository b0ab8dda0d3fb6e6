"""The tap on the SDK: its streams and their order, and the start and the end of a run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk import Stream, Tap
from singer_sdk.helpers._classproperty import classproperty

from tap_hubspot_dw.errors import HubSpotError, RunStoppedError, SettingsError
from tap_hubspot_dw.http.auth import token_for
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.hubspot.api import Api
from tap_hubspot_dw.hubspot.limits import Limits
from tap_hubspot_dw.hubspot.portal import Portal
from tap_hubspot_dw.records.extension import IMPLEMENTATION
from tap_hubspot_dw.run.progress import summary
from tap_hubspot_dw.run.redaction import configuration_of, reported_configuration
from tap_hubspot_dw.run.run import Run, StreamRun
from tap_hubspot_dw.setting_types import with_numbers
from tap_hubspot_dw.settings import CONFIG_JSONSCHEMA, Settings
from tap_hubspot_dw.singer.deletions import DeletionsMapper
from tap_hubspot_dw.singer.discovery import ObjectDiscovery
from tap_hubspot_dw.singer.emitter import Emitter
from tap_hubspot_dw.singer.filter_check import names_of_no_stream
from tap_hubspot_dw.singer.output import MessageWriter
from tap_hubspot_dw.singer.streams.associations import AssociationStream
from tap_hubspot_dw.singer.streams.history import HistoryStream
from tap_hubspot_dw.singer.streams.objects import ObjectStream
from tap_hubspot_dw.singer.streams.reference import REFERENCES, ReferenceStream
from tap_hubspot_dw.singer.streams.saved_state import check_state, checked_state, checked_text
from tap_hubspot_dw.singer.user_errors import StreamsFailedError, user_errors
from tap_hubspot_dw.timestamps import now

if TYPE_CHECKING:
    from types import FrameType

    import click

    from tap_hubspot_dw.singer.streams.base import HubSpotStream


class TapHubSpotDW(Tap):
    """Contacts, appointments, custom objects, deals and their associations from HubSpot."""

    name = "tap-hubspot-dw"
    config_jsonschema: ClassVar[dict[str, Any]] = CONFIG_JSONSCHEMA
    message_writer_class = MessageWriter
    message_writer: MessageWriter
    #: Whether the tap handles signals and tunes the interpreter for itself.
    owns_process: ClassVar[bool] = True
    limits: ClassVar[Limits] = Limits()
    dynamic_catalog = True  # the streams depend on the portal, so discovery needs a valid configuration

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805  the SDK's hook for `--config=ENV`
        return with_numbers(super()._env_var_config, cls.config_jsonschema["properties"])

    def machine_time(self) -> datetime:
        """Return the time by this machine's clock."""
        return now()

    def setup_mapper(self) -> None:
        """Create the mapper, whose stream maps preserve deletions."""
        self.mapper = DeletionsMapper(plugin_config=dict(self.config), logger=self.logger)
        self.mapper.register_raw_streams_from_catalog(self.catalog)

    def discover_streams(self) -> Sequence[Stream]:
        """Return the streams in the order of their SCHEMAs: associations after objects, history last.

        An object that cannot be described is reported and left out; a run, unlike discovery, then ends with a non-zero
        exit code.
        """
        run = self._run = self._start_run()
        objects = self._discovered(run)
        associations = [AssociationStream(self, run)] if run.settings.associations else []
        chosen = run.settings.only_ids
        references = [
            ReferenceStream(self, run, reference)
            for reference in REFERENCES
            if chosen is None or reference.name in chosen
        ]
        return [*references, *objects, *associations, HistoryStream(self, run)]

    def _discovered(self, run: Run) -> list[ObjectStream]:
        """Return the streams of objects; a signal ends a wait for HubSpot at once."""
        run.stop.is_reading = True
        try:
            described = ObjectDiscovery(run, self.input_catalog, self.logger).described()
            objects = [ObjectStream(self, run, *each) for each in described]
            run.object_types = [stream.object_type for stream in objects]
            for warning in run.pattern_warnings():
                self.logger.warning("%s", warning)
            return objects
        except RunStoppedError:
            run.stop.check()
            raise
        finally:
            run.stop.is_reading = False

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams by name, in the order of `discover_streams` (the SDK would sort them by name)."""
        if self._streams is None:
            ranks: dict[type, int] = {ReferenceStream: 0, ObjectStream: 1, AssociationStream: 2, HistoryStream: 3}
            by_name = super().streams
            names = [object_type.name for object_type in self._run.object_types]
            self._streams = dict(
                sorted(
                    by_name.items(),
                    key=lambda item: (ranks[type(item[1])], names.index(item[0]) if item[0] in names else 0),
                )
            )
        return self._streams

    def sync_all(self) -> None:  # type: ignore[misc]  # final for typing only; the tap controls its own run
        """Read all selected streams concurrently, then write the run's history.

        Raises:
            HubSpotError: HubSpot stopped answering, or some streams failed; all others are complete.
        """
        try:
            streams = [stream for stream in cast("Iterable[HubSpotStream]", self.streams.values()) if stream.selected]
        except RunStoppedError as error:
            if hasattr(self, "_run"):
                self._write_history_only(error)
            raise
        run = self._run
        self.logger.debug("HubSpot's replies are decoded by the implementation in %s.", IMPLEMENTATION)
        self._warn_of_wrong_names(run)
        if not streams and not run.failures:
            raise SettingsError(
                "No stream is selected, so there is nothing to read: correct select, or the names in "
                "TAP_HUBSPOT_DW__SELECT_FILTER."
            )
        if run.settings.only_ids is None:
            run.portal_id = run.portal.descriptions.portal_id()
            run.stop.check()
            for stream in streams:
                check_state(stream)
        try:
            if any(stream.in_batches for stream in streams):  # the SDK makes the files
                super().sync_all()
            else:
                readers = [stream for stream in streams if not isinstance(stream, HistoryStream)]
                history = [stream for stream in streams if isinstance(stream, HistoryStream)]
                self._emitter().write(readers, history)
        except HubSpotError as error:
            error.is_in_history = True
            raise
        except SystemExit:
            self.logger.error("Stopped by a signal; the state so far is kept.")
            raise
        finally:
            if warning := run.clock_warning():
                self.logger.warning("%s", warning)
            if run.history:
                self.logger.info("What this run read:\n%s", summary(run.history))
        if run.failures:
            names = ", ".join(run.failures)
            raise StreamsFailedError(
                f"{len(run.failures)} stream(s) could not be read: {names}. The reasons are above; "
                "all other streams are complete."
            )

    def _emitter(self) -> Emitter:
        return Emitter(self, self._run, self.message_writer, owns_process=self.owns_process)

    def _write_history_only(self, error: RunStoppedError) -> None:
        """Write the history of a run that stopped before it read any stream."""
        run = self._run
        run.ended_by, run.history = error, [StreamRun(name, run.began_at) for name in run.settings.objects]
        history = HistoryStream(self, run)
        if self.input_catalog:
            history.apply_catalog(self.input_catalog)
        if history.selected and not history.in_batches:
            self._emitter().finish([history])
            error.is_in_history = True

    def _warn_of_wrong_names(self, run: Run) -> None:
        """Warn of names in Meltano's filter that no stream has."""
        known = {*self.streams, *run.settings.objects}  # an object that failed is reported separately
        if run.settings.only_ids is None and (wrong := names_of_no_stream(os.environ, known)):
            self.logger.warning(
                "TAP_HUBSPOT_DW__SELECT_FILTER has %s, which is the name of no stream and is ignored. The streams: %s.",
                ", ".join(wrong),
                ", ".join(self.streams),
            )

    def load_state(self, state: dict[str, Any]) -> None:
        """Load the state of the last run.

        Raises:
            SettingsError: the value is not a state, so the run would read everything again or lose data.
        """
        super().load_state(checked_state(state))

    def _start_run(self) -> Run:
        settings = Settings.from_config(self.config)
        user_agent = f"{self.name}/{self.plugin_version}"
        client = Client(
            settings.api_url,
            token_for(settings, user_agent),
            timeout_seconds=settings.request_timeout_seconds,
            user_agent=user_agent,
            logger=self.logger,
            daily_reserve=settings.daily_reserve,
            machine_time=self.machine_time,
        )
        api = Api(client, settings.api_version, self.logger)
        portal = Portal(api, replace(self.limits, page_size=settings.page_size))
        return Run(settings, portal, self.machine_time(), reported_configuration(self.config))

    def _setup_signal_handlers(self) -> None:
        if self.owns_process:
            super()._setup_signal_handlers()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """End soon with the signal's exit code (the SDK's own handler ends with 0: a success)."""
        run = getattr(self, "_run", None)
        if run is None:
            sys.exit(128 + signum)
        if run.stop.signal is not None:
            return  # Meltano sends a second signal while the first is being handled
        run.stop.signal = signum
        self.message_writer.end_when_unread(128 + signum)
        run.portal.api.client.stop()
        if run.stop.is_reading:
            run.stop.check()

    # The command line: the tap's own errors end it with their sentence and exit code, without a traceback.

    @classmethod
    def invoke(cls, **options: Any) -> None:
        """Run the command line's main action."""
        with user_errors(cls.logger):
            if (state := options.get("state")) is not None:
                options["state"] = io.StringIO(checked_text(state))
            super().invoke(**options)

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the configuration files."""
        with user_errors(cls.logger):
            options = super().cb_config(ctx, param, tuple(source for source in value if source == "ENV"))
            for file in value:
                if file != "ENV":
                    options.config |= configuration_of(file)
            return options

    @classmethod
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        """Run `--discover`."""
        with user_errors(cls.logger):
            super().cb_discover(ctx, param, value)

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Run `--test`."""
        with user_errors(cls.logger, is_run=False):
            super().cb_test(ctx, param, value)
