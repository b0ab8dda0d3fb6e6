"""Handling of SIGTERM and SIGINT: they end the target at the next safe point, and only once.

An exception raised by a signal handler can appear between any two bytecodes, even in the callback of a weak reference,
where Python swallows it. So while the input is read, a signal is only stored. It takes effect where `check` is called,
and at the end of a block that must not be interrupted. Before the input is read, a signal ends the target immediately.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from target_warehouse.errors import TerminatedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Signals:
    """The first signal that arrived, and when it takes effect. Only for the main thread."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._is_noting = self._is_held = self._is_leaving = False

    @property
    def has_come(self) -> bool:
        """Whether a signal has arrived."""
        return self._first is not None

    def handle(self, signum: int) -> None:
        """Store a signal. Meltano sends a second one, which is ignored.

        Raises:
            TerminatedError: the signal takes effect immediately.
        """
        if self._first is None:
            self._first = signum
            if not self._is_noting:
                self.check()

    def check(self) -> None:
        """Let a stored signal take effect, unless signals are blocked.

        Raises:
            TerminatedError: a signal has arrived.
        """
        if self._first is not None and not self._is_held and not self._is_leaving:
            raise TerminatedError(self._first)

    @contextmanager
    def immediate(self) -> Iterator[None]:
        """A signal ends the block immediately, also if the driver, which it interrupts, then raises its own error.

        Raises:
            TerminatedError: a signal has arrived.
        """
        try:
            yield
        except Exception as error:
            if self._first is not None:
                raise TerminatedError(self._first) from error
            raise

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A signal in the block is stored; the block calls `check` regularly."""
        self._is_noting = True
        yield
        self._is_noting = False
        self.check()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """The block must not be interrupted; a signal takes effect at its end."""
        was_held, self._is_held = self._is_held, True
        try:
            yield
        finally:
            self._is_held = was_held
        self.check()

    def ignore_further(self) -> None:
        """Ignore signals from here on."""
        self._is_leaving = True
