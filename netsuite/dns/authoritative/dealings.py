"""What other servers and updaters want of us: signed questions, transfers, notifications, updates.

These are rare, so they are read whole and may wait. Who asks is known by a key (TSIG) or by an address.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from netsuite.common.access import is_loopback
from netsuite.common.storage.journal import JournalBroken, StorageFull
from netsuite.dns.authoritative.change import later
from netsuite.dns.authoritative.ratelimit import truncated
from netsuite.dns.authoritative.tended import Tended
from netsuite.dns.authoritative.transfer import steps, whole
from netsuite.dns.authoritative.update import Refused, Update
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, skip, to_text
from netsuite.dns.wire.query import Query, error, parse
from netsuite.dns.wire.records import MalformedRecord, message
from netsuite.dns.wire.tsig import BADKEY, BADTIME, Key, Seal, Signature, Untrue, bare, overhead, refusal, take
from netsuite.sansio.tokenbucket import TokenBuckets

__all__ = ["TRANSFERS", "Client", "Dealings", "Outcome", "Poured"]

TRANSFERS: Final = (codes.AXFR, codes.IXFR)

_log = Logger()

_UDP: Final = 1232
_LINES: Final = 1.0
_LINES_AT_ONCE: Final = 20.0
"""Lines a second in the log about what is refused, and at once."""
_TURN: Final = 8
"""Messages of a transfer after which others get their turn."""


class Client(NamedTuple):
    """Who asks, and how: a stream has no size limit, a private one is encrypted."""

    host: str
    stream: bool
    private: bool = False


class Poured(NamedTuple):
    """An answer of many messages: the first, and those behind it."""

    first: bytes
    rest: AsyncIterator[bytes]


Outcome = bytes | Poured | Deferred[bytes] | None


class Dealings:
    """All of it, for the zones of one address (``zones`` by name). ``answer`` answers what is a plain question."""

    def __init__(
        self,
        clock: IReactorTime,
        keys: Mapping[bytes, Key],
        zones: Mapping[bytes, Tended],
        answer: Callable[[bytes, Client], bytes | None],
    ) -> None:
        self._clock = clock
        self._keys = keys
        self._zones = zones
        self._answer = answer
        self._lines = TokenBuckets(_LINES, _LINES_AT_ONCE, keys=1)
        self.transfers = self.updates = self.notifications = self.refused = 0

    # Signatures

    def signed(self, data: bytes, client: Client) -> Outcome:
        """The answer to a message with a TSIG record, signed too; or unsigned, if the key or the code is wrong."""
        try:
            signature = take(data)
        except BadName:
            signature = None
        if signature is None:
            return self._refuse(data, codes.FORMERR)
        plain = bare(data, signature)
        key = self._keys.get(signature.name)
        if key is None or key.algorithm != signature.algorithm:
            return self._untrue(plain, signature, BADKEY, client)
        seal = Seal(key)
        try:
            seal.check_query(data, signature, int(self._clock.seconds()))
        except Untrue as untrue:
            if untrue.error == BADTIME:
                now = int(self._clock.seconds())
                refused = error(plain, codes.NOTAUTH, question=_question(plain))
                return seal.sign(refused, signature.time, error=BADTIME, other=now.to_bytes(6, "big"))
            return self._untrue(plain, signature, untrue.error, client)
        return self._sealed(self.plain(plain, client, key.name, overhead(key)), seal)

    def _untrue(self, plain: bytes, signature: Signature, why: int, client: Client) -> bytes:
        self.refused += 1
        if not why:
            return error(plain, codes.FORMERR)
        self._tell(
            "a message from {host} is signed with key {key}, which is {why}",
            host=client.host,
            key=to_text(signature.name),
            why="unknown" if why == BADKEY else "not ours",
        )
        return refusal(error(plain, codes.NOTAUTH, question=_question(plain)), signature, why)

    def _sealed(self, outcome: Outcome, seal: Seal) -> Outcome:
        if outcome is None:
            return None
        if isinstance(outcome, Deferred):
            return outcome.addCallback(lambda data: seal.sign(data, int(self._clock.seconds())))
        if isinstance(outcome, Poured):
            return Poured(seal.sign(outcome.first, int(self._clock.seconds())), self._sealing(outcome.rest, seal))
        return seal.sign(outcome, int(self._clock.seconds()))

    async def _sealing(self, rest: AsyncIterator[bytes], seal: Seal) -> AsyncIterator[bytes]:
        async for data in rest:
            yield seal.sign(data, int(self._clock.seconds()))

    def _tell(self, words: str, **facts: object) -> None:
        """A line in the log about a refusal; anybody can cause these, so there are few (all are counted)."""
        if self._lines.take(None, self._clock.seconds()):
            _log.info(words, **facts)

    # What is wanted

    def plain(self, data: bytes, client: Client, key: bytes | None = None, reserve: int = 0) -> Outcome:
        """The answer to a message without a signature, or with one by ``key`` that holds.

        ``reserve`` is how many bytes of a datagram must stay free.
        """
        opcode = data[2] >> 3 & 15
        if opcode == codes.UPDATE:
            return self._update(data, client, key)
        if opcode == codes.NOTIFY:
            return self._notify(data, client, key)
        query = parse(data)
        if isinstance(query, Query) and query.type in TRANSFERS and query.rdclass == codes.CLASS_IN:
            return self.transfer(data, query, client, key, reserve)
        answer = self._answer(data, client)
        if answer is not None and reserve and not client.stream and isinstance(query, Query):
            return answer if len(answer) + reserve <= min(query.size, _UDP) else truncated(data, answer)
        return answer

    def transfer(
        self, data: bytes, query: Query, client: Client, key: bytes | None = None, reserve: int = 0
    ) -> bytes | Poured:
        """The answer to AXFR or IXFR."""
        tended = self._zones.get(query.name)
        if tended is None:
            return self._refuse(data, codes.NOTAUTH, query.question)
        if not tended.may_transfer(client.host, key):
            return self._refuse(data, codes.REFUSED, query.question)
        zone = tended.zone
        if zone is None:
            return error(data, codes.SERVFAIL, question=query.question)
        if query.type == codes.AXFR:
            if not client.stream:
                return self._refuse(data, codes.REFUSED, query.question)
            return self._pour(whole(data, query, zone))
        serial = _asked_serial(data, zone.name)
        if serial is None:
            return self._refuse(data, codes.FORMERR, query.question)
        changes = [] if not later(zone.serial, serial) else tended.history.since(serial)
        if changes is not None and sum(change.size for change in changes) > _worth(zone):
            changes = None
        if client.stream:
            return self._pour(whole(data, query, zone) if changes is None else steps(data, query, zone, changes))
        # RFC 1995 section 2: what does not fit a datagram is the SOA alone, and the client comes back by TCP.
        size = min(query.size, _UDP) - reserve
        for offered in (changes, []):
            if offered is not None:
                made = list(steps(data, query, zone, offered, size))
                if len(made) == 1 and len(made[0]) <= size:
                    return made[0]
        return truncated(data, error(data, codes.NOERROR, question=query.question))

    def _pour(self, messages: Iterator[bytes]) -> Poured:
        self.transfers += 1
        return Poured(next(messages), self._rest(messages))

    async def _rest(self, messages: Iterator[bytes]) -> AsyncIterator[bytes]:
        for number, data in enumerate(messages, 1):
            yield data
            if number % _TURN == 0:
                turn: Deferred[None] = Deferred()
                self._clock.callLater(0, turn.callback, None)
                await turn

    def _notify(self, data: bytes, client: Client, key: bytes | None) -> bytes:
        try:
            read = message(data)
        except MalformedRecord:
            return self._refuse(data, codes.FORMERR)
        if read.question is None or read.question[1:] != (codes.SOA, codes.CLASS_IN):
            return self._refuse(data, codes.FORMERR)
        question = _question(data)
        tended = self._zones.get(read.question[0])
        if tended is None:
            return self._refuse(data, codes.NOTAUTH, question)
        serial = None
        if read.answer and read.answer[0].type == codes.SOA and len(read.answer[0].rdata) >= 22:
            serial = int.from_bytes(read.answer[0].rdata[-20:-16], "big")
        if not tended.notified(client.host, key, serial):
            return self._refuse(data, codes.REFUSED, question)
        self.notifications += 1
        response = error(data, codes.NOERROR, question=question)
        return response[:2] + bytes((response[2] | codes.AA >> 8,)) + response[3:]

    def _update(self, data: bytes, client: Client, key: bytes | None) -> bytes | Deferred[bytes]:
        try:
            read = message(data)
        except MalformedRecord:
            return self._refuse(data, codes.FORMERR)
        if read.question is None or read.question[1:] != (codes.SOA, codes.CLASS_IN):
            return self._refuse(data, codes.FORMERR)
        tended = self._zones.get(read.question[0])
        if tended is None:
            return self._refuse(data, codes.NOTAUTH)
        if key is None and not client.stream and not is_loopback(client.host):
            # Whoever can send a packet can write any address into it.
            self._tell(
                "zone {zone}: {host} may not update it over UDP without a key, for anybody could claim that address: "
                "sign updates, or send them over TCP",
                zone=tended.title,
                host=client.host,
            )
            return self._refuse(data, codes.REFUSED)
        permits = tended.grants(client.host, key)
        if permits is None:
            self._tell("zone {zone}: {host} may not update it", zone=tended.title, host=client.host)
            return self._refuse(data, codes.REFUSED)
        source = f"update by {f'key {to_text(key)} from ' if key is not None else ''}{client.host}"

        def refused(failure: Failure) -> bytes:
            problem = failure.value
            if isinstance(problem, Refused):
                self._tell("zone {zone}: {source}: {why}", zone=tended.title, source=source, why=problem)
                return self._refuse(data, problem.rcode)
            if not isinstance(problem, (StorageFull, JournalBroken)):
                _log.failure("zone {zone}: {source}", failure, zone=tended.title, source=source)
            else:
                _log.error("zone {zone}: {source}: {why}", zone=tended.title, source=source, why=problem)
            return error(data, codes.SERVFAIL)

        def done(_: None) -> bytes:
            self.updates += 1
            return error(data, codes.NOERROR)

        return tended.update(Update(read, permits, source)).addCallbacks(done, refused)

    def _refuse(self, data: bytes, rcode: int, question: bytes = b"") -> bytes:
        self.refused += 1
        return error(data, rcode, question=question)


def _worth(zone: Zone) -> int:
    """Bytes of changes beyond which a whole copy costs less: about what the zone takes."""
    return max(65536, zone.count * 40)


def _question(data: bytes) -> bytes:
    """The question section as sent, empty if it cannot be read."""
    if data[4:6] != b"\0\1":
        return b""
    try:
        end = skip(data, 12) + 4
    except BadName:
        return b""
    return data[12:end] if end <= len(data) else b""


def _asked_serial(data: bytes, name: bytes) -> int | None:
    """The serial of the version that an IXFR query's sender has."""
    try:
        read = message(data)
    except MalformedRecord:
        return None
    if len(read.authority) != 1 or read.authority[0][:2] != (name, codes.SOA) or len(read.authority[0].rdata) < 22:
        return None
    return int.from_bytes(read.authority[0].rdata[-20:-16], "big")
