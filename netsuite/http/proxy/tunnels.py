"""Connections that the proxy splices: CONNECT, and what an origin switches to after Upgrade.

Bytes go both ways as they are and at the pace of the slower side; a side that ends does not end the other. Nothing of
either is looked at, stored or sent before the other side has agreed. The one protocol that is passed on is WebSocket:
h2c would let requests past the proxy that it never sees, so its Upgrade stays here and the request goes on without.

A client of HTTP/2 asks by an extended CONNECT; towards the origin that is the handshake of HTTP/1.1, whose key is then
ours to choose and to check.

Implements: RFC 9110 sections 7.8 and 9.3.6; RFC 8441 section 5; RFC 6455 sections 1.3 and 4
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from random import Random
from typing import Any, Final, NamedTuple

from netsuite.common.passing import Counted
from netsuite.common.stream import StreamAdapter
from netsuite.http.cache.decision import Action, Decision
from netsuite.http.cache.stored import Field
from netsuite.http.client import Fetched
from netsuite.http.proxy.fetching import Fetches
from netsuite.http.proxy.hops import end_to_end, via_element
from netsuite.http.proxy.passage import interim_passage, upstream_request
from netsuite.http.proxy.targets import Refused, Target, tunnel_target
from netsuite.http.wire.messages import Request

__all__ = ["UPGRADES", "Spliced", "Tunnels"]

UPGRADES: Final = frozenset([b"websocket"])
_NOT_STORED: Final = Decision(Action.FORWARD, "bypass", "another protocol is asked for", "RFC 9110 7.8")
_KEY: Final = b"sec-websocket-key"
_ACCEPT: Final = b"sec-websocket-accept"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Spliced(NamedTuple):
    """What the other side answered: a status, fields, and the source of what it sends."""

    status: int
    headers: list[Field]
    source: Any


class Tunnels:
    """Opens them; ``permits(port)`` says where CONNECT may lead.

    ``opened`` counts those that stood, ``bytes_up`` what clients sent through those that are over.
    """

    def __init__(
        self, fetches: Fetches, rng: Random, permits: Callable[[int], bool], *, pseudonym: bytes, reverse: bool
    ) -> None:
        self._fetches = fetches
        self._rng = rng
        self._permits = permits
        self._pseudonym = pseudonym
        self._reverse = reverse
        self.opened = self.bytes_up = 0

    async def connected(self, request: Request, body: Any, addresses: tuple[str, ...]) -> Spliced | Refused:
        """The tunnel that CONNECT asks for; raises what a fetch does."""
        if self._reverse:
            return Refused(405, "This server is no forward proxy.")
        found = tunnel_target(request)
        if isinstance(found, Refused):
            return found
        host, port = found
        if not self._permits(port):
            return Refused(403, f"Tunnels to port {port} are not allowed here.")
        out = await self._fetches.tunnel(host, port, Counted(body, self._sent), addresses)
        self.opened += 1
        return Spliced(200, [], out)

    async def switched(self, request: Request, body: Any, target: Target, adapter: StreamAdapter) -> Spliced | Refused:
        """The origin's answer to a request with an Upgrade: 101, or any other; raises what a fetch does."""
        upstream = upstream_request(
            request, body, target, _NOT_STORED, (), pseudonym=self._pseudonym, reverse=self._reverse
        )
        upstream.source = Counted(body, self._sent)
        asked = request.upgrade or b""
        upstream.headers.append((b"upgrade", asked))
        extended = request.version >= (2, 0)
        key = b""
        if extended:
            key = b64encode(self._rng.randbytes(16))
            upstream.headers = [field for field in upstream.headers if field[0] != _KEY]
            upstream.headers.append((_KEY, key))
        fetched = await self._fetches.sent(upstream, request, target, adapter, interim_passage(request, adapter))
        status = fetched.response.status
        headers = end_to_end(fetched.response.headers)
        if status == 101:
            if (fetched.response.header(b"upgrade") or b"").lower() != asked.lower() or (
                extended and fetched.response.header(_ACCEPT) != _accepted(key)
            ):
                return await self._unfit(fetched, "The origin switched to what nobody asked for.")
            self.opened += 1
            if extended:
                headers = [field for field in headers if field[0] != _ACCEPT]
            else:
                headers.append((b"upgrade", asked))
        elif extended and 200 <= status < 300:
            return await self._unfit(fetched, "The origin does not speak the protocol that was asked for.")
        headers.append((b"via", via_element(fetched.response.version, self._pseudonym)))
        return Spliced(status, headers, fetched.body)

    async def _unfit(self, fetched: Fetched, detail: str) -> Refused:
        await fetched.body.aclose()
        return Refused(502, detail)

    def _sent(self, size: int) -> None:
        self.bytes_up += size


def _accepted(key: bytes) -> bytes:
    """What a server answers to a WebSocket key (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
