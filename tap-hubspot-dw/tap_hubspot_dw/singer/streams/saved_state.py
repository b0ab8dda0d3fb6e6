"""The state that a run was given: checked as a whole, and read as the tap's own for each stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from tap_hubspot_dw.errors import SettingsError
from tap_hubspot_dw.reading.saved_values import bookmarks_of, names_of
from tap_hubspot_dw.reading.stream_state import StreamState

if TYPE_CHECKING:
    from tap_hubspot_dw.singer.streams.base import HubSpotStream


def state_of(stream: str, saved: Mapping[str, Any]) -> StreamState:
    """Return the state in a bookmark of a stream.

    Raises:
        SettingsError: the bookmark is not one that this tap can read.
    """
    try:
        return StreamState.from_json(saved)
    except ValueError as error:
        raise SettingsError(
            f"The state of {stream} is not readable ({error}): correct it with `meltano state get` and `set`, "
            "or clear it and let the next run read everything."
        ) from error


def check_state(stream: HubSpotStream) -> None:
    """Check a stream's state before anything is written; warn if it has nothing that this tap can use.

    Raises:
        SettingsError: the state is not one that this tap can read, or belongs to another account or object type.
    """
    saved = dict(stream.stream_state)
    state = state_of(stream.name, saved)
    _check_source(stream, state)
    if state == StreamState() and (names := names_of(saved)):
        stream.logger.warning(
            "%s: its state has %s, but nothing that this tap can use, so it is read as if it had no state.",
            stream.name,
            names,
        )


def _check_source(stream: HubSpotStream, state: StreamState) -> None:
    """Check that a state belongs to this account and type; an older release's does not say to which it belongs."""
    portal_id, type_id = stream.run.portal_id, stream.type_id
    if state.portal and portal_id and state.portal != portal_id:
        raise SettingsError(
            f"The state belongs to HubSpot's account {state.portal}, and the token to account {portal_id}, so only "
            "later changes would be read: give each account a state and a schema of its own (`--state-id-suffix`, "
            "`default_target_schema`), or clear the state with `meltano state clear`."
        )
    if state.object_type and type_id and state.object_type != type_id:
        raise SettingsError(
            f"The state of {stream.name} belongs to HubSpot's object type {state.object_type}, and {stream.name} is "
            f"now {type_id}, so only later changes would be read: correct object_type_ids, or run with --full-refresh."
        )


def checked_state(state: Any) -> dict[str, Any]:
    """Return a state with its bookmarks at the top.

    Raises:
        SettingsError: it is not a state.
    """
    try:
        return {"bookmarks": bookmarks_of(state)}
    except ValueError as error:
        raise SettingsError(
            f'The state cannot be read: {error}. It must look like {{"bookmarks": {{"contacts": '
            '{"replication_key_value": "2026-01-31T08:00:00Z"}}}; without a state everything is read.'
        ) from error


def checked_text(file: IO[str]) -> str:
    """Return the state in a file, in the form that the SDK reads.

    Raises:
        SettingsError: the file is not JSON, or not a state.
    """
    try:
        state = json.loads(file.read().removeprefix("\ufeff"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise SettingsError("The file of the option --state is not JSON: check its path and contents.") from error
    return json.dumps(checked_state(state))


def _no_number(text: str) -> None:
    raise ValueError(text)  # NaN and Infinity are not JSON
