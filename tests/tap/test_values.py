"""HubSpot's text values become JSON values; what does not convert is a ValueError, never a wrong value."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tap_hubspot_dw.values import to_boolean, to_date, to_date_time, to_number

CONVERTED = [
    (to_number, "17", 17),
    (to_number, "-0", 0),
    (to_number, "007", 7),
    (to_number, "1234.50", Decimal("1234.50")),
    (to_number, ".5", Decimal("0.5")),
    (to_number, "5.", Decimal("5")),
    (to_number, "1E+3", Decimal("1E+3")),
    (to_number, " 12 ", 12),
    (to_number, "9223372036854775808", Decimal("9223372036854775808")),
    (to_number, "0.123456789012345678901234567890", Decimal("0.123456789012345678901234567890")),
    (to_boolean, "true", True),
    (to_boolean, "FALSE", False),
    (to_date, "2026-11-30", "2026-11-30"),
    (to_date, "1795996800000", "2026-11-30"),
    (to_date, "2026-11-30T00:00:00.000Z", "2026-11-30"),
    (to_date_time, "2026-03-30T12:00:00.000Z", "2026-03-30T12:00:00.000Z"),
    (to_date_time, "2026-03-30T12:00:00Z", "2026-03-30T12:00:00.000Z"),
    (to_date_time, "2026-03-30T12:00:00.1239Z", "2026-03-30T12:00:00.123Z"),
    (to_date_time, "2026-03-30T12:00:00+02:00", "2026-03-30T10:00:00.000Z"),
    (to_date_time, "2026-03-30", "2026-03-30T00:00:00.000Z"),
    (to_date_time, "1774872000000", "2026-03-30T12:00:00.000Z"),
    (to_date_time, "-1000", "1969-12-31T23:59:59.000Z"),
    (to_date_time, "0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000Z"),
]

REFUSED = [
    *[(to_number, text) for text in ("N/A", "1,5", "1_000", "NaN", "Infinity", "0x1F", "1e9999", "--1", "٣", " ")],
    *[(to_boolean, text) for text in ("yes", "1", "wahr")],
    *[(to_date, text) for text in ("30.11.2026", "2026-02-30", "1795996800001", "0000-01-01", "20225-01-01")],
    *[
        (to_date_time, text)
        for text in (
            "soon",
            "0000-03-30T12:00:00Z",
            "20225-03-30T12:00:00Z",
            "2026-03-30T25:00:00Z",
            "2026-W14-1",
            "999999999999999",
            "9999-12-31T23:59:59-05:00",
        )
    ],
]


@pytest.mark.parametrize(("convert", "text", "value"), CONVERTED)
def test_a_value_of_its_type_converts_exactly(convert, text, value):
    converted = convert(text)
    assert converted == value
    assert type(converted) is type(value)
    assert str(converted) == str(value)


@pytest.mark.parametrize(("convert", "text"), REFUSED)
def test_text_that_is_not_of_the_type_is_refused(convert, text):
    with pytest.raises(ValueError, match=r".*"):
        convert(text)
