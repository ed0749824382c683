"""Commands: what a client says before its message.

Addresses are text. A non-ASCII one needs SMTPUTF8; quoted local parts keep their quotes, source routes are dropped.

Implements: RFC 5321 sections 4.1.1, 4.1.2 and 4.5.3.1; RFC 1870 section 3; RFC 6152 section 2; RFC 6531 section 3.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

__all__ = [
    "BadCommand",
    "Content",
    "Data",
    "Envelope",
    "Hello",
    "Mail",
    "Parameters",
    "Rcpt",
    "Reset",
    "is_address",
    "parse_hello",
    "parse_path",
]

Parameters = dict[str, str | None]
"""ESMTP parameters: the keyword in upper case, the value or None."""

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_LABEL: Final = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9\-\u0080-\U0010ffff]*[A-Za-z0-9\u0080-\U0010ffff])?"
_DOMAIN: Final = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_LITERAL: Final = r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]"
_QUOTED: Final = r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"'
_ADDRESS: Final = re.compile(rf"((?:{_ATOM})(?:\.(?:{_ATOM}))*|{_QUOTED})@({_DOMAIN}|{_LITERAL})")
_ROUTE: Final = re.compile(rf"@{_DOMAIN}(?:,@{_DOMAIN})*:")
_NAME: Final = re.compile(rf"{_DOMAIN}|{_LITERAL}|[A-Za-z0-9_.\-]+")
_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-]*")
_VALUE: Final = re.compile(r"[!-<>-~\u0080-\U0010ffff]+")
_LOCAL: Final = 64
_WHOLE: Final = 254


class BadCommand(Exception):
    """A command's argument is not as it must be; the text says why."""


class Hello(NamedTuple):
    """HELO, or EHLO if ``extended``; answered by the machine itself, told to its owner in the Envelope."""

    name: str
    extended: bool


class Mail(NamedTuple):
    """MAIL FROM: ``sender`` is an address, or empty for the null reverse path. ``user`` is who authenticated."""

    sender: str
    parameters: Parameters
    user: str | None
    stream: int = 0
    has_body: bool = False


class Rcpt(NamedTuple):
    """RCPT TO one ``recipient``, for the transaction in ``envelope``."""

    recipient: str
    parameters: Parameters
    envelope: Envelope
    stream: int = 0
    has_body: bool = False


class Data(NamedTuple):
    """DATA: a 354 lets the content come, which is then the event after it."""

    envelope: Envelope
    stream: int = 0
    has_body: bool = False


class Content(NamedTuple):
    """The message itself: all of it in ``data``, or (None) its body is the content with dots removed.

    To send, ``source`` gives the content.
    """

    envelope: Envelope
    source: Any = None
    stream: int = 0
    has_body: bool = True
    data: bytes | None = None


class Reset(NamedTuple):
    """The transaction is over without a message: RSET, EHLO, or a refused DATA. Nothing is owed for it."""

    stream: int = 0
    has_body: bool = False


class Envelope:
    """One transaction: ``sender``, accepted ``recipients`` in order, MAIL's ``parameters``, ``hello``, ``user``."""

    __slots__ = ("hello", "parameters", "recipients", "sender", "user")

    def __init__(
        self,
        sender: str = "",
        recipients: list[str] | None = None,
        parameters: Parameters | None = None,
        hello: Hello | None = None,
        user: str | None = None,
    ) -> None:
        self.sender = sender
        self.recipients = recipients if recipients is not None else []
        self.parameters = parameters if parameters is not None else {}
        self.hello = hello
        self.user = user

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Envelope) and all(
            getattr(self, name) == getattr(other, name) for name in Envelope.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Envelope {self.sender!r} to {self.recipients!r}>"


def is_address(text: str) -> bool:
    """Whether a text is a mailbox address as SMTP writes it, within the sizes of RFC 5321 section 4.5.3.1."""
    found = _ADDRESS.fullmatch(text)
    return found is not None and len(text.encode()) <= _WHOLE and len(found[1].encode()) <= _LOCAL


def parse_hello(argument: str) -> str:
    """The name in HELO or EHLO; raises BadCommand."""
    name = argument.strip()
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise BadCommand("say who you are: EHLO your.host.name")
    return name


def parse_path(argument: str, word: str, *, null: bool) -> tuple[str, Parameters]:
    """``FROM:<address> PARAMETERS`` (``word`` is FROM or TO); ``null`` allows ``<>``. Raises BadCommand."""
    before, colon, rest = argument.partition(":")
    if before.strip().upper() != word or not colon:
        raise BadCommand(f"the form is {word}:<address>")
    rest = rest.lstrip(" ")
    if not rest.startswith("<"):
        raise BadCommand(f"the form is {word}:<address>")
    end = _closing(rest)
    path = rest[1:end]
    tail = rest[end + 1 :]
    if tail and not tail.startswith(" "):
        raise BadCommand("a space separates address and parameters")
    route = _ROUTE.match(path)
    if route is not None:
        path = path[route.end() :]
    if not is_address(path) and not (null and path == "") and not (word == "TO" and path.lower() == "postmaster"):
        raise BadCommand(f"<{path[:80]}> is no address")
    return path, _parameters(tail)


def _closing(text: str) -> int:
    """Where the path's ``>`` is; one within quotes does not count."""
    quoted = False
    at = 1
    while at < len(text):
        char = text[at]
        if char == "\\" and quoted:
            at += 1
        elif char == '"':
            quoted = not quoted
        elif char == ">" and not quoted:
            return at
        at += 1
    raise BadCommand("the address does not end in '>'")


def _parameters(text: str) -> Parameters:
    found: Parameters = {}
    for part in text.split():
        keyword, equals, value = part.partition("=")
        if not _KEYWORD.fullmatch(keyword) or (equals and not _VALUE.fullmatch(value)):
            raise BadCommand(f"{part[:40]!r} is no parameter")
        if keyword.upper() in found:
            raise BadCommand(f"{keyword.upper()} is given twice")
        found[keyword.upper()] = value if equals else None
    return found
