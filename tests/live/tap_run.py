"""The tap in this process, as its classes: what it discovers, what it writes, and what it keeps as state.

What it writes are records of a real portal, so none of it may reach pytest's output.
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

from tap_hubspot_dw.singer.tap import StreamsFailedError, TapHubSpotDW


@dataclass(frozen=True)
class TapRun:
    """What a run wrote, and the tap's sentence about streams that failed. Its records are not shown."""

    messages: list[dict[str, Any]] = field(repr=False)
    failures: dict[str, str]

    @property
    def state(self) -> dict[str, Any]:
        """The last state."""
        return next((each["value"] for each in reversed(self.messages) if each["type"] == "STATE"), {})

    def bookmark(self, stream: str) -> str | None:
        """Return the stream's bookmark in the last state."""
        found: str | None = self.state.get("bookmarks", {}).get(stream, {}).get("replication_key_value")
        return found

    def count(self, stream: str) -> int:
        """Return how many records the stream has."""
        return len(self._of("RECORD", stream))

    def misfits(self, stream: str) -> list[str]:
        """Return where records do not conform to the stream's schema: property and rule, never a value."""
        (schema,) = self._of("SCHEMA", stream)
        known = set(schema["schema"]["properties"])
        validator = Draft202012Validator(schema["schema"], format_checker=FormatChecker())
        found = set()
        for message in self._of("RECORD", stream):
            record = message["record"]
            found |= {f"{'.'.join(map(str, each.path))}: {each.validator}" for each in validator.iter_errors(record)}
            found |= {f"{name}: not in the schema" for name in set(record) - known}
            found |= {f"{key}: missing or null" for key in schema["key_properties"] if record.get(key) is None}
        return sorted(found)

    def _of(self, kind: str, stream: str) -> list[dict[str, Any]]:
        return [each for each in self.messages if each["type"] == kind and each["stream"] == stream]


def catalog(config: dict[str, Any]) -> dict[str, Any]:
    """Return what the tap discovers."""
    return _tap(config).catalog_dict


def run_tap(config: dict[str, Any], state: dict[str, Any] | None = None) -> TapRun:
    """Run the tap to its end; failed streams are told, not raised."""
    tap = _tap(config, state)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with _unheard(), redirect_stdout(out):
        with suppress(StreamsFailedError):
            tap.sync_all()
        out.flush()
    lines = out.buffer.getvalue().splitlines()
    failures = tap._run.failures  # noqa: SLF001  the run's own account of itself
    return TapRun([json.loads(line) for line in lines], failures)


@contextmanager
def _unheard() -> Iterator[None]:
    """Log nothing: with `log_cli` pytest takes standard output back at every line of the log."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _tap(config: dict[str, Any], state: dict[str, Any] | None = None) -> TapHubSpotDW:
    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        return TapHubSpotDW(config=config, state=state)
    finally:
        for number, handler in handlers.items():  # the tap's are for a process of its own
            signal.signal(number, handler)
