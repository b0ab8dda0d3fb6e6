"""The tap's streams and the columns that a verification needs of them. Pure: standard library only."""

from __future__ import annotations

#: The keys of the small tables, which every run reads in full.
REFERENCES = {
    "owners": ("id",),
    "pipelines": ("object_type", "id"),
    "pipeline_stages": ("object_type", "pipeline_id", "id"),
    "properties": ("object_type", "name"),
}
ASSOCIATIONS, HISTORY = "associations", "sync_history"
_ENDS = ("from_object_type", "from_id", "to_object_type", "to_id")
_KEYS = REFERENCES | {
    ASSOCIATIONS: (*_ENDS, "association_category", "association_type_id"),
    HISTORY: ("run_id", "stream"),
}
_MORE = {ASSOCIATIONS: ("label",)}
_MORE_OF_OBJECTS = ("created_at", "updated_at", "merged_into_id")


def is_of_objects(stream: str) -> bool:
    """Whether the stream has HubSpot objects."""
    return stream not in _KEYS


def key_of(stream: str) -> tuple[str, ...]:
    """The key of the stream."""
    return _KEYS.get(stream, ("id",))


def needed_of(stream: str) -> tuple[str, ...]:
    """The columns that a verification needs: the key, and some more."""
    return key_of(stream) + (_MORE_OF_OBJECTS if is_of_objects(stream) else _MORE.get(stream, ()))
