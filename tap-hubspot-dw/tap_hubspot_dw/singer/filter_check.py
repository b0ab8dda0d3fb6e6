"""Checking Meltano's stream filter for names of no stream, which Meltano silently ignores.

Meltano passes the filter to every plugin in the same environment variable. Pure: standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

_FILTER = "MELTANO_EXTRACT__SELECT_FILTER"


def names_of_no_stream(environment: Mapping[str, str], streams: Collection[str]) -> list[str]:
    """Return the names and patterns in the filter that match no stream; none without Meltano."""
    try:
        patterns = json.loads(environment.get(_FILTER) or "[]")
    except ValueError:
        return []
    listed = patterns if isinstance(patterns, list) else []
    names = [str(pattern).removeprefix("!").partition(".")[0] for pattern in listed]
    return [name for name in names if not any(fnmatchcase(stream, name) for stream in streams)]
