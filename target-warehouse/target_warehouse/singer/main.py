"""The command `target-warehouse`: its error messages and exit codes, and a fast end of the process."""

from __future__ import annotations

import atexit
import datetime as dt
import gc
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from target_warehouse.errors import TerminatedError, sentence_of, user_errors
from target_warehouse.shown import shown
from target_warehouse.singer.stdin_afterlife import start_drain

#: Records and imported modules are many long-lived objects without reference cycles. With Python's default threshold
#: of 700 objects, garbage collection took a fifth of the time of decoding, and a fifth of the time of starting.
_COLLECT_EVERY = 1_000_000
_LONGEST_START = 60.0  # seconds; some container runtimes report processes as old as the machine


def main() -> None:
    """Run the command line of this process, and end the process.

    At the end everything is committed, printed and closed. `os._exit` skips Python's destruction of all imported
    objects, which takes as long as loading thousands of records; mypy does the same.
    """
    began_at = dt.datetime.now(dt.UTC) - age()
    gc.set_threshold(_COLLECT_EVERY)
    _show_log_lines_safely()
    code = _run(began_at)
    atexit._run_exitfuncs()  # noqa: SLF001 - os._exit would skip them
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has ended, or it is closed
            stream.flush()
    os._exit(code)


def age() -> dt.timedelta:
    """How long ago this process was started; zero where the system does not say so."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # seconds after the machine's start
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, IndexError, AttributeError):  # not Linux
        return dt.timedelta()
    return dt.timedelta(seconds=seconds if 0 < seconds < _LONGEST_START else 0)


def _run(began_at: dt.datetime) -> int:
    """The exit code. A user's error is printed as one sentence on standard error, any other error as a traceback."""
    from target_warehouse.singer.target import TargetWarehouse  # when collections are rare

    TargetWarehouse.process_began_at = began_at
    try:
        TargetWarehouse.cli()
    except TerminatedError as signal:
        click.echo(f"Stopped by signal {signal.exit_code - 128}; what was committed is kept.", err=True)
        return signal.exit_code
    except user_errors() as error:
        start_drain()
        click.echo(f"Error: {sentence_of(error)}", err=True)
        return 1
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            return ended.code or 0
        raise
    return 0


def _show_log_lines_safely() -> None:
    """Escape control characters in arguments of log messages, such as the names of streams.

    They cannot control the terminal or imitate a line of the log. A message that is a single argument (`"%s"`) comes
    from the target and may have several lines.
    """
    make = logging.getLogRecordFactory()

    def made(*arguments: object, **named: object) -> logging.LogRecord:
        record: logging.LogRecord = make(*arguments, **named)
        record.name = shown(record.name)  # the SDK logs under a stream's name
        if isinstance(record.args, tuple) and record.msg != "%s":
            record.args = tuple(shown(value) if isinstance(value, str) else value for value in record.args)
        return record

    logging.setLogRecordFactory(made)
