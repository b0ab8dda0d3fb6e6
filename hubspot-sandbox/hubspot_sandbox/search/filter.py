"""Filters: whether a property value, a text, matches a condition under HubSpot's type of the property."""

from __future__ import annotations

import math
from collections.abc import Callable

from hubspot_sandbox.search_request import Filter
from hubspot_sandbox.timestamps import parse_timestamp

Comparable = float | str
Test = Callable[[str | None], bool]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def comparable_as(property_type: str) -> Callable[[str], Comparable | None]:
    """Return the conversion for comparisons: numbers and timestamps by size, everything else as lower-case text."""
    if property_type == "number":
        return _number
    if property_type in ("date", "datetime"):
        return parse_timestamp
    return str.lower


def _tokens(text: str) -> set[str]:
    return set("".join(c.lower() if c.isalnum() else " " for c in text).split())


def _has_token(value: str, wanted: str) -> bool:
    pattern = wanted.lower().strip()
    if pattern.startswith("*") or pattern.endswith("*"):
        return pattern.strip("*") in value.lower()
    return _tokens(pattern) <= _tokens(value)


def value_test(condition: Filter, property_type: str) -> Test:
    """Return a test for the values of one property. An empty or unreadable value matches only negations."""
    convert = comparable_as(property_type)
    operator = condition.operator
    if operator == "HAS_PROPERTY":
        return lambda value: value not in (None, "")
    if operator == "NOT_HAS_PROPERTY":
        return lambda value: value in (None, "")
    if operator == "CONTAINS_TOKEN":
        return lambda value: value is not None and _has_token(value, condition.value)
    if operator == "NOT_CONTAINS_TOKEN":
        return lambda value: value is None or not _has_token(value, condition.value)
    if operator in ("IN", "NOT_IN"):
        members = {convert(v) for v in condition.values} - {None}
        inside = operator == "IN"
        return lambda value: (value is not None and convert(value) in members) == inside
    low, high = convert(condition.value), convert(condition.high) if operator == "BETWEEN" else None
    return _comparison(operator, convert, low, high)


def _comparison(
    operator: str,
    convert: Callable[[str], Comparable | None],
    low: Comparable | None,
    high: Comparable | None,
) -> Test:
    compare: dict[str, Callable[[Comparable], bool]] = {
        "EQ": lambda v: v == low,
        "NEQ": lambda v: v != low,
        "LT": lambda v: v < low,  # type: ignore[operator]
        "LTE": lambda v: v <= low,  # type: ignore[operator]
        "GT": lambda v: v > low,  # type: ignore[operator]
        "GTE": lambda v: v >= low,  # type: ignore[operator]
        "BETWEEN": lambda v: low <= v <= high,  # type: ignore[operator]
    }
    test = compare[operator]

    def matches(value: str | None) -> bool:
        if value is None or low is None or (operator == "BETWEEN" and high is None):
            return operator == "NEQ"
        converted = convert(value)
        return operator == "NEQ" if converted is None else test(converted)

    return matches


def number_bounds(condition: Filter) -> tuple[float, float] | None:
    """The inclusive range `[low, high]` of whole numbers that match a range filter, None for other filters."""
    low = _number(condition.value)
    if low is None:
        low = parse_timestamp(condition.value)
    if low is None:
        return None
    top = float("inf")
    if condition.operator == "BETWEEN":
        high = _number(condition.high)
        if high is None:
            high = parse_timestamp(condition.high)
        return None if high is None else (low, high)
    ranges: dict[str, tuple[float, float]] = {
        "GT": (low + 1, top),
        "GTE": (low, top),
        "LT": (-top, low - 1),
        "LTE": (-top, low),
        "EQ": (low, low),
    }
    return ranges.get(condition.operator)
