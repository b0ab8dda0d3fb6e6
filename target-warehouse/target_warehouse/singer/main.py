"""The command `target-warehouse`: what it says of an error, and an end of the process that takes no time."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from contextlib import suppress

import click

from target_warehouse.errors import TerminatedError, sentence_of, user_errors
from target_warehouse.shown import shown
from target_warehouse.singer.stdin_afterlife import start_drain
from target_warehouse.singer.target import TargetWarehouse


def main() -> None:
    """Run the command line of this process, and end the process.

    By then everything is committed, printed and closed. Python would take apart all that was imported, object by
    object, which takes as long as loading thousands of records does; mypy, too, leaves it out.
    """
    _show_log_lines_safely()
    code = _run()
    atexit._run_exitfuncs()  # noqa: SLF001 - what others asked to be done at the end
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(code)


def _run() -> int:
    """The exit code; an error that a user can meet is one sentence on standard error, any other a traceback."""
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
    """Let no text of others, such as a stream's name, be obeyed by a terminal or pass for a line of the log.

    A message that is one argument is of our making and may have several lines.
    """
    make = logging.getLogRecordFactory()

    def made(*arguments: object, **named: object) -> logging.LogRecord:
        record: logging.LogRecord = make(*arguments, **named)
        record.name = shown(record.name)  # the SDK logs under a stream's name
        if isinstance(record.args, tuple) and record.msg != "%s":
            record.args = tuple(shown(each) if isinstance(each, str) else each for each in record.args)
        return record

    logging.setLogRecordFactory(made)
