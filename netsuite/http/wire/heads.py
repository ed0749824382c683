"""Message heads, read by llhttp (strict), with what llhttp lets through checked on top.

A head is parsed only when it is complete, and the parser sees nothing but heads: bodies, pipelining
and tunnels are framed by our own machines, so that llhttp's ideas about Upgrade, HEAD or what comes
after ``Connection: close`` never matter.

Implements: RFC 9112 sections 2.2, 2.3, 3, 4, 5, 6.1, 6.3 and 9.3
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from netsuite.http.wire.messages import Fields, Request, Response
from netsuite.http.wire.target import is_authority, split_target
from netsuite.sansio.fields import is_token, split_list

__all__ = ["BARE_LINE_END", "CHUNKED", "UNTIL_CLOSE", "Refused", "RequestHeads", "ResponseHeads", "fault_of"]

CHUNKED: Final = -1
"""The length of a body in chunks."""

UNTIL_CLOSE: Final = -2
"""The length of a body that ends with the connection."""

BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
"""A CR or LF that is not half of a CRLF."""

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/([0-9])\.([0-9])\r\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_FRAMING: Final = frozenset([b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"])


_SUSPICIOUS: Final = frozenset([b"content-", b"content_", b"transfer"])
_DISGUISED: Final = re.compile(rb"content[-_]+length|transfer[-_]+encoding")
"""What some server behind us could take for a framing field."""


class Refused(Exception):
    """A head that is not acceptable: the status to answer, and why in one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def fault_of(head: bytes | None, refused: Refused) -> str:
    """What is wrong with a head: bare line ends come first, however the bytes were split."""
    return "a line does not end with CRLF" if head is not None and BARE_LINE_END.search(head) else refused.reason


class _Heads:
    """What both roles collect from llhttp's callbacks."""

    __slots__ = ("_framing", "_headers", "_most", "_parser", "_refused")

    _parser: httptools.HttpRequestParser | httptools.HttpResponseParser

    def __init__(self, most: int) -> None:
        self._most = most
        self._headers: Fields = []
        self._framing: dict[bytes, bytes] = {}
        self._refused: Refused | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if value and value[-1] in b" \t":
            value = value.rstrip(b" \t")
        self._headers.append((name, value))
        if name in _FRAMING:
            framing = self._framing
            if name in framing:
                if name == b"host" or name == b"content-length":
                    self._refused = Refused(400, f"there is more than one {name.decode()}")
                value = framing[name] + b", " + value
            framing[name] = value
        elif name[:8] in _SUSPICIOUS and _DISGUISED.fullmatch(name):
            self._refused = Refused(400, f"the field {name.decode()} is a framing field in disguise")

    def _fed(self, head: bytes) -> None:
        """Let llhttp read a head; raises Refused."""
        self._headers = []
        self._framing = {}
        self._refused = None
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            if BARE_LINE_END.search(head):
                raise Refused(400, "a line does not end with CRLF") from None
            raise Refused(400, f"the head is malformed: {error}") from None
        if self._refused is not None:
            raise self._refused
        if len(self._headers) > self._most:
            raise Refused(431, f"there are more than {self._most} fields")

    def _coding(self, coding: bytes) -> int:
        """The length that a Transfer-Encoding field stands for; raises Refused."""
        if b"content-length" in self._framing:
            raise Refused(400, "there is both a Content-Length and a Transfer-Encoding")
        if coding.lower() == b"chunked":
            return CHUNKED
        names = [name.lower() for name in split_list(coding)]
        if not names or names[-1] != b"chunked" or names.count(b"chunked") > 1 or not all(map(is_token, names)):
            # RFC 9112 section 6.3: the body's end cannot be known
            raise Refused(400, "the Transfer-Encoding does not end with chunked")
        raise Refused(501, "no Transfer-Encoding but chunked is known here")


def _length(value: bytes) -> int:
    """A Content-Length; raises Refused."""
    if not value.isdigit() or len(value) > 18:
        raise Refused(400, "the Content-Length is no length")
    return int(value)


class RequestHeads(_Heads):
    """Reads the heads of requests, one after another.

    After :meth:`read`, ``length`` is the body's: a number, or CHUNKED.
    """

    __slots__ = ("_scheme", "_target_limit", "length", "on_url", "peer")

    def __init__(self, scheme: str, peer: tuple[str, int], most: int, target_limit: int) -> None:
        super().__init__(most)
        self._scheme = scheme
        self._target_limit = target_limit
        self.peer = peer
        self.length = 0
        self._parser = httptools.HttpRequestParser(self)

    def read(self, head: bytes, stream: int) -> Request:
        """The request that a complete head is; raises Refused."""
        line = _REQUEST_LINE.match(head)
        if line is None:
            raise self._no_request(head)
        method, target, major, minor = line.groups()
        if major != b"1":
            raise Refused(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        if len(target) > self._target_limit:
            raise Refused(414, f"the target is longer than {self._target_limit} bytes")
        plain = minor == b"1" or minor == b"0"
        try:
            self._fed(head if plain else head[: line.start(4)] + b"1" + head[line.end(4) :])
        except Refused as refused:
            self._parser = httptools.HttpRequestParser(self)
            if refused.reason == "the head is malformed: Invalid method encountered":
                raise Refused(501, "the method is not known here") from None
            raise
        parts = split_target(method, target)
        if parts is None:
            raise Refused(400, "the target is malformed")
        framing = self._framing
        host = framing.get(b"host")
        newer = minor != b"0"
        if host is None:
            if newer:
                raise Refused(400, "there is no Host")
            host = b""
        elif not is_authority(host):
            raise Refused(400, "the Host is malformed")
        request = Request(method, target, self._headers)
        request.path = parts.path
        request.query = parts.query
        request.scheme = parts.scheme or self._scheme
        request.authority = parts.authority or host
        request.peer = self.peer
        request.stream = stream
        request.head = head
        if not plain:
            request.version = (1, int(minor))
        elif not newer:
            request.version = (1, 0)
            request.keep_alive = False
        self.length = 0
        if len(framing) > (b"host" in framing) or method == b"CONNECT" or method == b"TRACE":
            self._frame(request, framing)
        return request

    def _frame(self, request: Request, framing: dict[bytes, bytes]) -> None:
        """What the rarer fields say about the message's framing; raises Refused."""
        method = request.method
        newer = request.version != (1, 0)
        length = framing.get(b"content-length")
        coding = framing.get(b"transfer-encoding")
        if coding is not None:
            if not newer:
                raise Refused(400, "there is a Transfer-Encoding in HTTP/1.0")
            self.length = self._coding(coding)
        elif length is not None:
            self.length = _length(length)
        if self.length:
            if method in (b"GET", b"HEAD", b"CONNECT", b"TRACE"):
                raise Refused(400, f"{method.decode()} with a body is refused")
            request.has_body = True
            # llhttp now waits for a body that it will never see
            self._parser = httptools.HttpRequestParser(self)
        if method == b"TRACE":
            raise Refused(501, "TRACE is refused here")
        if method == b"CONNECT":
            request.keep_alive = False
            self._parser = httptools.HttpRequestParser(self)
        connection = framing.get(b"connection")
        options = [option.lower() for option in split_list(connection)] if connection is not None else []
        if b"close" in options:
            request.keep_alive = False
            self._parser = httptools.HttpRequestParser(self)
        elif not newer and b"keep-alive" in options:
            request.keep_alive = True
        if b"upgrade" in options and newer and b"upgrade" in framing and method != b"CONNECT":
            request.upgrade = framing[b"upgrade"]
            self._parser = httptools.HttpRequestParser(self)
        expect = framing.get(b"expect")
        if expect is not None and newer:
            if expect.lower() != b"100-continue":
                raise Refused(417, "no expectation but 100-continue can be met")
            request.expects_continue = self.length != 0

    def _no_request(self, head: bytes) -> Refused:
        if BARE_LINE_END.search(head):
            return Refused(400, "a line does not end with CRLF")
        return Refused(400, "the request line is malformed")


class ResponseHeads(_Heads):
    """Reads the heads of responses, one after another.

    After :meth:`read`, ``length`` is the body's, as far as the head alone can say: a number, CHUNKED or UNTIL_CLOSE.
    """

    __slots__ = ("length",)

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.length = 0

    def read(self, head: bytes, stream: int) -> Response:
        """The response that a complete head is; raises Refused."""
        line = _STATUS_LINE.match(head)
        if line is None:
            raise Refused(502, "the status line is malformed")
        self._parser = httptools.HttpResponseParser(self)
        self._fed(head)
        minor, status, reason = line.groups()
        newer = minor != b"0"
        response = Response(
            int(status),
            self._headers,
            stream=stream,
            reason=reason or b"",
            version=(1, int(minor)),
            head=head,
            keep_alive=newer,
        )
        framing = self._framing
        coding = framing.get(b"transfer-encoding")
        length = framing.get(b"content-length")
        if coding is not None:
            if not newer:
                raise Refused(502, "there is a Transfer-Encoding in HTTP/1.0")
            self.length = self._coding(coding)
        elif length is not None:
            self.length = _length(length)
        else:
            self.length = UNTIL_CLOSE
        connection = framing.get(b"connection")
        if connection is not None:
            options = [option.lower() for option in split_list(connection)]
            if b"close" in options:
                response.keep_alive = False
            elif not newer:
                response.keep_alive = b"keep-alive" in options
        return response
