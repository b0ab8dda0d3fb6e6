"""Reading on after the end, so that the writer before us hears of the failure and not of a broken pipe.

Meltano notices that a loader has ended only after it has written to it once more, and then its log shows tracebacks
of the broken pipe above the sentence that matters. A process that outlives ours keeps the pipe open for the moment
that Meltano needs to see our exit code and to stop the tap.
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
    """Have standard input, if it is a pipe, read to its end by another process, for a few seconds at most."""
    with suppress(OSError, ValueError):  # a closed or missing standard input needs no reader
        if stat.S_ISFIFO(fstat(sys.stdin.fileno()).st_mode):
            subprocess.Popen(  # noqa: S603 - our own line of Python
                [sys.executable, "-I", "-S", "-c", _READ_ON], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
