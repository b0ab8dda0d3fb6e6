# ruff: noqa: SIM115 - the target reads the files, and is to get them as users give them
"""A target in this process loads the unread rest of an input of any type."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import socket
import tempfile
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from target_warehouse.errors import InputError
from target_warehouse.singer.target import TargetWarehouse
from tests.target.feeding import numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import DuckDBWarehouse

TEXT = "".join(numbers(20_000)).replace('v7"', 'vä7"')
COUNT = 20_000
#: Everything before the SCHEMA has been read by another reader.
BEFORE = "a line of another reader\n"
DATA = (BEFORE + TEXT).encode()


def _file(folder: Path, data: bytes = DATA) -> Path:
    path = folder / "input"
    path.write_bytes(data)
    return path


def _read(source: Any) -> Any:
    assert source.readline().strip() in (BEFORE.strip(), BEFORE.strip().encode())
    return source


def _iterated(source: Any) -> Any:
    assert next(source).strip() == BEFORE.strip()
    return source


def _piped(data: bytes = DATA) -> int:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as sink:
            sink.write(data)

    threading.Thread(target=write, daemon=True).start()
    return reading


def _socket() -> Any:
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            theirs.sendall(DATA)

    threading.Thread(target=send, daemon=True).start()
    with ours:
        return ours.makefile("rb")


def _zipped(folder: Path) -> Any:
    with zipfile.ZipFile(folder / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("input", DATA)
    return zipfile.ZipFile(folder / "z").open("input")


def _spooled(mode: str) -> Any:
    spool: Any = tempfile.SpooledTemporaryFile(mode=mode)
    spool.write(DATA if "b" in mode else DATA.decode())
    spool.seek(0)
    return spool


SOURCES: dict[str, Callable[[Path], Any]] = {
    "a file, partly read": lambda folder: _read(_file(folder).open("rb")),
    "a file of text, partly read": lambda folder: _read(_file(folder).open(encoding="utf-8")),
    "a file of text, partly iterated": lambda folder: _iterated(_file(folder).open(encoding="utf-8")),
    "a file of text, not read": lambda folder: _file(folder, TEXT.encode()).open(encoding="utf-8"),
    "a file without a buffer, partly read": lambda folder: _read(_file(folder).open("rb", buffering=0)),
    "a file for reading and writing, partly read": lambda folder: _read(_file(folder).open("r+b")),
    "a file in another encoding": lambda folder: _read(
        _file(folder, DATA.decode().encode("utf-16")).open(encoding="utf-16")
    ),
    "a file with a byte order mark": lambda folder: _file(folder, b"\xef\xbb\xbf" + TEXT.encode()).open("rb"),
    "a file of codecs": lambda folder: _read(codecs.open(str(_file(folder)), encoding="utf-8")),
    "gzip": lambda folder: _read(gzip.open(_file(folder, gzip.compress(DATA)))),
    "gzip as text": lambda folder: _read(gzip.open(_file(folder, gzip.compress(DATA)), "rt", encoding="utf-8")),
    "bz2": lambda folder: _read(bz2.open(_file(folder, bz2.compress(DATA)))),
    "lzma": lambda folder: _read(lzma.open(_file(folder, lzma.compress(DATA)))),
    "a member of a zip": lambda folder: _read(_zipped(folder)),
    "text in memory": lambda _: _read(io.StringIO(DATA.decode())),
    "bytes in memory": lambda _: _read(io.BytesIO(DATA)),
    "a temporary file": lambda _: _read(_spooled("w+b")),
    "a temporary file of text": lambda _: _read(_spooled("w+")),
    "a pipe, partly read": lambda _: _read(os.fdopen(_piped(), "rb")),
    "a pipe of text, partly read": lambda _: _read(os.fdopen(_piped(), encoding="utf-8")),
    "a pipe, not read": lambda _: os.fdopen(_piped(TEXT.encode()), "rb"),
    "a pipe of text, not read": lambda _: os.fdopen(_piped(TEXT.encode()), encoding="utf-8"),
    "a socket": lambda _: _read(_socket()),
    "a list of lines": lambda _: TEXT.splitlines(),
    "a generator of lines": lambda _: (line.encode() for line in numbers(COUNT)),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the sources are left to the garbage collector
@pytest.mark.filterwarnings("ignore:codecs.open:DeprecationWarning")
@pytest.mark.parametrize("name", SOURCES)
def test_the_unread_rest_of_any_input_is_loaded(name: str, file: DuckDBWarehouse, tmp_path: Path) -> None:
    TargetWarehouse(config={"warehouse": file.url}).run(SOURCES[name](tmp_path))
    assert file.query("SELECT count(*) AS n FROM melty.numbers") == [{"n": COUNT}]


@pytest.mark.parametrize("source", ["messages.singer", b"x", 5, [1]], ids=str)
def test_a_value_that_is_not_an_input_is_one_sentence(source: Any, file: DuckDBWarehouse) -> None:
    with pytest.raises(InputError, match="The input"):
        TargetWarehouse(config={"warehouse": file.url}).run(source)


def test_an_empty_list_is_an_empty_input(file: DuckDBWarehouse) -> None:
    """It does not make the target wait for standard input."""
    TargetWarehouse(config={"warehouse": file.url}).run([])  # type: ignore[arg-type]
    assert file.rows("_load_history") == []
