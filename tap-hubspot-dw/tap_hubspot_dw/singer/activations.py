"""The messages that have the target mark rows as deleted, through stream maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.singerlib import ActivateVersionMessage

from tap_hubspot_dw.singer.events import BELOW_ALL, Activation, ScopedVersionMessage

if TYPE_CHECKING:
    from singer_sdk.mapper import StreamMap

    from tap_hubspot_dw.singer.streams.base import HubSpotStream


class Activations:
    """The ACTIVATE_VERSION messages of one stream, and of the streams that stream maps make of it."""

    def __init__(self, stream: HubSpotStream) -> None:
        self._stream = stream
        self._without_scope: set[str] = set()  # mapped streams with a warning about their scope

    def messages(self, activation: Activation) -> Iterator[ActivateVersionMessage]:
        """Yield the messages of an activation, one for each stream that stream maps make."""
        scope = activation.scope
        for stream_map in self._stream.stream_maps:
            if isinstance(stream_map, RemoveRecordTransform):
                continue
            alias = stream_map.stream_alias
            if scope is None:
                yield ActivateVersionMessage(stream=alias, version=activation.version)
                continue
            keys = [dict(zip(scope.columns, values, strict=True)) for values in scope.values]
            kept = [tuple(key.values()) for key in keys if self._keeps(stream_map, key)]
            if kept:
                named = {"version": activation.version, "columns": scope.columns, "values": kept}
                yield ScopedVersionMessage(stream=alias, version=BELOW_ALL, scope=named)
            if len(kept) < len(scope.values) and alias not in self._without_scope:
                self._without_scope.add(alias)
                self._stream.logger.warning(
                    "%s: not all deletions are marked in the stream %s, as its stream map filters by, or changes, %s "
                    "or the key.",
                    self._stream.name,
                    alias,
                    " or ".join(scope.columns),
                )

    def _keeps(self, stream_map: StreamMap, keys: Mapping[str, str]) -> bool:
        """Return whether a stream map leaves these key columns unchanged, so that they identify the same rows."""
        if isinstance(stream_map, SameRecordTransform):
            return True
        if not set(keys) <= set(stream_map.transformed_key_properties or ()):
            return False
        try:
            mapped = stream_map.transform({**dict.fromkeys(self._stream.schema["properties"]), **keys})
        except Exception:  # noqa: BLE001  the map's expressions get null columns here and may raise anything
            return False
        return mapped is not None and all(mapped.get(name) == value for name, value in keys.items())
