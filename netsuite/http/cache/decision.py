"""Decides what a cache does with a request: the whole of RFC 9111 section 4, as one pure function.

What is stored, the request and the time go in; what to do, why, and where that is written come
out. The proxy, and whoever wants a decision explained, ask the same function.

Implements: RFC 9111 sections 4, 4.2.4, 4.3.1, 5.2.1, 5.2.2, 5.4; RFC 5861 sections 3, 4
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, NamedTuple

from netsuite.http.cache.cachecontrol import CacheControl
from netsuite.http.cache.preference import preferred
from netsuite.http.cache.stored import Field, Request, StoredResponse

__all__ = ["Action", "Decision", "Failure", "decide", "fresh_until", "may_serve_stale", "select"]

_VALIDATORS_AT_MOST: Final = 8
_STALE_AT_MOST: Final = 7 * 86400.0  # an unreachable origin is covered up for a week at most
_BYPASSING: Final = (b"if-match", b"if-unmodified-since")


class Action(enum.Enum):
    """What to do with a request."""

    HIT = "answer from the store"
    STALE_HIT = "answer from the store, and validate behind the client's back"
    REVALIDATE = "ask the origin whether what is stored is still good"
    MISS = "fetch and perhaps store"
    COMPLETE = "answer with what is stored of it, and fetch the parts that are missing"
    FORWARD = "forward; neither answer from the store nor store"
    TIMEOUT = "504: only what is stored was wanted, and that cannot be used"


class Failure(enum.Enum):
    """Why the origin's own answer cannot be had."""

    UNREACHABLE = "it could not be reached, or broke off"
    ERROR = "it answered 500, 502, 503 or 504"


class Decision(NamedTuple):
    """What to do, why (a word of RFC 9211's ``fwd`` and a sentence), by which section, and with what.

    ``stored`` is the response that was selected, ``validators`` the conditional fields to send upstream.
    """

    action: Action
    forward: str
    reason: str
    section: str
    stored: StoredResponse | None = None
    validators: tuple[Field, ...] = ()


def select(stored: Sequence[StoredResponse], request: Request) -> StoredResponse | None:
    """The most recent of the stored responses that the request selects, or else prefers (RFC 9111 section 4.1)."""
    best: StoredResponse | None = None
    for candidate in stored:
        if candidate.selected_by(request) and (best is None or candidate.date >= best.date):
            best = candidate
    return preferred(stored, request) if best is None else best


def decide(request: Request, stored: Sequence[StoredResponse], now: float) -> Decision:
    """What a shared cache does with a request, given what it has stored for its target."""
    if request.method not in (b"GET", b"HEAD"):
        return Decision(Action.FORWARD, "method", "only GET and HEAD are answered from the store", "RFC 9111 4")
    for name in _BYPASSING:
        if name in request.fields:
            return Decision(Action.FORWARD, "bypass", "only the origin can judge this precondition", "RFC 9111 4.3.2")
    control = request.control
    chosen = select(stored, request) if stored else None
    if chosen is None:
        if control.only_if_cached:
            return Decision(Action.TIMEOUT, "", "only-if-cached, and nothing stored fits", "RFC 9111 5.2.1.7")
        if stored:
            tags = _tags(stored)
            return Decision(Action.MISS, "vary-miss", "no stored variant fits the request", "RFC 9111 4.1", None, tags)
        return Decision(Action.MISS, "uri-miss", "nothing is stored for this target", "RFC 9111 4")

    age = chosen.age(now)
    left = chosen.lifetime.seconds - age
    verdict = _usable(control, chosen, age, left)
    if verdict is not None:
        return verdict
    if control.only_if_cached:
        return Decision(Action.TIMEOUT, "", "only-if-cached, and what is stored needs the origin", "RFC 9111 5.2.1.7")
    forward, reason, section = _why_not(control, chosen, left)
    return Decision(Action.REVALIDATE, forward, reason, section, chosen, _validators(chosen))


def fresh_until(stored: StoredResponse) -> float:
    """The moment from which a stored response is stale; 0 if it must be validated for every request."""
    if stored.control.no_cache:
        return 0.0
    return stored.response_time + stored.lifetime.seconds - stored.initial_age


def may_serve_stale(request: Request, stored: StoredResponse, now: float, failure: Failure) -> bool:
    """Whether a stored response may stand in for the origin's own answer (RFC 9111 section 4.2.4, RFC 5861 section 4).

    When the origin cannot be reached, unless that is forbidden; when it answers with an error, only within
    ``stale-if-error``. An explicit window outweighs the prohibition that ``s-maxage`` only implies.
    """
    control = stored.control
    if control.no_cache or request.control.no_cache:
        return False
    staleness = stored.age(now) - stored.lifetime.seconds
    if staleness < 0:
        return True
    if control.must_revalidate or control.proxy_revalidate:
        return False
    window = max(control.stale_if_error or 0, request.control.stale_if_error or 0 if control.s_maxage is None else 0)
    if staleness < window:
        return True
    return failure is Failure.UNREACHABLE and control.s_maxage is None and staleness < _STALE_AT_MOST


def _usable(asked: CacheControl, chosen: StoredResponse, age: float, left: float) -> Decision | None:
    """HIT or STALE_HIT, or None if the origin has to be asked."""
    control = chosen.control
    if control.no_cache or asked.no_cache:
        return None
    if asked.max_age is not None and age > asked.max_age:
        return None
    if asked.min_fresh is not None and left < asked.min_fresh:
        return None
    if left > 0:
        return Decision(Action.HIT, "", f"fresh by {chosen.lifetime.source}", chosen.lifetime.section, chosen)
    if control.must_revalidate or control.proxy_revalidate:
        return None
    if asked.max_stale is not None and -left <= asked.max_stale and control.s_maxage is None:
        return Decision(Action.HIT, "", "stale, within the request's max-stale", "RFC 9111 5.2.1.2", chosen)
    if control.stale_while_revalidate is not None and -left < control.stale_while_revalidate:
        reason = "stale, within stale-while-revalidate"
        return Decision(Action.STALE_HIT, "stale", reason, "RFC 5861 3", chosen, _validators(chosen))
    return None


def _why_not(asked: CacheControl, chosen: StoredResponse, left: float) -> tuple[str, str, str]:
    if chosen.control.no_cache:
        return "stale", "the response says no-cache", "RFC 9111 5.2.2.4"
    if asked.no_cache:
        return "request", "the request says no-cache", "RFC 9111 5.2.1.4"
    if left <= 0:
        return "stale", f"stale by {chosen.lifetime.source}", chosen.lifetime.section
    if asked.max_age is not None and chosen.lifetime.seconds - left > asked.max_age:
        return "request", "older than the request's max-age", "RFC 9111 5.2.1.1"
    return "request", "not fresh for as long as the request's min-fresh", "RFC 9111 5.2.1.3"


def _validators(chosen: StoredResponse) -> tuple[Field, ...]:
    found: list[Field] = []
    if chosen.etag is not None:
        found.append((b"if-none-match", chosen.etag))
    if chosen.modified is not None and chosen.last_modified is not None:
        found.append((b"if-modified-since", chosen.last_modified))
    return tuple(found)


def _tags(stored: Sequence[StoredResponse]) -> tuple[Field, ...]:
    """The entity tags of other variants: a 304 that names one of them saves its body (RFC 9111 section 4.3.1)."""
    tags = list(dict.fromkeys(each.etag for each in stored if each.etag is not None))[-_VALIDATORS_AT_MOST:]
    return ((b"if-none-match", b", ".join(tags)),) if tags else ()
