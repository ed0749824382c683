"""Other proxies: parents, by which requests go, and siblings, who are asked whether they have something.

A parent gets a request in absolute form, or CONNECT; of several each URL has its own, and where one fails the next is
asked. A sibling is asked with ``only-if-cached`` and little patience: it answers from its store, or 504, and never asks
anybody itself, so that siblings may name one another. Loops of parents end at the first proxy that finds itself in Via.

Implements: RFC 9112 sections 3.2.2 and 3.2.3; RFC 9110 sections 9.3.6 and 11.7; RFC 9111 section 5.2.1.7
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.interfaces import IReactorTime

from netsuite.common.body import Body
from netsuite.http.client import Fetched, FetchFailed, HttpClient, Interim
from netsuite.http.proxy.settings import ProxyPeer, ProxySettings
from netsuite.http.proxy.targets import Target
from netsuite.http.upstream.balance import BoundedHash
from netsuite.http.upstream.dispatch import Dispatch
from netsuite.http.upstream.origins import OriginPool, Place, place
from netsuite.http.upstream.pool import Changed, Pool, Server
from netsuite.http.wire.messages import Request
from netsuite.interfaces import LookupFailed
from netsuite.sansio.connection import Source

__all__ = ["Exceptions", "Hierarchy"]

_BOUND = 4.0
"""How much more than its share a parent may have to do before another gets its URLs."""


class Exceptions:
    """Hosts that are asked directly: names with all below them, addresses, networks, or ``*`` for all."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._all = "*" in texts
        self._names: set[str] = set()
        self._networks = []
        for text in texts:
            try:
                self._networks.append(ip_network(text))
            except ValueError:
                self._names.add(text.lower().lstrip("*").strip("."))

    def __contains__(self, host: object) -> bool:
        if self._all or not isinstance(host, str):
            return self._all
        try:
            address = ip_address(host)
        except ValueError:
            name = host.lower().rstrip(".")
            while name:
                if name in self._names:
                    return True
                name = name.partition(".")[2]
            return False
        return any(address in network for network in self._networks)


class Hierarchy:
    """The proxies that this one knows; ``client`` reaches them, wherever they are."""

    def __init__(self, settings: ProxySettings, client: HttpClient, clock: IReactorTime, changed: Changed) -> None:
        self._client = client
        self._clock = clock
        self._dispatch = Dispatch(client, clock.seconds)
        self._patience = settings.sibling_time
        self._direct = Exceptions(settings.no_proxy)
        self._parents = _pool("parents", settings.parents, changed) if settings.parents else None
        self._siblings = _pool("siblings", settings.siblings, changed) if settings.siblings else None
        self.sibling_hits = 0

    def has_parent(self, host: str) -> bool:
        """Whether a host is asked by a parent."""
        return self._parents is not None and host not in self._direct

    async def sibling(self, request: Request, target: Target) -> Fetched | None:
        """The response that a sibling has; None if none has it, or says so in time."""
        siblings = self._siblings
        if siblings is None or target.origin.host in self._direct:
            return None
        headers = [field for field in request.headers if field[0] != b"cache-control"]
        headers.append((b"cache-control", b"only-if-cached"))
        tried: tuple[Server, ...] = ()
        while (server := siblings.pool.choose(target.key, self._clock.seconds(), tried)) is not None:
            tried = (*tried, server)
            where: Place = server.place
            asked = Request(request.method, _absolute(target), [*headers, *where.fields], authority=target.authority)
            found = await self._of_sibling(asked, siblings.pool, server)
            if found is not None:
                self.sibling_hits += 1
                return found
        return None

    async def _of_sibling(self, asked: Request, pool: Pool, server: Server) -> Fetched | None:
        pool.begin(server, self._clock.seconds())
        well: bool | None = None
        detail = ""
        try:
            asking = Deferred.fromCoroutine(self._client.fetch(asked, server.place.origin))
            fetched = await asking.addTimeout(self._patience, self._clock)
            well = True
            if 200 <= fetched.response.status < 400 and fetched.response.status != 304:
                return fetched
            await fetched.body.aclose()
        except (FetchFailed, LookupFailed, TooLate) as failed:
            well, detail = False, str(failed)
        finally:
            pool.release(server)
            pool.settle(server, well, self._clock.seconds(), detail)
        return None

    async def fetch(self, request: Request, target: Target, interim: Interim | None) -> Fetched:
        """The response by a parent; raises FetchFailed."""
        assert self._parents is not None
        request.target = _absolute(target)
        return _accepted(await self._dispatch.fetch(request, self._parents, target.key, interim=interim))

    async def tunnel(self, host: str, port: int, source: Source) -> Body:
        """A connection to a host by a parent, as :meth:`HttpClient.tunnel`; raises FetchFailed."""
        assert self._parents is not None
        authority = f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()
        request = Request(b"CONNECT", authority, [(b"host", authority)], authority=authority, source=source)
        fetched = _accepted(await self._dispatch.fetch(request, self._parents, authority))
        status = fetched.response.status
        if not 200 <= status < 300:
            await fetched.body.aclose()
            raise FetchFailed("timeout" if status == 504 else "connect", f"the parent proxy answered {status}")
        return fetched.body


def _accepted(fetched: Fetched) -> Fetched:
    """A parent's answer, unless it is about ourselves: the client's credentials are none of a parent's business."""
    if fetched.response.status == 407:
        fetched.body.drop()
        raise FetchFailed("connect", "the parent proxy wants other credentials")
    return fetched


def _absolute(target: Target) -> bytes:
    return b"%b://%b%b" % (target.origin.scheme.encode(), target.authority, target.path)


def _pool(name: str, peers: Sequence[ProxyPeer], changed: Changed) -> OriginPool:
    servers = []
    for peer in peers:
        where = place(peer.url)
        fields: tuple[tuple[bytes, bytes], ...] = ()
        if peer.user is not None:
            credentials = b64encode(f"{peer.user}:{peer.password or ''}".encode())
            fields = ((b"proxy-authorization", b"Basic " + credentials),)
        servers.append(Server(peer.url, Place(where.origin, where.authority, where.prefix, fields)))
    pool = Pool(name, servers, BoundedHash(_BOUND), changed=changed)
    return OriginPool(pool, lambda request: b"", pass_host=True)
