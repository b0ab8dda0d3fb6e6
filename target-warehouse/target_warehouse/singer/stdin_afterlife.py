"""A process that reads standard input after the target has failed, so that Meltano does not log a broken pipe.

Meltano notices the end of a loader only when it writes to it again, and then its log shows tracebacks of the broken
pipe above the error message of the target. A process that outlives the target keeps the pipe open until Meltano has
seen the exit code and stopped the tap.
"""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import suppress
from os import fstat

SECONDS = 5
_READ_ON = f"import signal, sys; signal.alarm({SECONDS})\nwhile sys.stdin.buffer.raw.read(1 << 16): pass"


def start_drain() -> None:
    """Start a process that reads standard input to its end, if it is a pipe, for at most `SECONDS`."""
    with suppress(OSError, ValueError):  # standard input is closed or missing
        if stat.S_ISFIFO(fstat(sys.stdin.fileno()).st_mode):
            subprocess.Popen(  # noqa: S603 - our own line of Python
                [sys.executable, "-I", "-S", "-c", _READ_ON], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
