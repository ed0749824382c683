"""Whether a response may be stored, and for which target.

Implements: RFC 9111 sections 3, 3.1, 3.5, 5.2.2.3; RFC 9110 sections 9.3.3, 15.1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from netsuite.http.cache.cachecontrol import CacheControl
from netsuite.http.cache.freshness import HEURISTIC_STATUSES, Lifetime
from netsuite.http.cache.variants import NEVER

__all__ = ["UNDERSTOOD_STATUSES", "Storability", "storability", "stored_fields"]

UNDERSTOOD_STATUSES: Final = frozenset(
    (200, 203, 204, 300, 301, 302, 303, 307, 308, *range(400, 418), 421, 422, 426, 428, 429, 431, 451)
) | frozenset((*range(500, 506), 511))
"""Final statuses whose meaning for a cache this one implements: not 206, not 304 (RFC 9111 section 5.2.2.3)."""


class Storability(NamedTuple):
    """The verdict, in words and by section."""

    allowed: bool
    reason: str
    section: str


def storability(
    method: bytes,
    status: int,
    fields: Mapping[bytes, Sequence[bytes]],
    control: CacheControl,
    request_control: CacheControl,
    *,
    authorized: bool,
    same_target: bool,
    fresh: Lifetime,
    vary: tuple[bytes, ...],
) -> Storability:
    """Judge a response by the conditions of RFC 9111 section 3, for a shared cache.

    ``authorized`` tells that the request had Authorization, ``same_target`` that Content-Location names the
    request's own target.
    """
    if method not in (b"GET", b"POST"):
        return Storability(False, "answers to this method are not stored", "RFC 9111 3")
    if status < 200 or status in (206, 304, 416):
        return Storability(False, "the status is not one that is stored", "RFC 9111 3")
    if request_control.no_store:
        return Storability(False, "the request says no-store", "RFC 9111 5.2.1.5")
    if control.must_understand:
        if status not in UNDERSTOOD_STATUSES:
            return Storability(False, "must-understand, and the status is not understood", "RFC 9111 5.2.2.3")
    elif control.no_store:
        return Storability(False, "the response says no-store", "RFC 9111 5.2.2.5")
    if control.private:
        return Storability(False, "the response is private", "RFC 9111 5.2.2.7")
    if authorized and not (control.public or control.must_revalidate or control.s_maxage is not None):
        return Storability(False, "the request was authorized, the response is not for sharing", "RFC 9111 3.5")
    if vary == NEVER:
        return Storability(False, "Vary: * selects by what is not in the request", "RFC 9111 4.1")
    explicit = control.max_age is not None or control.s_maxage is not None or b"expires" in fields
    if method == b"POST" and not (explicit and same_target):
        return Storability(False, "a POST answer without freshness and its own Content-Location", "RFC 9110 9.3.3")
    # a lifetime without any of these is the operator's own decision (negative caching)
    if not (explicit or control.public or status in HEURISTIC_STATUSES or fresh.seconds > 0):
        return Storability(False, "nothing allows to store this status", "RFC 9111 3")
    usable = fresh.seconds > 0 and not control.no_cache
    validator = b"etag" in fields or b"last-modified" in fields
    if not (usable or validator or control.stale_while_revalidate or control.stale_if_error):
        return Storability(False, "it could be neither used nor validated", "RFC 9111 3")
    return Storability(True, "storable", "RFC 9111 3")


_TOLD_ANEW: Final = frozenset((b"age",))


def stored_fields(fields: Sequence[tuple[bytes, bytes]], control: CacheControl) -> list[tuple[bytes, bytes]]:
    """What is kept of a response's end-to-end fields; Age is told anew each time.

    The fields that ``private`` or ``no-cache`` name are left out: so they are never reused without validation.
    """
    left_out = _TOLD_ANEW | control.private_fields | control.no_cache_fields
    return [field for field in fields if field[0] not in left_out]
