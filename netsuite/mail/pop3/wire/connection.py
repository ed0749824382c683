"""The server's side of a POP3 connection, from greeting to QUIT.

What needs nobody's judgement the machine answers by itself: CAPA, STLS, NOOP, and, since it is told at log-in what lies
in the maildrop, STAT, LIST, UIDL, DELE and RSET too. What needs judgement is an event, whose answer is owed:

* :class:`Login`, :class:`Auth`, :class:`AuthResponse`: :class:`Challenge`, :class:`Welcome` or :class:`Refusal`;
* :class:`Retrieve`: a :class:`Message`, or Refusal;
* :class:`Update`, the client's QUIT: :class:`Done` or Refusal, and the connection is over. Nothing is deleted before.

Input is read only while nothing is owed, so answers come in the order of pipelined commands. A line may end with LF
alone, for people who type.

Implements: RFC 1939; RFC 2449 sections 3 to 6 and 8; RFC 2595 section 4; RFC 3206; RFC 5034 sections 3 to 6.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from netsuite.mail.pop3.wire.exchange import (
    Challenge,
    Done,
    Login,
    Message,
    Refusal,
    Retrieve,
    Update,
    Welcome,
)
from netsuite.mail.smtp.wire.content import ContentWriter
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
from netsuite.sansio.sasl import Auth, AuthResponse, decoded
from netsuite.sansio.state import StateTable

__all__ = ["Pop3Connection", "Pop3Limits"]

COMMAND_LINE: Final = 2048
"""More than RFC 2449's 255, for a password may be longer."""
AUTH_LINE: Final = 12288
"""RFC 5034 section 4."""

SERVER: Final = StateTable(
    "pop3 server",
    "authorization",
    [
        ("authorization", "log in", "transaction"),
        ("transaction", "quit", "update"),
        ("authorization", "close", "over"),
        ("transaction", "close", "over"),
        ("update", "close", "over"),
    ],
)


@attrs.frozen
class Pop3Limits:
    """``idle`` is after how many seconds a silent client is logged out; ten minutes at least (RFC 1939 section 3).

    ``errors`` are commands that may be wrong, ``failures`` log-ins that may fail, before the connection ends.
    """

    idle: float = 600.0
    errors: int = 30
    failures: int = 6


class Pop3Connection(Machine):
    """One client's connection; see the module's docstring.

    ``mechanisms`` are what AUTH offers; ``passwords`` says whether USER and PASS are (not where others can listen).
    ``fresh`` makes the machine that follows STLS, if that is offered.
    """

    def __init__(
        self,
        channel: Channel,
        now: float,
        *,
        limits: Pop3Limits = Pop3Limits(),
        mechanisms: tuple[str, ...] = (),
        passwords: bool = True,
        fresh: Callable[[Channel], Pop3Connection] | None = None,
        greet: bool = True,
    ) -> None:
        super().__init__(now)
        self._limits = limits
        self._mechanisms = mechanisms
        self._passwords = passwords
        self._fresh = fresh if channel.tls is None else None
        self._state = SERVER.start
        self._owed: Any = None  # the event whose answer is awaited
        self._content: ContentWriter | None = None  # of the message that is being sent
        self._name: str | None = None
        self._responding = False  # the next line is a response, no command
        self._welcome: Welcome | None = None  # waits for the client's empty response to SASL's last word
        self._messages: Sequence[tuple[int, str]] = ()
        self._deleted: set[int] = set()
        self._read: set[int] = set()
        self._octets = 0  # of the messages that are not deleted
        self._errors = 0
        self._failures = 0
        if greet:
            self._say(b"+OK netsuite POP3")

    # -- the machine

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return super().idle and not (self._owed or self._responding or self._name)

    def lives_by(self, data: bytes) -> bool:
        """A stranger has no more time for saying this and that."""
        return super().lives_by(data) and self._state != "authorization"

    def step(self) -> Event | None:
        """A command that needs judgement, Upgrade, NEED_DATA or PAUSED."""
        if self._owed is not None:
            return PAUSED
        if self._draining:
            return self.close("draining")
        longest = AUTH_LINE if self._responding else COMMAND_LINE
        line = self.line(longest)
        if line is None:
            self._no(f"a line has {longest} bytes at most")
            return self.close("a line is too long")
        if not isinstance(line, bytes):
            return self.close("the client closed") if self._ended else line
        line = line.removesuffix(b"\r")
        return self._response(line) if self._responding else self._command(line)

    def patience(self) -> float | None:
        """A silent client is logged out, and nothing deleted (RFC 1939 section 3); while an answer is owed it waits."""
        return self._limits.idle if self._owed is None else None

    def close(self, reason: str, *, linger: bool = True) -> Event | None:
        """Nothing is owed any more."""
        self._leave()
        return super().close(reason, linger=linger and not self._ended)

    def _leave(self) -> None:
        self._state = SERVER.step(self._state, "close")
        self._owed = self._content = self._name = None
        self._responding = False

    def send(self, item: Item, now: float) -> None:
        """The answer that is owed, Abandon, or Drain."""
        if isinstance(item, Drain):
            self._draining = True
            return
        if self.over:
            raise StateError("the connection is over")
        if isinstance(item, Part | Finish):
            self._send_content(item, now)
            return
        owed = self._owed
        answer: Any = item
        if isinstance(item, Abandon):
            if self._content is not None:
                # the message cannot be said to be whole
                self.close(item.reason)
            elif owed is not None:
                self._refuse(owed, Refusal("it failed, try again later", "SYS/TEMP"))
            return
        if owed is None or self._content is not None or not isinstance(item, _ANSWERS.get(type(owed), ())):
            raise StateError(f"{type(item).__name__} answers nothing here")
        self._heard = now
        if isinstance(item, Refusal):
            self._refuse(owed, item)
        elif isinstance(item, Message):
            self._say(b"+OK")
            self._content = ContentWriter()
        elif isinstance(item, Done):
            self._say(b"+OK")
            self.close("the client is done")
        else:
            self._owed = None
            self._authenticate(answer)

    # -- commands

    def _command(self, line: bytes) -> Event | None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self._wrong("commands are UTF-8")
        verb, _, argument = text.partition(" ")
        if "\r" in text or "\0" in text:
            return self._wrong("a command is one line")
        known = _COMMANDS.get(verb.upper())
        if known is None:
            return self._wrong("no such command")
        state, command = known
        if state not in ("", self._state):
            return self._wrong("log in first" if state == "transaction" else "you are logged in already")
        return command(self, argument)

    def _capa(self, argument: str) -> Event | None:
        words = ["TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "EXPIRE NEVER", "IMPLEMENTATION netsuite"]
        if self._passwords:
            words.append("USER")
        if self._mechanisms:
            words.append("SASL " + " ".join(self._mechanisms))
        if self._fresh is not None and self._state == "authorization":
            words.append("STLS")
        self._lines("+OK", words)
        return None

    def _stls(self, argument: str) -> Event | None:
        if self._fresh is None:
            return self._wrong("there is no TLS to start here")
        self._say(b"+OK begin TLS")
        # what came in clear after the command is dropped, and so is all that was learnt (RFC 2595 section 4)
        self._buffer.clear()
        self._leave()
        self.over = True
        return Upgrade("tls", self._fresh)

    def _user(self, argument: str) -> Event | None:
        if not self._passwords:
            return self._wrong("say STLS first: anybody could read the password")
        if not argument:
            return self._wrong("USER name")
        self._name = argument
        self._say(b"+OK")
        return None

    def _pass(self, argument: str) -> Event | None:
        name, self._name = self._name, None
        if name is None:
            return self._wrong("say USER first")
        return self._owe(Login(name, argument))

    def _auth(self, argument: str) -> Event | None:
        mechanism, _, initial = argument.partition(" ")
        self._name = None
        if mechanism.upper() not in self._mechanisms:
            return self._wrong("that mechanism is not offered here")
        data = None if not initial else b"" if initial == "=" else decoded(initial.encode())
        if initial and data is None:
            return self._wrong("that is not base64")
        return self._owe(Auth(mechanism.upper(), data))

    def _response(self, line: bytes) -> Event | None:
        self._responding = False
        welcome, self._welcome = self._welcome, None
        data = None if line == b"*" else decoded(line)
        if data is None or (welcome is not None and data):
            self._no("given up" if line == b"*" else "that is not the response")
            # who was let in and will not be holds the maildrop
            return self.close("the client will not be let in") if welcome is not None else None
        if welcome is not None:
            self._let_in(welcome)
            return None
        return self._owe(AuthResponse(data))

    def _stat(self, argument: str) -> Event | None:
        self._say(b"+OK %d %d" % (len(self._messages) - len(self._deleted), self._octets))
        return None

    def _list(self, argument: str) -> Event | None:
        return self._listing(argument, 0)

    def _uidl(self, argument: str) -> Event | None:
        return self._listing(argument, 1)

    def _listing(self, argument: str, field: int) -> Event | None:
        if argument:
            index = self._index(argument)
            if index is None:
                return self._wrong("no such message")
            self._say(f"+OK {index + 1} {self._messages[index][field]}".encode())
            return None
        deleted = self._deleted
        self._lines(
            "+OK",
            [f"{at + 1} {facts[field]}" for at, facts in enumerate(self._messages) if at not in deleted],
        )
        return None

    def _retr(self, argument: str) -> Event | None:
        index = self._index(argument)
        if index is None:
            return self._wrong("no such message")
        return self._owe(Retrieve(index, None))

    def _top(self, argument: str) -> Event | None:
        number, _, lines = argument.partition(" ")
        index, count = self._index(number), _number(lines)
        if count is None:
            return self._wrong("TOP message lines")
        if index is None:
            return self._wrong("no such message")
        return self._owe(Retrieve(index, count))

    def _dele(self, argument: str) -> Event | None:
        index = self._index(argument)
        if index is None:
            return self._wrong("no such message")
        self._deleted.add(index)
        self._octets -= self._messages[index][0]
        self._say(b"+OK")
        return None

    def _rset(self, argument: str) -> Event | None:
        self._deleted.clear()
        self._octets = sum(size for size, _ in self._messages)
        self._say(b"+OK")
        return None

    def _noop(self, argument: str) -> Event | None:
        self._say(b"+OK")
        return None

    def _quit(self, argument: str) -> Event | None:
        if self._state == "authorization":
            self._say(b"+OK")
            return self.close("the client is done")
        self._state = SERVER.step(self._state, "quit")
        return self._owe(Update(tuple(sorted(self._deleted)), tuple(sorted(self._read - self._deleted))))

    # -- answers

    def _authenticate(self, item: Challenge | Welcome) -> None:
        if isinstance(item, Challenge) or item.data:
            self._out.append(b"+ " + base64.b64encode(item.data) + b"\r\n")
            self._responding = True
            self._welcome = item if isinstance(item, Welcome) else None
        else:
            self._let_in(item)

    def _let_in(self, welcome: Welcome) -> None:
        self._state = SERVER.step(self._state, "log in")
        self._messages = welcome.messages
        self._octets = sum(size for size, _ in welcome.messages)
        self._say(b"+OK %d messages" % len(welcome.messages))

    def _refuse(self, owed: Any, refusal: Refusal) -> None:
        self._owed = None
        self._no(refusal.text, refusal.code)
        if type(owed) is Update:
            self.close(refusal.text)
        elif type(owed) is not Retrieve:
            self._failures += 1
            if self._failures >= self._limits.failures:
                self.close("too many log-ins failed")

    def _send_content(self, item: Part | Finish, now: float) -> None:
        if self._content is None:
            raise StateError("no message is being sent")
        self._heard = now
        if isinstance(item, Part):
            self._out.append(self._content.feed(item.data))
            return
        self._out.append(self._content.finish())
        self._content = None
        if self._owed.lines is None:
            self._read.add(self._owed.at)
        self._owed = None

    def _owe(self, event: Any) -> Event:
        self._owed = event
        return event

    def _say(self, line: bytes) -> None:
        self._out.append(line + b"\r\n")

    def _lines(self, first: str, lines: Sequence[str]) -> None:
        self._out.append("\r\n".join([first, *lines, ".", ""]).encode())

    def _no(self, text: str, code: str = "") -> None:
        self._say(f"-ERR [{code}] {text}".encode() if code else f"-ERR {text}".encode())

    def _wrong(self, text: str) -> Event | None:
        self._no(text)
        self._errors += 1
        return self.close("too many errors") if self._errors >= self._limits.errors else None

    def _index(self, argument: str) -> int | None:
        number = _number(argument)
        if number is None or not 0 < number <= len(self._messages) or number - 1 in self._deleted:
            return None
        return number - 1


_LOGIN_ANSWERS: Final = (Challenge, Welcome, Refusal)
_ANSWERS: Final[dict[type, tuple[type, ...]]] = {
    Login: (Welcome, Refusal),
    Auth: _LOGIN_ANSWERS,
    AuthResponse: _LOGIN_ANSWERS,
    Retrieve: (Message, Refusal),
    Update: (Done, Refusal),
}

_COMMANDS: Final[dict[str, tuple[str, Callable[[Pop3Connection, str], Event | None]]]] = {
    "CAPA": ("", Pop3Connection._capa),
    "QUIT": ("", Pop3Connection._quit),
    "STLS": ("authorization", Pop3Connection._stls),
    "USER": ("authorization", Pop3Connection._user),
    "PASS": ("authorization", Pop3Connection._pass),
    "AUTH": ("authorization", Pop3Connection._auth),
    "STAT": ("transaction", Pop3Connection._stat),
    "LIST": ("transaction", Pop3Connection._list),
    "UIDL": ("transaction", Pop3Connection._uidl),
    "RETR": ("transaction", Pop3Connection._retr),
    "TOP": ("transaction", Pop3Connection._top),
    "DELE": ("transaction", Pop3Connection._dele),
    "RSET": ("transaction", Pop3Connection._rset),
    "NOOP": ("transaction", Pop3Connection._noop),
}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
