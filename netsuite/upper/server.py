"""The upper-case servers: what answers a line over TCP and a datagram over UDP."""

from __future__ import annotations

from netsuite.common.access import Rule
from netsuite.common.body import Body
from netsuite.common.commons import Runtime
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.sansio.connection import Channel
from netsuite.upper.settings import UpperSettings
from netsuite.upper.wire import Line, LineConnection, raised

__all__ = ["UpperServer"]


class UpperServer:
    """Raises lines; ``lines`` and ``datagrams`` count them."""

    def __init__(self, settings: UpperSettings, commons: Runtime, rule: Rule) -> None:
        self._settings = settings
        self._clock = commons.clock
        self.lines = 0
        self.datagrams = 0
        self._rule = rule
        self.factory = StreamFactory(commons, "upper", self.connection, self.answer_line, rule=rule)

    def connection(self, channel: Channel) -> LineConnection:
        """A fresh machine for one client."""
        settings = self._settings
        return LineConnection(self._clock.seconds(), answers=True, longest=settings.longest, idle=settings.idle)

    def answer_line(self, line: Line, body: Body, adapter: StreamAdapter) -> Line:
        """The application of the TCP server."""
        self.lines += 1
        return Line(raised(line.text))

    def answer_datagram(self, data: bytes, peer: tuple[str, int], local: tuple[str, int], now: float) -> bytes | None:
        """The application of the UDP server; silence for those who may not ask."""
        if not self._rule.permits(peer[0]):
            return None
        self.datagrams += 1
        return raised(data)
