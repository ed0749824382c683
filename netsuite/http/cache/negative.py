"""Answers that say *no*, for which the origin gave no freshness: for how long they may be given again.

Without a setting RFC 9111 decides: a 404 without freshness is not reused, or by a guess from Last-Modified. With one,
a broken link that everybody follows, or an origin that is down, is asked for only every few seconds. For 404, 405, 410,
414 and 501 this is the heuristic freshness that the RFC leaves to the cache; for other errors it is the operator's own
decision to go beyond it.

Implements: RFC 9111 section 4.2.2
"""

from __future__ import annotations

from collections.abc import Mapping

from netsuite.http.cache.freshness import Lifetime
from netsuite.http.cache.stored import Response

__all__ = ["grant"]


def grant(response: Response, seconds: Mapping[int, float], *, instead: bool) -> None:
    """Make a response without freshness of its own as fresh as the table says for its status.

    ``instead`` says that something is stored that it would replace; an error of the origin (5xx) never does.
    """
    allowed = seconds.get(response.status, 0.0)
    control, fields = response.control, response.fields
    if (
        not allowed
        or (instead and response.status >= 500)
        or control.max_age is not None
        or control.s_maxage is not None
        or b"expires" in fields
        or control.no_cache
        or control.must_revalidate
        or response.lifetime.seconds >= allowed
        or b"set-cookie" in fields
    ):
        return
    response.lifetime = Lifetime(response.age + allowed, "negative caching", "RFC 9111 4.2.2")
