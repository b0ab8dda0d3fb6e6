"""The validator for JSON schema constraints that the conversion into rows does not check, with reasons without values.

The schema comes from `schemas.modern`, so it has no references. Numbers are compared as exact decimals. Patterns are
searched by RE2, in linear time for every pattern. Patterns that RE2 does not support (backreferences, lookahead) are
not checked.
"""

from __future__ import annotations

import decimal
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jsonschema
import pyarrow as pa
import pyarrow.compute as pc
from jsonschema.validators import Draft202012Validator

from target_warehouse.decode.converters import json_line
from target_warehouse.errors import SchemaError
from target_warehouse.tables.table import DELETED_AT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from target_warehouse.load.last_per_key import Record

logger = logging.getLogger("target-warehouse")


class RecordValidator:
    """A validator of records.

    Raises:
        SchemaError: the schema is not valid.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        try:
            Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            msg = f"it is not a valid JSON schema, at {error.json_path}"
            raise SchemaError(msg) from None
        except RecursionError:
            raise SchemaError("it is nested too deeply") from None
        self._validator = _Validator(schema, format_checker=None)

    def reason_against(self, record: Record) -> str | None:
        """The rule that a record breaks, in a few words, or None. A delete record may lack required properties."""
        is_delete = record.get(DELETED_AT) is not None
        try:
            for error in self._validator.iter_errors(record):
                if is_delete and error.validator == "required":
                    continue
                path = f"its property {error.absolute_path[0]}" if error.absolute_path else "it"
                return f"{path} breaks the schema's rule {error.validator}"
        except RecursionError:
            return "it nests lists and objects deeper than can be checked"
        return None


def _is_integer(_checker: object, value: object) -> bool:
    """Whether a value is an integer in JSON schema: 5.0 is one, but the library does not know the reader's Decimals."""
    if isinstance(value, decimal.Decimal):
        return bool(value.is_finite() and value == value.to_integral_value())
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_checker: object, value: object) -> bool:
    if isinstance(value, decimal.Decimal | float):
        return decimal.Decimal(value).is_finite()
    return isinstance(value, int) and not isinstance(value, bool)


def is_multiple(value: float | decimal.Decimal, of: float | decimal.Decimal) -> bool:
    """Whether a number is an integer multiple of another; both are taken as the decimals that were written."""
    (_sign, digits, exponent), (_, of_digits, of_exponent) = (
        (number if isinstance(number, decimal.Decimal) else decimal.Decimal(str(number))).as_tuple()
        for number in (value, of)
    )
    whole, divisor = _joined(digits), _joined(of_digits)
    shift = int(exponent) - int(of_exponent)
    if not whole or not divisor:
        return not whole
    if shift >= 0:
        return whole * pow(10, shift, divisor) % divisor == 0
    if -shift > len(digits):  # the number would need more trailing zeros than it has digits
        return False
    return bool(whole % (divisor * 10**-shift) == 0)


def _joined(digits: tuple[int, ...]) -> int:
    return int(decimal.Decimal((0, digits, 0)))


@lru_cache(maxsize=1_000)
def _knows(pattern: str) -> bool:
    try:
        pc.match_substring_regex(pa.array([""]), _in_re2(pattern))
    except pa.ArrowException as error:
        logger.warning(
            "The pattern %r of a schema is not checked, because RE2, which searches in linear time, does not support "
            "it (%s).",
            pattern[:80],
            type(error).__name__,
        )
        return False
    return True


def _in_re2(pattern: str) -> str:
    """The pattern with the escapes that RE2 spells differently replaced."""
    out, rest = "", pattern
    while rest:
        if rest[:2] == "\\u" and len(rest) >= 6:
            out, rest = out + "\\x{" + rest[2:6] + "}", rest[6:]
        elif rest[:2] == "\\Z":
            out, rest = out + "\\z", rest[2:]
        else:
            step = 2 if rest[0] == "\\" else 1
            out, rest = out + rest[:step], rest[step:]
    return out


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern; True if RE2 does not support the pattern."""
    if not _knows(pattern):
        return True
    try:
        return bool(pc.match_substring_regex(pa.array([text], pa.string()), _in_re2(pattern))[0].as_py())
    except (UnicodeEncodeError, pa.ArrowException):  # half a surrogate pair, which the conversion rejects
        return True


def _pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not matches(pattern, value):
        yield jsonschema.ValidationError("pattern")


def _multiple_of(_validator: Any, of: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if _is_number(None, value) and not is_multiple(value, of):
        yield jsonschema.ValidationError("multipleOf")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], value: Any, _schema: Any
) -> Iterator[jsonschema.ValidationError]:
    for pattern, schema in patterns.items() if isinstance(value, dict) else ():
        if _knows(pattern):
            for name in [name for name in value if matches(pattern, name)]:
                yield from validator.descend(value[name], schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, rest: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in value:
        if name in known or name.startswith("_sdc_") or any(matches(pattern, name) for pattern in patterns):
            continue
        if rest is False:
            yield jsonschema.ValidationError("additionalProperties")
        else:
            yield from validator.descend(value[name], rest, path=name)


def _unique_items(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[jsonschema.ValidationError]:
    if wanted is True and isinstance(value, list) and len({_alike(item) for item in value}) < len(value):
        yield jsonschema.ValidationError("uniqueItems")


def _alike(value: Any) -> str:
    """A text that is the same for equal values."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{json_line(name)}:{_alike(item)}" for name, item in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_alike, value)) + "]"
    return str(decimal.Decimal(value).normalize()) if _is_number(None, value) else json_line(value)


_Validator = jsonschema.validators.extend(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "multipleOf": _multiple_of,
        "uniqueItems": _unique_items,
        "format": None,
        "unevaluatedProperties": None,  # older targets do not check these two, and taps do not rely on them
        "unevaluatedItems": None,
    },
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number}),
)
