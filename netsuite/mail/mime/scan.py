"""The parts of a message, by offset.

A :class:`Part` tree says where each header and body lies in the stored bytes. The scan never fails: a multipart without
a usable boundary has one part, its whole body; one that is not closed ends with what it lies in; nothing is looked at
below DEEPEST levels or after MOST parts.

Implements: RFC 2045 sections 5 and 6; RFC 2046 sections 5.1 and 5.2.1.
"""

from __future__ import annotations

from typing import Final

from netsuite.mail.mime.header import Field, block_end, fields, first
from netsuite.mail.mime.parameters import Parameters, content_type, parameter

__all__ = ["DEEPEST", "MOST", "Part", "scan"]

DEEPEST: Final = 32
MOST: Final = 1000
_PLAIN: Final[tuple[bytes, bytes, Parameters]] = (b"text", b"plain", ((b"charset", b"us-ascii"),))
_MESSAGE: Final[tuple[bytes, bytes, Parameters]] = (b"message", b"rfc822", ())
_MESSAGES: Final = (b"rfc822", b"global")


class Part:
    """One part: ``start`` of its header, ``body``, and ``end``; ``children`` of a multipart, ``message`` within it."""

    __slots__ = ("body", "children", "end", "fields", "kind", "message", "parameters", "start", "subtype", "type")

    def __init__(self, start: int, body: int, end: int, found: list[Field]) -> None:
        self.start = start
        self.body = body
        self.end = end
        self.fields = found
        self.type = b"text"
        self.subtype = b"plain"
        self.kind = b"text/plain"  # in lower case
        self.parameters: Parameters = ()
        self.children: list[Part] = []
        self.message: Part | None = None

    def walk(self) -> list[Part]:
        """The part and all within it, in order."""
        made = [self]
        for child in self.children:
            made += child.walk()
        if self.message is not None:
            made += self.message.walk()
        return made


class _Budget:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST


def scan(data: bytes) -> Part:
    """The tree of a message."""
    return _entity(data, 0, len(data), _PLAIN, 0, _Budget())


def _entity(
    data: bytes, start: int, end: int, default: tuple[bytes, bytes, Parameters], depth: int, budget: _Budget
) -> Part:
    budget.left -= 1
    body = block_end(data, start, end)
    part = Part(start, body, end, fields(data, start, body))
    value = first(data, part.fields, b"content-type")
    declared = default if value is None else content_type(value) or _PLAIN
    part.type, part.subtype, part.parameters = declared
    main, sub = part.type.lower(), part.subtype.lower()
    if depth >= DEEPEST or budget.left <= 0:
        if main in (b"multipart", b"message"):
            part.type, part.subtype = b"application", b"octet-stream"
    elif main == b"multipart":
        inner = _MESSAGE if sub == b"digest" else _PLAIN
        for low, high in _split(data, part, budget.left):
            part.children.append(_entity(data, low, high, inner, depth + 1, budget))
        if not part.children:
            part.children.append(_headless(body, end))
            budget.left -= 1
    elif main == b"message" and sub in _MESSAGES:
        part.message = _entity(data, body, end, _PLAIN, depth + 1, budget)
    part.kind = part.type.lower() + b"/" + part.subtype.lower()
    return part


def _headless(body: int, end: int) -> Part:
    """A body without delimiters, as one part of plain text."""
    part = Part(body, body, end, [])
    part.type, part.subtype, part.parameters = _PLAIN
    return part


def _split(data: bytes, part: Part, most: int) -> list[tuple[int, int]]:
    """Where the parts of a multipart lie, by its delimiter lines."""
    boundary = parameter(part.parameters, b"boundary")
    if not boundary:
        return []
    delimiter = b"--" + boundary
    found: list[tuple[int, int]] = []
    open_at = -1
    # the line end before a body belongs to the header, so that a delimiter may be its very first line
    at = part.body if data.startswith(delimiter, part.body, part.end) else _next(data, delimiter, part.body, part)
    while 0 <= at < part.end and len(found) < most:
        after = at + len(delimiter)
        closing = data.startswith(b"--", after, part.end)
        line_end = data.find(b"\n", after, part.end)
        rest = data[after + 2 * closing : line_end if line_end >= 0 else min(part.end, after + 80)]
        if rest.strip(b" \t\r") and not closing:
            at = _next(data, delimiter, after, part)
            continue
        if open_at >= 0:
            found.append((open_at, max(open_at, _before(data, at, open_at))))
        open_at = -1
        if closing:
            return found
        open_at = line_end + 1 if line_end >= 0 else part.end
        at = _next(data, delimiter, max(open_at - 1, after), part)
    if open_at >= 0 and len(found) < most:
        found.append((open_at, part.end))
    return found


def _next(data: bytes, delimiter: bytes, start: int, part: Part) -> int:
    """The next line that starts with the delimiter."""
    at = data.find(b"\n" + delimiter, start, part.end)
    return at + 1 if at >= 0 else -1


def _before(data: bytes, at: int, least: int) -> int:
    """Before the line end that belongs to a delimiter line."""
    if at > least and data[at - 1] == 0x0A:
        at -= 1
        if at > least and data[at - 1] == 0x0D:
            at -= 1
    return at
