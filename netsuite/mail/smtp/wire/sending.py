"""What the machine of an SMTP client and its owner say to one another.

Implements: RFC 5321 section 4.5.3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import attrs

from netsuite.mail.smtp.wire.commands import Envelope
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["GoAhead", "Outcome", "Patience", "Quit", "Ready", "Refused", "Transaction"]


@attrs.frozen
class Patience:
    """Seconds to wait for each thing (RFC 5321 section 4.5.3.2); ``idle`` is for a server that is kept in reserve."""

    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    end: float = 600.0
    quit: float = 10.0
    idle: float = 30.0


class Ready(NamedTuple):
    """The server takes messages; ``extensions`` maps each keyword of EHLO to its parameters."""

    extensions: Mapping[str, str]
    stream: int = 0
    has_body: bool = False


class Refused(NamedTuple):
    """The server takes no messages from us now (or at all); Close follows."""

    reply: Reply
    stream: int = 0
    has_body: bool = False


class Transaction(NamedTuple):
    """To send: a message of ``size`` bytes for the recipients of ``envelope``."""

    envelope: Envelope
    size: int = 0
    stream: int = 0
    source: None = None


class GoAhead(NamedTuple):
    """The server wants the message for at least one recipient: the owner owes a Content with its source."""

    envelope: Envelope
    stream: int = 0
    has_body: bool = False


class Outcome(NamedTuple):
    """A transaction is over: the reply for each recipient, in order. ``last`` if the connection ends with it."""

    envelope: Envelope
    replies: tuple[Reply, ...]
    last: bool = False
    stream: int = 0
    has_body: bool = False


class Quit(NamedTuple):
    """To send: nothing more will come."""

    stream: int = 0
    source: None = None
