"""ENVELOPE: what a message's header says about it, as values.

Implements: RFC 3501 section 7.4.2 (ENVELOPE).
"""

from __future__ import annotations

from typing import Any

from netsuite.mail.mime.address import addresses
from netsuite.mail.mime.header import Field, unfolded

__all__ = ["envelope"]

_SINGLE = (b"date", b"subject", b"in-reply-to", b"message-id")
_LISTS = (b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc")


def envelope(data: bytes, fields: list[Field]) -> tuple[Any, ...]:
    """Date, subject, from, sender, reply-to, to, cc, bcc, in-reply-to, message-id.

    Texts are bytes as sent, unfolded; lists are tuples of addresses; what is missing is None, but sender and reply-to
    are then from.
    """
    texts: dict[bytes, bytes] = {}
    lists: dict[bytes, Any] = {}
    for field in fields:
        name = field.name
        if name in _SINGLE:
            texts.setdefault(name, unfolded(data, field))
        elif name in _LISTS:
            made = addresses(unfolded(data, field))
            lists[name] = lists[name] + made if lists.get(name) else made
    sender = lists.get(b"from") or None
    return (
        texts.get(b"date"),
        texts.get(b"subject"),
        sender,
        lists.get(b"sender") or sender,
        lists.get(b"reply-to") or sender,
        lists.get(b"to") or None,
        lists.get(b"cc") or None,
        lists.get(b"bcc") or None,
        texts.get(b"in-reply-to"),
        texts.get(b"message-id"),
    )
