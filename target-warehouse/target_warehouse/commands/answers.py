"""The exit codes of the command `warehouse`: 0 and 1 are answers; any failure is 2 or a signal's code.

So a crash never raises an alert that watches for 1, and never passes for a success.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, NoReturn

import click

from target_warehouse.errors import TerminatedError, WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_DENIED = "42501"  # PostgreSQL's insufficient_privilege


class NoAnswerError(click.ClickException):
    """The command has no answer; the message says why."""

    exit_code = 2


class Commands(click.Group):
    """Commands whose exit code 1 is an answer."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a failure prints one sentence and ends with a code above 1."""
        try:
            with _terminated():
                return super().invoke(context)
        except WarehouseError as error:
            raise NoAnswerError(str(error)) from error
        except KeyboardInterrupt:
            _stopped(signal.SIGINT)
        except TerminatedError as error:
            _stopped(error.exit_code - 128)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and "interrupt" in str(error).lower():  # DuckDB's message for SIGINT
                _stopped(signal.SIGINT)
            raise NoAnswerError(_unexpected(error)) from error


def say(text: str, **options: Any) -> None:
    """Print an answer; if its reader has gone (`| head`), only the exit code is the answer.

    Raises:
        NoAnswerError: it cannot be written, for example because the disk is full.
    """
    try:
        click.echo(text, **options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails again when it exits
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        msg = f"The answer cannot be written: {error.strerror}."
        raise NoAnswerError(msg) from error


@contextmanager
def _terminated() -> Iterator[None]:
    """Make SIGTERM raise an error, so that the command removes its files and ends its processes."""

    def end(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the handler's signature
        raise TerminatedError(signum)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopped(signum: int) -> NoReturn:
    click.echo(f"Stopped by signal {int(signum)}.", err=True)
    sys.exit(128 + signum)


def _unexpected(error: Exception) -> str:
    """The sentence for an unexpected error, without the error's text, which may quote a record."""
    if getattr(error, "sqlstate", None) == _DENIED:
        return "PostgreSQL does not let this role read the tables: grant it USAGE on their schema and SELECT on them."
    own = [frame for frame in extract_tb(error.__traceback__) if "target_warehouse" in frame.filename]
    where = f" in {os.path.basename(own[-1].filename)}, line {own[-1].lineno}" if own else ""  # noqa: PTH119
    return f"There is no answer because of an unexpected error, {type(error).__name__}{where}; please report it."
