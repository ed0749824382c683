"""The machine on which ConnectionCase itself is tried: a line is answered by itself in capitals, ``BYE`` closes.

Each attribute of :class:`Faults` is one way to get it wrong.
"""

from __future__ import annotations

from typing import NamedTuple

from netsuite.sansio.connection import NEED_DATA, PAUSED, UNLIMITED, Abandon, Close, Drain, StateError

LONGEST = 1000
TIMEOUT = 30.0


class Line(NamedTuple):
    stream: int
    text: bytes
    has_body: bool = False


class Lines:
    """One role serves as both; ``faults`` names what is broken."""

    def __init__(self, *faults):
        self.faults = set(faults)
        self.data = bytearray()
        self.out = []
        self.owed = 0
        self.count = 0
        self.started = None
        self.ended = False
        self.draining = False
        self.close = None
        self.closed = False
        self.now = 0.0

    @property
    def idle(self):
        return not (self.data or self.owed or self.close or self.closed) or "always idle" in self.faults

    def receive(self, data, now):
        if self.closed and "loud" not in self.faults:
            return
        if not data:
            self.ended = True
        if not data.isascii() and "raises" in self.faults:
            raise ValueError("no")
        if "forgets" in self.faults and len(data) == 1 and data == b"b":
            return
        if not self.data or "no patience" in self.faults:
            self.started = now
        self.data += data

    def next_event(self):
        if self.closed:
            return Close("again") if "says close twice" in self.faults else NEED_DATA
        if self.close:
            return self._over(self.close)
        if self.owed and "takes all" not in self.faults:
            return PAUSED
        if self.draining:
            return self._over("drained")
        at = self.data.find(b"\n")
        if at >= 0:
            line = bytes(self.data[:at])
            del self.data[: at + 1]
            if line == b"BYE":
                return self._over("bye")
            self.count += 1
            self.owed += 1
            return Line(self.count, line)
        if len(self.data) > LONGEST and "any length" not in self.faults:
            return self._over("line too long")
        if self.ended and "waits" not in self.faults:
            return self._over("end of input")
        return NEED_DATA

    def _over(self, reason):
        if "loud" not in self.faults:
            self.data, self.owed, self.close, self.closed = bytearray(), 0, None, True
        return Close(reason)

    def send(self, item, now):
        if isinstance(item, Drain):
            self.draining = "hangs on" not in self.faults
            return
        if not self.owed:
            raise StateError("nothing is owed")
        self.owed -= 1
        if isinstance(item, Abandon):
            if "silent" not in self.faults:
                self.out.append(b"FAILED\n")
        else:
            self.out.append(item.text + (b"" if "unreadable" in self.faults else b"\n"))

    def room(self, stream=0):
        return UNLIMITED

    def consumed(self, count, stream=0):
        pass

    def backlog(self):
        return 0 if "hides" in self.faults else len(self.data)

    def outgoing(self):
        out, self.out = self.out, []
        return out

    def deadline(self):
        if "no deadline" in self.faults or self.closed or self.owed or not self.data:
            return None
        return self.started + TIMEOUT

    def tick(self, now):
        deadline = self.deadline()
        if deadline is not None and (now >= deadline or "hasty" in self.faults) and "eternal" not in self.faults:
            self.close = "too slow"

    def touched(self, now):
        pass
