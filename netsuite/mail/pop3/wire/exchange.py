"""What a POP3 server's machine and its owner say to one another: commands that need judgement, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from netsuite.sansio.connection import Source

__all__ = [
    "Challenge",
    "Done",
    "Login",
    "Message",
    "Refusal",
    "Retrieve",
    "Update",
    "Welcome",
]


class Login(NamedTuple):
    """USER and PASS."""

    name: str
    password: str
    stream: int = 0
    has_body: bool = False


class Retrieve(NamedTuple):
    """RETR of a message (they count from 0 here), or TOP with so many lines of its body."""

    at: int
    lines: int | None
    stream: int = 0
    has_body: bool = False


class Update(NamedTuple):
    """QUIT: which messages shall be deleted now, and which others were read."""

    deleted: tuple[int, ...]
    read: tuple[int, ...]
    stream: int = 0
    has_body: bool = False


class Challenge(NamedTuple):
    """SASL goes on."""

    data: bytes
    stream: int = 0
    source: None = None


class Welcome(NamedTuple):
    """The client is in; ``messages`` are size and unique-id of each, ``data`` is SASL's last word."""

    messages: Sequence[tuple[int, str]]
    data: bytes = b""
    stream: int = 0
    source: None = None


class Message(NamedTuple):
    """The message that was asked for, as Part ... Finish behind it."""

    source: Source
    stream: int = 0


class Done(NamedTuple):
    """What QUIT asked for is done."""

    stream: int = 0
    source: None = None


class Refusal(NamedTuple):
    """No; ``code`` is one of RFC 2449 section 8 or RFC 3206, such as ``SYS/TEMP``."""

    text: str
    code: str = ""
    stream: int = 0
    source: None = None
