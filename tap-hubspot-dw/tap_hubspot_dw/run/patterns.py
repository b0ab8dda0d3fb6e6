"""Choosing HubSpot's properties by the patterns in the settings, and warnings of patterns without effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any


def chosen_properties(
    properties: Iterable[Mapping[str, Any]], include: Sequence[str], exclude: Sequence[str], by_name: Sequence[str] = ()
) -> list[Mapping[str, Any]]:
    """Return the definitions whose name matches a pattern of `include` (empty: all do) and none of `exclude`.

    Names in `by_name` that HubSpot does not list become text properties: HubSpot has some properties that it returns
    only when requested by name, such as the dates of stages (reported; an open point).
    """
    listed = list(properties)
    names = {str(definition["name"]) for definition in listed}
    unlisted = [{"name": name, "type": "string"} for name in dict.fromkeys(by_name) if name not in names]
    return [
        definition
        for definition in (*listed, *(wanted for wanted in unlisted if _is_name(wanted["name"])))
        if (not include or _fits(definition["name"], include)) and not _fits(definition["name"], exclude)
    ]


def _is_name(pattern: str) -> bool:
    """Return whether a pattern is the name of one property."""
    return bool(pattern) and not set("*?[") & set(pattern)


def pattern_warnings(
    setting: str, patterns: Mapping[str, Sequence[str]], names: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Yield a warning for each list of patterns in a setting that have no effect or an unexpected one.

    `names` are the properties that HubSpot lists, by object; it lacks objects that could not be described.
    """
    for of, chosen in patterns.items():
        if of != "*" and of not in names:
            continue
        among = {name for listed in names.values() for name in listed} if of == "*" else names[of]
        unmatched = [pattern for pattern in chosen if not any(_fits(name, [pattern]) for name in among)]
        asked = [name for name in unmatched if setting == "include_properties" and of != "*" and _is_name(name)]
        if asked:
            yield (
                f"HubSpot lists no property {', '.join(asked)} of {of}: requested anyway, as text, and null if "
                f"HubSpot does not know it (setting {setting})."
            )
        if idle := [pattern for pattern in unmatched if pattern not in asked]:
            whose = "any object" if of == "*" else of
            yield f"The setting {setting} has {', '.join(idle)}, which matches no property of {whose}."


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Return whether a property's name matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
