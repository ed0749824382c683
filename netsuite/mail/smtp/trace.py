"""What a server adds to a message's header: Received, and for its own users a Date and a Message-ID.

RFC 5321 section 4.4, RFC 6409 section 8, RFC 3848. Pure: the time is an argument.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from netsuite.mail.smtp.wire.commands import Envelope

__all__ = ["MOST_HOPS", "date", "header_of", "hops", "missing_fields", "received"]

MOST_HOPS: Final = 50
"""Received fields after which a message is taken for one that goes round and round."""

_RECEIVED: Final = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)
_DATE: Final = re.compile(rb"^date[ \t]*:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID: Final = re.compile(rb"^message-id[ \t]*:", re.IGNORECASE | re.MULTILINE)
_FROM: Final = re.compile(rb"^from[ \t]*:", re.IGNORECASE | re.MULTILINE)


def date(now: float) -> str:
    """A time as mail writes it, in UTC."""
    return _date(int(now))


@lru_cache(16)
def _date(second: int) -> str:
    return formatdate(second).replace("-0000", "+0000")


def header_of(beginning: bytes) -> bytes:
    """The header in a message's first bytes, as far as it is there."""
    if beginning.startswith(b"\r\n"):
        return b""
    end = beginning.find(b"\r\n\r\n")
    return beginning if end < 0 else beginning[: end + 2]


def hops(header: bytes) -> int:
    """How many servers it went through."""
    return len(_RECEIVED.findall(header))


def received(envelope: Envelope, peer: str, name: str, ident: str, now: float, tls: str | None) -> bytes:
    """The field for a message that came from ``peer``; ``tls`` is the version, or None."""
    hello = envelope.hello
    said = hello.name if hello is not None else "unknown"
    protocol = "UTF8SMTP" if "SMTPUTF8" in envelope.parameters else "ESMTP"
    if hello is not None and not hello.extended:
        protocol = "SMTP"
    protocol += ("S" if tls else "") + ("A" if envelope.user else "")
    literal = f"[IPv6:{peer}]" if ":" in peer else f"[{peer}]"
    for_whom = f"\r\n\tfor <{envelope.recipients[0]}>" if len(envelope.recipients) == 1 else ""
    secured = f" ({tls})" if tls else ""
    return (
        f"Received: from {said} ({literal})\r\n\tby {name} with {protocol}{secured} id {ident}{for_whom};"
        f"\r\n\t{date(now)}\r\n"
    ).encode()


def missing_fields(header: bytes, sender: str, name: str, ident: str, now: float) -> bytes:
    """What a user's message must have and does not."""
    fields = ""
    if not _FROM.search(header):
        fields += f"From: <{sender}>\r\n"
    if not _DATE.search(header):
        fields += f"Date: {date(now)}\r\n"
    if not _MESSAGE_ID.search(header):
        fields += f"Message-ID: <{ident}@{name}>\r\n"
    return fields.encode()
