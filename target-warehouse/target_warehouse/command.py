"""The command `target-warehouse`: the target, and an end of the process that takes no time.

By then everything is committed, printed and closed. Python would take apart all that was imported, object by object,
which takes as long as loading thousands of records does; mypy, too, leaves it out.
"""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress

from target_warehouse.target import TargetWarehouse


def main() -> None:
    """Run the command line of this process, and end the process."""
    try:
        TargetWarehouse.cli()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        atexit._run_exitfuncs()  # noqa: SLF001 - what others asked to be done at the end
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
                stream.flush()
        os._exit(ended.code or 0)
