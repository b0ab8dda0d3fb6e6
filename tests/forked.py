"""The programs, and Meltano, as processes that are forked from one that has their modules in memory.

Loading these modules takes between a third of a second and a second of a processor. Tests whose subject is the start
of a process start the program itself.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import operator
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from multiprocessing.process import BaseProcess

_FUNCTIONS = {
    "tap-hubspot-dw": ("tap_hubspot_dw.singer.tap", "TapHubSpotDW.cli"),
    "target-warehouse": ("target_warehouse.singer.main", "main"),
    "meltano": ("meltano.cli", "main"),
}
_SERVER = multiprocessing.get_context("forkserver")
#: Most of Meltano; importing all of it would change how every program logs.
_MOST_OF_MELTANO = "meltano.core.block.block_parser"
_SERVER.set_forkserver_preload(["tap_hubspot_dw.singer.tap", "target_warehouse.singer.main", _MOST_OF_MELTANO])


def start(
    program: str,
    arguments: Iterable[object],
    *,
    folder: Path,
    env: Mapping[str, str],
    out: IO[Any],
    log: IO[Any],
    stdin: IO[Any] | None = None,
) -> BaseProcess:
    """Return the running program; it has its own copies of the files, which the caller may close."""
    with Path(os.devnull).open("rb") as nothing:
        files = [Connection(os.dup(file.fileno())) for file in (stdin or nothing, out, log)]
    words = [str(argument) for argument in arguments]
    process = _SERVER.Process(target=_run, args=(program, words, str(folder), dict(env), files))
    process.start()
    for file in files:
        file.close()
    return process


def ended(process: BaseProcess, timeout: float) -> int:
    """Wait for a program and return its exit code; fail the test if it does not end in time."""
    process.join(timeout)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    assert code is not None, f"the program did not end within {timeout} s"
    return code


def run(
    program: str, arguments: Iterable[object], *, folder: Path, env: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Run a program without input; return its exit code, output and log."""
    with TemporaryFile() as out, TemporaryFile() as log:
        code = ended(start(program, arguments, folder=folder, env=env, out=out, log=log), timeout)
        return code, *(_text(file) for file in (out, log))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _run(program: str, arguments: list[str], folder: str, env: dict[str, str], files: list[Connection]) -> None:
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
        file.close()
    sys.stdin = os.fdopen(0)  # `multiprocessing` has closed it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [program, *arguments]
    logging.root.handlers.clear()  # a library of Meltano's adds one when it is imported
    module, function = _FUNCTIONS[program]
    sys.exit(operator.attrgetter(function)(importlib.import_module(module))())
