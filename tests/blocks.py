"""A protocol for tests: messages with bodies, small enough to see through, on the production contract.

A message is ``name LF`` and chunks ``size LF bytes``, ended by ``0 LF``. A server owes one message for each. ``!``
and a reason is said in place of an answer that failed; ``tls`` as a name makes a server upgrade once it is answered.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from netsuite.sansio.connection import (
    NEED_DATA,
    PAUSED,
    UNLIMITED,
    Abandon,
    Close,
    Data,
    Drain,
    End,
    Failed,
    Finish,
    Part,
    StateError,
    Upgrade,
)


class Message(NamedTuple):
    name: bytes
    body: bytes = b""
    source: Any = None
    stream: int = 0
    has_body: bool = True


class Blocks:
    def __init__(self, now, *, answers, window=None, idle=60.0, linger=False):
        self.answers, self.window, self.patience, self.linger = answers, window, idle, linger
        self.heard = now
        self.data = bytearray()
        self.events = deque()
        self.out = []
        self.unconsumed = 0
        self.inside = False
        self.owed = False
        self.sending = False
        self.ended = self.closed = self.draining = self.upgrade = False
        self.waited = 0

    @property
    def idle(self):
        return not (self.data or self.owed or self.inside or self.unconsumed or self.events or self.closed)

    def receive(self, data, now):
        self.heard = now
        self.data += data
        self.ended = self.ended or not data

    def next_event(self):
        if self.events:
            return self.events.popleft()
        if self.closed:
            return NEED_DATA
        if not self.inside and self.owed:
            return PAUSED
        if not self.inside and self.draining:
            return self.close("draining")
        line, found, _ = bytes(self.data[: 1 << 16]).partition(b"\n")
        if not found:
            if not self.ended:
                return NEED_DATA
            if self.inside:
                self.inside = False
                self.events.append(self.close("cut"))
                return Failed(0, "the peer left")
            return self.close("the end")
        if not self.inside:
            del self.data[: len(line) + 1]
            self.inside, self.owed = True, self.answers
            self.upgrade = line == b"tls"
            return Message(line)
        if not line.isdigit():
            self.inside = self.owed = False
            self.out.append(b"!bad size\n")
            self.events.append(self.close("bad size"))
            return Failed(0, "bad size")
        size = int(line)
        if size == 0:
            del self.data[: len(line) + 1]
            self.inside = False
            return End(0)
        if len(self.data) - len(line) - 1 < size:
            if self.ended:
                self.data.clear()
                return self.next_event()
            return NEED_DATA
        chunk = bytes(self.data[len(line) + 1 : len(line) + 1 + size])
        del self.data[: len(line) + 1 + size]
        self.unconsumed += size
        return Data(0, chunk)

    def send(self, item, now):
        if self.closed:
            raise StateError("closed")
        if isinstance(item, Message):
            if self.answers and not self.owed:
                raise StateError("nothing is owed")
            if self.sending:
                raise StateError("one message at a time")
            self.out.append(item.name + b"\n")
            if item.source is None:
                self.chunk(item.body)
                self.finish()
            else:
                self.sending = True
        elif isinstance(item, Part):
            if self.window is not None:
                self.window -= len(item.data)
            self.chunk(item.data)
        elif isinstance(item, Finish):
            self.finish()
        elif isinstance(item, Abandon):
            if not self.sending:
                self.out.append(b"!" + item.reason.encode() + b"\n")
            self.events.append(self.close(item.reason))
        elif isinstance(item, Drain):
            self.draining = True

    def chunk(self, data):
        if data:
            self.out.append(b"%d\n" % len(data) + data)

    def finish(self):
        self.out.append(b"0\n")
        self.sending = False
        if self.answers:
            self.owed = False
        if self.upgrade:
            tail, self.data = bytes(self.data), bytearray()
            self.closed = True
            del tail
            self.events.append(Upgrade("tls", lambda channel: Blocks(self.heard, answers=True)))

    def close(self, reason):
        self.closed = True
        return Close(reason, self.linger)

    def room(self, stream=0):
        return UNLIMITED if self.window is None else self.window

    def consumed(self, count, stream=0):
        self.waited += not count
        self.unconsumed -= count

    def backlog(self):
        return len(self.data) + self.unconsumed

    def outgoing(self):
        out, self.out = self.out, []
        return out

    def deadline(self):
        return None if self.closed or self.owed else self.heard + self.patience

    def tick(self, now):
        deadline = self.deadline()
        if deadline is not None and now >= deadline:
            self.events.append(self.close("silent"))

    def touched(self, now):
        self.heard = now
