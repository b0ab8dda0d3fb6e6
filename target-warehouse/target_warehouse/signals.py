"""When SIGTERM and SIGINT end the target: at once, or after the transaction that is being written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from target_warehouse.errors import TerminatedError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Signals:
    """Holds back a signal while something must not be interrupted; used by the main thread only."""

    def __init__(self) -> None:
        self._is_held = False
        self._came: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal that arrives inside is acted on at the end.

        Raises:
            TerminatedError: one arrived.
        """
        was_held, self._is_held = self._is_held, True
        try:
            yield
        finally:
            self._is_held = was_held
        if self._came is not None and not was_held:
            signum, self._came = self._came, None
            raise TerminatedError(signum)

    def handle(self, signum: int) -> None:
        """Act on a signal; what comes after it must not interrupt the way out.

        Raises:
            TerminatedError: nothing holds it back.
        """
        if self._is_held:
            self._came = signum
            return
        self._is_held = True
        raise TerminatedError(signum)
