"""The upper-case pair as a service of the suite."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from twisted.internet.defer import Deferred

from netsuite.common.commons import Commons
from netsuite.common.listen import DatagramListener, StreamListener
from netsuite.common.service import NetsuiteService
from netsuite.interfaces import Address
from netsuite.upper.server import UpperServer
from netsuite.upper.settings import UpperSettings

__all__ = ["UpperService", "build"]


class UpperService(NetsuiteService):
    """Listens on every address for both, UDP and TCP."""

    def __init__(self, settings: UpperSettings, commons: Commons) -> None:
        super().__init__("upper", commons)
        self.server = server = UpperServer(settings, commons, commons.access.rule(settings.allow))
        self._streams = [StreamListener(text, server.factory, commons, "upper.listen") for text in settings.listen]
        self._datagrams = [
            DatagramListener(text, server.answer_datagram, commons, "upper.listen") for text in settings.listen
        ]
        commons.metrics.add(
            "netsuite_upper_lines",
            "Lines raised.",
            "counter",
            lambda: {("tcp",): server.lines, ("udp",): server.datagrams},
            labels=("transport",),
        )

    def open(self) -> None:
        """Bind and listen; a port 0 is chosen by TCP and then taken for UDP too."""
        for stream, datagram in zip(self._streams, self._datagrams, strict=True):
            stream.open()
            datagram.follow(stream)
            datagram.open()

    def startService(self) -> None:
        """Accept."""
        super().startService()
        for stream, datagram in zip(self._streams, self._datagrams, strict=True):
            stream.accept()
            datagram.accept()

    def addresses(self) -> Sequence[Address]:
        """Both sockets of every address."""
        found = []
        for stream, datagram in zip(self._streams, self._datagrams, strict=True):
            where = f"{stream.host}:{stream.port}"
            found.append(Address("tcp", stream.host, stream.port, f"echo hello | python -m netsuite.upper tcp {where}"))
            found.append(
                Address("udp", datagram.host, datagram.port, f"echo hello | python -m netsuite.upper udp {where}")
            )
        return found

    def figures(self) -> Sequence[tuple[str, float]]:
        """Lines so far, connections now."""
        server = self.server
        return (
            ("lines over TCP", server.lines),
            ("lines over UDP", server.datagrams),
            ("connections", len(server.factory.adapters)),
        )

    def drain(self, deadline: float) -> Awaitable[None]:
        """Accept no more; lines that have come are still answered."""
        return Deferred.fromCoroutine(self._drain(deadline))

    async def _drain(self, deadline: float) -> None:
        for stream, datagram in zip(self._streams, self._datagrams, strict=True):
            await stream.close()
            await datagram.close(deadline)
        await self.server.factory.drain(deadline)


def build(settings: UpperSettings, commons: Commons) -> UpperService:
    """The ``[upper]`` table's service."""
    return UpperService(settings, commons)
