"""One address that answers for its zones, over datagrams and streams."""

from __future__ import annotations

from typing import Any, Final

from zope.interface import implementer

from netsuite.common.access import Rule
from netsuite.common.commons import Commons
from netsuite.common.datagram import Memo
from netsuite.common.stream import StreamFactory
from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.ratelimit import ResponseRate
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.wire import codes
from netsuite.dns.wire.query import error
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.interfaces import IDnsAnswers
from netsuite.sansio.connection import Channel

__all__ = ["AuthoritativeServer"]

_USUAL_RATE: Final = 200
_REMEMBERED: Final = (codes.NOERROR, codes.NXDOMAIN)


@implementer(IDnsAnswers)
class AuthoritativeServer:
    """The zones of one address, and what stands between them and the wire: who may ask, memo, connections, counts.

    ``port_memo`` is what the datagram port may answer from by itself: nothing, where clients are told apart.
    """

    def __init__(self, settings: DnsSettings, commons: Commons, text: str) -> None:
        self.answers = Answers(minimal=settings.minimal_responses, udp_size=settings.udp_size)
        self.rule: Rule | None = None if "any" in settings.allow else commons.access.rule(settings.allow)
        rate = settings.rate_limit
        if rate is None:
            rate = _USUAL_RATE if commons.access.guards_private([text]) else 0
        self.rate = ResponseRate(commons.access.rate(rate)) if rate else None
        self.memo = Memo(settings.memo)
        self.port_memo = self.memo if self.rule is None and self.rate is None else None
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
        """The same for a datagram, at no more than the client's rate; what depends on the query alone is remembered."""
        self.datagrams += 1
        if self.rule is not None and not self.rule.permits(peer[0]):
            response = self.answer(data, peer, False)
        else:
            response = self.memo.find(data) if self.port_memo is None else None
            if response is None:
                response = self.answers.answer(data)
                if response is not None and (rcode := response[3] & 15) in _REMEMBERED:
                    self.memo.put(data, response, rcode)
        if self.rate is not None and response is not None:
            return self.rate.shape(data, response, peer[0])
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
        self.memo.clear()

    def rcodes(self) -> dict[str, int]:
        """Answers so far by response code."""
        counts = list(self.answers.rcodes)
        for rcode, count in enumerate(self.memo.tally):
            counts[rcode] += count
        return {codes.RCODES.get(rcode, str(rcode)): count for rcode, count in enumerate(counts) if count}
