"""The server's machine: IMAP's framing, one command at a time.

Events are :class:`~netsuite.mail.imap.wire.commands.Command` (with ``Data`` and ``End`` for APPEND's message) and,
when a :class:`Prompt` was sent, one :class:`Line` for each. What cannot be read is answered here. The owner sends one
:class:`Answer` for each command, Prompts on the way to it, and :class:`Untagged` whenever the protocol allows.

A message that waits for its continuation request is asked for with the first ``consumed``; an answer before that
refuses it, and it is never sent.

Implements: RFC 3501 sections 2.2, 2.2.1, 4.3, 5.4 and 7.5; RFC 7888; RFC 2177; RFC 2595 section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from netsuite.mail.imap.wire.commands import Command, Malformed, append_head, parse
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Channel,
    Connection,
    Data,
    Drain,
    End,
    Event,
    Failed,
    Finish,
    Item,
    Part,
    Source,
    StateError,
    Upgrade,
)
from netsuite.sansio.machine import Machine
from netsuite.sansio.state import StateTable

__all__ = ["Answer", "ImapConnection", "Limits", "Line", "Prompt", "Untagged"]

SERVER: Final = StateTable(
    "imap server",
    "listening",
    [
        ("listening", "command", "owing"),
        ("owing", "prompt", "prompting"),
        ("prompting", "line", "owing"),
        ("owing", "answer", "listening"),
        ("prompting", "answer", "listening"),
        ("owing", "pour", "pouring"),
        ("pouring", "finish", "listening"),
        *((state, "close", "over") for state in ("listening", "owing", "prompting", "pouring")),
    ],
)

_LITERAL: Final = re.compile(rb"~?\{(\d{1,10})([+-]?)\}\r?\Z")
_TAG: Final = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]+")
_HEAD: Final = re.compile(rb"[^ ]+ [Aa][Pp][Pp][Ee][Nn][Dd] ")
_MOST_WAITING: Final = 1 << 21


class Limits(NamedTuple):
    """Sizes in bytes, times in seconds; ``stranger`` and ``welcome`` are for who has not logged in."""

    line: int = 65536
    literal: int = 65536
    stranger: int = 8192
    faults: int = 20
    welcome: float = 120.0
    command: float = 120.0
    body: float = 300.0
    logout: float = 1800.0


class Answer(NamedTuple):
    """A command's answer, its tagged line included, or (with a source) what comes before what the source yields.

    ``then``: ``""``, ``"known"`` (the client has logged in), ``"secure"`` (begin TLS) or ``"close"``.
    """

    data: bytes
    source: Source | None = None
    then: str = ""
    stream: int = 0


class Prompt(NamedTuple):
    """A continuation request, with the space and text behind ``+``; the client's next line is an event."""

    data: bytes
    stream: int = 0
    source: None = None


class Untagged(NamedTuple):
    """Whole responses that nobody asked for."""

    data: bytes
    stream: int = 0
    source: None = None


class Line(NamedTuple):
    """What the client says to a Prompt, without its line end."""

    text: bytes
    stream: int = 0
    has_body: bool = False
    source: None = None


class ImapConnection(Machine):
    """A :class:`~netsuite.sansio.connection.Connection`; ``secured`` makes the machine that follows after STARTTLS."""

    def __init__(
        self,
        now: float,
        greeting: bytes,
        secured: Callable[[Channel], Connection] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        super().__init__(now, _MOST_WAITING)
        self._state = SERVER.start
        self._limits = limits
        self._secured = secured
        self._known = False
        self._command = bytearray()  # what has come of a command, with its literals
        self._wanted = 0  # bytes of a literal within a command that are still to come
        self._body = ""  # APPEND's message: "", "offered", "coming" or "closing" (its line end is awaited)
        self._left = 0
        self._untaken = 0
        self._tag = b"*"
        self._faults = 0
        if greeting:
            self._out.append(greeting)

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return super().idle and self._state == "listening" and not (self._command or self._body or self._untaken)

    def lives_by(self, data: bytes) -> bool:
        """A message that comes shows that the client is there; a command that comes byte by byte does not."""
        return bool(self._body) or not (self._buffer or self._command)

    def flooded(self) -> None:
        """The client does not wait for what it is told."""
        self._end("the client sends more than can wait", b"* BYE too much at once\r\n")

    def step(self) -> Event | None:
        """Read on; NEED_DATA, or PAUSED while an answer is owed."""
        if self._body in ("coming", "closing"):
            return self._read_body()
        if self._state in ("owing", "pouring"):
            return PAUSED
        if self._state == "prompting":
            return self._read_line()
        if self._draining and not (self._buffer or self._command):
            return self._end("draining", b"* BYE the server is going down\r\n")
        return self._read_command()

    def send(self, item: Item, now: float) -> None:
        """Queue an Answer, a Prompt, Untagged, a part of a source, Abandon or Drain; dropped when all is over."""
        if self.over:
            return
        if isinstance(item, Answer):
            self._answer(item, now)
        elif isinstance(item, Part):
            if self._state != "pouring":
                raise StateError("nothing is being poured")
            self._out.append(item.data)
        elif isinstance(item, Finish):
            self._state = SERVER.step(self._state, "finish")
            self._heard = now
        elif isinstance(item, Untagged):
            if self._state == "pouring":
                raise StateError("nothing unsolicited goes out in the middle of an answer")
            self._out.append(item.data)
        elif isinstance(item, Prompt):
            self._state = SERVER.step(self._state, "prompt")
            self._heard = now
            self._out.append(b"+" + (item.data or b" ") + b"\r\n")
        elif isinstance(item, Abandon):
            self._abandon(item.reason, now)
        elif isinstance(item, Drain):
            self._draining = True
            if self._state == "prompting":
                self._end("draining", b"* BYE the server is going down\r\n")
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def consumed(self, count: int, stream: int = 0) -> None:
        """Bytes of a message were taken; the first call asks the client for it."""
        self._untaken -= count
        if self._body == "offered":
            self._body = "coming"
            self._out.append(b"+ go on\r\n")

    def backlog(self) -> int:
        """What has come and is neither parsed nor taken."""
        return len(self._buffer) + len(self._command) + self._untaken

    def patience(self) -> float | None:
        """How long silence is borne; without end while the answer is ours to give (RFC 3501 section 5.4)."""
        limits = self._limits
        if self._body == "offered":
            return None
        if self._body:
            return limits.body
        if self._state in ("owing", "pouring"):
            return None
        if self._buffer or self._command:
            return limits.command
        return limits.logout if self._known else limits.welcome

    def silent(self) -> None:
        """Log the client out."""
        if self._body:
            self._events.append(Failed(0, "the message took too long"))
        self._end("the client is silent", b"* BYE silent for too long\r\n")

    # -- reading

    def _read_command(self) -> Event | None:
        limits = self._limits
        if self._wanted:
            piece = self._buffer.take(min(self._wanted, len(self._buffer))) or b""
            self._command += piece
            self._wanted -= len(piece)
            if self._wanted:
                return self._end_of_input()
        line = self.line(limits.line if self._known else limits.stranger)
        if line is None:
            return self._end("a line is too long", b"* BYE the line is too long\r\n")
        if not isinstance(line, bytes):
            return self._end_of_input()
        found = _LITERAL.search(line)
        if found is not None:
            self._literal(line + b"\n", found)
            return None
        whole = bytes(self._command) + line.removesuffix(b"\r")
        self._command.clear()
        self._dispatch(parse(whole))
        return None

    def _literal(self, line: bytes, found: re.Match[bytes]) -> None:
        """A line ends with the announcement of a literal: it is APPEND's message, or belongs to the command."""
        limits = self._limits
        count, waits = int(found[1]), not found[2]
        head = bytes(self._command) + line[: found.start()]
        if _HEAD.match(head) is not None:
            append = append_head(head)
            if append is not None:
                self._command.clear()
                self._body = "offered" if waits else "coming"
                self._left = count
                self._dispatch(append._replace(arguments=(*append.arguments, count)))
                return
        self._command += line
        if count > (limits.literal if self._known else limits.stranger) or len(self._command) + count > 2 * limits.line:
            tag = _TAG.match(bytes(self._command))
            if not waits:
                self._end("a literal is too long", b"* BYE the literal is too long\r\n", linger=True)
                return
            self._command.clear()
            self._dispatch(Malformed(tag[0] if tag is not None else b"*", "[TOOBIG] the literal is too long"))
            return
        self._wanted = count
        if waits:
            self._out.append(b"+ go on\r\n")

    def _dispatch(self, command: Command | Malformed) -> None:
        if isinstance(command, Command):
            self._faults = 0
            self._tag = command.tag
            self._state = SERVER.step(self._state, "command")
            self._events.append(command)
            return
        self._faults += 1
        self._out.append(b"%b BAD %b\r\n" % (command.tag, command.reason.encode("ascii", "replace")))
        if self._faults >= self._limits.faults:
            self._end("too many faults", b"* BYE too many commands that make no sense\r\n")

    def _read_line(self) -> Event | None:
        line = self.line(self._limits.line if self._known else self._limits.stranger)
        if line is None:
            return self._end("a line is too long", b"* BYE the line is too long\r\n")
        if not isinstance(line, bytes):
            return self._end_of_input()
        self._state = SERVER.step(self._state, "line")
        return Line(line.removesuffix(b"\r"))

    def _read_body(self) -> Event | None:
        if self._body == "coming" and self._left:
            piece = self._buffer.take(min(self._left, len(self._buffer))) or b""
            if piece:
                self._left -= len(piece)
                self._untaken += len(piece)
                return Data(0, piece)
            return self._end_of_input()
        self._body = "closing"
        line = self.line(self._limits.stranger)
        if line is NEED_DATA:
            return self._end_of_input()
        self._body = ""
        if line in (b"\r", b""):
            return End(0)
        # where the client takes the next command to begin, nobody can know
        self._events.append(Failed(0, "something follows the message"))
        return self._end("something follows a message", b"* BYE nothing may follow the message\r\n")

    def _end_of_input(self) -> Event | None:
        if not self._ended:
            return NEED_DATA
        if self._body:
            self._events.append(Failed(0, "the client left in the middle of a message"))
        return self.close("the client has left")

    # -- writing

    def _answer(self, item: Answer, now: float) -> None:
        if item.source is not None:
            self._state = SERVER.step(self._state, "pour")
            self._out.append(item.data)
            return
        self._state = SERVER.step(self._state, "answer")
        self._heard = now
        self._out.append(item.data)
        self._refuse_body()
        if item.then == "known":
            self._known = True
        elif item.then == "close":
            self.close("the client has logged out")
        elif item.then == "secure":
            if self._secured is None:
                raise StateError("TLS cannot be begun here")
            self._events.append(Upgrade("tls", self._secured))
            self._forget()

    def _abandon(self, reason: str, now: float) -> None:
        """The answer failed on our side; what exactly is for our log only."""
        if self._state == "pouring":
            # responses may have been cut anywhere: nothing after them could be understood
            self.close(reason)
            return
        self._state = SERVER.step(self._state, "answer")
        self._heard = now
        self._out.append(self._tag + b" NO [SERVERBUG] the server failed\r\n")
        self._refuse_body()

    def _refuse_body(self) -> None:
        if self._body == "offered":
            self._body = ""
            self._left = 0

    def _end(self, reason: str, words: bytes, *, linger: bool = False) -> Event | None:
        """Say goodbye, and close."""
        self._out.append(words)
        return self.close(reason, linger=linger)

    def close(self, reason: str, *, linger: bool = False) -> Event | None:
        """Nothing half read counts any more."""
        self._forget()
        return super().close(reason, linger=linger)

    def _forget(self) -> None:
        self.over = True
        self._state = SERVER.step(self._state, "close")
        self._body = ""
        self._left = self._wanted = self._untaken = 0
        self._buffer.clear()
        self._command.clear()
