"""Whatever the input is, what is left of it as bytes.

A file of the operating system is read by its descriptor, so that whoever reads can wait for a moment only, and what
Python has read ahead of it comes first. Everything else is read by its own methods: compressed files, texts in memory
or of another encoding, sockets, lists and generators of lines. Nothing that was read before is read again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_CHUNK_BYTES = 1 << 18


class UnreadableSourceError(TypeError):
    """The input is nothing that can be read; the message is a sentence."""


@dataclass(frozen=True)
class Source:
    """What was read ahead, and then a descriptor to read from, or else chunks of any size."""

    ahead: bytes
    descriptor: int | None
    chunks: Iterator[bytes]


def open_source(source: Any) -> Source:
    """How to read the rest of this.

    Raises:
        UnreadableSourceError: it is nothing that can be read.
    """
    if isinstance(source, str | bytes | bytearray | memoryview | os.PathLike):
        msg = f"The input is a {type(source).__name__}, not a file: open it, or wrap it in io.StringIO or io.BytesIO."
        raise UnreadableSourceError(msg)
    if isinstance(source, io.TextIOWrapper) and _is_utf8(source) and _is_unread(source):
        source = source.buffer
    raw = source.raw if isinstance(source, io.BufferedReader | io.BufferedRandom) else source
    if type(raw) is not io.FileIO:
        return Source(b"", None, _chunks(source))
    if raw is source:
        return Source(b"", raw.fileno(), iter(()))
    if raw.seekable():
        if source.writable():
            source.flush()
        os.lseek(raw.fileno(), source.tell(), os.SEEK_SET)
        return Source(b"", raw.fileno(), iter(()))
    return Source(_read_ahead(source), raw.fileno(), iter(()))


def _is_utf8(text: io.TextIOWrapper) -> bool:
    return text.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii", "us-ascii")


def _is_unread(text: io.TextIOWrapper) -> bool:
    """Whether nothing that was taken from the bytes below is still in the text."""
    below: Any = text.buffer
    try:
        if text.seekable():
            return bool(text.tell() == below.tell())
        text.reconfigure(encoding=text.encoding, errors=text.errors)  # Python refuses it after a first read
    except (OSError, io.UnsupportedOperation):
        return False
    return True


def _read_ahead(source: Any) -> bytes:
    """What a pipe's reader holds already; it must not wait for more."""
    descriptor = source.fileno()
    was_blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        held = source.peek(1)
        return bytes(source.read1(len(held))) if held else b""
    finally:
        os.set_blocking(descriptor, was_blocking)


def _chunks(source: Any) -> Iterator[bytes]:
    """The rest of what is read by its own methods, as soon as it gives some."""
    if not hasattr(source, "read"):
        if not isinstance(source, Iterable):
            msg = f"The input is a {type(source).__name__}, which cannot be read."
            raise UnreadableSourceError(msg)
        for line in source:
            encoded = _encoded(line)
            yield encoded if encoded.endswith(b"\n") else encoded + b"\n"
        return
    while chunk := _encoded(_read(source)):
        yield chunk


def _read(source: Any) -> Any:
    if isinstance(source, io.TextIOWrapper):  # `read` would wait until it has all that was asked for
        return source.readline()
    if hasattr(type(source), "read1"):  # that of an object's own: some pass on what belongs to the file below them
        try:
            return source.read1(_CHUNK_BYTES)
        except (AttributeError, io.UnsupportedOperation):  # a temporary file of text
            pass
    return source.read(_CHUNK_BYTES)


def _encoded(chunk: Any) -> bytes:
    if chunk is None:  # of a source that does not wait, and has nothing yet
        msg = "The input does not wait for what is to come: give it as one that blocks."
        raise UnreadableSourceError(msg)
    if not isinstance(chunk, str | bytes | bytearray | memoryview):
        msg = f"The input gives {type(chunk).__name__}, neither text nor bytes."
        raise UnreadableSourceError(msg)
    return chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)
