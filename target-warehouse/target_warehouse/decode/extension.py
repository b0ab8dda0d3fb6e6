"""The C extension of this folder, or None.

There is none if the target was installed without a compiler, or if the environment variable
`TARGET_WAREHOUSE_IMPLEMENTATION` is `python`. The rows are the same, only slower.
"""

from __future__ import annotations

import os

try:
    if os.environ.get("TARGET_WAREHOUSE_IMPLEMENTATION", "").lower() == "python":
        raise ImportError
    from target_warehouse.decode import _decode
except ImportError:
    _decode = None  # type: ignore[assignment]

extension = _decode
IS_COMPILED = extension is not None
#: The implementation in use, for the log.
IMPLEMENTATION = "C" if IS_COMPILED else "Python"
