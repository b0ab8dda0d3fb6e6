"""Which of HubSpot's properties the settings choose by patterns, and what of these has no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any


def chosen_properties(
    properties: Iterable[Mapping[str, Any]], include: Sequence[str], exclude: Sequence[str], by_name: Sequence[str] = ()
) -> list[Mapping[str, Any]]:
    """Return the definitions whose name fits a pattern of `include` (empty: all do) and none of `exclude`.

    Names in `by_name` that HubSpot does not list are properties with texts: it has some that are to be asked for by
    name only, such as the dates of stages (reported; an open point).
    """
    listed = list(properties)
    names = {str(each["name"]) for each in listed}
    unlisted = [{"name": name, "type": "string"} for name in dict.fromkeys(by_name) if name not in names]
    return [
        definition
        for definition in (*listed, *(each for each in unlisted if _is_name(each["name"])))
        if (not include or _fits(definition["name"], include)) and not _fits(definition["name"], exclude)
    ]


def _is_name(pattern: str) -> bool:
    """Whether a pattern is the name of one property."""
    return bool(pattern) and not set("*?[") & set(pattern)


def pattern_warnings(
    setting: str, patterns: Mapping[str, Sequence[str]], names: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Yield a sentence for what in a setting of patterns has no effect, or another than it seems.

    `names` are the properties that HubSpot lists for each object; an object that could not be described lacks them.
    """
    for of, chosen in patterns.items():
        if of != "*" and of not in names:
            continue
        among = {name for each in names.values() for name in each} if of == "*" else names[of]
        lonely = [pattern for pattern in chosen if not any(_fits(name, [pattern]) for name in among)]
        asked = [each for each in lonely if setting == "include_properties" and of != "*" and _is_name(each)]
        if asked:
            yield (
                f"HubSpot lists no property {', '.join(asked)} of {of}: asked for all the same, as text, and null if "
                f"HubSpot does not know it (setting {setting})."
            )
        if idle := [each for each in lonely if each not in asked]:
            whose = "any object" if of == "*" else of
            yield f"The setting {setting} has {', '.join(idle)}, which fits no property of {whose}."


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a property's name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
