"""HTTP dates."""

from __future__ import annotations

import calendar
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.sansio.dates import format_date, parse_date

NOV_1994 = 784111777
NOW = 1_800_000_000  # 2027-01-15
LATEST = 253402300799


@pytest.mark.parametrize(
    "text",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Mon, 06 Nov 1994 08:49:37 GMT",  # a wrong name of the day is overlooked
    ],
)
def test_three_legal_forms(text):
    assert parse_date(text, NOW) == NOV_1994


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0",
        b"-1",
        b"784111777",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 1994 08:49:37 GMT ",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 nov 1994 08:49:37 GMT",
        b"sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 06  Nov 1994 08:49:37 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun, 06-Nov-94 08:49:37 GMT",
        b"Sunday, 06-Nov-1994 08:49:37 GMT",
        b"Sun Nov 6 08:49:37 1994",
        b"Sun Nov 06 08:49:37 1994 GMT",
        "Sun, 0٦ Nov 1994 08:49:37 GMT".encode(),
    ],
)
def test_everything_else_is_none(text):
    assert parse_date(text, NOW) is None


def test_asctime_with_two_digits():
    assert parse_date(b"Sun Nov 16 08:49:37 1994", NOW) == NOV_1994 + 10 * 86400


def test_leap_second_is_the_next_second():
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT", NOW) == parse_date(b"Sun, 01 Jan 2017 00:00:00 GMT", NOW)


@pytest.mark.parametrize(
    ("text", "year"),
    [
        (b"Friday, 15-Jan-77 07:59:59 GMT", 2077),  # a second less than 50 years ahead
        (b"Friday, 15-Jan-77 08:00:00 GMT", 2077),  # exactly 50 years ahead is not more than that
        (b"Friday, 15-Jan-77 08:00:01 GMT", 1977),
        (b"Friday, 31-Dec-77 00:00:00 GMT", 1977),
        (b"Friday, 15-Jan-78 08:00:00 GMT", 1978),
        (b"Friday, 15-Jan-76 08:00:00 GMT", 2076),
        (b"Friday, 15-Jan-27 08:00:00 GMT", 2027),
        (b"Friday, 15-Jan-00 08:00:00 GMT", 2000),
    ],
)
def test_two_digit_years_are_at_most_fifty_years_ahead(text, year):
    assert format_date(parse_date(text, NOW))[12:16] == str(year).encode()


def test_two_digit_years_on_the_29th_of_february():
    leap_day = calendar.timegm((2028, 2, 29, 12, 0, 0))
    assert format_date(parse_date(b"Monday, 28-Feb-78 11:00:00 GMT", leap_day))[12:16] == b"2078"


@given(st.integers(0, LATEST))
def test_written_dates_are_imf_fixdates_and_read_back(second):
    text = format_date(second)
    assert text == formatdate(second, usegmt=True).encode()
    assert parse_date(text, NOW) == second


def test_fractions_are_cut_off():
    assert format_date(NOV_1994 + 0.99) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.binary(max_size=40), st.integers(0, LATEST))
def test_no_input_raises(text, now):
    assert parse_date(text, now) is None
