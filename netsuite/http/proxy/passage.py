"""Messages on their way through the proxy: what is taken from them, and what is added.

Implements: RFC 9110 sections 6.6.1, 7.6 and 15.2; RFC 7239; RFC 8586 section 2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

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
from netsuite.sansio.fields import split_list

__all__ = [
    "TOLD_BY_US",
    "TRACING",
    "Arrival",
    "asks_for_part",
    "interim_passage",
    "upstream_request",
    "wants_trailers",
]

TRACING: Final = (b"OPTIONS", b"TRACE")
"""The methods that Max-Forwards counts for (RFC 9110 section 7.6.2)."""

_CONDITIONAL: Final = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
TOLD_BY_US: Final = frozenset(
    {
        b"forwarded",
        b"front-end-https",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-url-scheme",
    }
)
"""What a reverse proxy says itself, or leaves unsaid: nobody keys on what a client makes up here."""
_OURS: Final = frozenset({b"host", b"expect"})
_OURS_IN_REVERSE: Final = _OURS | TOLD_BY_US
_DROPPED: Final = {
    (reverse, whole): (_OURS_IN_REVERSE if reverse else _OURS) | (_CONDITIONAL if whole else frozenset())
    for reverse in (False, True)
    for whole in (False, True)
}
"""What is not passed on, in a reverse proxy or not, where the whole response is wanted or not."""


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
    part = decision.action is Action.FORWARD or (
        decision.stored is None and not validators and request.header(b"range") is not None
    )
    dropped = _DROPPED[reverse, not part]
    headers = [(b"host", target.authority)]
    headers += [field for field in end_to_end(request.headers) if field[0] not in dropped]
    headers.append((b"via", via_element(request.version, pseudonym)))
    if reverse:
        headers += _told(request.peer[0], request.authority, request.scheme)
        headers.append((b"cdn-loop", pseudonym))
    hops = request.header(b"max-forwards") if request.method in TRACING else None
    if hops is not None and hops.isdigit():
        headers = [field for field in headers if field[0] != b"max-forwards"]
        headers.append((b"max-forwards", b"%d" % max(0, int(hops) - 1)))
    headers += validators
    if wants_trailers(request):
        headers.append((b"te", b"trailers"))
    source = body if body is not None and request.has_body else None
    return Request(request.method, target.path, headers, authority=target.authority, source=source)


@lru_cache(maxsize=4096)
def _told(peer: str, host: bytes, scheme: str) -> tuple[Field, ...]:
    """For whom, for which host and how a reverse proxy asks."""
    return (
        (b"x-forwarded-for", peer.encode("ascii", "replace")),
        (b"x-forwarded-proto", scheme.encode()),
        (b"x-forwarded-host", host),
        (b"forwarded", forwarded_element(peer, host, scheme)),
    )


def asks_for_part(asked: Asked, decision: Decision) -> bool:
    """Whether a request goes to the origin for a part of what is not stored."""
    return (
        b"range" in asked.fields
        and asked.method == b"GET"
        and decision.action is Action.MISS
        and decision.stored is None
        and not decision.validators
    )


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
        lines = end_to_end(response.headers)
        names = dict(lines)
        if b"cache-status" in names or b"proxy-status" in names:
            lines = readable(lines)
        if b"date" not in names:
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


def wants_trailers(request: Request) -> bool:
    """Whether the client takes trailers: TE is each hop's own, and says so only if Connection names it."""
    te = request.header(b"te")
    if te is None or b"trailers" not in (member.lower() for member in split_list(te)):
        return False
    connection = request.header(b"connection")
    return request.version >= (2, 0) or (
        connection is not None and b"te" in (option.lower() for option in split_list(connection))
    )


def interim_passage(
    request: Request, adapter: StreamAdapter | None, met: Callable[[], None] | None = None
) -> Callable[[Response], None] | None:
    """Passes 1xx responses on to the asker, but for 100, which is told to ``met``, who waits with a body."""
    if adapter is None:
        return None

    def passed(response: Response) -> None:
        connection = adapter.connection
        if response.status == 100 and met is not None:
            met()
        if response.status != 100 and connection is not None and not adapter.closed:
            adapter.send(Response(response.status, end_to_end(response.headers), stream=request.stream))

    return passed
