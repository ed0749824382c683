"""The server's side of an FTP control connection: command lines in, replies out, one command at a time.

While a command is worked on, only ABOR is taken out of turn (RFC 959 section 4.1.3); everything else waits. What came
in clear behind AUTH TLS is dropped with all that was learnt, so nobody can say anything for the client.

Implements: RFC 959 sections 4.2, 5.3; RFC 2389 section 3.2; RFC 2640 section 3; RFC 4217 sections 4.1, 4.2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import attrs

from netsuite.sansio.buffer import NO_LINE_YET, TOO_LONG
from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    Abandon,
    Channel,
    Connection,
    Drain,
    Event,
    Item,
    StateError,
    Upgrade,
)
from netsuite.sansio.machine import Machine

__all__ = ["Command", "FtpConnection", "FtpLimits", "Reply"]

LONGEST: Final = 4096
_TELNET: Final = bytes(range(0xF0, 0x100))


@attrs.frozen
class FtpLimits:
    """What a client may cost: ``idle`` seconds without a command, ``errors`` commands that are none."""

    idle: float = 300.0
    errors: int = 20


class Command(NamedTuple):
    """One command: ``verb`` in upper case, ``argument`` as sent."""

    verb: str
    argument: bytes
    stream: int = 0
    has_body: bool = False


class Reply(NamedTuple):
    """What the server says. With a ``code`` below 200 another reply to the same command follows.

    ``lines`` stand between the first and the last line. ``then`` is what follows: TLS, or the end.
    """

    code: int
    text: str
    lines: Sequence[bytes] = ()
    then: str = ""
    stream: int = 0
    source: None = None


class FtpConnection(Machine):
    """One client's control connection; ``fresh`` makes the machine that follows AUTH TLS."""

    def __init__(
        self,
        now: float,
        *,
        fresh: Callable[[Channel], Connection],
        limits: FtpLimits = FtpLimits(),
        greeting: str | None = "netsuite FTP",
    ) -> None:
        super().__init__(now)
        self._fresh = fresh
        self._limits = limits
        self._owed = 0
        self._errors = 0
        if greeting is not None:
            self._say(Reply(220, greeting))

    @property
    def idle(self) -> bool:
        """Nothing is buffered, owed or half read."""
        return super().idle and not self._owed

    def step(self) -> Event | None:
        """A Command, NEED_DATA or PAUSED."""
        if self._draining and not self._owed:
            self._say(Reply(421, "the server stops"))
            return self.close("draining")
        size = self._buffer.line(LONGEST)
        if size == TOO_LONG:
            self._say(Reply(500, f"a command has {LONGEST} bytes at most"))
            return self.close("a line is too long")
        if size == NO_LINE_YET:
            if self._ended:
                return self.close("the client closed")
            return PAUSED if self._owed else NEED_DATA
        command = _command(self._buffer.peek(size))
        if self._owed and (command is None or command.verb != "ABOR" or self._owed > 1):
            return PAUSED
        self._buffer.take(size)
        if command is not None:
            self._owed += 1
            return command
        self._say(Reply(500, "that is no command"))
        self._errors += 1
        return self.close("too many errors") if self._errors >= self._limits.errors else None

    def patience(self) -> float | None:
        """A silent client is told to go; while a reply is owed it is the client that waits."""
        return None if self._owed else self._limits.idle

    def silent(self) -> None:
        """Say why it ends."""
        self._say(Reply(421, "nothing was said for too long"))
        self.close("the client is silent")

    def close(self, reason: str, *, linger: bool = True) -> Event | None:
        """A client that is still there may read what was said last."""
        return super().close(reason, linger=linger and not self._ended)

    def send(self, item: Item, now: float) -> None:
        """A Reply that is owed, Abandon, or Drain."""
        if isinstance(item, Drain):
            self._draining = True
            return
        if self.over:
            raise StateError("the connection is over")
        if not self._owed:
            raise StateError("no reply is owed")
        reply = Reply(451, "it failed, try again later") if isinstance(item, Abandon) else item
        if not isinstance(reply, Reply):
            raise StateError(f"{type(item).__name__} has no place in this protocol")
        self._say(reply)
        self._heard = now
        if reply.code < 200:
            return
        self._owed -= 1
        if reply.code in (500, 501, 502, 503):
            self._errors += 1
        if reply.then == "tls":
            self._buffer.clear()
            self.over = True
            self._events.append(Upgrade("tls", self._fresh))
        elif reply.then == "close" or self._errors >= self._limits.errors:
            self.close(reply.text)

    def _say(self, reply: Reply) -> None:
        code = b"%d" % reply.code
        text = reply.text.encode("utf-8", "surrogateescape").replace(b"\r", b" ").replace(b"\n", b" ")
        if reply.lines:
            self._out.append(code + b"-" + text + b"\r\n")
            self._out.extend(b" " + line + b"\r\n" for line in reply.lines)
            text = b"end"
        self._out.append(code + b" " + text + b"\r\n")


def _command(line: bytes) -> Command | None:
    """A line as a command; None for what is none."""
    # what Telnet puts before an ABOR (IAC IP, IAC DM) is no part of it; names may hold such bytes
    line = line.lstrip(_TELNET).removesuffix(b"\n").removesuffix(b"\r")
    verb, _, argument = line.partition(b" ")
    if not verb.isalpha() or len(verb) > 8 or b"\r" in line or b"\0" in line:
        return None
    return Command(verb.decode("ascii").upper(), argument)
