"""One address that answers for its zones, over datagrams and streams."""

from __future__ import annotations

from typing import Any, Final

from zope.interface import implementer

from netsuite.common.access import Rule
from netsuite.common.commons import Commons
from netsuite.common.datagram import Memo
from netsuite.common.stream import StreamFactory
from netsuite.dns.authoritative.answers import Answers
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.ratelimit import ResponseRate
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import PROHIBITED, extended_error, opt
from netsuite.dns.wire.query import Query, Refusal, error, parse
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.interfaces import IDnsAnswers
from netsuite.sansio.connection import Channel

__all__ = ["AuthoritativeServer"]

_USUAL_RATE: Final = 200
_REMEMBERED: Final = (codes.NOERROR, codes.NXDOMAIN)
_PROHIBITED: Final = extended_error(PROHIBITED, "this address may not ask")


@implementer(IDnsAnswers)
class AuthoritativeServer:
    """The zones of one address, and what stands between them and the wire: who may ask, memo, connections, counts.

    ``port_memo`` and ``port_prompt`` are what the datagram port may answer from by itself: nothing, where clients are
    told apart.
    """

    def __init__(self, settings: DnsSettings, commons: Commons, text: str, courtesy: Courtesy) -> None:
        self.answers = Answers(minimal=settings.minimal_responses, udp_size=settings.udp_size)
        self.rule: Rule | None = None if "any" in settings.allow else commons.access.rule(settings.allow)
        rate = settings.rate_limit
        if rate is None:
            rate = _USUAL_RATE if commons.access.guards_private([text]) else 0
        self.rate = ResponseRate(commons.access, rate) if rate else None
        self.courtesy = courtesy
        self._seconds = commons.clock.seconds
        self.memo = Memo(settings.memo)
        by_itself = self.rule is None and self.rate is None
        self.port_memo = self.memo if by_itself else None
        self._prompt, self._stream_prompt = (
            prompt.answers if settings.minimal_responses else None for prompt in self.answers.prompts
        )
        self.port_prompt = self._prompt if by_itself else None
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
            shortcut=self._at_once if self.rule is None and settings.minimal_responses else None,
            concurrency=commons.access.concurrency(settings.connections, settings.connections_per_address),
        )

    def answer(self, query: bytes, peer: tuple[str, int], stream: bool, private: bool = False) -> bytes | None:
        """The response to a query; None to stay silent."""
        return self._answer(query, peer[0], stream, private)[0]

    def _answer(self, data: bytes, host: str, stream: bool, private: bool) -> tuple[bytes | None, bool, bool]:
        """The response, whether it depends on the query alone, and whether the client's address is proven."""
        answers = self.answers
        query = parse(data, answers.udp_size)
        if query is None:
            return None, False, False
        if isinstance(query, Refusal):
            answers.rcodes[query.rcode] += 1
            return query.response, False, False
        if self.rule is not None and not self.rule.permits(host):
            return self._error(data, query, codes.REFUSED, _PROHIBITED), False, False
        if not query.options:
            return answers.respond(data, query, stream), True, False
        said = self.courtesy.say(
            query.options,
            host,
            self._seconds(),
            stream=stream,
            private=private,
            version=lambda: answers.version(query),
        )
        if said is None:
            return self._error(data, query, codes.FORMERR), False, False
        return answers.respond(data, query, stream, said.options, said.block), False, said.proven

    def _error(self, data: bytes, query: Query, rcode: int, options: bytes = b"") -> bytes:
        self.answers.rcodes[rcode] += 1
        edns = opt(self.answers.udp_size, dnssec=query.dnssec, options=options) if query.edns else b""
        return error(data, rcode, question=query.question, edns=edns)

    def answer_datagram(self, data: bytes, peer: tuple[str, int], local: tuple[str, int], now: float) -> bytes | None:
        """The same for a datagram, at no more than the client's rate; what depends on the query alone is remembered."""
        self.datagrams += 1
        proven = False
        known = self.port_memo is None and (self.rule is None or self.rule.permits(peer[0]))
        response = None
        if known:
            answer = self._prompt([data[2:]])[0] if self._prompt is not None else None
            response = self.memo.find(data) if answer is None else data[:2] + answer
        if response is None:
            response, general, proven = self._answer(data, peer[0], False, False)
            if general and response is not None and (rcode := response[3] & 15) in _REMEMBERED:
                self.memo.put(data, response, rcode)
        if self.rate is not None and response is not None and not proven:
            return self.rate.shape(data, response, peer[0])
        return response

    def handle(self, message: Any, body: Any, adapter: Any) -> Message | None:
        """The same for a message of a stream."""
        self.messages += 1
        channel = adapter.channel
        response = self.answer(message.data, channel.peer, True, channel.tls is not None)
        if response is None:
            adapter.close("a message that gets no answer")
            return None
        return Message(message.stream, response)

    def _at_once(self, data: bytes, channel: Channel) -> bytes | None:
        """The answers to whole messages that arrived together, if each has a prompt one."""
        prompt = self._stream_prompt
        if prompt is None:
            return None
        ids, queries = [], []
        at, end = 0, len(data)
        while at < end:
            after = at + 2 + int.from_bytes(data[at : at + 2], "big")
            if not at + 4 < after <= end:
                return None
            ids.append(data[at + 2 : at + 4])
            queries.append(data[at + 4 : after])
            at = after
        answers = [answer for answer in prompt(queries) if answer is not None]
        if len(answers) < len(queries):
            # All are answered the usual way, and counted there.
            for answer in answers:
                self.answers.rcodes[answer[1] & 15] -= 1
            return None
        self.messages += len(answers)
        return b"".join(
            [(len(answer) + 2).to_bytes(2, "big") + i + answer for i, answer in zip(ids, answers, strict=True)]
        )

    def replace(self, zone: Any) -> None:
        """Serve a new version of a zone from now on."""
        self.answers.serve(zone)
        self.memo.clear()

    def rcodes(self) -> dict[str, int]:
        """Answers so far by response code."""
        counts = list(self.answers.rcodes)
        for rcode, count in enumerate(self.memo.tally):
            counts[rcode] += count
        return {codes.RCODES.get(rcode, str(rcode)): count for rcode, count in enumerate(counts) if count}
