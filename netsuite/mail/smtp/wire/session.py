"""What a client's commands mean on an SMTP server, and what of them is remembered: who speaks, and the transaction.

::

    greeted --EHLO--> ready --MAIL 250--> sender --RCPT 250--> recipients --DATA 354--> content --250--> ready

Implements: RFC 5321 sections 3 and 4.1; RFC 3207 section 4; RFC 4954 section 4; RFC 1870 section 6; RFC 6152;
RFC 6531 section 3.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final

import attrs

from netsuite.mail.smtp.wire.commands import (
    Data,
    Envelope,
    Hello,
    Mail,
    Parameters,
    Rcpt,
    Reset,
    parse_hello,
    parse_path,
)
from netsuite.mail.smtp.wire.replies import Reply
from netsuite.sansio.connection import Channel, Connection, Event, Upgrade
from netsuite.sansio.sasl import Auth, AuthResponse, decoded

__all__ = ["SmtpLimits", "SmtpSession"]

_MAIL_PARAMETERS: Final = frozenset({"SIZE", "BODY", "SMTPUTF8", "AUTH"})

Step = tuple[Reply | None, Event | None]
"""What a command comes to: a reply to say at once or None, and an event or None; without a reply one is owed for it."""


@attrs.frozen
class SmtpLimits:
    """Sizes in bytes, times in seconds (RFC 5321 section 4.5.3.2 for the times)."""

    message: int = 50 << 20
    recipients: int = 1000
    errors: int = 20
    commands: int = 10_000
    command_time: float = 300.0
    content_time: float = 180.0


class State(enum.Enum):
    """How far a session is."""

    GREETED = "greeted"
    READY = "ready"
    SENDER = "sender"
    RECIPIENTS = "recipients"


class SmtpSession:
    """One client's session; the arguments are the machine's (see there)."""

    def __init__(
        self,
        channel: Channel,
        name: str,
        limits: SmtpLimits,
        *,
        tls: bool,
        mechanisms: tuple[str, ...],
        fresh: Callable[[Channel], Connection] | None,
    ) -> None:
        self._channel = channel
        self._name = name
        self._limits = limits
        self._tls = tls and channel.tls is None
        self._mechanisms = mechanisms
        self._fresh = fresh
        self.state = State.GREETED
        self.hello: Hello | None = None
        self.user: str | None = None
        self.envelope = Envelope()

    def command(self, verb: str, argument: str) -> Step:
        """What a command comes to; raises BadCommand."""
        command = _COMMANDS.get(verb)
        if command is None:
            return Reply(500, "command not recognised", "5.5.1"), None
        return command(self, argument)

    def heard(self, owed: Any, reply: Reply) -> None:
        """The reply that was owed for an event."""
        kind = type(owed)
        if kind is Mail and reply.good:
            self.state = State.SENDER
        elif kind is Rcpt and reply.good:
            self.state = State.RECIPIENTS
            self.envelope.recipients.append(owed.recipient)
        elif kind in (Auth, AuthResponse) and reply.code == 235:
            self.user = reply.user

    def concluded(self) -> None:
        """The transaction is over."""
        self.state = State.READY
        self.envelope = Envelope()

    def _forget(self) -> Event:
        self.envelope = Envelope()
        return Reset()

    def _hello_command(self, argument: str, *, extended: bool) -> Step:
        name = parse_hello(argument)
        open_transaction = self.state in (State.SENDER, State.RECIPIENTS)
        self.hello = Hello(name, extended)
        self.state = State.READY
        reply = Reply(250, self._name)
        if extended:
            lines = [self._name, "PIPELINING", f"SIZE {self._limits.message}", "8BITMIME", "SMTPUTF8"]
            lines.append("ENHANCEDSTATUSCODES")
            if self._tls:
                lines.append("STARTTLS")
            if self._mechanisms and self.user is None:
                lines.append("AUTH " + " ".join(self._mechanisms))
            reply = Reply(250, "\n".join(lines))
        return reply, self._forget() if open_transaction else None

    def _ehlo(self, argument: str) -> Step:
        return self._hello_command(argument, extended=True)

    def _helo(self, argument: str) -> Step:
        return self._hello_command(argument, extended=False)

    def _mail(self, argument: str) -> Step:
        if self.hello is None:
            return Reply(503, "say EHLO first", "5.5.1"), None
        if self.state is not State.READY:
            return Reply(503, "one message at a time", "5.5.1"), None
        sender, parameters = parse_path(argument, "FROM", null=True)
        problem = self._mail_parameters(sender, parameters)
        if problem is not None:
            return problem, None
        self.envelope = Envelope(sender, [], parameters, self.hello, self.user)
        return None, Mail(sender, parameters, self.user)

    def _mail_parameters(self, sender: str, parameters: Parameters) -> Reply | None:
        unknown = next((word for word in parameters if word not in _MAIL_PARAMETERS), None)
        if unknown is not None or (parameters and self.hello is not None and not self.hello.extended):
            return Reply(555, f"parameter {unknown or next(iter(parameters))} is not known", "5.5.4")
        size = parameters.get("SIZE", "0") or ""
        if not size.isdigit() or len(size) > 20:
            return Reply(501, "SIZE is a number of bytes", "5.5.4")
        if int(size) > self._limits.message:
            return Reply(552, f"messages are {self._limits.message} bytes at most", "5.3.4")
        if "BODY" in parameters and (parameters["BODY"] or "").upper() not in ("7BIT", "8BITMIME"):
            return Reply(501, "BODY is 7BIT or 8BITMIME", "5.5.4")
        if parameters.get("SMTPUTF8", None) is not None:
            return Reply(501, "SMTPUTF8 has no value", "5.5.4")
        if not sender.isascii() and "SMTPUTF8" not in parameters:
            return Reply(553, "that address needs SMTPUTF8", "5.6.7")
        return None

    def _rcpt(self, argument: str) -> Step:
        if self.state not in (State.SENDER, State.RECIPIENTS):
            return Reply(503, "say MAIL first", "5.5.1"), None
        recipient, parameters = parse_path(argument, "TO", null=False)
        if parameters:
            return Reply(555, f"parameter {next(iter(parameters))} is not known", "5.5.4"), None
        if not recipient.isascii() and "SMTPUTF8" not in self.envelope.parameters:
            return Reply(553, "that address needs SMTPUTF8", "5.6.7"), None
        if len(self.envelope.recipients) >= self._limits.recipients:
            return Reply(452, "too many recipients for one message", "4.5.3"), None
        return None, Rcpt(recipient, parameters, self.envelope)

    def _data(self, argument: str) -> Step:
        if argument:
            return Reply(501, "DATA stands alone", "5.5.4"), None
        if self.state is State.SENDER:
            return Reply(554, "no recipient was accepted", "5.5.1"), None
        if self.state is not State.RECIPIENTS:
            return Reply(503, "say MAIL and RCPT first", "5.5.1"), None
        return None, Data(self.envelope)

    def _rset(self, argument: str) -> Step:
        if argument:
            return Reply(501, "RSET stands alone", "5.5.4"), None
        open_transaction = self.state in (State.SENDER, State.RECIPIENTS)
        if self.state is not State.GREETED:
            self.state = State.READY
        return Reply(250, "forgotten", "2.0.0"), self._forget() if open_transaction else None

    def _noop(self, argument: str) -> Step:
        return Reply(250, "still here", "2.0.0"), None

    def _vrfy(self, argument: str) -> Step:
        return Reply(252, "send a message, and see", "2.1.5"), None

    def _help(self, argument: str) -> Step:
        return Reply(214, "EHLO HELO MAIL RCPT DATA RSET NOOP VRFY QUIT STARTTLS AUTH: see RFC 5321", "2.0.0"), None

    def _expn(self, argument: str) -> Step:
        return Reply(502, "lists are not told", "5.5.1"), None

    def _quit(self, argument: str) -> Step:
        if argument:
            return Reply(501, "QUIT stands alone", "5.5.4"), None
        return Reply(221, f"{self._name} says goodbye", "2.0.0", close=True), None

    def _starttls(self, argument: str) -> Step:
        if argument:
            return Reply(501, "STARTTLS stands alone", "5.5.4"), None
        if not self._tls or self._fresh is None:
            return Reply(502 if self._channel.tls is None else 503, "TLS is not offered here", "5.5.1"), None
        if self.state in (State.SENDER, State.RECIPIENTS):
            return Reply(503, "not within a message", "5.5.1"), None
        return Reply(220, "begin", "2.0.0"), Upgrade("tls", self._fresh)

    def _auth(self, argument: str) -> Step:
        if not self._mechanisms or self.hello is None or not self.hello.extended:
            return Reply(503, "AUTH is not offered here", "5.5.1"), None
        if self.user is not None or self.state is not State.READY:
            return Reply(503, "not now", "5.5.1"), None
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() not in self._mechanisms:
            return Reply(504, "that mechanism is not offered", "5.5.4"), None
        if not initial:
            return None, Auth(mechanism.upper(), None)
        data = b"" if initial == "=" else decoded(initial.encode())
        if data is None:
            return Reply(501, "that is not base64", "5.5.2"), None
        return None, Auth(mechanism.upper(), data)


_COMMANDS: Final[dict[str, Callable[[SmtpSession, str], Step]]] = {
    "EHLO": SmtpSession._ehlo,
    "HELO": SmtpSession._helo,
    "MAIL": SmtpSession._mail,
    "RCPT": SmtpSession._rcpt,
    "DATA": SmtpSession._data,
    "RSET": SmtpSession._rset,
    "NOOP": SmtpSession._noop,
    "VRFY": SmtpSession._vrfy,
    "EXPN": SmtpSession._expn,
    "HELP": SmtpSession._help,
    "QUIT": SmtpSession._quit,
    "STARTTLS": SmtpSession._starttls,
    "AUTH": SmtpSession._auth,
}
