"""HTTP dates: written as IMF-fixdate, read strictly in the three legal forms.

Implements: RFC 9110 section 5.6.7
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

__all__ = ["format_date", "parse_date"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS: Final = {name.encode(): number for number, name in enumerate(_MONTHS, 1)}
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = b"(?P<month>" + "|".join(_MONTHS).encode() + b")"
_TIME = rb"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_FORMS: Final = (
    re.compile(_DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT"),
    re.compile(_LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT"),
    re.compile(_DAY + b" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})"),
)


@lru_cache(maxsize=4096)
def _format(second: int) -> bytes:
    at = datetime.fromtimestamp(second, UTC)
    text = f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} {at:%H:%M:%S} GMT"
    return text.encode("ascii")


def format_date(seconds: float) -> bytes:
    """An IMF-fixdate for seconds since the epoch, fractions cut off; each second is formatted once."""
    return _format(int(seconds))


def parse_date(value: bytes, now: float) -> int | None:
    """Seconds since the epoch for a date in one of the three legal forms, None for everything else.

    The name of the day must be one, but need not be the right one. ``now`` settles the century of the two-digit
    years of the RFC 850 form: a date more than 50 years ahead lies in the past.
    """
    known = _imf(value)
    if known is not None:
        return known
    for form in _FORMS:
        found = form.fullmatch(value)
        if found is not None:
            break
    else:
        return None
    year_text, month, day = found["year"], _MONTH_NUMBERS[found["month"]], int(found["day"])
    time = int(found["hour"]) * 3600 + int(found["minute"]) * 60 + int(found["second"])
    if len(year_text) == 4:
        return _moment(int(year_text), month, day, time)
    today = datetime.fromtimestamp(now, UTC)
    ahead = today.year + 50
    year = ahead - (ahead - int(year_text)) % 100
    moment = _moment(year, month, day, time)
    if year == ahead and (moment is None or moment > _fifty_years_on(today)):
        return _moment(year - 100, month, day, time)
    return moment


@lru_cache(maxsize=4096)
def _imf(value: bytes) -> int | None:
    """The seconds of the form that everybody uses, which do not depend on the time; None for any other."""
    found = _FORMS[0].fullmatch(value)
    if found is None:
        return None
    time = int(found["hour"]) * 3600 + int(found["minute"]) * 60 + int(found["second"])
    return _moment(int(found["year"]), _MONTH_NUMBERS[found["month"]], int(found["day"]), time)


def _moment(year: int, month: int, day: int, time: int) -> int | None:
    try:
        return (date(year, month, day).toordinal() - _EPOCH_DAY) * 86400 + time
    except ValueError:
        return None


def _fifty_years_on(today: datetime) -> float:
    day = 28 if (today.month, today.day) == (2, 29) else today.day
    return today.replace(year=today.year + 50, day=day).timestamp()
