"""The C extension of this folder, or None.

There is none if the tap was installed without a compiler, or if the environment variable
`TAP_HUBSPOT_DW_IMPLEMENTATION` is `python`. The records are the same, only slower.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("TAP_HUBSPOT_DW_IMPLEMENTATION", "").lower() == "python":
        raise ImportError
    from tap_hubspot_dw.records import _pages
except ImportError:
    _pages = None  # type: ignore[assignment]

extension = _pages
IS_COMPILED = extension is not None
#: The implementation in use, for the log.
IMPLEMENTATION = "C" if IS_COMPILED else "Python"
