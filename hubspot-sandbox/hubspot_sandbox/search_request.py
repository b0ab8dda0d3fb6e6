"""Search requests: parses a body and checks it against HubSpot's limits.

The limits are documented: 5 groups, 6 filters in a group, 18 filters in all, one sort, 200 rows a page, 10,000 rows
in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hubspot_sandbox.errors import HubSpotError, validation

MAX_LIMIT = 200
MAX_REACH = 10_000
MAX_GROUPS, MAX_FILTERS, MAX_ALL_FILTERS = 5, 6, 18
MAX_QUERY = 3_000
OPERATORS = frozenset(
    [
        "LT",
        "LTE",
        "GT",
        "GTE",
        "EQ",
        "NEQ",
        "BETWEEN",
        "IN",
        "NOT_IN",
        "HAS_PROPERTY",
        "NOT_HAS_PROPERTY",
        "CONTAINS_TOKEN",
        "NOT_CONTAINS_TOKEN",
    ]
)


class TooFar(HubSpotError):  # noqa: N818 - a reply rather than an error of the program
    """400 for more rows than a search gives. A class of its own, as the quirk `error-bodies` changes its body."""

    def __init__(self, message: str) -> None:
        super().__init__(400, validation(message).body)


@dataclass(frozen=True)
class Filter:
    """One condition; `value`, `high` and `values` are texts as the client sent them."""

    name: str
    operator: str
    value: str = ""
    high: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchRequest:
    """A checked search: a record matches if all filters of at least one group match."""

    groups: tuple[tuple[Filter, ...], ...]
    sort: tuple[str, bool] | None
    properties: tuple[str, ...] | None
    limit: int
    offset: int
    query: str


def text_of(value: Any) -> str:
    """A JSON value as the text that HubSpot compares; numbers and booleans become texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def parse_filter(raw: Any, known: frozenset[str] | set[str]) -> Filter:
    """Parse one filter of the body.

    Raises:
        HubSpotError: a VALIDATION_ERROR for an unknown operator or property, or a missing value.
    """
    if not isinstance(raw, dict) or not isinstance(raw.get("propertyName"), str):
        raise validation("Every filter needs a propertyName and an operator.")
    operator = raw.get("operator")
    if operator not in OPERATORS:
        raise validation(f"Enum class FilterOperatorEnum does not have value {operator}", code="INVALID_OPERATOR")
    name = raw["propertyName"]
    if name not in known:
        raise validation(
            f"There was a problem with the request: unknown property {name}.",
            code="PROPERTY_DOESNT_EXIST",
            context={"propertyName": [name]},
        )
    if operator in ("IN", "NOT_IN") and not isinstance(raw.get("values"), list):
        raise validation(
            f"operator {operator} requires values.", code="MISSING_VALUES", context={"propertyName": [name]}
        )
    if operator == "BETWEEN" and ("value" not in raw or "highValue" not in raw):
        raise validation("operator BETWEEN requires value and highValue.", context={"propertyName": [name]})
    if operator not in ("IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY") and raw.get("value") is None:
        raise validation(f"operator {operator} requires a value.", context={"propertyName": [name]})
    values = tuple(text_of(v) for v in raw.get("values") or ())
    return Filter(name, operator, text_of(raw.get("value")), text_of(raw.get("highValue")), values)


def list_in(body: dict[str, Any], key: str) -> list[Any]:
    """The list under a key, empty when absent; raises a VALIDATION_ERROR for any other value."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise validation(f"{key} must be a list.", context={key: [text_of(value)[:40]]})
    return value


def _groups(body: dict[str, Any], known: set[str]) -> tuple[tuple[Filter, ...], ...]:
    raw_groups = list_in(body, "filterGroups")
    if body.get("filters"):
        raw_groups = [*raw_groups, {"filters": list_in(body, "filters")}]
    if not all(isinstance(g, dict) for g in raw_groups):
        raise validation("filterGroups must be a list of objects.")
    if len(raw_groups) > MAX_GROUPS:
        raise validation(f"Too many filterGroups: {len(raw_groups)}, the maximum is {MAX_GROUPS}.")
    groups = tuple(tuple(parse_filter(f, known) for f in list_in(g, "filters")) for g in raw_groups)
    if any(len(g) > MAX_FILTERS for g in groups) or sum(map(len, groups)) > MAX_ALL_FILTERS:
        raise validation(f"Too many filters: at most {MAX_FILTERS} in a group and {MAX_ALL_FILTERS} in all.")
    return groups


def _sort(body: dict[str, Any], known: set[str]) -> tuple[str, bool] | None:
    sorts = list_in(body, "sorts")
    if len(sorts) > 1:
        raise validation("Only one sort is allowed.")
    if not sorts:
        return None
    first = sorts[0] if isinstance(sorts[0], dict) else {"propertyName": text_of(sorts[0])}
    name = text_of(first.get("propertyName"))
    is_descending = text_of(first.get("direction")).upper() == "DESCENDING"
    if isinstance(sorts[0], str) and name.startswith("-"):
        name, is_descending = name[1:], True
    if name not in known:
        raise validation(f"Cannot sort by unknown property {name}.", context={"propertyName": [name]})
    return name, is_descending


def _count(body: dict[str, Any], key: str, default: int) -> int:
    raw = body.get(key)
    if raw is None or raw == "":
        return default
    try:
        number = int(raw)
    except (TypeError, ValueError):
        raise validation(f"{key} must be an integer.", context={key: [text_of(raw)]}) from None
    if number < 0:
        raise validation(f"{key} must not be negative.")
    return number


def parse_search(body: dict[str, Any], known: set[str], *, max_limit: int = MAX_LIMIT) -> SearchRequest:
    """Parse the body of a search; `known` are the type's property names. Raises HubSpot's 400 replies."""
    limit, offset = _count(body, "limit", 10), _count(body, "after", 0)
    if limit > max_limit:
        raise TooFar(f"limit must be at most {max_limit}, got {limit}.")
    if offset + limit > MAX_REACH:
        raise TooFar(f"The maximum number of results that can be paged through is {MAX_REACH}.")
    query = text_of(body.get("query"))
    if len(query) > MAX_QUERY:
        raise validation(f"query must not be longer than {MAX_QUERY} characters.")
    properties = list_in(body, "properties")
    names = tuple(text_of(name) for name in properties) if properties else None
    return SearchRequest(_groups(body, known), _sort(body, known), names, limit, offset, query)
