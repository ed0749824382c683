"""One address that answers for its zones, over datagrams and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from zope.interface import implementer

from netsuite.common.access import Rule
from netsuite.common.commons import Commons
from netsuite.common.datagram import PromptAnswers
from netsuite.common.stream import StreamFactory
from netsuite.dns.authoritative.batches import Batches
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.dealings import TRANSFERS, Client, Outcome, Poured
from netsuite.dns.authoritative.ratelimit import ResponseRate
from netsuite.dns.authoritative.search import Note
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.authoritative.view import View, seen
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import PROHIBITED, extended_error, opt, padded, whole
from netsuite.dns.wire.name import BadName
from netsuite.dns.wire.query import Query, Refusal, error, parse
from netsuite.dns.wire.stream import DnsConnection, DnsStreamLimits, Message
from netsuite.dns.wire.tsig import Key, take
from netsuite.interfaces import IDnsAnswers
from netsuite.sansio.connection import Channel

if TYPE_CHECKING:
    from netsuite.common.quicport import MachineOf

__all__ = ["AuthoritativeServer"]

_USUAL_RATE: Final = 200
_CLIENTS: Final = 8192
_DEALINGS: Final = (codes.NOTIFY << 3, codes.UPDATE << 3)
_ONE_AND_OPT: Final = b"\0\1\0\0\0\0\0\1"
_OPT: Final = b"\0\0\x29"
_REMEMBERED: Final = (codes.NOERROR, codes.NXDOMAIN)
_PROHIBITED: Final = extended_error(PROHIBITED, "this address may not ask")


@implementer(IDnsAnswers)
class AuthoritativeServer:
    """The zones of one address, and what stands between them and the wire: who may ask, memo, connections, counts.

    ``views`` are what some clients see, in the order in which they are looked through; ``common`` is for the others.
    ``port_memo`` and ``port_prompt`` are what the datagram port may answer from by itself: not from the memo, where
    rules or rates tell clients apart, and nothing, where views do.
    """

    def __init__(
        self,
        settings: DnsSettings,
        commons: Commons,
        text: str,
        courtesy: Courtesy,
        keys: Mapping[bytes, Key],
    ) -> None:
        zones = settings.zones_at(text)
        self.common = View(settings, commons, seen(None, zones), keys, self._once)
        self.views: list[View] = []
        if any(zone.view for zone in zones):
            for each in settings.view:
                rule = commons.access.rule(each.clients)
                self.views.append(
                    View(settings, commons, seen(each.name, zones), keys, self._once, name=each.name, rule=rule)
                )
        self._known: dict[str, View] = {}
        self.rule: Rule | None = None if "any" in settings.allow else commons.access.rule(settings.allow)
        rate = settings.rate_limit
        if rate is None:
            rate = _USUAL_RATE if commons.access.guards_private([text]) else 0
        self.rate = ResponseRate(commons.access, rate) if rate else None
        self.courtesy = courtesy
        self._udp_size = settings.udp_size
        self._seconds = commons.clock.seconds
        by_itself = self.rule is None and self.rate is None and not self.views
        self.port_memo = self.common.memo if by_itself else None
        self.port_prompt: PromptAnswers | None = None
        if self.common.prompt is not None and not self.views:
            self.port_prompt = Batches(
                self.common.prompt,
                self.common.answers.rcodes,
                courtesy,
                self._seconds,
                udp_size=self._udp_size,
                rule=self.rule,
                rate=self.rate,
            ).answers
        self.datagrams = self.messages = 0
        self._stream_limits = limits = DnsStreamLimits(idle=settings.idle)
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

    def over_quic(self) -> tuple[str, MachineOf]:
        """The same over QUIC, as ``stream_listener`` wants it."""
        from netsuite.dns.doq import ALPN, DoqConnection

        return ALPN, lambda quic: DoqConnection(quic, self._seconds, self._stream_limits)

    def view(self, host: str) -> View:
        """What a client sees: the first view that it matches, or the common one."""
        if not self.views:
            return self.common
        found = self._known.get(host)
        if found is None:
            if len(self._known) >= _CLIENTS:
                self._known.clear()
            matching = (view for view in self.views if view.rule is not None and view.rule.permits(host))
            found = self._known[host] = next(matching, self.common)
        return found

    def answer(
        self, query: bytes, peer: tuple[str, int], stream: bool, private: bool = False
    ) -> bytes | Deferred[bytes] | None:
        """The response to a query; None to stay silent."""
        outcome = self._answer(query, Client(peer[0], stream, private))[0]
        if isinstance(outcome, Poured):
            return error(query, codes.REFUSED)  # transfers are for streams of their own
        return outcome

    def explained(self, query: bytes, client: Client, note: Note) -> bytes | None:
        """The response to a plain query, whose every step ``note`` hears of; it counts as none."""
        rcodes = self.view(client.host).answers.rcodes
        before = list(rcodes)
        outcome = self._answer(query, client, note)[0]
        rcodes[:] = before
        return outcome if isinstance(outcome, bytes) else None

    def _answer(self, data: bytes, client: Client, note: Note | None = None) -> tuple[Outcome, bool, bool]:
        """The response, whether it depends on the query alone, and whether the client's address is proven."""
        view = self.view(client.host)
        if len(data) >= 12 and data[2] & 0xF8 in _DEALINGS:
            return self._dealt(data, client, view), False, False
        query = parse(data, self._udp_size)
        if query is None:
            return None, False, False
        if isinstance(query, Refusal):
            view.answers.rcodes[query.rcode] += 1
            return query.response, False, False
        if self.rule is not None and not self.rule.permits(client.host):
            return self._error(view, data, query, codes.REFUSED, _PROHIBITED), False, False
        if query.signed:
            return view.dealings.signed(data, client), False, False
        if query.type in TRANSFERS and query.rdclass == codes.CLASS_IN:
            return view.dealings.transfer(data, query, client), False, False
        return self._plain(view, data, query, client, note)

    def _dealt(self, data: bytes, client: Client, view: View) -> Outcome:
        """The answer to a notification or an update."""
        try:
            signed = take(data) is not None
        except BadName:
            return error(data, codes.FORMERR)
        return view.dealings.signed(data, client) if signed else view.dealings.plain(data, client)

    def _once(self, data: bytes, client: Client) -> bytes | None:
        """The answer to a question that was signed, without its signature."""
        query = parse(data, self._udp_size)
        if query is None or isinstance(query, Refusal):
            return None if query is None else query.response
        answer = self._plain(self.view(client.host), data, query, client)[0]
        assert answer is None or isinstance(answer, bytes)
        return answer

    def _plain(
        self, view: View, data: bytes, query: Query, client: Client, note: Note | None = None
    ) -> tuple[Outcome, bool, bool]:
        answers = view.answers
        if not query.options:
            return answers.respond(data, query, client.stream, note=note), not answers.varied, False
        said = self.courtesy.say(
            query.options,
            client.host,
            self._seconds(),
            stream=client.stream,
            private=client.private,
            version=lambda: answers.version(query),
        )
        if said is None:
            return self._error(view, data, query, codes.FORMERR), False, False
        return answers.respond(data, query, client.stream, said.options, said.block), False, said.proven

    def _courteous(self, view: View, data: bytes, client: Client) -> tuple[bytes, bool] | None:
        """The prompt answer to a query with options, what is said to those in it, and whether the address is proven.

        None for what has no prompt answer, or breaks a rule: the usual way says what is to say.
        """
        prompt = view.stream_prompt if client.stream else view.prompt
        at = data.find(b"\0", 12) + 16
        options = data[at:]
        if (
            prompt is None
            or not options
            or data[4:12] != _ONE_AND_OPT
            or data[at - 11 : at - 8] != _OPT
            or data[at - 2] << 8 | data[at - 1] != len(options)
            or not whole(data, at, len(data))
        ):
            return None
        answer = prompt([data[2 : at - 2] + b"\0\0"])[0]
        if answer is None:
            return None
        said = self.courtesy.say(
            options,
            client.host,
            self._seconds(),
            stream=client.stream,
            private=client.private,
            version=lambda: self._version(view, data),
        )
        if said is not None:
            response = data[:2] + answer
            if said.options:
                response = b"".join((response[:-2], len(said.options).to_bytes(2, "big"), said.options))
            limit = 65535 if client.stream else min(max(data[at - 8] << 8 | data[at - 7], 512), self._udp_size)
            if len(response) <= limit:
                if said.block:
                    response = padded(response, len(response) - 11 - len(said.options), said.block)
                return response, said.proven
        # It is answered the usual way, and counted there.
        view.answers.rcodes[answer[1] & 15] -= 1
        return None

    def _courteous_stream(self, view: View, data: bytes, client: Client) -> bytes | None:
        """The same over a stream, without the id."""
        made = self._courteous(view, data, client)
        return None if made is None else made[0][2:]

    def _version(self, view: View, data: bytes) -> bytes:
        query = parse(data, self._udp_size)
        return view.answers.version(query) if isinstance(query, Query) else b""

    def _error(self, view: View, data: bytes, query: Query, rcode: int, options: bytes = b"") -> bytes:
        view.answers.rcodes[rcode] += 1
        edns = opt(self._udp_size, dnssec=query.dnssec, options=options) if query.edns else b""
        return error(data, rcode, question=query.question, edns=edns)

    def answer_datagram(
        self, data: bytes, peer: tuple[str, int], local: tuple[str, int], now: float
    ) -> bytes | Deferred[bytes] | None:
        """The same for a datagram, at no more than the client's rate; what depends on the query alone is remembered."""
        self.datagrams += 1
        proven = False
        known = self.port_memo is None and (self.rule is None or self.rule.permits(peer[0]))
        view = self.view(peer[0])
        response = None
        if known:
            answer = view.prompt([data[2:]])[0] if view.prompt is not None else None
            response = view.memo.find(data) if answer is None else data[:2] + answer
        client = Client(peer[0], False)
        permitted = self.rule is None or known
        if response is None and permitted and (made := self._courteous(view, data, client)) is not None:
            response, proven = made
        if response is None:
            outcome, general, proven = self._answer(data, client)
            if outcome is None or not isinstance(outcome, bytes):
                return outcome if isinstance(outcome, Deferred) else None
            response = outcome
            if general and (rcode := response[3] & 15) in _REMEMBERED:
                view.memo.put(data, response, rcode)
        if self.rate is not None and response is not None and not proven:
            return self.rate.shape(data, response, peer[0])
        return response

    def handle(self, message: Any, body: Any, adapter: Any) -> Any:
        """The same for a message of a stream: the item to send, or a coroutine of it."""
        self.messages += 1
        channel = adapter.channel
        outcome = self._answer(message.data, Client(channel.peer[0], True, channel.tls is not None))[0]
        if isinstance(outcome, bytes):
            return Message(message.stream, outcome)
        if isinstance(outcome, Poured):
            return Message(message.stream, outcome.first, outcome.rest)
        if outcome is None:
            adapter.close("a message that gets no answer")
            return None
        return _later(message.stream, outcome)

    def _at_once(self, data: bytes, channel: Channel) -> bytes | None:
        """The answers to whole messages that arrived together, if each has a prompt one."""
        view = self.view(channel.peer[0]) if self.views else self.common
        prompt = view.stream_prompt
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
        client = Client(channel.peer[0], True, channel.tls is not None)
        made = [
            self._courteous_stream(view, i + query, client) if answer is None else answer
            for i, query, answer in zip(ids, queries, prompt(queries), strict=True)
        ]
        answers = [answer for answer in made if answer is not None]
        if len(answers) < len(queries):
            # All are answered the usual way, and counted there.
            for answer in answers:
                view.answers.rcodes[answer[1] & 15] -= 1
            return None
        self.messages += len(answers)
        return b"".join(
            [(len(answer) + 2).to_bytes(2, "big") + i + answer for i, answer in zip(ids, answers, strict=True)]
        )

    def is_home_of(self, name: bytes) -> bool:
        """Whether a name is that of a zone here."""
        return any(name in view.tended for view in (self.common, *self.views))

    def rcodes(self) -> dict[str, int]:
        """Answers so far by response code."""
        counts = list(self.common.answers.rcodes)
        for view in (self.common, *self.views):
            for rcode, count in enumerate(view.memo.tally):
                counts[rcode] += count
        for view in self.views:
            counts = [one + other for one, other in zip(counts, view.answers.rcodes, strict=True)]
        return {codes.RCODES.get(rcode, str(rcode)): count for rcode, count in enumerate(counts) if count}


async def _later(stream: int, response: Deferred[bytes]) -> Message:
    return Message(stream, await response)
