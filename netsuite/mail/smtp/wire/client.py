"""The client's side of an SMTP connection, from greeting to QUIT.

The machine greets (EHLO, or HELO where that is all the server knows) and upgrades to TLS where it may and the server
can. Then its owner is told :class:`Ready`, and sends one :class:`Transaction` after another, or :class:`Quit`::

    greeting --220--> hello --250--> [STARTTLS] --> ready --Transaction--> asked --354--> GoAhead
    GoAhead --Content, Part ..., Finish--> awaited --250--> Outcome (ready again)

MAIL, all RCPT and DATA go out at once if the server has PIPELINING, else one after another. Every transaction ends in
an :class:`Outcome` with one Reply for each recipient, whatever happens: what the server did not say (it closed, fell
silent, or talked nonsense) is a 451 of our own, which means "try again".

Known weakness: content with the eighth bit set goes to a server without 8BITMIME as it is.

Implements: RFC 5321 sections 3, 4.1.1, 4.2, 4.3.1 and 4.5.3.2; RFC 2920 section 3.1; RFC 3207 section 4;
RFC 1870 section 5; RFC 6152 section 3; RFC 6531 section 3.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from netsuite.mail.smtp.wire.commands import Content, Envelope
from netsuite.mail.smtp.wire.content import ContentWriter
from netsuite.mail.smtp.wire.replies import BadReply, Reply, ReplyLines
from netsuite.mail.smtp.wire.sending import GoAhead, Outcome, Patience, Quit, Ready, Refused, Transaction
from netsuite.sansio.connection import (
    PAUSED,
    Abandon,
    Channel,
    Drain,
    Event,
    Finish,
    Item,
    Part,
    StateError,
    Upgrade,
)
from netsuite.sansio.machine import Machine

__all__ = ["SmtpClientConnection"]

_LINE: Final = 4096


class _State(enum.Enum):
    GREETING = "greeting"
    EHLO = "ehlo"
    HELO = "helo"
    STARTTLS = "starttls"
    READY = "ready"
    ASKED = "asked"
    GO = "go"
    CONTENT = "content"
    AWAITED = "awaited"
    RESET = "reset"
    QUIT = "quit"
    OVER = "over"


_OWNERS: Final = frozenset({_State.READY, _State.GO})
_TRANSACTION: Final = frozenset({_State.ASKED, _State.GO, _State.CONTENT, _State.AWAITED, _State.RESET})


class SmtpClientConnection(Machine):
    """One connection to a server; see the module's docstring.

    ``name`` is ours. ``fresh`` makes the machine that follows STARTTLS; without it TLS is not asked for. ``greeted``
    if there will be no greeting, since TLS has just begun.
    """

    def __init__(
        self,
        channel: Channel,
        name: str,
        now: float,
        *,
        patience: Patience = Patience(),
        fresh: Callable[[Channel], SmtpClientConnection] | None = None,
        greeted: bool = False,
    ) -> None:
        super().__init__(now)
        self._name = name
        self._times = patience
        self._fresh = fresh if channel.tls is None else None
        self._state = _State.GREETING
        self._now = now
        self._lines = ReplyLines()
        self._extensions: dict[str, str] = {}
        self._envelope = Envelope()
        self._commands: deque[tuple[str, int, bytes]] = deque()  # verb, recipient's number, line; still to be sent
        self._awaited: deque[tuple[str, int]] = deque()  # sent, and not answered
        self._mail: Reply | None = None  # what MAIL was refused with
        self._replies: list[Reply | None] = []
        self._accepted = 0
        self._writer = ContentWriter()
        if greeted:
            self._hello("EHLO", now)

    # -- the machine

    @property
    def idle(self) -> bool:
        """Ready for a transaction, and nothing is buffered."""
        return super().idle and self._state is _State.READY and not self._ended

    def lives_by(self, data: bytes) -> bool:
        """Only whole replies show that the server is there."""
        return False

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes; ``b""`` ends the input."""
        self._now = now
        super().receive(data, now)

    def flooded(self) -> None:
        """A server that says more than it is asked is of no use."""
        self._lose(Reply(451, "the server says too much", "4.5.0"))

    def step(self) -> Event | None:
        """NEED_DATA, or PAUSED while the owner owes something; Ready, GoAhead, Outcome and Refused are queued."""
        if self._state in _OWNERS:
            if self._state is _State.READY and self._draining:
                self._leave(self._now)
                return None
            if self._state is _State.READY and self._ended:
                return self._finish("the server closed")
            return PAUSED
        line = self.line(_LINE + 2)
        if line is None:
            return self._lose(Reply(451, "the server's reply is too long", "4.5.0"))
        if not isinstance(line, bytes):
            if not self._ended:
                return line
            return self._lose(Reply(451, "the server closed the connection", "4.4.2"))
        try:
            reply = self._lines.add(line.removesuffix(b"\r"))
        except BadReply as bad:
            return self._lose(Reply(451, f"the server talks nonsense: {bad}", "4.5.0"))
        if reply is not None:
            self._heard = self._now
            self._hear(reply)
        return None

    def send(self, item: Item, now: float) -> None:
        """A Transaction or Quit when ready; Content, Part and Finish after a GoAhead; Abandon; Drain."""
        self._now = now
        if isinstance(item, Part):
            if self._state is _State.CONTENT:
                self._heard = now
                self._out.append(self._writer.feed(item.data))
            elif not self.over:
                raise StateError("no content is being sent")
        elif isinstance(item, Finish):
            if self._state is _State.CONTENT:
                self._heard = now
                self._out.append(self._writer.finish())
                self._state = _State.AWAITED
            elif not self.over:
                raise StateError("no content is being sent")
        elif isinstance(item, Transaction):
            self._demand(_State.READY, item)
            self._begin(item)
        elif isinstance(item, Content):
            self._demand(_State.GO, item)
            self._heard = now
            self._writer = ContentWriter()
            self._state = _State.CONTENT
        elif isinstance(item, Quit):
            self._demand(_State.READY, item)
            self._leave(now)
        elif isinstance(item, Abandon):
            if self._state is _State.READY:
                self._leave(now)
            else:
                # without the final dot the server forgets the message
                self._lose(Reply(451, item.reason, "4.3.0"))
        elif isinstance(item, Drain):
            self._draining = True
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def patience(self) -> float | None:
        """How long to wait in this state, or to be kept in reserve."""
        times = self._times
        if self._state is _State.ASKED:
            return times.data if self._awaited and self._awaited[0][0] == "DATA" else times.command
        return {
            _State.GREETING: times.greeting,
            _State.CONTENT: times.block,
            _State.AWAITED: times.end,
            _State.QUIT: times.quit,
            _State.READY: times.idle,
            _State.GO: None,
        }.get(self._state, times.command)

    def tick(self, now: float) -> None:
        """Give up a silent server; say goodbye to one that is not needed."""
        self._now = now
        super().tick(now)

    def silent(self) -> None:
        """See tick."""
        if self._state is _State.READY:
            self._leave(self._now)
        else:
            self._lose(Reply(451, "the server is silent", "4.4.2"))

    # -- what the server says

    def _hear(self, reply: Reply) -> None:
        if reply.code == 421 and self._state is not _State.QUIT:
            self._lose(reply)
            return
        _HEARD[self._state](self, reply)

    def _greeting(self, reply: Reply) -> None:
        if reply.code == 220:
            self._hello("EHLO", self._now)
        else:
            self._lose(reply)

    def _ehlo(self, reply: Reply) -> None:
        if reply.code == 250:
            for line in reply.text.split("\n")[1:]:
                keyword, _, parameters = line.partition(" ")
                self._extensions[keyword.upper()] = parameters.strip()
            if self._fresh is not None and "STARTTLS" in self._extensions:
                self._say(b"STARTTLS\r\n", self._now)
                self._state = _State.STARTTLS
            else:
                self._ready()
        elif reply.lasting:
            self._hello("HELO", self._now)
        else:
            self._lose(reply)

    def _helo(self, reply: Reply) -> None:
        if reply.code == 250:
            self._ready()
        else:
            self._lose(reply)

    def _starttls(self, reply: Reply) -> None:
        if reply.code == 220 and self._fresh is not None:
            # what the server said in clear behind it is dropped, and so is all that was learnt (RFC 3207 section 4.2)
            self._buffer.clear()
            self._state = _State.OVER
            self.over = True
            self._events.append(Upgrade("tls", self._fresh))
        else:
            self._ready()

    def _asked(self, reply: Reply) -> None:
        verb, number = self._awaited.popleft()
        if verb == "DATA":
            self._data(reply)
            return
        if 300 <= reply.code < 400:
            self._lose(Reply(451, f"the server answers {verb} with {reply.code}", "4.5.0"))
            return
        if verb == "MAIL":
            self._mail = None if reply.good else reply
        elif self._mail is None and reply.good:
            self._accepted += 1
        else:
            self._replies[number] = self._mail or reply
        self._advance()

    def _data(self, reply: Reply) -> None:
        if reply.code == 354 and self._accepted:
            self._state = _State.GO
            self._events.append(GoAhead(self._envelope))
        elif reply.code == 354:
            # it takes a message for nobody (RFC 2920 section 3.1)
            self._say(b".\r\n", self._now)
            self._state = _State.AWAITED
        else:
            if reply.good:
                reply = Reply(451, f"the server answers DATA with {reply.code}", "4.5.0")
            self._decide(reply)
            self._reset()

    def _final(self, reply: Reply) -> None:
        if self._state is _State.CONTENT:
            # it has made up its mind before the end, and takes the rest for commands
            self._lose(reply if not reply.good else Reply(451, "the server answers before the end", "4.5.0"))
            return
        if 300 <= reply.code < 400:
            reply = Reply(451, f"the server answers the message with {reply.code}", "4.5.0")
        self._decide(reply)
        self._conclude()

    def _was_reset(self, reply: Reply) -> None:
        self._conclude(last=not reply.good)
        if not reply.good:
            self._finish("the server does not forget a transaction")

    def _goodbye(self, reply: Reply) -> None:
        self._finish("QUIT")

    # -- what we say

    def _hello(self, verb: str, now: float) -> None:
        self._state = _State.EHLO if verb == "EHLO" else _State.HELO
        self._say(f"{verb} {self._name}\r\n".encode(), now)

    def _begin(self, item: Transaction) -> None:
        """Ask for a transaction."""
        envelope = self._envelope = item.envelope
        self._replies = [None] * len(envelope.recipients)
        self._accepted = 0
        self._mail = None
        problem = self._impossible(item)
        if problem is not None:
            self._decide(problem)
            self._conclude()
            return
        mail = f"MAIL FROM:<{envelope.sender}>{self._parameters(item)}\r\n"
        self._commands.append(("MAIL", 0, mail.encode()))
        for number, recipient in enumerate(envelope.recipients):
            self._commands.append(("RCPT", number, f"RCPT TO:<{recipient}>\r\n".encode()))
        self._commands.append(("DATA", 0, b"DATA\r\n"))
        self._state = _State.ASKED
        self._advance()

    def _impossible(self, item: Transaction) -> Reply | None:
        """Why the server's extensions do not suffice, or None."""
        limit = self._extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < item.size:
            return Reply(552, f"the server takes messages of {limit} bytes at most", "5.3.4")
        envelope = item.envelope
        ascii_only = envelope.sender.isascii() and all(map(str.isascii, envelope.recipients))
        if "SMTPUTF8" not in self._extensions and not (ascii_only and "SMTPUTF8" not in envelope.parameters):
            return Reply(553, "the server does not know SMTPUTF8", "5.6.7")
        return None

    def _parameters(self, item: Transaction) -> str:
        said = ""
        if "SIZE" in self._extensions:
            said += f" SIZE={item.size}"
        body = item.envelope.parameters.get("BODY")
        if body and "8BITMIME" in self._extensions:
            said += f" BODY={body}"
        if "SMTPUTF8" in item.envelope.parameters or not all(
            map(str.isascii, (item.envelope.sender, *item.envelope.recipients))
        ):
            said += " SMTPUTF8"
        return said

    def _advance(self) -> None:
        """Send what may be sent of the commands; skip what has become useless."""
        pipelining = "PIPELINING" in self._extensions
        said = []
        while self._commands and (pipelining or not self._awaited):
            verb, number, line = self._commands.popleft()
            if not pipelining and verb == "RCPT" and self._mail is not None:
                self._replies[number] = self._mail
            elif not pipelining and verb == "DATA" and not self._accepted:
                break
            else:
                said.append(line)
                self._awaited.append((verb, number))
        if said:
            self._say(b"".join(said), self._now)
        elif not self._awaited:
            self._reset()

    def _reset(self) -> None:
        """Have the server forget a transaction that comes to nothing."""
        self._say(b"RSET\r\n", self._now)
        self._state = _State.RESET

    def _leave(self, now: float) -> None:
        self._say(b"QUIT\r\n", now)
        self._state = _State.QUIT

    def _say(self, data: bytes, now: float) -> None:
        self._out.append(data)
        self._heard = now

    # -- ends

    def _ready(self) -> None:
        self._state = _State.READY
        self._events.append(Ready(self._extensions))

    def _decide(self, reply: Reply) -> None:
        """The reply for all recipients that have none."""
        self._replies = [each if each is not None else reply for each in self._replies]

    def _conclude(self, *, last: bool = False) -> None:
        self._state = _State.READY
        self._commands.clear()
        self._awaited.clear()
        replies = tuple(each for each in self._replies if each is not None)
        self._events.append(Outcome(self._envelope, replies, last))

    def _lose(self, reply: Reply) -> Event | None:
        """The connection is of no more use."""
        if self._state in _TRANSACTION:
            self._decide(reply)
            self._conclude(last=True)
        elif self._state not in (_State.READY, _State.QUIT, _State.OVER):
            self._events.append(Refused(reply))
        return self._finish(reply.text)

    def _finish(self, reason: str) -> Event | None:
        self._state = _State.OVER
        return self.close(reason)

    def _demand(self, state: _State, item: Any) -> None:
        if self._state is not state:
            raise StateError(f"{type(item).__name__} has no place while {self._state.value}")


_HEARD: Final[dict[_State, Callable[[SmtpClientConnection, Reply], None]]] = {
    _State.GREETING: SmtpClientConnection._greeting,
    _State.EHLO: SmtpClientConnection._ehlo,
    _State.HELO: SmtpClientConnection._helo,
    _State.STARTTLS: SmtpClientConnection._starttls,
    _State.ASKED: SmtpClientConnection._asked,
    _State.CONTENT: SmtpClientConnection._final,
    _State.AWAITED: SmtpClientConnection._final,
    _State.RESET: SmtpClientConnection._was_reset,
    _State.QUIT: SmtpClientConnection._goodbye,
}
