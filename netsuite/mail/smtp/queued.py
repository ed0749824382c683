"""What waits in the queue: messages with the state of each recipient, and how the journal writes them down.

A journal record is a list of operations that become true together: ``take`` puts a message with its whole state (again,
after a compaction), ``note`` changes the states of some recipients, ``drop`` ends a message. Each is a length, one line
of JSON and, for ``take``, the content, unless that has a spool file of its own.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from netsuite.mail.smtp.wire.commands import Parameters
from netsuite.mail.smtp.wire.replies import Reply

__all__ = ["DELIVERED", "FAILED", "WAITING", "Entry", "Operation", "Recipient", "drop", "note", "operations", "take"]

WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
FAILED: Final = "failed"

_LENGTHS: Final = struct.Struct(">II")
_SHORT: Final = 256


class Recipient:
    """One address that a message is for: ``state``, the last ``said`` about it, and its enhanced ``status``."""

    __slots__ = ("address", "said", "state", "status")

    def __init__(self, address: str, state: str = WAITING, said: str = "", status: str = "") -> None:
        self.address = address
        self.state = state
        self.said = said
        self.status = status

    def hear(self, reply: Reply) -> None:
        """Take note of what a server said."""
        self.said = str(reply)
        self.status = reply.enhanced or f"{reply.code // 100}.0.0"
        self.state = DELIVERED if reply.good else FAILED if reply.lasting else WAITING

    def encoded(self) -> str:
        """State, what was said, and status, as JSON without its brackets."""
        return f'"{self.state}", {_quoted(self.said)}, "{self.status}"'


class Entry:
    """One message; ``due`` and ``arrived`` are clock times, ``attempts`` counts those that are over.

    ``number`` is the journal's record that holds all of it; ``spooled`` if its content is a file.
    """

    __slots__ = (
        "arrived",
        "attempts",
        "due",
        "id",
        "number",
        "parameters",
        "recipients",
        "sender",
        "size",
        "spooled",
        "user",
    )

    def __init__(
        self,
        ident: str,
        sender: str,
        recipients: list[Recipient],
        *,
        arrived: float,
        size: int,
        parameters: Parameters | None = None,
        user: str | None = None,
        attempts: int = 0,
        due: float | None = None,
        spooled: bool = False,
    ) -> None:
        self.id = ident
        self.sender = sender
        self.recipients = recipients
        self.arrived = arrived
        self.size = size
        self.parameters = parameters or {}
        self.user = user
        self.attempts = attempts
        self.due = arrived if due is None else due
        self.spooled = spooled
        self.number = 0

    def waiting(self) -> list[Recipient]:
        """Who has not got it yet, and may."""
        return [recipient for recipient in self.recipients if recipient.state == WAITING]

    def encoded(self) -> str:
        """All of it, as JSON."""
        recipients = ", ".join([f"[{_quoted(each.address)}, {each.encoded()}]" for each in self.recipients])
        parameters = json.dumps(self.parameters) if self.parameters else "{}"
        return (
            f'{{"id": "{self.id}", "sender": {_quoted(self.sender)}, "recipients": [{recipients}], '
            f'"arrived": {self.arrived!r}, "size": {self.size}, "parameters": {parameters}, '
            f'"user": {_quoted(self.user)}, "attempts": {self.attempts}, "due": {self.due!r}, '
            f'"spooled": {"true" if self.spooled else "false"}}}'
        )

    def described(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        described: dict[str, Any] = json.loads(self.encoded())
        return described


class Operation(NamedTuple):
    """One operation as it is read back: ``facts`` as written, ``content`` of a take and where in the record it is."""

    kind: str
    facts: dict[str, Any]
    content: bytes
    at: int

    def entry(self) -> Entry:
        """The message that a take puts into the queue."""
        facts = dict(self.facts)
        recipients = [Recipient(*each) for each in facts.pop("recipients")]
        return Entry(facts.pop("id"), facts.pop("sender"), recipients, **facts)

    def amend(self, entry: Entry) -> None:
        """Change a message as a note says."""
        entry.attempts, entry.due = self.facts["attempts"], self.facts["due"]
        for at, state, said, status in self.facts["states"]:
            recipient = entry.recipients[at]
            recipient.state, recipient.said, recipient.status = state, said, status


def take(entry: Entry, content: bytes) -> tuple[bytes, ...]:
    """Put a message into the queue, or all of it once more; ``content`` is empty if it has a file."""
    return _framed("take", entry.encoded(), content)


def note(entry: Entry, changed: Iterable[int]) -> tuple[bytes, ...]:
    """The new states of some recipients, and when to try the rest."""
    states = ", ".join([f"[{at}, {entry.recipients[at].encoded()}]" for at in changed])
    facts = f'{{"id": "{entry.id}", "attempts": {entry.attempts}, "due": {entry.due!r}, "states": [{states}]}}'
    return _framed("note", facts)


def drop(ident: str) -> tuple[bytes, ...]:
    """A message is over."""
    return _framed("drop", f'{{"id": "{ident}"}}')


def operations(record: bytes) -> Iterator[Operation]:
    """What one record of the journal holds."""
    at = 0
    while at < len(record):
        head, content = _LENGTHS.unpack_from(record, at)
        at += _LENGTHS.size
        facts = json.loads(record[at : at + head])
        at += head
        yield Operation(facts.pop("do"), facts, record[at : at + content], at)
        at += content


def _quoted(text: str | None) -> str:
    """A text or None as JSON."""
    return _quoted_before(text) if text is None or len(text) <= _SHORT else json.dumps(text)


@lru_cache(4096)  # most are the same few
def _quoted_before(text: str | None) -> str:
    return json.dumps(text)


def _framed(kind: str, facts: str, content: bytes = b"") -> tuple[bytes, ...]:
    head = f'{{"do": "{kind}", {facts[1:]}'.encode()
    return _LENGTHS.pack(len(head), len(content)), head, content
