"""Whether JSON texts mean the same: spaces and the order of members do not count, numbers are exact, true is not 1."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any


def parsed(text: str) -> Any:
    """The value of a JSON text, with exact numbers.

    Raises:
        ValueError: it is not JSON, or a number has an exponent beyond those of `Decimal`.
    """
    try:
        return json.loads(text, parse_float=Decimal)
    except InvalidOperation as error:
        raise ValueError("a number is too large") from error


def is_same_json(left: str | None, right: str | None) -> bool:
    """Whether two texts are the same JSON; texts that are not JSON are compared as they are.

    SQL's NULL is JSON's null: target-postgres writes the one, this target the other.
    """
    try:
        return is_same(*(None if text is None else parsed(text) for text in (left, right)))
    except (ValueError, RecursionError):
        return left == right


def is_same(left: object, right: object) -> bool:
    """Whether two parsed values are the same."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right
