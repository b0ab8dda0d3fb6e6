"""The Python interface: run the tap, describe its streams, read a state.

The settings are those of the README, as a dictionary; environment variables and files are not read. Errors are
`HubSpotError`s with one sentence. Signals and the interpreter stay as the process has them; the command
`tap-hubspot-dw` changes them for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import IO, Any, ClassVar

from singer_sdk.exceptions import ConfigValidationError

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.singer.output import MessageWriter
from tap_hubspot_dw.singer.streams.saved_state import checked_state
from tap_hubspot_dw.singer.tap import TapHubSpotDW
from tap_hubspot_dw.timestamps import parse_timestamp


class _EmbeddedTap(TapHubSpotDW):
    """The tap in somebody else's process."""

    owns_process: ClassVar[bool] = False


def write_messages(
    output: IO[bytes],
    config: Mapping[str, Any],
    *,
    state: Mapping[str, Any] | None = None,
    catalog: Mapping[str, Any] | None = None,
) -> None:
    """Read HubSpot, and write Singer messages to an open file of bytes: a file, a pipe, a file in memory.

    `state` is the value of the last STATE of the run before; without it everything is read. `catalog` selects streams
    and properties; see `discover`. The output is not closed.

    Raises:
        HubSpotError: a setting is wrong, HubSpot refuses or cannot be reached, or some streams failed; the messages
            that were written are complete.
        BrokenPipeError: nobody reads the output any more.
    """
    _tap(config, state=state, catalog=catalog, output=output).sync_all()


def discover(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the catalog: the streams, their properties and what is selected, as `--discover` prints it.

    Raises:
        HubSpotError: a setting is wrong, or HubSpot refuses or cannot be reached.
    """
    return dict(_tap(config).catalog_dict)


def bookmarks(state: Mapping[str, Any]) -> dict[str, datetime]:
    """Return how far each stream with a bookmark has been read, in UTC: all changes before that time were read.

    `state` is the value of a STATE, also wrapped as `meltano state get` prints it.

    Raises:
        HubSpotError: the value is not a state.
    """
    values = {stream: saved.get("replication_key_value") for stream, saved in checked_state(state)["bookmarks"].items()}
    try:
        return {stream: parse_timestamp(value) for stream, value in values.items() if value is not None}
    except (TypeError, ValueError) as error:
        raise SettingsError(f"A bookmark of the state is not a time: {error}.") from error


def _tap(
    config: Mapping[str, Any],
    *,
    state: Mapping[str, Any] | None = None,
    catalog: Mapping[str, Any] | None = None,
    output: IO[bytes] | None = None,
) -> TapHubSpotDW:
    try:
        return _EmbeddedTap(
            config=dict(config),
            state=dict(state or {}),
            catalog=dict(catalog) if catalog else None,
            message_writer=MessageWriter(output),
        )
    except ConfigValidationError as error:
        raise SettingsError(f"The configuration is not valid: {'; '.join(error.errors) or error}") from error
