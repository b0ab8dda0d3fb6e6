"""HubSpot's text values become JSON values; what does not convert is a ValueError, never a wrong value."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_hubspot_dw.records.converters import to_boolean, to_date, to_date_time, to_number
from tests.fuzzing import examples

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
    # All digits of a double, and products of them: the shortest decimal of the double.
    (to_number, "0.200000000000000011102230246251565404236316680908203125", Decimal("0.2")),
    (to_number, "-0.1000000000000000055511151231257827021181583404541015625", Decimal("-0.1")),
    (to_number, "200000.0000000000111022302462515654042363166809082031250000000", Decimal("200000.0")),
    (to_number, "2000000000.099999904632568359375", Decimal("2000000000.1")),
    (to_number, "2.00000000000000011102230246251565404236316680908203125E-1", Decimal("0.2")),
    (to_number, "0.333333333333333314829616256247390992939472198486328125", Decimal("0.3333333333333333")),
    (to_number, "0.1000000000000000000000000", Decimal("0.1")),
    (to_number, "5.00000000000000000000000", Decimal(5)),
    # Numbers that only look like that.
    (to_number, "123456789012345678901", Decimal("123456789012345678901")),
    (to_number, "1180591620717411303424", Decimal(2**70)),
    (to_number, "1234567.00048828125", Decimal("1234567.00048828125")),
    (to_number, "0.1234567890123456789", Decimal("0.1234567890123456789")),
    (to_number, "1E-40", Decimal("1E-40")),
    (to_number, f"{'9' * 20}.{'0' * 36}1", Decimal(f"{'9' * 20}.{'0' * 36}1")),
    (to_number, f"0.{'0' * 400}12345678901234567890", Decimal(f"0.{'0' * 400}12345678901234567890")),
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


@examples(suite=300, long=100_000)
@given(st.floats(min_value=2.0**-200, max_value=2.0**53, exclude_max=True), st.booleans(), st.integers(0, 9))
def test_all_digits_of_any_double_are_its_shortest_decimal(double: float, is_negative: bool, zeros: int) -> None:
    text = f"{Decimal(double):f}"
    sign = "-" if is_negative else ""
    is_long = len(text.partition(".")[2]) > 18 and len(Decimal(double).as_tuple().digits) > 17
    assert to_number(f"{sign}{text}{'0' * zeros * is_long}") == Decimal(sign + (repr(double) if is_long else text))


@examples(suite=300, long=100_000)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**30), max_value=10**30))
def test_a_decimal_of_up_to_18_places_is_exact(number: Decimal) -> None:
    assert to_number(f"{number:f}") == number
