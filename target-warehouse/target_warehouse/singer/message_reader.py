"""A reader of Singer messages with a fast and a slow path, which also notices an idle input.

*Fast path*: a group of RECORD lines of one stream that has a decoder is decoded as a whole, ahead of time, and offered
to `take_group`. *Slow path*: every other line, and every line of a group that `take_group` refused, is passed to the
callback for its message type, as in the SDK's reader.

The SDK's reader blocks until the next line. This reader calls `on_idle` when the tap is silent, so that rows that were
read are committed and their STATE is printed even if no line follows. A line is UTF-8 JSON; blank lines are skipped,
and CRLF is accepted. Numbers with a point become Decimal, so nothing is rounded.
"""

from __future__ import annotations

import decimal
import json
import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from target_warehouse.decode.converters import UnreadableNumber
from target_warehouse.decode.read_ahead import ReadAhead
from target_warehouse.decode.record_groups import InputLine, RecordGroup, in_order, pieces, stream_of
from target_warehouse.decode.sources import UnreadableSourceError
from target_warehouse.errors import InputError, NestedTooDeepError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_warehouse.decode.group_decoder import GroupDecoder

_LONGEST_INT = 4_300  # digits; Python's default limit for converting text to int
_MESSAGE_TYPES = ("SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION", "BATCH")
#: The types of message members, in messages of every type.
_MEMBERS = {"stream": (str, "text"), "record": (dict, "an object")}
_decoder = msgspec.json.Decoder(float_hook=decimal.Decimal)


class LineReader(GenericSingerReader[bytes]):
    """A Singer reader over bytes.

    `line_bytes` is the length of the current line. `on_idle` is called whenever no input arrived for `idle_seconds`.
    `check` is called between lines and groups; it may raise an error to stop the reader. `decoders` are the decoders of
    the streams that the fast path can load. `take_group` loads a group or refuses it; without it there is only the slow
    path. `reject_line` gets the stream and the line of a record that cannot be read, and returns whether it was kept as
    a rejected record. `mixed` are streams that share a table: their records are read in the order of the input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line_number = 0
        self.line_bytes = 0
        self.idle_seconds: float = 1.0
        self.on_idle: Callable[[], None] | None = None
        self.check: Callable[[], None] = lambda: None
        self.take_group: Callable[[RecordGroup], bool] | None = None
        self.reject_line: Callable[[str, bytes], bool] | None = None
        self.decoders: dict[str, GroupDecoder] = {}
        self.mixed: set[str] = set()
        self._callbacks: dict[str, Callable[[dict[str, Any]], None]] = {}
        self._met: set[str] = set()  # streams of which a group has been prepared

    @property
    def default_input(self) -> IO[bytes]:
        """Standard input."""
        return sys.stdin.buffer

    def process_lines(
        self, file_input: IO[Any] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Call the callback for each message's type; return the number of messages of each type.

        Raises:
            InputError: the input cannot be read; or a line is not JSON, has no known message type, or is malformed.
        """
        try:
            return self._read(self.default_input if file_input is None else file_input, callbacks)
        except UnreadableSourceError as error:
            raise InputError(str(error)) from error

    def _read(self, file_input: IO[Any], callbacks: dict[str, Callable[[dict[str, Any]], None]]) -> Counter[str]:
        counts: Counter[str] = Counter()
        self._callbacks = callbacks
        with ReadAhead(file_input, pieces, self._prepare) as ahead:
            for block in ahead.blocks(self.idle_seconds):
                self.check()
                if block is None:
                    if self.on_idle:
                        self.on_idle()
                    continue
                for piece in in_order(block, self.mixed):
                    if isinstance(piece, InputLine):
                        counts[self._process(piece.number, piece.text)] += 1
                    else:
                        counts["RECORD"] += piece.rows
                        if not (self.take_group and self.take_group(piece)):
                            self.process_by_slow_path(piece)
                    self.check()
        self.check()
        return counts

    def process_by_slow_path(self, group: RecordGroup) -> None:
        """Pass the lines of the group to the slow path."""
        for number, line in group.lines():
            self._process(number, line + b"\n")
            self.check()

    def _prepare(self, block: list[RecordGroup | InputLine]) -> bool:
        """Decode the groups of a block that have a decoder; return whether the next block must wait for this one.

        A stream gets its decoder, if any, when its first group has been loaded. Another thread calls this, ahead of
        time.
        """
        is_awaited = False
        for piece in block:
            if not isinstance(piece, RecordGroup):
                continue
            if decoder := self.decoders.get(piece.stream):
                piece.decoded_by = decoder
                piece.decoded = decoder.decode(piece)
            elif piece.stream not in self._met:
                self._met.add(piece.stream)
                is_awaited = True
        return is_awaited

    def _process(self, number: int, line: bytes) -> str:
        """Call the callback for the line's message; return the message's type."""
        self.line_number = number
        self.line_bytes = len(line)
        try:
            message = self.deserialize_json(line)
        except NestedTooDeepError:
            if self.reject_line and (stream := stream_of(line)) is not None and self.reject_line(stream, line):
                return "RECORD"
            raise
        kind = message.get("type")
        callback = self._callbacks.get(kind) if isinstance(kind, str) else None
        if callback is None or not isinstance(kind, str):
            msg = (
                f"Line {self.line_number} of the input has "
                + (f"the unknown message type {kind[:40]!r}" if isinstance(kind, str) else "no message type")
                + f"; a Singer message is one of {', '.join(_MESSAGE_TYPES)}."
            )
            raise InputError(msg)
        for name, (python_type, words) in _MEMBERS.items():
            if name in message and not isinstance(message[name], python_type):
                msg = (
                    f"Line {number} of the input is not a Singer message: {name} in the {kind} message is not {words}."
                )
                raise InputError(msg)
        callback(message)
        return kind

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        """The message of a line.

        Raises:
            InputError: the line is not a JSON object, or is nested too deeply.
        """
        try:
            try:
                message = _decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, decimal.InvalidOperation):
                message = self._decode_leniently(line)
        except RecursionError:
            msg = (
                f"Line {self.line_number} of the input nests lists and objects deeper than can be read: find the "
                "property that holds them, and deselect it in the tap."
            )
            raise NestedTooDeepError(msg) from None
        if not isinstance(message, dict):
            msg = f"Line {self.line_number} of the input is not a JSON object, so it is not a Singer message."
            raise InputError(msg)
        return message

    def _decode_leniently(self, line: bytes) -> Any:
        # Python's decoder accepts values that some taps write and msgspec rejects: NaN, huge numbers and lone
        # surrogates. Whether such a value can be stored is decided where its column is known.
        try:
            return json.loads(line, parse_float=_number, parse_int=_integer, parse_constant=UnreadableNumber)
        except ValueError:
            msg = (
                f"Line {self.line_number} of the input is not JSON. The standard output of the tap may only contain "
                "Singer messages: look for a print or a log line in it."
            )
            raise InputError(msg) from None

    @staticmethod
    def assert_line_requires(line_dict: dict[str, Any], requires: set[str]) -> None:
        """Check that a message has these members; the error names the missing ones, never contents."""
        missing = sorted(requires.difference(line_dict))
        if missing:
            kind = line_dict.get("type")
            of = f"A {kind} message" if kind in _MESSAGE_TYPES else "The schema of a SCHEMA message"
            msg = f"{of} of the input lacks {' and '.join(missing)}, so it is not a Singer message."
            raise InputError(msg)


def _number(text: str) -> decimal.Decimal | UnreadableNumber:
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:  # an exponent of more than 18 digits
        return UnreadableNumber(text)


def _integer(text: str) -> int | decimal.Decimal:
    return int(text) if len(text) < _LONGEST_INT else decimal.Decimal(text)
