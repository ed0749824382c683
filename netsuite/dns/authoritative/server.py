"""One address that answers for its zones, over datagrams and streams."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from netsuite.common.access import Rule
from netsuite.common.commons import Commons
from netsuite.common.datagram import Memo
from netsuite.common.stream import StreamFactory
from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.wire import codes
from netsuite.dns.wire.query import error
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.interfaces import IDnsAnswers
from netsuite.sansio.connection import Channel

__all__ = ["AuthoritativeServer"]


@implementer(IDnsAnswers)
class AuthoritativeServer:
    """The zones of one address, and what stands between them and the wire: who may ask, memo, connections, counts."""

    def __init__(self, settings: DnsSettings, commons: Commons) -> None:
        self.answers = Answers(minimal=settings.minimal_responses, udp_size=settings.udp_size)
        self.rule: Rule | None = None if "any" in settings.allow else commons.access.rule(settings.allow)
        # The memo knows no clients, so it serves only those who serve everybody.
        self.memo = Memo(settings.memo) if self.rule is None else None
        self.datagrams = self.messages = 0
        limits = DnsStreamLimits(idle=settings.idle)
        seconds = commons.clock.seconds

        def connection(_: Channel) -> DnsConnection:
            return DnsConnection(seconds(), server=True, limits=limits)

        self.factory = StreamFactory(
            commons,
            "dns",
            connection,
            self.handle,
            concurrency=commons.access.concurrency(settings.connections, settings.connections_per_address),
        )

    def answer(self, query: bytes, peer: tuple[str, int], stream: bool) -> bytes | None:
        """The response to a query; None to stay silent."""
        if self.rule is not None and not self.rule.permits(peer[0]):
            return error(query, codes.REFUSED) if len(query) >= 12 and not query[2] & 0x80 else None
        return self.answers.answer(query, stream)

    def answer_datagram(self, data: bytes, peer: tuple[str, int], local: tuple[str, int], now: float) -> bytes | None:
        """The same for a datagram; what depends on nothing but the query is remembered."""
        self.datagrams += 1
        response = self.answer(data, peer, False)
        if response is not None and self.memo is not None:
            rcode = response[3] & 15
            if rcode == codes.NOERROR or rcode == codes.NXDOMAIN:
                self.memo.put(data, response, rcode)
        return response

    def handle(self, message: Any, body: Any, adapter: Any) -> Message | None:
        """The same for a message of a stream."""
        self.messages += 1
        response = self.answer(message.data, adapter.channel.peer, True)
        if response is None:
            adapter.close("a message that gets no answer")
            return None
        return Message(message.stream, response)

    def replace(self, zone: Any) -> None:
        """Serve a new version of a zone from now on."""
        self.answers.zones[zone.name] = zone
        if self.memo is not None:
            self.memo.clear()

    def rcodes(self) -> dict[str, int]:
        """Answers so far by response code."""
        counts = list(self.answers.rcodes)
        if self.memo is not None:
            for rcode, count in enumerate(self.memo.tally):
                counts[rcode] += count
        return {codes.RCODES.get(rcode, str(rcode)): count for rcode, count in enumerate(counts) if count}
