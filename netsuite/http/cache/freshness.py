"""How long a response may be used, and how old it is.

Clocks of others are never trusted further than RFC 9111 says: a response is as old as the larger
of what its Date and its Age tell, and Expires counts only against its own Date.

Implements: RFC 9111 sections 4.2.1, 4.2.2, 4.2.3, 5.1, 5.3
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from netsuite.http.cache.cachecontrol import CacheControl, delta_seconds
from netsuite.sansio.dates import parse_date

__all__ = [
    "HEURISTIC_FRACTION",
    "HEURISTIC_LIMIT",
    "HEURISTIC_STATUSES",
    "Lifetime",
    "initial_age",
    "lenient_date",
    "lifetime",
]

HEURISTIC_STATUSES: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Cacheable without explicit freshness (RFC 9110 section 15.1)."""

HEURISTIC_FRACTION: Final = 0.1
"""The part of a response's age at arrival that it is taken to stay good (RFC 9111 section 4.2.2)."""

HEURISTIC_LIMIT: Final = 86400.0
"""No guess makes a response fresh for longer than a day."""


class Lifetime(NamedTuple):
    """For how many seconds after its origin made it a response is fresh, what says so, and where that is written."""

    seconds: float
    source: str
    section: str


def lenient_date(value: bytes, now: float) -> int | None:
    """A date in one of the three forms, whatever the case of its letters (RFC 9111 section 4.2)."""
    found = parse_date(value, now)
    return parse_date(value.title().replace(b" Gmt", b" GMT"), now) if found is None else found


def initial_age(
    fields: Mapping[bytes, Sequence[bytes]], request_time: float, response_time: float
) -> tuple[float, float]:
    """``(age at arrival, moment of its Date)``, the corrected_initial_age of RFC 9111 section 4.2.3.

    A missing or unreadable Date is the moment of arrival (RFC 9110 section 6.6.1). Of several Age values the first
    member of the first line counts, and an unreadable one not at all.
    """
    dates = fields.get(b"date", ())
    date = lenient_date(dates[0], response_time) if dates else None
    moment = response_time if date is None else float(date)
    ages = fields.get(b"age", ())
    age_value = (delta_seconds(ages[0].split(b",")[0].strip(b" \t")) or 0) if ages else 0
    corrected = age_value + (response_time - request_time)
    return max(0.0, response_time - moment, corrected), moment


def lifetime(
    status: int, fields: Mapping[bytes, Sequence[bytes]], control: CacheControl, date: float, now: float
) -> Lifetime:
    """The freshness lifetime for a shared cache; 0 seconds where nothing gives one."""
    if control.s_maxage is not None:
        return Lifetime(control.s_maxage, "s-maxage", "RFC 9111 5.2.2.10")
    if control.max_age is not None:
        return Lifetime(control.max_age, "max-age", "RFC 9111 5.2.2.1")
    expires = fields.get(b"expires", ())
    if expires:
        moment = lenient_date(expires[0], now) if len(expires) == 1 else None
        return Lifetime(0.0 if moment is None else max(0.0, moment - date), "Expires", "RFC 9111 5.3")
    modified = fields.get(b"last-modified", ())
    if modified and (status in HEURISTIC_STATUSES or control.public):
        moment = lenient_date(modified[0], now)
        if moment is not None and moment < date:
            return Lifetime(min((date - moment) * HEURISTIC_FRACTION, HEURISTIC_LIMIT), "heuristic", "RFC 9111 4.2.2")
    return Lifetime(0.0, "nothing", "RFC 9111 4.2.1")
