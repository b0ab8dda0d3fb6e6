"""Runs the tap in this process: its catalog, its messages and its state.

Its messages have records of a real portal, so none of them may get into pytest's output.
"""

from __future__ import annotations

import io
import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tap_hubspot_dw.singer.tap import TapHubSpotDW
from tap_hubspot_dw.singer.user_errors import StreamsFailedError


@dataclass(frozen=True)
class TapRun:
    """The messages of a run, and the reasons of failed streams. The messages are not in its repr."""

    messages: list[dict[str, Any]] = field(repr=False)
    failures: dict[str, str]

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        return next((message["value"] for message in reversed(self.messages) if message["type"] == "STATE"), {})

    def bookmark(self, stream: str) -> str | None:
        """Return the stream's bookmark in the last state."""
        bookmark: str | None = self.state.get("bookmarks", {}).get(stream, {}).get("replication_key_value")
        return bookmark

    def count(self, stream: str) -> int:
        """Return the number of records of the stream."""
        return len(self._of("RECORD", stream))

    def misfits(self, stream: str) -> list[str]:
        """Return the properties and rules of the schema that records violate, never a value."""
        (schema,) = self._of("SCHEMA", stream)
        known = set(schema["schema"]["properties"])
        validator = Draft202012Validator(schema["schema"], format_checker=FormatChecker())
        misfits = set()
        for message in self._of("RECORD", stream):
            record = message["record"]
            misfits |= {
                f"{'.'.join(map(str, error.path))}: {error.validator}" for error in validator.iter_errors(record)
            }
            misfits |= {f"{name}: not in the schema" for name in set(record) - known}
            misfits |= {f"{key}: missing or null" for key in schema["key_properties"] if record.get(key) is None}
        return sorted(misfits)

    def _of(self, message_type: str, stream: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == message_type and message["stream"] == stream]


def catalog(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the tap discovers."""
    return _tap(config).catalog_dict


def run_tap(config: dict[str, Any], state: dict[str, Any] | None = None) -> TapRun:
    """Run the tap to its end; the result has the failed streams, they raise nothing."""
    tap = _tap(config, state)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with _logging_off(), redirect_stdout(out):
        with suppress(StreamsFailedError):
            tap.sync_all()
        out.flush()
    lines = out.buffer.getvalue().splitlines()
    failures = tap._run.failures  # noqa: SLF001  the run's own account of itself
    return TapRun([json.loads(line) for line in lines], failures)


@contextmanager
def _logging_off() -> Iterator[None]:
    """Disable logging: with `log_cli` pytest restores standard output at every log line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _tap(config: dict[str, Any], state: dict[str, Any] | None = None) -> TapHubSpotDW:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return TapHubSpotDW(config=config, state=state)
    finally:
        for number, handler in handlers.items():  # the tap's handlers are for its own process
            signal.signal(number, handler)
