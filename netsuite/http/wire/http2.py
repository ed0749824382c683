"""The server's side of HTTP/2: requests in on many streams, answers out as far as their windows reach.

The same messages as HTTP/1.1, on the same contract. What this version adds is per stream: a request that is malformed,
too large or given up ends its stream and no other; a body is held back by its stream's window, and an answer
waits for its client's. What only an attacker does often (resets, pings, settings, empty frames, endless field blocks)
is counted, and ends the connection.

``hits(head, channel)`` may answer a request that was read before, from its field list alone; so may nothing else: a
request with a body, or one that cannot be sent at once, takes the long way.

Implements: RFC 9113 sections 3.3, 3.4, 4, 5.1, 5.2, 5.4, 6, 7, 8.1, 8.5, 8.6 and 10.5
"""

from __future__ import annotations

from typing import Any

from netsuite.http.wire.http2frames import (
    Code,
    goaway,
)
from netsuite.http.wire.http2reading import Http2Reading
from netsuite.http.wire.http2sending import TURN, Broken, window_update
from netsuite.http.wire.http2stream import AWAY, OWED
from netsuite.sansio.connection import (
    NEED_DATA,
    UNLIMITED,
    Close,
)

__all__ = ["Http2Connection"]


class Http2Connection(Http2Reading):
    """The server's side of one connection; it begins with the client's preface.

    ``standing(now)`` are fields (Date, Server) for the machine's own refusals.
    """

    __slots__ = ()

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes that arrived; ``b""`` is the orderly end of input."""
        self._now = now
        if not data:
            self._ended = True
        elif not self.closed:
            self._got += len(data)
            self._buffer = data if self._at >= len(self._buffer) else self._buffer[self._at :] + data
            self._at = 0

    def next_event(self) -> Any:
        """The next event, or NEED_DATA."""
        events = self._events
        while not events:
            if self.closed:
                return NEED_DATA
            try:
                if self._step():
                    continue
            except Broken as broken:
                self._break(broken.code, str(broken))
                continue
            if events:
                break
            if not self._at_rest():
                return NEED_DATA
        return events.popleft()

    def room(self, stream: int = 0) -> int:
        """How much of an answer's body its windows let through; -1 where nobody waits for it any more."""
        found = self._streams.get(stream)
        if found is None:
            return -1 if stream else max(0, self._window)
        if found.state == AWAY:
            return UNLIMITED
        return max(0, min(found.window, self._window, TURN) - found.queued)

    def consumed(self, count: int, stream: int = 0) -> None:
        """The application took bytes of a body, or (0) waits for them: the moment for 100 Continue."""
        found = self._streams.get(stream)
        if found is None:
            return
        if not count:
            if found.continues:
                found.continues = False
                if found.state == OWED and not found.size:
                    self._write_fields(found.id, b"\x08\x03100", 0)
                self._watch(found)
            return
        found.unread -= count
        self._unread -= count
        found.returned += count
        if found.open:
            if found.returned * 2 >= self._own.stream_window:
                self._out.append(window_update(found.id, found.returned))
                found.window_in += found.returned
                found.returned = 0
            if not found.unread and found.tunnel:
                self._watch(found)
            elif not found.unread:
                # the client is waited for again, and it has had the time before already
                found.since += self._now - found.held
                self._due(found.since + self._limits.body_time)
        self._return()

    def backlog(self) -> int:
        """Bytes received and not parsed; bodies are held back by their windows."""
        held = len(self._block[2]) if self._block is not None else 0
        return len(self._buffer) - self._at + held

    def outgoing(self) -> list[bytes]:
        """Hand over, once, the chunks to write: no more than a turn's worth of bodies."""
        if self._round:
            self._write_turn()
            if self._events:
                # what ended with its last byte is told at once
                self._due(self._now)
        out = self._out
        if out:
            self._out = []
        return out

    def deadline(self) -> float | None:
        """When tick wants to be called at the latest."""
        return self._deadline

    def touched(self, now: float) -> None:
        """Hits are answered by the machine itself."""

    # -- time

    def tick(self, now: float) -> None:
        """A client that stalls is given up here: a stream of it, or all."""
        self._now = now
        if self._deadline is None or now < self._deadline or self.closed:
            return
        self._deadline = None
        limits = self._limits
        if self._half_since is not None:
            data = self._prefaced and self._block is None and self._buffer[self._at + 3 : self._at + 4] == b"\0"
            until = self._half_since + (limits.body_time if data else limits.head_time)
            if now >= until:
                if not data or self._got < limits.body_progress:
                    self._break(Code.NO_ERROR, "a frame, a field block or the preface took too long")
                    return
                self._got = 0
                self._half_since = now
                until = now + limits.body_time
            self._due(until)
        for stream in list(self._streams.values()):
            if self._awaits_client(stream):
                until = stream.since + (limits.tunnel_time if stream.tunnel else limits.body_time)
                if now >= until:
                    if stream.continues:
                        # whoever waits for 100 Continue is not late; from now on it is
                        self.consumed(0, stream.id)
                        continue
                    if stream.moved < (1 if stream.tunnel else limits.body_progress):
                        self._refuse_rest(stream, 408, "the client was waited for too long")
                        continue
                    self._watch(stream)
                else:
                    self._due(until)
        if not self._streams:
            until = self._quiet_since + limits.idle_time
            if now >= until:
                self._out.append(goaway(self._last, Code.NO_ERROR, "idle"))
                self._shut(Close("the client was silent for too long"))
            else:
                self._due(until)
