"""Fetches into the cache what nobody has asked for yet.

An application asks for it by :class:`netsuite.interfaces.IPrefetcher`; or a response does, by ``Link: <URL>;
rel=preload`` (or ``prefetch``), for targets of its own origin. There are only so many such fetches at once and so many
waiting, the rest is dropped; a response may ask for a few. A response to a request with credentials asks for nothing,
and a request for what it asks carries none: what is fetched is what any stranger would get.

Implements: RFC 8288 section 3
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from zope.interface import implementer

from netsuite.http.cache.cache import related_key
from netsuite.http.cache.decision import Action, Decision
from netsuite.http.cache.stored import Field
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.stored import Response as Arrived
from netsuite.http.proxy.targets import Refused, Target
from netsuite.http.wire.messages import Request
from netsuite.http.wire.target import split_target
from netsuite.interfaces import IPrefetcher
from netsuite.sansio.fields import parameters, split_list

if TYPE_CHECKING:
    from netsuite.http.proxy.server import ProxyServer

__all__ = ["Prefetch", "linked"]

_WAITING: Final = 1024
_LINKS: Final = 16
_RELATIONS: Final = frozenset({b"preload", b"prefetch"})
_SELECTING: Final = (b"accept", b"accept-encoding", b"accept-language", b"user-agent")
"""What a linked target's request takes over, so that the variant is the one that will be asked for."""
_CREDENTIALS: Final = (b"authorization", b"cookie")
_PURPOSE: Final = (b"sec-purpose", b"prefetch")
_HERE: Final = ("127.0.0.1", 0)


class _Wanted(NamedTuple):
    """A target to fetch, and the request fields to fetch it with."""

    url: bytes
    fields: tuple[Field, ...]


def linked(lines: Sequence[bytes]) -> list[bytes]:
    """The URLs that Link fields ask to be fetched, the first few."""
    found: list[bytes] = []
    for line in lines:
        for member in split_list(line):
            target, given = parameters(member)
            relations = next((value for name, value in given if name == b"rel"), b"").lower().split()
            if target[:1] == b"<" and target[-1:] == b">" and not _RELATIONS.isdisjoint(relations):
                found.append(target[1:-1])
                if len(found) >= _LINKS:
                    return found
    return found


@implementer(IPrefetcher)
class Prefetch:
    """At most ``limit`` fetches at once, none at all if that is 0; ``fetched`` counts."""

    def __init__(self, server: ProxyServer, limit: int) -> None:
        self._server = server
        self._limit = limit
        self._waiting: deque[_Wanted] = deque()
        self._busy = 0
        self._beginning = False
        self.fetched = 0

    def prefetch(self, urls: Sequence[str]) -> int:
        """Fetch these, as clients would ask for them; how many were taken."""
        return sum(self._want(_Wanted(url.encode(), ())) for url in urls)

    def seen(self, asked: Asked, key: bytes, arrived: Arrived) -> None:
        """A response came for a request: take what it links to."""
        lines = arrived.fields.get(b"link")
        if not lines or not self._limit or arrived.status != 200:
            return
        # what a prefetch brings has links too, and theirs have more
        if _PURPOSE[0] in asked.fields or any(name in asked.fields for name in _CREDENTIALS):
            return
        fields = tuple((name, value) for name in _SELECTING for value in asked.fields.get(name, ()))
        for reference in linked(lines):
            url = related_key(key, reference)
            if url is not None and url != key:
                self._want(_Wanted(url, fields))

    def close(self) -> None:
        """Begin nothing more."""
        self._limit = 0
        self._waiting.clear()

    def _want(self, wanted: _Wanted) -> bool:
        if not self._limit or len(self._waiting) >= _WAITING or wanted in self._waiting:
            return False
        self._waiting.append(wanted)
        self._go_on()
        return True

    def _go_on(self) -> None:
        # a fetch that ends at once calls this from within
        if not self._beginning:
            self._beginning = True
            while self._waiting and self._busy < self._limit:
                self._begin(self._waiting.popleft())
            self._beginning = False

    def _begin(self, wanted: _Wanted) -> None:
        parts = split_target(b"GET", wanted.url)
        if parts is None or parts.scheme is None or parts.authority is None:
            return
        request = Request(
            b"GET",
            wanted.url,
            [*wanted.fields, _PURPOSE],
            scheme=parts.scheme,
            authority=parts.authority,
            path=parts.path,
            query=parts.query,
            peer=_HERE,
        )
        target = self._server.target(request)
        if isinstance(target, Refused):
            return
        asked = Asked(b"GET", request.headers)
        decision = self._server.cache.decide(target.key, asked, self._server.clock.seconds())
        if decision.action in (Action.MISS, Action.REVALIDATE) and self._server.fetches.under_way(target.key) is None:
            self._fetch(request, target, asked, decision)

    def _fetch(self, request: Request, target: Target, asked: Asked, decision: Decision) -> None:
        self._busy += 1
        self.fetched += 1
        self._server.fetches.depart(request, None, None, target, asked, decision, True, self._ended)

    def _ended(self) -> None:
        self._busy -= 1
        self._go_on()
