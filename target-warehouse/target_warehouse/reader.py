"""Reads Singer messages from a pipe, line by line, and notices when nothing comes.

The SDK's reader blocks until the next line; this one waits on the file descriptor and calls `on_idle` when the
tap is silent, so that rows already read are committed and their STATE is printed although no line follows. A line
is UTF-8 JSON; blank lines are skipped and CRLF is accepted. Numbers with a point become Decimal: nothing is rounded.
A bulk reader that hands whole runs of RECORD lines to the sinks belongs here, before `_decode`.
"""

from __future__ import annotations

import decimal
import io
import json
import os
import select
import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from target_warehouse.errors import InputError
from target_warehouse.values import UnreadableNumber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK_BYTES = 1 << 20
_LONGEST_INT = 4_300  # digits that Python makes an int of without being asked to
_MESSAGE_TYPES = ("SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION", "BATCH")
_decoder = msgspec.json.Decoder(float_hook=decimal.Decimal)


class LineReader(GenericSingerReader[bytes]):
    """A Singer reader over bytes.

    `line_bytes` is the length of the line being processed. `on_idle` is called whenever no input came for
    `idle_seconds`; without it the reader just waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line_number = 0
        self.line_bytes = 0
        self.idle_seconds: float = 1.0
        self.on_idle: Callable[[], None] | None = None

    @property
    def default_input(self) -> IO[bytes]:
        """Standard input."""
        return sys.stdin.buffer

    def process_lines(
        self, file_input: IO[Any] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Call the callback of each message's type; returns how many of each type there were.

        Raises:
            InputError: a line is not JSON, has no type, or one that Singer does not have.
        """
        counts: Counter[str] = Counter()
        for line in self._lines(file_input or self.default_input):
            self.line_number += 1
            self.line_bytes = len(line)
            if not line.strip():
                continue
            message = self.deserialize_json(line)
            kind = message.get("type")
            callback = callbacks.get(kind) if isinstance(kind, str) else None
            if callback is None or not isinstance(kind, str):
                msg = (
                    f"Line {self.line_number} of the input has "
                    + (f"the unknown message type {kind[:40]!r}" if isinstance(kind, str) else "no message type")
                    + f"; a Singer message is one of {', '.join(_MESSAGE_TYPES)}."
                )
                raise InputError(msg)
            callback(message)
            counts[kind] += 1
        return counts

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        """The message of a line.

        Raises:
            InputError: the line is not a JSON object.
        """
        try:
            message = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, decimal.InvalidOperation):
            message = self._decode_leniently(line)
        if not isinstance(message, dict):
            msg = f"Line {self.line_number} of the input is not a JSON object, so it is no Singer message."
            raise InputError(msg)
        return message

    def _decode_leniently(self, line: bytes) -> Any:
        # Python's own decoder takes what some taps write and msgspec refuses: NaN, huge numbers and lone surrogates.
        # Whether such a value can be stored is decided where its column is known.
        try:
            return json.loads(line, parse_float=_number, parse_int=_integer, parse_constant=UnreadableNumber)
        except ValueError:
            msg = (
                f"Line {self.line_number} of the input is not JSON. Only Singer messages may come on standard "
                "output of the tap; look for a print or a log line there."
            )
            raise InputError(msg) from None

    @staticmethod
    def assert_line_requires(line_dict: dict[str, Any], requires: set[str]) -> None:
        """Check that a message has these members; the error names the missing ones, never the contents."""
        missing = sorted(requires.difference(line_dict))
        if missing:
            kind = line_dict.get("type")
            of = f"A {kind} message" if kind in _MESSAGE_TYPES else "The schema of a SCHEMA message"
            msg = f"{of} of the input lacks {' and '.join(missing)}, so it is no Singer message."
            raise InputError(msg)

    def _lines(self, source: IO[Any]) -> Iterator[bytes]:
        source = getattr(source, "buffer", source)
        try:
            descriptor = source.fileno()
        except (AttributeError, io.UnsupportedOperation):
            for line in source:
                yield line.encode() if isinstance(line, str) else line
            return
        started: list[bytes] = []  # the parts of a line whose end has not come
        while chunk := self._read(descriptor):
            *complete, rest = chunk.split(b"\n")
            if complete:
                complete[0] = b"".join((*started, complete[0]))
                started = []
                yield from complete
            started.append(rest)
        last = b"".join(started)
        if last:
            yield last

    def _read(self, descriptor: int) -> bytes:
        while self.on_idle and not select.select([descriptor], [], [], self.idle_seconds)[0]:
            self.on_idle()
        return os.read(descriptor, _CHUNK_BYTES)


def _number(text: str) -> decimal.Decimal | UnreadableNumber:
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:  # an exponent of more than 18 digits
        return UnreadableNumber(text)


def _integer(text: str) -> int | decimal.Decimal:
    return int(text) if len(text) < _LONGEST_INT else decimal.Decimal(text)
