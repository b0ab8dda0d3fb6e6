"""When SIGTERM and SIGINT end the target: at the next safe moment, and only once.

An exception that a handler raises comes up between any two steps of Python, in a weak reference's callback too, where
Python swallows it. So while the input is read a signal is noted, and acted on where `check` is called and at the end
of what must not be interrupted. Before that it ends the target at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from target_warehouse.errors import TerminatedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Signals:
    """The first signal that came, and when to act on it; used by the main thread only."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._is_noting = self._is_held = self._is_leaving = False

    @property
    def has_come(self) -> bool:
        """Whether a signal has come."""
        return self._first is not None

    def handle(self, signum: int) -> None:
        """A signal has come; Meltano sends a second one, which changes nothing.

        Raises:
            TerminatedError: nothing asked to wait.
        """
        if self._first is None:
            self._first = signum
            if not self._is_noting:
                self.check()

    def check(self) -> None:
        """Act on a signal that came, unless something must not be interrupted.

        Raises:
            TerminatedError: one came.
        """
        if self._first is not None and not self._is_held and not self._is_leaving:
            raise TerminatedError(self._first)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """A signal ends at once what is done inside, a query of DuckDB too, which raises an error of its own then.

        Raises:
            TerminatedError: one came.
        """
        try:
            yield
        except RuntimeError as error:
            if self._first is not None:
                raise TerminatedError(self._first) from error
            raise

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """What is done inside calls `check` now and then."""
        self._is_noting = True
        yield
        self._is_noting = False
        self.check()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """What is done inside must not be interrupted; a signal that came is acted on at the end."""
        was_held, self._is_held = self._is_held, True
        try:
            yield
        finally:
            self._is_held = was_held
        self.check()

    def ignore_further(self) -> None:
        """Nothing interrupts what is done from here on."""
        self._is_leaving = True
