"""Stored responses as the hot path gives them: everything ready but the figures that change each second.

Implements: RFC 9111 section 5.1; RFC 9211 section 2
"""

from __future__ import annotations

from netsuite.http.cache.cachecontrol import NO_DIRECTIVES
from netsuite.http.cache.decision import fresh_until
from netsuite.http.cache.status import HIT, hit_field
from netsuite.http.cache.stored import Field, Request, StoredResponse
from netsuite.http.wire.fieldblock import field_lines, status_field
from netsuite.http.wire.http2frames import Framed, answer_frames
from netsuite.http.wire.lines import prefixes, status_line

__all__ = ["StoredAnswer", "hit_marks", "is_plain"]

_ONE_PIECE = 16 * 1024
_WHOLE = b"%b\r\nAge: %d\r\nCache-Status: " + HIT + b"%d\r\n\r\n%b"


def hit_marks(stored: StoredResponse, now: float, detail: bytes = b"") -> list[Field]:
    """Age and Cache-Status of an answer from the store; ``detail`` is a token."""
    age = int(stored.age(now))
    return [(b"age", b"%d" % age), hit_field(stored.lifetime.seconds - age, detail)]


def is_plain(request: Request) -> bool:
    """Whether nothing in a request but its target and Vary's fields bears on what it gets, as long as that is fresh."""
    return (
        request.method == b"GET"
        and request.control == NO_DIRECTIVES
        and b"range" not in request.fields
        and not any(name.startswith(b"if-") for name in request.fields)
    )


class StoredAnswer:
    """A :class:`netsuite.http.hotpath.Prepared`: a fresh stored response, for requests that are :func:`is_plain`.

    What its content has at hand is sent; a span of a file goes as it is, so never over TLS. ``uses`` is for
    :class:`netsuite.http.cache.uses.Uses` to count in.
    """

    __slots__ = ("_block", "_head", "cost", "size", "status", "stored", "until", "uses")

    def __init__(self, stored: StoredResponse) -> None:
        self.status = stored.status
        self.size = stored.content.size
        self.cost = self.size if self.size <= _ONE_PIECE else 0
        self.stored = stored
        self.uses = 0
        self.until = fresh_until(stored)
        self._head = self._block = b""

    def frames(self, now: float) -> Framed | None:
        """The same for HTTP/2."""
        stored = self.stored
        body = stored.content.body
        if body is None or not stored.alive or now >= self.until:
            return None
        if not self._block:
            fields = [field for field in stored.fields if field[0] != b"content-length"]
            if stored.status != 204:
                fields.append((b"content-length", b"%d" % self.size))
            self._block = status_field(stored.status) + field_lines(fields)
        return answer_frames(self._block + field_lines(hit_marks(stored, now)), body)

    def _compose(self) -> None:
        stored = self.stored
        lines = [prefixes[name] + value for name, value in stored.fields if name != b"content-length"]
        if stored.status != 204:
            lines.append(b"Content-Length: %d" % self.size)
        self._head = status_line(stored.status) + b"\r\n".join(lines)

    def render(self, now: float) -> bytes | tuple[bytes, ...] | None:
        """The response with this second's Age; None once it is stale, replaced, purged or not at hand."""
        stored = self.stored
        if not stored.alive or now >= self.until:
            return None
        body = stored.content.at_hand()
        if body is None:
            return None
        if not self._head:
            self._compose()
        age = int(stored.age(now))
        whole = self.size <= _ONE_PIECE
        head = _WHOLE % (self._head, age, stored.lifetime.seconds - age, body if whole else b"")
        return head if whole else (head, body)
