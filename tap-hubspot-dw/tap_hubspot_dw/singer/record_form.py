"""The form of a stream's records, as far as settings determine it: `properties_as_json` and stream maps.

A row keeps the form in which its record was last read. So the state has a checksum of the form, and a run with another
one reads everything anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any
from zlib import crc32

from singer_sdk.mapper import MAPPER_SOURCE_OPTION, SameRecordTransform, StreamMap

PLAIN = 0  # a column for each property, and no stream map


def form_of(stream: str, config: Mapping[str, Any], maps: Sequence[StreamMap], *, as_json: bool) -> int:
    """Return a checksum of the form of a stream's records; `maps` are the SDK's maps of the stream."""
    is_flat = any(each.flattening_enabled for each in maps)
    if [type(each) for each in maps] == [SameRecordTransform] and not is_flat and not as_json:
        return PLAIN
    given = config.get("stream_maps") or {}
    own = {key: each for key, each in given.items() if fnmatch(stream, _source(key, each))}
    applied = [[type(each).__name__, each.stream_alias] for each in maps]  # also what `__else__` does
    further = {
        key: value
        for key, value in config.items()
        if (own and key in {"stream_map_config", "faker_config"}) or (is_flat and key.startswith("flattening_"))
    }
    text = json.dumps([as_json, applied, own, further], sort_keys=True, default=str)
    return crc32(text.encode()) or 1


def _source(key: str, given: Any) -> str:
    return str(given.get(MAPPER_SOURCE_OPTION, key)) if isinstance(given, dict) else key
