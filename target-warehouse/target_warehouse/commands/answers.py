"""How the commands of `warehouse` end: 0 and 1 are answers, anything else that happens is 2 or a signal's code.

So an alert that asks for 1 is never set off by a crash, and one that asks for 0 never kept silent by it.
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


class CannotTellError(click.ClickException):
    """There is no answer; the message is a sentence."""

    exit_code = 2


class Commands(click.Group):
    """Commands whose exit code 1 is an answer of theirs."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; whatever ends it but itself gives a sentence and a code above 1."""
        try:
            with _terminated():
                return super().invoke(context)
        except WarehouseError as error:
            raise CannotTellError(str(error)) from error
        except KeyboardInterrupt:
            _stopped(signal.SIGINT)
        except TerminatedError as error:
            _stopped(error.exit_code - 128)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and "interrupt" in str(error).lower():  # as DuckDB says it
                _stopped(signal.SIGINT)
            raise CannotTellError(_unforeseen(error)) from error


def say(text: str, **options: Any) -> None:
    """Print an answer; where nobody reads it any more (`| head`), the exit code still says it.

    Raises:
        CannotTellError: it cannot be written, as the disk is full, say.
    """
    try:
        click.echo(text, **options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more when it ends
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        msg = f"The answer cannot be written: {error.strerror}."
        raise CannotTellError(msg) from error


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM ends the command as an error does, so that its files and processes are cleared away."""

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


def _unforeseen(error: Exception) -> str:
    """What to say of an error that nobody thought of, without its text, which may hold something of a record."""
    if getattr(error, "sqlstate", None) == _DENIED:
        return "PostgreSQL does not let this role read the tables: grant it USAGE on their schema and SELECT on them."
    own = [frame for frame in extract_tb(error.__traceback__) if "target_warehouse" in frame.filename]
    where = f" in {os.path.basename(own[-1].filename)}, line {own[-1].lineno}" if own else ""  # noqa: PTH119
    return (
        f"There is no answer: an error that the command does not know, {type(error).__name__}{where}; please report it."
    )
