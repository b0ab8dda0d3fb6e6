"""Any text in a property becomes the value that a reference converter gives, or null with the text kept.

The reference converter follows HubSpot's documents, not the tap: it reads character by character, without the tap's
regular expressions. Hypothesis generates texts that are almost values. WAREHOUSE_TEST_LONG=1 runs more examples.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given

from tap_hubspot_dw.records.page_decoder import PageDecoder
from tap_hubspot_dw.records.record_forms import AnyRecord
from tap_hubspot_dw.singer.events import record_lines
from tests.fuzzing import TIMEOUT, examples
from tests.tap.records.property_texts import COLUMNS, TYPES, pages

DIGITS = "0123456789"
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


class NoValueError(Exception):
    """The text is not a value of its type."""


def _digits(text: str, least: int = 1, most: int = 1000) -> int:
    if not least <= len(text) <= most or any(each not in DIGITS for each in text):
        raise NoValueError
    return int(text or "0")


def plain_number(text: str) -> Fraction:
    """Sign, digits, perhaps a point and digits, perhaps an exponent of at most three digits; spaces around."""
    text = text.strip()
    sign = -1 if text[:1] == "-" else 1
    text = text[1:] if text[:1] in {"+", "-"} else text
    mantissa, e, exponent = text.lower().partition("e")
    power = 0
    if e:
        if "E" not in text and "e" not in text:  # a letter that merely becomes an e
            raise NoValueError
        power = (-1 if exponent[:1] == "-" else 1) * _digits(exponent[exponent[:1] in {"+", "-"} :], 1, 3)
    whole, _, fraction = mantissa.partition(".")
    if not whole and not fraction:
        raise NoValueError
    value = Fraction(_digits(whole, 0)) + Fraction(_digits(fraction, 0), 10 ** len(fraction))
    return sign * value * Fraction(10) ** power


def plain_truth(text: str) -> bool:
    """The words true and false."""
    found = {"true": True, "false": False}.get(text.strip().lower())
    if found is None:
        raise NoValueError
    return found


def plain_timestamp(text: str) -> datetime:
    """Milliseconds of at most fifteen digits, or ISO 8601 in its extended form."""
    text = text.strip()
    try:
        if (
            text.removeprefix("-")
            and all(each in DIGITS for each in text.removeprefix("-"))
            and len(text) < 16 + (text[0] == "-")
        ):
            return _1970 + timedelta(milliseconds=int(text))
        day = date(_digits(text[:4], 4), _digits(text[5:7], 2), _digits(text[8:10], 2))
        if (text[4], text[7]) != ("-", "-"):
            raise NoValueError
        if len(text) == 10:
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if text[10] not in "T " or text[13] != ":":
            raise NoValueError
        timestamp = datetime.fromisoformat(text)  # what may follow hours and minutes is Python's to say
        return (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, IndexError) as error:
        raise NoValueError from error


def plain_day(text: str) -> str:
    """Return the date of a timestamp at midnight."""
    timestamp = plain_timestamp(text)
    if (timestamp.hour, timestamp.minute, timestamp.second, timestamp.microsecond) != (0, 0, 0, 0):
        raise NoValueError
    return f"{timestamp.year:04}-{timestamp.month:02}-{timestamp.day:02}"


def plain_time(text: str) -> str:
    """Return a timestamp in UTC, truncated to milliseconds."""
    at = plain_timestamp(text)
    day = f"{at.year:04}-{at.month:02}-{at.day:02}"
    return f"{day}T{at.hour:02}:{at.minute:02}:{at.second:02}.{at.microsecond // 1000:03}Z"


PLAIN: dict[str, Callable[[str], Any]] = {
    "number": plain_number,
    "bool": plain_truth,
    "date": plain_day,
    "datetime": plain_time,
}


def _objects(page: list[dict[str, str | None]]) -> list[dict[str, Any]]:
    common = {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"}
    return [{"id": str(number), **common, "properties": each} for number, each in enumerate(page, 1)]


def _decoder() -> PageDecoder:
    return PageDecoder((column.property_name for column in COLUMNS), COLUMNS)


def _records(decoder: PageDecoder, objects: list[dict[str, Any]]) -> list[AnyRecord]:
    return list(decoder.decode(json.dumps({"results": objects}).encode())["results"].records)


@pytest.mark.timeout(TIMEOUT)
@examples(suite=150, long=20_000)
@given(pages)
@example([dict.fromkeys(TYPES, "")])
def test_any_text_of_any_type_is_its_value_or_kept_aside(page: list[dict[str, str | None]]) -> None:
    for properties, record in zip(page, _records(_decoder(), _objects(page)), strict=True):
        made, kept = record.as_dict(), record.invalid_properties or {}
        for type_name in TYPES:
            text, value = properties.get(type_name), made[type_name]
            assert type_name not in kept or (value is None and kept[type_name] == text)
            if type_name not in PLAIN or text is None:
                assert value == text
            elif not text:
                assert value is None
                assert type_name not in kept
            else:
                try:
                    expected = PLAIN[type_name](text)
                except NoValueError:
                    assert type_name in kept, (type_name, text, value)
                else:
                    assert type_name not in kept, (type_name, text, expected)
                    if isinstance(value, Decimal):
                        value = Fraction(value)
                    assert value == expected, (type_name, text)
                    assert isinstance(value, bool) == (type_name == "bool")


@pytest.mark.timeout(TIMEOUT)
@examples(suite=60, long=10_000)
@given(pages)
def test_records_made_by_the_page_and_one_by_one_are_the_same_bytes(page: list[dict[str, str | None]]) -> None:
    """Also if the same decoder has converted the texts before, and as dictionaries for the SDK."""
    decoder, objects = _decoder(), _objects(page)
    together = record_lines("s", _records(decoder, objects), 7, _1970)
    assert record_lines("s", _records(decoder, objects), 7, _1970) == together
    alone = [_records(_decoder(), [each])[0] for each in objects]
    assert record_lines("s", alone, 7, _1970) == together
    assert record_lines("s", [each.as_dict() for each in alone], 7, _1970) == together
    assert len(b"".join(together).splitlines()) == len(page)


@pytest.mark.parametrize("characters", [1, 9_000, 200_000])
@pytest.mark.parametrize("count", [0, 1, 10, 11, 100, 200])
def test_lines_come_in_parts_of_complete_lines_and_none_is_missing(count: int, characters: int) -> None:
    records = [{"id": number, "text": "x" * characters} for number in range(count)]
    parts = record_lines("s", records, None, _1970)
    assert all(part.endswith(b"\n") for part in parts)
    assert [json.loads(line)["record"] for line in b"".join(parts).splitlines()] == records
    assert all(len(part) < 2 * 100_000 or part.count(b"\n") <= 10 for part in parts)
