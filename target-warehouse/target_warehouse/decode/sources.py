"""The unread rest of an input of any type, as bytes.

A file of the operating system is read by its descriptor, so that the reader can wait with a timeout; bytes that Python
has already buffered come first. Other inputs are read by their own methods: compressed files, texts in memory or with
another encoding, sockets, lists and generators of lines. Nothing is read twice.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_CHUNK_BYTES = 1 << 18


class UnreadableSourceError(TypeError):
    """The input cannot be read; the message is one sentence for the user."""


@dataclass(frozen=True)
class Source:
    """Bytes that were read ahead, and then a descriptor to read from or, without one, chunks of any size."""

    ahead: bytes
    descriptor: int | None
    chunks: Iterator[bytes]


def open_source(source: Any) -> Source:
    """The unread rest of this input.

    Raises:
        UnreadableSourceError: the input cannot be read.
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
    """Whether the text layer holds no characters that it has taken from the bytes below."""
    below: Any = text.buffer
    try:
        if text.seekable():
            return bool(text.tell() == below.tell())
        text.reconfigure(encoding=text.encoding, errors=text.errors)  # Python refuses this after the first read
    except (OSError, io.UnsupportedOperation):
        return False
    return True


def _read_ahead(source: Any) -> bytes:
    """The bytes that a pipe's reader has buffered, without waiting for more."""
    descriptor = source.fileno()
    was_blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        held = source.peek(1)
        return bytes(source.read1(len(held))) if held else b""
    finally:
        os.set_blocking(descriptor, was_blocking)


def _chunks(source: Any) -> Iterator[bytes]:
    """The rest of an input that is read by its own methods, in chunks as soon as they arrive."""
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
    if isinstance(source, io.TextIOWrapper):  # `read` would wait for the whole chunk
        return source.readline()
    if hasattr(type(source), "read1"):  # of the class: some instances forward to the `read1` of the file below them
        try:
            return source.read1(_CHUNK_BYTES)
        except (AttributeError, io.UnsupportedOperation):  # a temporary text file
            pass
    return source.read(_CHUNK_BYTES)


def _encoded(chunk: Any) -> bytes:
    if chunk is None:  # a non-blocking source has no data yet
        msg = "The input is non-blocking and has no data yet: pass a blocking file."
        raise UnreadableSourceError(msg)
    if not isinstance(chunk, str | bytes | bytearray | memoryview):
        msg = f"The input returns {type(chunk).__name__}, which is neither text nor bytes."
        raise UnreadableSourceError(msg)
    return chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else bytes(chunk)
