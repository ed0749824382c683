"""Small resources for the servers of this site: what netsuite's own user agent fetches.

One URL in, one whole response out, within a size and a time that its caller sets; redirects are followed. Where a
caller asks for it, nothing internal is connected to: addresses are looked at after the name was resolved, and the one
that passed is the one that is used, so that a name which changes its answer (rebinding) gains nothing.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urljoin, urlsplit

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netsuite import __version__
from netsuite.common.access import is_internal
from netsuite.common.body import BodyFailed, BodyTooLarge
from netsuite.common.commons import Runtime
from netsuite.http.client import ClientLimits, FetchFailed, HttpClient, Origin, Resolve
from netsuite.http.wire.messages import Request
from netsuite.http.wire.target import is_authority
from netsuite.interfaces import HttpFailed, HttpReply, IHttpClient, InternalTarget, LookupFailed

__all__ = ["UserAgent"]

REDIRECTS: Final = 5
_LIMITS: Final = ClientLimits(connections=16, kept=2, waiting=4096, wait_time=60.0)
_AGENT: Final = f"netsuite/{__version__}".encode()
_PORTS: Final = {"http": 80, "https": 443}
_VISIBLE: Final = re.compile(r"[!-~]+")
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_OWN: Final = frozenset({b"accept", b"user-agent"})

Field = tuple[bytes, bytes]


@implementer(IHttpClient)
class UserAgent:
    """An IHttpClient; ``resolve`` finds a host's addresses, ``tls`` makes the context for https (once, when needed)."""

    def __init__(self, runtime: Runtime, resolve: Resolve, tls: Callable[[], ssl.SSLContext]) -> None:
        self._clock = runtime.clock
        self._resolve = resolve
        self._make_context = tls
        self._context: ssl.SSLContext | None = None
        self._free = HttpClient(runtime, resolve, tls=self._tls, limits=_LIMITS)
        self._guarded = HttpClient(runtime, self._public, tls=self._tls, limits=_LIMITS)

    def get(
        self, url: str, *, limit: int, timeout: float, headers: Sequence[Field] = (), guarded: bool = False
    ) -> Deferred[HttpReply]:
        """The response to a GET, after redirects; raises HttpFailed."""
        client = self._guarded if guarded else self._free
        answer = Deferred.fromCoroutine(self._followed(client, url, limit, list(headers)))
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            answer.cancel()

        def settled(result: object) -> object:
            if timer.active():
                timer.cancel()
            if late:
                raise HttpFailed(f"{_host(url)} took longer than {timeout:g} seconds")
            return result

        timer = self._clock.callLater(timeout, give_up)
        return answer.addBoth(settled)

    def close(self) -> None:
        """Close what is open."""
        self._free.close()
        self._guarded.close()

    async def _followed(self, client: HttpClient, url: str, limit: int, headers: list[Field]) -> HttpReply:
        for _ in range(REDIRECTS + 1):
            reply = await self._once(client, url, limit, headers)
            location = next((value for name, value in reply.headers if name == b"location"), None)
            if reply.status not in _MOVED or location is None:
                return reply
            target = urljoin(url, location.decode("latin-1"))
            if _origin(target) != _origin(url):
                headers = [field for field in headers if field[0] in _OWN]  # credentials stay at home
            url = target
        raise HttpFailed(f"{_host(url)}: more than {REDIRECTS} redirects")

    async def _once(self, client: HttpClient, url: str, limit: int, headers: list[Field]) -> HttpReply:
        origin = _origin(url)
        parts = urlsplit(url)
        named = {name for name, _ in headers}
        fields = [(b"host", parts.netloc.encode()), *headers]
        if b"user-agent" not in named:
            fields.append((b"user-agent", _AGENT))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            fetched = await client.fetch(Request(b"GET", target.encode(), fields), origin)
            try:
                body = await fetched.body.read(limit)
            finally:
                await fetched.body.aclose()
        except (FetchFailed, LookupFailed, BodyFailed) as failed:
            raise HttpFailed(f"{origin.host}: {failed}") from failed
        except BodyTooLarge as failed:
            raise HttpFailed(f"{origin.host}: the response is longer than {limit} bytes") from failed
        return HttpReply(fetched.response.status, tuple(fetched.response.headers), body)

    def _public(self, host: str) -> Awaitable[list[str]]:
        return _without_internal(host, self._resolve(host))

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._make_context()
        return self._context


async def _without_internal(host: str, found: Awaitable[list[str]]) -> list[str]:
    addresses = await found
    allowed = [address for address in addresses if not is_internal(address)]
    if addresses and not allowed:
        raise InternalTarget(f"{host} leads to an internal address")
    return allowed


def _origin(url: str) -> Origin:
    """Whom a URL names; HttpFailed if it is none for us."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise HttpFailed(f"{url[:100]!r} is no URL: {error}") from None
    if not _VISIBLE.fullmatch(url) or parts.scheme not in _PORTS or not is_authority(parts.netloc.encode()):
        raise HttpFailed(f"{url[:100]!r} is no http or https URL")
    assert parts.hostname is not None
    return Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:100]
