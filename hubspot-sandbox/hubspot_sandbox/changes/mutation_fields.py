"""Reads the fields of a mutation (types, ids, property values) and checks them against the portal."""

from __future__ import annotations

from typing import Any

from hubspot_sandbox.portal.portal import Portal
from hubspot_sandbox.portal.record_states import LIVE
from hubspot_sandbox.portal.records import Records
from hubspot_sandbox.search_request import text_of

Mutation = dict[str, Any]


class MutationError(ValueError):
    """A mutation cannot be applied; the message says which one and why."""


def records_of(portal: Portal, mutation: Mutation, key: str = "type") -> Records:
    """Return the records of the object type that a field names."""
    name = text_of(mutation.get(key))
    object_type = portal.resolve(name)
    if object_type is None:
        raise MutationError(f"{mutation.get('kind')}: there is no object type {name!r}.")
    return portal.records[object_type.type_id]


def number_of(records: Records, mutation: Mutation, key: str = "id", state: int = LIVE) -> int:
    """Return the record number of the id in a field; the record must be in `state`."""
    raw = text_of(mutation.get(key))
    number = records.number_of(raw)
    if number is None or records.state[number] != state:
        state_name = "live" if state == LIVE else "archived"
        raise MutationError(f"{mutation.get('kind')}: {records.type.plural} has no {state_name} record {raw!r}.")
    return number


def properties_of(records: Records, mutation: Mutation) -> dict[str, str | None]:
    """Return the property values of a mutation as texts; every name must be a property of the type."""
    given = mutation.get("properties") or {}
    if not isinstance(given, dict):
        raise MutationError(f"{mutation.get('kind')}: properties must be an object.")
    unknown = sorted(name for name in given if name not in records.definitions)
    if unknown:
        raise MutationError(f"{mutation.get('kind')}: {records.type.plural} has no property {unknown[0]!r}.")
    return {name: None if value is None else text_of(value) for name, value in given.items()}
