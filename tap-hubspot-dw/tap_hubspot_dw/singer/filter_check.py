"""Names in Meltano's filter of streams that no stream has: Meltano passes over them without a word.

It tells each plugin the filter by an environment variable, whatever the plugin is called. Pure: standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

_FILTER = "MELTANO_EXTRACT__SELECT_FILTER"


def names_of_no_stream(environment: Mapping[str, str], streams: Collection[str]) -> list[str]:
    """Return the names and patterns of the filter that fit none of the streams; none without Meltano."""
    try:
        patterns = json.loads(environment.get(_FILTER) or "[]")
    except ValueError:
        return []
    names = [str(each).removeprefix("!").partition(".")[0] for each in patterns] if isinstance(patterns, list) else []
    return [name for name in names if not any(fnmatchcase(stream, name) for stream in streams)]
