"""Requests and responses: the values that the machines speak, the same for both roles.

Field names are in lower case, values are without surrounding white space, both are bytes, and a
message keeps its fields in the order of arrival. Messages are cheap to make and not frozen, but
whoever receives one treats it as if it were: derive a new one instead.

Implements: RFC 9110 sections 3.4, 5.3, 7.2 and 15; RFC 9112 section 2.1.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netsuite.sansio.connection import Source

__all__ = ["REASONS", "Fields", "Ready", "Request", "Response", "first_value", "joined_value", "sendable_trailers"]

Fields = list[tuple[bytes, bytes]]
"""Header fields in order: (lower-case name, value)."""


def joined_value(headers: Fields, name: bytes) -> bytes | None:
    """The value of a field, several lines joined by a comma (RFC 9110 section 5.3); None if absent."""
    values = [value for field, value in headers if field == name]
    if not values:
        return None
    return values[0] if len(values) == 1 else b", ".join(values)


def first_value(headers: Fields, name: bytes) -> bytes | None:
    """The value of a field's first line, or None."""
    for field, value in headers:
        if field == name:
            return value
    return None


_NEVER_TRAILERS: Final = frozenset(
    (
        b"age authorization cache-control connection content-encoding content-length content-range content-type cookie "
        b"date expect expires forwarded host keep-alive location max-forwards pragma proxy-authenticate "
        b"proxy-authorization proxy-connection range retry-after set-cookie te trailer transfer-encoding upgrade vary "
        b"via www-authenticate"
    ).split()
)


def sendable_trailers(trailers: tuple[tuple[bytes, bytes], ...]) -> Fields:
    """The trailers without those that frame, route, authenticate or describe a message (RFC 9110 section 6.5.1)."""
    return [field for field in trailers if field[0] not in _NEVER_TRAILERS]


class Ready(NamedTuple):
    """A client's event: the exchange on this stream is complete both ways, another request may be sent."""

    stream: int
    has_body: bool = False


class Request:
    """A request, received or to be sent.

    ``target`` is the request-target as on the wire; ``path``, ``query``, ``scheme`` and ``authority`` are what it
    and Host say together (RFC 9112 section 3.3). ``head`` is the raw head as received (a memo key), empty on
    requests of our own; ``alone`` is true if it came in one piece with nothing before or behind it.
    ``has_body`` is true if Data and End follow; for CONNECT and for an acceptable Upgrade it is true as well, and the
    tunnel's bytes come only after a 2xx or 101 was sent.

    To send: give ``body`` for a small body, or ``source`` for one to be poured.
    """

    __slots__ = (
        "alone",
        "authority",
        "body",
        "expects_continue",
        "has_body",
        "head",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "scheme",
        "source",
        "stream",
        "target",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Fields,
        *,
        path: bytes = b"",
        query: bytes | None = None,
        scheme: str = "http",
        authority: bytes = b"",
        peer: tuple[str, int] = ("", 0),
        body: bytes = b"",
        source: Source | None = None,
        version: tuple[int, int] = (1, 1),
        stream: int = 0,
        has_body: bool = False,
        head: bytes = b"",
        keep_alive: bool = True,
        upgrade: bytes | None = None,
        expects_continue: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.path = path
        self.query = query
        self.scheme = scheme
        self.authority = authority
        self.peer = peer
        self.body = body
        self.source = source
        self.version = version
        self.stream = stream
        self.has_body = has_body
        self.head = head
        self.keep_alive = keep_alive
        self.upgrade = upgrade
        self.expects_continue = expects_continue
        self.alone = False

    def header(self, name: bytes) -> bytes | None:
        """The value of a field, several lines joined by a comma; None if absent."""
        return joined_value(self.headers, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Request):
            return NotImplemented
        return (self.method, self.target, self.headers, self.version, self.stream, self.has_body) == (
            other.method,
            other.target,
            other.headers,
            other.version,
            other.stream,
            other.has_body,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Request {self.stream}: {self.method!r} {self.target!r} {self.headers!r}>"


class Response:
    """A response, received or to be sent; interim ones (1xx but 101) precede the final one on the same stream.

    To send: ``body`` for a complete small body, or ``source`` for one to be poured: with a Content-Length
    field it is counted against it, else it goes chunked (to HTTP/1.0: until the close). Connection,
    Keep-Alive and Transfer-Encoding are the machine's own; ``connection: close`` is honoured.
    """

    __slots__ = ("body", "has_body", "head", "headers", "keep_alive", "reason", "source", "status", "stream", "version")

    def __init__(
        self,
        status: int,
        headers: Fields,
        body: bytes = b"",
        *,
        source: Source | None = None,
        stream: int = 0,
        reason: bytes | None = None,
        version: tuple[int, int] = (1, 1),
        has_body: bool = False,
        head: bytes = b"",
        keep_alive: bool = True,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.source = source
        self.stream = stream
        self.reason = reason
        self.version = version
        self.has_body = has_body
        self.head = head
        self.keep_alive = keep_alive

    def header(self, name: bytes) -> bytes | None:
        """The value of a field, several lines joined by a comma; None if absent."""
        return joined_value(self.headers, name)

    @property
    def interim(self) -> bool:
        """Whether another response follows (RFC 9110 section 15.2; 101 is final)."""
        return self.status < 200 and self.status != 101

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return (self.status, self.headers, self.body, self.version, self.stream, self.has_body) == (
            other.status,
            other.headers,
            other.body,
            other.version,
            other.stream,
            other.has_body,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Response {self.stream}: {self.status} {self.headers!r}>"


REASONS: Final[dict[int, bytes]] = {
    100: b"Continue",
    101: b"Switching Protocols",
    102: b"Processing",
    103: b"Early Hints",
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    203: b"Non-Authoritative Information",
    204: b"No Content",
    205: b"Reset Content",
    206: b"Partial Content",
    207: b"Multi-Status",
    300: b"Multiple Choices",
    301: b"Moved Permanently",
    302: b"Found",
    303: b"See Other",
    304: b"Not Modified",
    305: b"Use Proxy",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    406: b"Not Acceptable",
    407: b"Proxy Authentication Required",
    408: b"Request Timeout",
    409: b"Conflict",
    410: b"Gone",
    411: b"Length Required",
    412: b"Precondition Failed",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    416: b"Range Not Satisfiable",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    422: b"Unprocessable Content",
    426: b"Upgrade Required",
    428: b"Precondition Required",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    451: b"Unavailable For Legal Reasons",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    507: b"Insufficient Storage",
    508: b"Loop Detected",
    511: b"Network Authentication Required",
}
"""Reason phrases (RFC 9110 section 15); a status that is not here has an empty one."""
