"""Field lists of HTTP/2 as requests: what RFC 9113 calls malformed never becomes a message.

A request that passes could be written as HTTP/1.1 and read there as the same: no value holds a line break or a NUL, no
field speaks of framing or of the connection, Content-Length and the body agree (the machine counts), and the names of
the host agree.

Implements: RFC 9113 sections 8.1.1, 8.2, 8.2.1, 8.2.2, 8.2.3, 8.3, 8.3.1, 8.5 and 10.3; RFC 8441 section 4
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import httptools

from netsuite.http.wire.heads import Refused
from netsuite.http.wire.messages import Fields, Request
from netsuite.http.wire.target import is_authority, split_target
from netsuite.sansio.fields import is_field_value, is_token

__all__ = ["NO_LENGTH", "Malformed", "read_request", "read_trailers"]

NO_LENGTH: Final = -1
"""What is said of the length of a body without Content-Length."""

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_PSEUDO: Final = frozenset([b":method", b":scheme", b":authority", b":path"])
_EXTENDED: Final = _PSEUDO | {b":protocol"}
_CONNECTION: Final = frozenset([b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"])
_SUSPICIOUS: Final = frozenset([b"content-", b"content_", b"transfer"])
_DISGUISED: Final = re.compile(rb"content[-_]+length|transfer[-_]+encoding")
_NOT_IN_TRAILERS: Final = frozenset(
    b"content-length host content-encoding content-type content-range trailer authorization cookie set-cookie te"
    b" expect".split()
)
_BODILESS: Final = frozenset([b"GET", b"HEAD", b"TRACE"])


class Malformed(Exception):
    """No request at all: a stream error of type PROTOCOL_ERROR (RFC 9113 section 8.1.1)."""


@lru_cache(maxsize=64)
def _is_known(method: bytes) -> bool:
    """Whether llhttp knows a method, so that both versions know the same."""
    parser = httptools.HttpRequestParser(object())
    try:
        parser.feed_data(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return False
    return True


def _checked(name: bytes, value: bytes) -> None:
    """Raise Malformed unless a field may be passed on as it is."""
    if _NAME.fullmatch(name) is None:
        raise Malformed("a field's name is no lower-case token")
    if not is_field_value(value):
        raise Malformed(f"the value of {name.decode()} has a forbidden character")
    if name in _CONNECTION or (name == b"te" and value.lower() != b"trailers"):
        raise Malformed(f"the field {name.decode()} has no place in HTTP/2")
    if name[:8] in _SUSPICIOUS and name != b"content-length" and _DISGUISED.fullmatch(name):
        raise Malformed(f"the field {name.decode()} is a framing field in disguise")


def read_request(
    found: Fields,
    *,
    ended: bool,
    peer: tuple[str, int],
    most: int,
    target_limit: int,
    upgrades: frozenset[bytes] = frozenset(),
) -> tuple[Request, int]:
    """The request that a list of fields is, and its body's announced length (0, a number or NO_LENGTH).

    ``ended`` says that no body follows. Raises Malformed, or Refused for what is a request but is not answered here.
    The request's ``stream`` and ``head`` are left for the caller. Where ``upgrades`` names protocols, an extended
    CONNECT for one of them is what it is in HTTP/1.1: a GET with an ``upgrade``, answered by 101 (RFC 8441).
    """
    known = _EXTENDED if upgrades else _PSEUDO
    pseudo: dict[bytes, bytes] = {}
    headers: Fields = []
    crumbs: list[bytes] = []
    host: bytes | None = None
    length = NO_LENGTH
    expect: bytes | None = None
    for name, value in found:
        if name[:1] == b":":
            if headers or crumbs or name in pseudo or name not in known or not value:
                raise Malformed("the pseudo-fields are out of order, unknown, empty or not unique")
            pseudo[name] = value
            continue
        _checked(name, value)
        if name == b"cookie":
            # RFC 9113 section 8.2.3: joined before anyone else sees them, in the place of the first
            if not crumbs:
                headers.append((name, b""))
            crumbs.append(value)
            continue
        if name == b"host":
            if host is not None:
                raise Malformed("there is more than one host")
            host = value
        elif name == b"content-length":
            if length != NO_LENGTH or not value.isdigit() or len(value) > 18:
                raise Malformed("the content-length is no length, or not the only one")
            length = int(value)
        elif name == b"expect":
            expect = value if expect is None else expect + b", " + value
        headers.append((name, value))
    if crumbs:
        cookie = b"; ".join(crumbs)
        headers = [(name, cookie) if name == b"cookie" else (name, value) for name, value in headers]
    protocol = pseudo.get(b":protocol")
    if protocol is not None:
        if pseudo.get(b":method") != b"CONNECT":
            raise Malformed("only CONNECT has a :protocol")
        pseudo[b":method"] = b"GET"
    request = _with_target(pseudo, host, headers, peer, target_limit)
    if (request.method == b"CONNECT" or protocol is not None) and length != NO_LENGTH:
        raise Malformed("a tunnel has no content-length")
    if protocol is not None:
        if ended or protocol.lower() not in upgrades:
            raise Refused(501, "that protocol is not known here, or ended before it began")
        request.upgrade = protocol.lower()
    if ended and length > 0:
        raise Malformed("the content-length announces a body, and there is none")
    if len(headers) > most:
        raise Refused(431, f"there are more than {most} fields")
    method = request.method
    if not _is_known(method):
        raise Refused(501, "the method is not known here")
    if method == b"TRACE":
        raise Refused(501, "TRACE is refused here")
    if not ended and protocol is None and method in _BODILESS:
        raise Refused(400, f"{method.decode()} with a body is refused")
    if expect is not None and expect.lower() != b"100-continue":
        raise Refused(417, "no expectation but 100-continue can be met")
    request.has_body = not ended
    request.expects_continue = expect is not None and not ended and length != 0
    return request, 0 if ended else length


def _with_target(
    pseudo: dict[bytes, bytes], host: bytes | None, headers: Fields, peer: tuple[str, int], target_limit: int
) -> Request:
    """What the pseudo-fields and Host say together (RFC 9113 section 8.3.1)."""
    method = pseudo.get(b":method", b"")
    authority = pseudo.get(b":authority")
    scheme, path = pseudo.get(b":scheme"), pseudo.get(b":path")
    if not is_token(method):
        raise Malformed("the method is missing or no token")
    if authority is None:
        authority = host
    elif host is not None and host.lower() != authority.lower():
        raise Malformed("host and :authority disagree")
    if authority is None or not is_authority(authority):
        raise Malformed("the :authority is missing or malformed")
    if method == b"CONNECT":
        if scheme is not None or path is not None:
            raise Malformed("CONNECT has neither :scheme nor :path")
        target = authority
    elif scheme is None or path is None or scheme.lower() not in (b"http", b"https"):
        raise Malformed("the :scheme or the :path is missing or unknown")
    else:
        target = path
    if len(target) > target_limit:
        raise Refused(414, f"the target is longer than {target_limit} bytes")
    parts = split_target(method, target)
    if parts is None or (method != b"CONNECT" and parts.authority is not None):
        raise Malformed("the :path is malformed")
    if host is None:
        headers.insert(0, (b"host", authority))
    return Request(
        method,
        target,
        headers,
        path=parts.path,
        query=parts.query,
        scheme=scheme.decode().lower() if scheme is not None else "https",
        authority=authority,
        peer=peer,
        version=(2, 0),
    )


def read_trailers(found: Fields) -> tuple[tuple[bytes, bytes], ...]:
    """The trailers that a second list of fields is; raises Malformed."""
    for name, value in found:
        if name[:1] == b":" or name in _NOT_IN_TRAILERS:
            raise Malformed("a trailer field belongs into the head")
        _checked(name, value)
    return tuple(found)
