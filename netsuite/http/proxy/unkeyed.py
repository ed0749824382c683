"""Requests whose answers could depend on what the cache's key does not hold: they are passed on, and nothing is stored.

A stored answer is given to all who ask for its target. What an attacker can put beside the target to have another
answer made (a body, fields by which frameworks let a request be another one than it says, more fields than the
origin takes) must therefore not lead to a stored answer, whatever freshness the origin gives it.
"""

from __future__ import annotations

from typing import Final

from netsuite.http.cache.decision import Action, Decision
from netsuite.http.proxy.passage import TOLD_BY_US
from netsuite.http.wire.messages import Request

__all__ = ["unkeyed"]

_WITH_BODY: Final = Decision(
    Action.FORWARD, "bypass", "the request has a body, which is no part of the key", "RFC 9110 9.3.1"
)
_STEERED: Final = Decision(
    Action.FORWARD, "bypass", "a field asks for another target, host or method than the key's", "RFC 9111 2"
)
_LARGE: Final = Decision(
    Action.FORWARD, "bypass", "the origin may refuse so many fields, which are no part of the key", "RFC 9111 2"
)
_STEERING: Final = frozenset(
    {
        b"base-url",
        b"front-end-https",
        b"http-host",
        b"x-forwarded-host",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-host",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-url-scheme",
    }
)
_STEERING_ORIGIN: Final = _STEERING - TOLD_BY_US
"""Of these a reverse proxy tells some itself, whatever its clients say."""
_LARGEST: Final = 8000
"""Bytes of a head that servers take (RFC 9112 section 3 recommends as many for a request line alone)."""


def unkeyed(request: Request, *, reverse: bool) -> Decision | None:
    """The decision to keep the cache out of it; None if the key says all."""
    if request.has_body and request.method in (b"GET", b"HEAD"):
        return _WITH_BODY
    if len(request.head) > _LARGEST:
        return _LARGE
    steering = _STEERING_ORIGIN if reverse else _STEERING
    for name, _ in request.headers:
        if name in steering:
            return _STEERED
    return None
