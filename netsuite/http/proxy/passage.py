"""Messages on their way through the proxy: what is taken from them, and what is added.

Implements: RFC 9110 sections 6.6.1, 7.6 and 15.2; RFC 7239; RFC 8586 section 2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from netsuite.common.body import Body
from netsuite.common.stream import StreamAdapter
from netsuite.http.cache.decision import Action, Decision
from netsuite.http.cache.status import readable
from netsuite.http.cache.stored import Field
from netsuite.http.cache.stored import Request as Asked
from netsuite.http.cache.stored import Response as Arrived
from netsuite.http.cache.variants import secondary_key
from netsuite.http.client import Fetched
from netsuite.http.proxy.hops import end_to_end, forwarded_element, via_element
from netsuite.http.proxy.targets import Target
from netsuite.http.wire.messages import Request, Response
from netsuite.sansio.dates import format_date

__all__ = ["TRACING", "Arrival", "Counted", "interim_passage", "upstream_request"]

TRACING: Final = (b"OPTIONS", b"TRACE")
"""The methods that Max-Forwards counts for (RFC 9110 section 7.6.2)."""

_CONDITIONAL: Final = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
_TOLD_BY_US: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"})
"""What a reverse proxy says itself: nobody keys on what a client makes up here."""


def upstream_request(
    request: Request,
    body: Body | None,
    target: Target,
    decision: Decision,
    validators: Sequence[Field],
    *,
    pseudonym: bytes,
    reverse: bool,
) -> Request:
    """The request to the origin: this hop's fields gone, the proxy's own added.

    A client's conditions are left out where the whole response may be stored, but for a range of what is not stored.
    """
    dropped = {b"host", b"expect"}
    if reverse:
        dropped |= _TOLD_BY_US
    part = decision.stored is None and not validators and request.header(b"range") is not None
    if decision.action is not Action.FORWARD and not part:
        dropped |= _CONDITIONAL
    headers = [field for field in end_to_end(request.headers) if field[0] not in dropped]
    headers.insert(0, (b"host", target.authority))
    headers.append((b"via", via_element(request.version, pseudonym)))
    if reverse:
        peer, host = request.peer[0], request.authority
        headers.append((b"x-forwarded-for", peer.encode("ascii", "replace")))
        headers.append((b"x-forwarded-proto", request.scheme.encode()))
        headers.append((b"x-forwarded-host", host))
        headers.append((b"forwarded", forwarded_element(peer, host, request.scheme)))
        headers.append((b"cdn-loop", pseudonym))
    hops = request.header(b"max-forwards")
    if hops is not None and hops.isdigit() and request.method in TRACING:
        headers = [field for field in headers if field[0] != b"max-forwards"]
        headers.append((b"max-forwards", b"%d" % max(0, int(hops) - 1)))
    headers += validators
    source = body if body is not None and request.has_body else None
    return Request(request.method, target.path, headers, authority=target.authority, source=source)


class Arrival(Arrived):
    """A response from an origin; ``selection`` is set where others may read it, ``unstored`` says why it is not stored.

    ``targets`` as for every response.
    """

    __slots__ = ("selection", "unstored")

    def __init__(
        self,
        fetched: Fetched,
        request_time: float,
        response_time: float,
        pseudonym: bytes,
        targets: Sequence[bytes] = (),
    ) -> None:
        response = fetched.response
        lines = readable(end_to_end(response.headers))
        if not any(name == b"date" for name, _ in lines):
            lines.append((b"date", format_date(response_time)))
        lines.append((b"via", via_element(response.version, pseudonym)))
        super().__init__(response.status, lines, request_time, response_time, targets)
        self.selection: tuple[bytes | None, ...] = ()
        self.unstored = ""

    @property
    def length(self) -> int | None:
        """The announced size of its body."""
        lengths = self.fields.get(b"content-length", ())
        return int(lengths[0]) if lengths and lengths[0].isdigit() else None

    def vary_fits(self, asked: Asked) -> bool:
        """Whether another request would have selected it."""
        return secondary_key(self.vary, asked.fields) == self.selection


class Counted:
    """A source that counts what it gives, and tells when it is closed."""

    __slots__ = ("_done", "_size", "_source")

    def __init__(self, source: Any, done: Callable[[int], None]) -> None:
        self._source = source
        self._done: Callable[[int], None] | None = done
        self._size = 0

    def __aiter__(self) -> Counted:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes = await self._source.__anext__()
        self._size += len(chunk)
        return chunk

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The source's trailers."""
        found: tuple[tuple[bytes, bytes], ...] = getattr(self._source, "trailers", ())
        return found

    async def aclose(self) -> None:
        """Close the source, and tell how much it gave."""
        done, self._done = self._done, None
        if done is not None:
            done(self._size)
        await self._source.aclose()


def interim_passage(request: Request, adapter: StreamAdapter | None) -> Callable[[Response], None] | None:
    """Passes 1xx responses on to the asker, but for 100, which is each hop's own business."""
    if adapter is None:
        return None

    def passed(response: Response) -> None:
        connection = adapter.connection
        if response.status != 100 and connection is not None and not adapter.closed:
            adapter.send(Response(response.status, end_to_end(response.headers), stream=request.stream))

    return passed
