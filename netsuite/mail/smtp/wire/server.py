"""The server's side of an SMTP connection, from greeting to QUIT.

The machine reads commands, keeps their order, and answers by itself what needs nobody's judgement: EHLO, NOOP,
RSET, VRFY, HELP, QUIT, STARTTLS, and everything that is malformed, unknown or out of place. What needs judgement
is an event, and its owner owes a :class:`Reply`: :class:`Auth` and :class:`AuthResponse` (334, 235 with ``user``,
535), :class:`Mail`, :class:`Rcpt`, :class:`Data` (354 lets the content come), :class:`Content` (the reply that takes
the message over; a small one comes whole). The machine notes what was accepted, so that every event carries its
transaction.

What commands mean is :mod:`~netsuite.mail.smtp.wire.session`'s.
Input is read only while nothing is owed, so replies come in the order of pipelined commands.

Implements: RFC 5321 sections 4.2.4, 4.3 and 4.5.3; RFC 2920; RFC 2034.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from netsuite.mail.smtp.wire.commands import BadCommand, Content, Data
from netsuite.mail.smtp.wire.content import ContentReader
from netsuite.mail.smtp.wire.replies import Reply
from netsuite.mail.smtp.wire.session import SmtpLimits, SmtpSession
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Channel,
    Drain,
    End,
    Event,
    Failed,
    Item,
    StateError,
    Upgrade,
)
from netsuite.sansio.connection import Data as BodyData
from netsuite.sansio.machine import Machine
from netsuite.sansio.sasl import Auth, AuthResponse, decoded

__all__ = ["SmtpLimits", "SmtpServerConnection"]

_COMMAND_LINE: Final = 2048
_AUTH_LINE: Final = 12288
_HTTP: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "HTTP"})
_WHOLE: Final = 64 * 1024
"""Bytes up to which the content of a message comes in one piece with its event."""


class SmtpServerConnection(Machine):
    """One client's connection; see the module's docstring.

    ``name`` is the server's own. ``tls`` says whether STARTTLS is offered (it is not, once TLS is on), ``mechanisms``
    what AUTH offers, and ``fresh`` makes the machine that follows STARTTLS.
    """

    def __init__(
        self,
        channel: Channel,
        name: str,
        now: float,
        *,
        limits: SmtpLimits = SmtpLimits(),
        tls: bool = False,
        mechanisms: tuple[str, ...] = (),
        greet: bool = True,
        fresh: Callable[[Channel], SmtpServerConnection] | None = None,
    ) -> None:
        super().__init__(now)
        self._name = name
        self._limits = limits
        self._session = SmtpSession(channel, name, limits, tls=tls, mechanisms=mechanisms, fresh=fresh)
        self._owed: Any = None  # the event whose reply is awaited
        self._reader: ContentReader | None = None
        self._held: list[bytes] = []  # content, until its event comes
        self._refused: Reply | None = None  # what the machine found wrong with the content
        self._settled = False  # the owner has answered for content that is refused
        self._authenticating = False
        self._unconsumed = 0
        self._errors = 0
        self._commands = 0
        if greet:
            self._out.append(Reply(220, f"{name} ESMTP netsuite").encoded())

    # -- the machine

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read, and no transaction is open."""
        return super().idle and not (self._owed or self._reader or self._unconsumed or self._authenticating)

    def lives_by(self, data: bytes) -> bool:
        """Content that comes shows that the client is there; a command that comes byte by byte does not."""
        return self._reader is not None or not self._buffer

    def step(self) -> Event | None:
        """A command or content that needs judgement, a piece of content, Upgrade, NEED_DATA or PAUSED."""
        if self._reader is not None and not self._reader.done:
            return self._read_content(self._reader)
        if self._owed is not None:
            return PAUSED
        if self._draining:
            return self._end(Reply(421, f"{self._name} closes, come again", "4.3.2"), "draining")
        return self._read_line()

    def send(self, item: Item, now: float) -> None:
        """A Reply to what is owed, Abandon, or Drain."""
        if isinstance(item, Reply):
            if self._owed is None or self.over:
                raise StateError("no reply is owed")
            self._heard = now
            self._reply_to(self._owed, item)
        elif isinstance(item, Abandon):
            if self._owed is not None:
                self._reply_to(self._owed, Reply(451, "local error, try again later", "4.3.0"))
        elif isinstance(item, Drain):
            self._draining = True
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def consumed(self, count: int, stream: int = 0) -> None:
        """The owner is done with that much content."""
        self._unconsumed = max(0, self._unconsumed - count)

    def backlog(self) -> int:
        """What has come and is neither read nor consumed."""
        return len(self._buffer) + self._unconsumed

    def patience(self) -> float | None:
        """How long silence is borne; without end while a reply is owed."""
        if self._owed is not None and (self._reader is None or self._reader.done):
            return None
        return self._limits.content_time if self._reader is not None else self._limits.command_time

    def silent(self) -> None:
        """Give the client up, in words."""
        if self._reader is not None and not self._reader.done and self._owed is not None:
            self._events.append(Failed(0, "the client is silent"))
        self._end(Reply(421, f"{self._name} has waited too long", "4.4.2"), "the client is silent")

    # -- reading

    def _read_line(self) -> Event | None:
        line = self.line(1 + (_AUTH_LINE if self._authenticating else _COMMAND_LINE))
        if line is None:
            return self._end(Reply(500, "the line is too long", "5.5.2", close=True), "a line is too long")
        if not isinstance(line, bytes):
            return self.close("the client closed") if self._ended else line
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            return self._end(Reply(500, "lines end with CR LF and hold neither", "5.5.2"), "a line end is not CR LF")
        line = line[:-1]
        if self._authenticating:
            return self._read_response(line)
        return self._read_command(line)

    def _read_command(self, line: bytes) -> Event | None:
        self._commands += 1
        if self._commands > self._limits.commands:
            return self._end(Reply(421, "too many commands", "4.7.0"), "too many commands")
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self._wrong(Reply(500, "commands are UTF-8", "5.5.2"))
        verb, _, argument = text.strip(" ").partition(" ")
        verb = verb.upper()
        if verb in _HTTP:
            return self._end(Reply(421, "this is not HTTP", "5.7.0"), "the client speaks HTTP")
        try:
            reply, event = self._session.command(verb, argument)
        except BadCommand as bad:
            return self._wrong(Reply(501, str(bad), "5.5.4"))
        if reply is None:
            self._owed = event
        elif not reply.good:
            return self._wrong(reply)
        elif reply.close:
            return self._end(reply, verb)
        else:
            self._say(reply)
            if type(event) is Upgrade:
                # what came in clear behind the command is dropped, and so is all that was learnt (RFC 3207 section 4.2)
                self._buffer.clear()
                self.over = True
        return event

    def _read_response(self, line: bytes) -> Event | None:
        self._authenticating = False
        if line == b"*":
            return self._owe(AuthResponse(None))
        data = decoded(line)
        if data is None:
            return self._wrong(Reply(501, "that is not base64", "5.5.2"))
        return self._owe(AuthResponse(data))

    def _read_content(self, reader: ContentReader) -> Event | None:
        if not self._buffer:
            if self._ended:
                if self._owed is not None:
                    self._events.append(Failed(0, "the client closed within the message"))
                return self.close("the client closed")
            return NEED_DATA
        content, rest = reader.feed(self._buffer.take_all())
        if rest:
            self._buffer.append(rest)
        if self._refused is None and (reader.bare or reader.size > self._limits.message):
            self._refused = (
                Reply(554, "a CR or LF stands alone in the message", "5.6.0")
                if reader.bare
                else Reply(552, f"messages are {self._limits.message} bytes at most", "5.3.4")
            )
            self._unconsumed = 0
            self._held = []
            if self._owed is None:
                self._settled = True  # nobody has heard of it
            else:
                self._events.append(Failed(0, self._refused.text))
        elif content and self._refused is None:
            self._unconsumed += len(content)
            if self._owed is not None:
                self._events.append(BodyData(0, content))
            else:
                self._held.append(content)
                if reader.size > _WHOLE:
                    self._events += (self._owe(Content(self._session.envelope)), BodyData(0, b"".join(self._held)))
                    self._held = []
        if reader.done:
            if self._refused is not None:
                self._refuse()
            elif self._owed is not None:
                self._events.append(End(0))
            else:
                whole, self._held, self._unconsumed = b"".join(self._held), [], 0
                return self._owe(Content(self._session.envelope, has_body=False, data=whole))
        return None

    def _refuse(self) -> None:
        """Say what is wrong with the content, once all of it was read and its owner has let go of it."""
        if self._refused is not None and self._settled and self._reader is not None and self._reader.done:
            refused, self._refused, self._settled = self._refused, None, False
            self._conclude(refused)

    # -- replies

    def _owe(self, event: Any) -> Event:
        self._owed = event
        return event

    def _say(self, reply: Reply) -> None:
        self._out.append(reply.encoded())

    def _wrong(self, reply: Reply) -> Event | None:
        self._errors += 1
        if self._errors >= self._limits.errors:
            return self._end(Reply(421, "too many errors", "4.7.0"), "too many errors")
        self._say(reply)
        return None

    def _reply_to(self, owed: Any, reply: Reply) -> None:
        kind = type(owed)
        if kind is Data and reply.code == 354:
            self._owed = None
            self._reader = ContentReader()
            self._say(reply)
            return
        if kind in (Auth, AuthResponse) and reply.code == 334:
            self._owed = None
            self._authenticating = True
            self._out.append(b"334 " + base64.b64encode(reply.text.encode("latin-1")) + b"\r\n")
            return
        if reply.code == 354 or reply.code == 334:
            raise StateError(f"{reply.code} does not answer {kind.__name__}")
        if kind is Content:
            if self._refused is not None:
                self._settled = True
                self._refuse()
                return
            if self._reader is not None and not self._reader.done:
                if reply.good:
                    raise StateError("the message is not complete")
                # the rest of the message would be taken for commands
                reply = reply._replace(close=True)
            self._conclude(reply)
            return
        self._owed = None
        self._session.heard(owed, reply)
        self._answer(reply)

    def _conclude(self, reply: Reply) -> None:
        """The transaction is over."""
        self._owed = self._reader = None
        self._session.concluded()
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        if not reply.good:
            self._errors += 1
        if reply.close or self._errors >= self._limits.errors:
            self._end(reply, reply.text)
        else:
            self._say(reply)

    def _end(self, reply: Reply, reason: str) -> Event | None:
        self._say(reply)
        return self.close(reason)

    def close(self, reason: str, *, linger: bool = True) -> Event | None:
        """Nothing is owed any more."""
        self._owed = None
        return super().close(reason, linger=linger and not self._ended)
