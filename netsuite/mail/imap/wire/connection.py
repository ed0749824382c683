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
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from netsuite.mail.imap.wire.commands import Command, Malformed, append_head, parse
from netsuite.sansio.buffer import NO_LINE_YET, TOO_LONG, ReceiveBuffer
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    UNLIMITED,
    Abandon,
    Channel,
    Close,
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

_LITERAL: Final = re.compile(rb"~?\{(\d{1,10})([+-]?)\}\r?\n\Z")
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


class ImapConnection:
    """A :class:`~netsuite.sansio.connection.Connection`; ``secured`` makes the machine that follows after STARTTLS."""

    def __init__(
        self,
        now: float,
        greeting: bytes,
        secured: Callable[[Channel], Connection] | None = None,
        limits: Limits = Limits(),
    ) -> None:
        self._state = SERVER.start
        self._limits = limits
        self._secured = secured
        self._known = False
        self._heard = now
        self._buffer = ReceiveBuffer(_MOST_WAITING)
        self._command = bytearray()  # what has come of a command, with its literals
        self._wanted = 0  # bytes of a literal within a command that are still to come
        self._body = ""  # APPEND's message: "", "offered", "coming" or "closing" (its line end is awaited)
        self._left = 0
        self._untaken = 0
        self._tag = b"*"
        self._faults = 0
        self._events: deque[Event] = deque()
        self._out: list[bytes] = [greeting] if greeting else []
        self._ended = False
        self._draining = False

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        quiet = not (self._buffer or self._events or self._command or self._body or self._untaken)
        return self._state == "listening" and quiet

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes; ``b""`` ends the input."""
        if self._state == "over":
            return
        if self._body or not (self._buffer or self._command):
            self._heard = now
        self._ended = self._ended or not data
        if not self._buffer.append(data):
            self._close("the client sends more than can wait", b"* BYE too much at once\r\n")

    def next_event(self) -> Event:
        """A Command, Line, Data, End, Failed, Close or Upgrade; NEED_DATA, or PAUSED while an answer is owed."""
        while not self._events:
            if self._state == "over":
                return NEED_DATA
            if self._body in ("coming", "closing"):
                if not self._read_body():
                    return NEED_DATA
            elif self._state in ("owing", "pouring"):
                return PAUSED
            elif self._state == "prompting":
                if not self._read_line():
                    return NEED_DATA
            elif self._draining and not (self._buffer or self._command):
                self._close("draining", b"* BYE the server is going down\r\n")
            elif not self._read_command():
                return NEED_DATA
        return self._events.popleft()

    def send(self, item: Item, now: float) -> None:
        """Queue an Answer, a Prompt, Untagged, a part of a source, Abandon or Drain; dropped when all is over."""
        if self._state == "over":
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
                self._close("draining", b"* BYE the server is going down\r\n")
        else:
            raise StateError(f"{type(item).__name__} has no place in this protocol")

    def room(self, stream: int = 0) -> int:
        """There is no window here."""
        return UNLIMITED

    def consumed(self, count: int, stream: int = 0) -> None:
        """Bytes of a message were taken; the first call asks the client for it."""
        self._untaken -= count
        if self._body == "offered":
            self._body = "coming"
            self._out.append(b"+ go on\r\n")

    def backlog(self) -> int:
        """What has come and is neither parsed nor taken."""
        return len(self._buffer) + len(self._command) + self._untaken

    def outgoing(self) -> list[bytes]:
        """What is to be written."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """When silence has lasted too long; nothing while the answer is ours to give."""
        limits = self._limits
        if self._state == "over" or self._body == "offered":
            return None
        if self._body:
            return self._heard + limits.body
        if self._state in ("owing", "pouring"):
            return None
        if self._buffer or self._command:
            return self._heard + limits.command
        return self._heard + (limits.logout if self._known else limits.welcome)

    def tick(self, now: float) -> None:
        """Log out who has been silent too long (RFC 3501 section 5.4)."""
        deadline = self.deadline()
        if deadline is not None and deadline <= now:
            if self._body:
                self._events.append(Failed(0, "the message took too long"))
            self._close("the client is silent", b"* BYE silent for too long\r\n")

    def touched(self, now: float) -> None:
        """A shortcut answered a command."""
        self._heard = now

    # -- reading; each answers whether there may be an event or another step now

    def _read_command(self) -> bool:
        limits = self._limits
        if self._wanted:
            piece = self._buffer.take(min(self._wanted, len(self._buffer))) or b""
            self._command += piece
            self._wanted -= len(piece)
            if self._wanted:
                return self._end_of_input()
        size = self._buffer.line(limits.line if self._known else limits.stranger)
        if size == NO_LINE_YET:
            return self._end_of_input()
        if size == TOO_LONG:
            self._close("a line is too long", b"* BYE the line is too long\r\n")
            return True
        line = self._buffer.take(size) or b""
        found = _LITERAL.search(line)
        if found is not None:
            return self._literal(line, found)
        self._command += line
        whole = bytes(self._command).removesuffix(b"\n").removesuffix(b"\r")
        self._command.clear()
        self._dispatch(parse(whole))
        return True

    def _literal(self, line: bytes, found: re.Match[bytes]) -> bool:
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
                return True
        self._command += line
        if count > (limits.literal if self._known else limits.stranger) or len(self._command) + count > 2 * limits.line:
            tag = _TAG.match(bytes(self._command))
            if not waits:
                self._close("a literal is too long", b"* BYE the literal is too long\r\n", linger=True)
                return True
            self._command.clear()
            self._dispatch(Malformed(tag[0] if tag is not None else b"*", "[TOOBIG] the literal is too long"))
            return True
        self._wanted = count
        if waits:
            self._out.append(b"+ go on\r\n")
        return True

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
            self._close("too many faults", b"* BYE too many commands that make no sense\r\n")

    def _read_line(self) -> bool:
        size = self._buffer.line(self._limits.line if self._known else self._limits.stranger)
        if size == NO_LINE_YET:
            return self._end_of_input()
        if size == TOO_LONG:
            self._close("a line is too long", b"* BYE the line is too long\r\n")
            return True
        line = self._buffer.take(size) or b""
        self._state = SERVER.step(self._state, "line")
        self._events.append(Line(line.removesuffix(b"\n").removesuffix(b"\r")))
        return True

    def _read_body(self) -> bool:
        if self._body == "coming" and self._left:
            piece = self._buffer.take(min(self._left, len(self._buffer))) or b""
            if piece:
                self._left -= len(piece)
                self._untaken += len(piece)
                self._events.append(Data(0, piece))
                return True
            return self._end_of_input()
        self._body = "closing"
        size = self._buffer.line(self._limits.stranger)
        if size == NO_LINE_YET:
            return self._end_of_input()
        line = b"-" if size == TOO_LONG else self._buffer.take(size) or b""
        self._body = ""
        if line in (b"\r\n", b"\n"):
            self._events.append(End(0))
        else:
            # where the client takes the next command to begin, nobody can know
            self._events.append(Failed(0, "something follows the message"))
            self._close("something follows a message", b"* BYE nothing may follow the message\r\n")
        return True

    def _end_of_input(self) -> bool:
        if not self._ended:
            return False
        if self._body:
            self._events.append(Failed(0, "the client left in the middle of a message"))
        self._close("the client has left", b"")
        return True

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
            self._close("the client has logged out", b"")
        elif item.then == "secure":
            if self._secured is None:
                raise StateError("TLS cannot be begun here")
            self._events.append(Upgrade("tls", self._secured))
            self._forget()

    def _abandon(self, reason: str, now: float) -> None:
        """The answer failed on our side; what exactly is for our log only."""
        if self._state == "pouring":
            # responses may have been cut anywhere: nothing after them could be understood
            self._close(reason, b"")
            return
        self._state = SERVER.step(self._state, "answer")
        self._heard = now
        self._out.append(self._tag + b" NO [SERVERBUG] the server failed\r\n")
        self._refuse_body()

    def _refuse_body(self) -> None:
        if self._body == "offered":
            self._body = ""
            self._left = 0

    def _close(self, reason: str, words: bytes, *, linger: bool = False) -> None:
        if words:
            self._out.append(words)
        self._events.append(Close(reason, linger))
        self._forget()

    def _forget(self) -> None:
        if self._state != "over":
            self._state = SERVER.step(self._state, "close")
        self._body = ""
        self._left = self._wanted = self._untaken = 0
        self._buffer.clear()
        self._command.clear()
