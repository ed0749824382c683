"""Clients' questions, from bytes to bytes.

Three ways, each shorter than the next: the datagram port's memo answers what was asked, byte for byte, within the last
second; *prepared* answers are kept with holes where id and TTLs go; everything else is read, answered from the cache or
from within, or waits for a resolution. No way gives out a record after its time, and none lets a query's unread bytes
change an answer: what has EDNS options (or anything out of the ordinary) goes the long way.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from netsuite.common.access import Rule
from netsuite.common.datagram import Memo
from netsuite.dns.resolver.cache import Entry
from netsuite.dns.resolver.iterator import Result
from netsuite.dns.resolver.local import LocalNames
from netsuite.dns.resolver.message import Holes, RRset, encode
from netsuite.dns.resolver.recursion import Recursion
from netsuite.dns.wire.codes import CD, CLASS_IN, NOTIMP, OPT, QR, RA, RD, REFUSED, SERVFAIL, TC
from netsuite.dns.wire.query import OPT_LENGTH, Query, Refusal, parse
from netsuite.interfaces import IDnsAnswers
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["ResolverServer", "ServerLimits"]

_PROHIBITED: Final = 18
_NOT_AUTHORITATIVE: Final = 20
_EXTENDED_ERROR: Final = 15
_ONE: Final = struct.Struct("!I")
_MEMO_LIFE: Final = 1.0
_LEAST_LEFT: Final = 2.0
"""Seconds that an answer must still be good for to enter the memo, which is emptied every ``_MEMO_LIFE``."""
_HOARD: Final = 8
"""Late answers beyond which one client's are dropped: saved up, they would strike a forged address at once."""


class ServerLimits(NamedTuple):
    """Bounds on what clients may ask for.

    ``payload`` bytes in an answer over UDP, ``clients`` questions waiting in all and ``per_client``, ``prepared`` bytes
    of answers kept, seconds (``patience``) after which a datagram's answer is ``late``.
    """

    payload: int = 1232
    clients: int = 4096
    per_client: int = 1000
    prepared: int = 8 << 20
    patience: float = 1.9


class _Prepared:
    """An answer without its id, the offsets of its TTLs, when it was made and when its first record expires."""

    __slots__ = ("data", "expires", "made", "ttls")

    def __init__(self, data: bytes, ttls: tuple[int, ...], made: float, expires: float) -> None:
        self.data = data
        self.ttls = ttls
        self.made = made
        self.expires = expires

    def at(self, now: float) -> bytes:
        """The bytes after the id, with what is left of each TTL."""
        elapsed = int(now - self.made)
        if not elapsed:
            return self.data
        out = bytearray(self.data)
        for offset in self.ttls:
            _ONE.pack_into(out, offset, max(0, _ONE.unpack_from(out, offset)[0] - elapsed))
        return bytes(out)


@implementer(IDnsAnswers)
class ResolverServer:
    """Answers clients whom ``rule`` permits; ``memo`` (for datagrams) holds answers for a second at most.

    ``queries`` counts what did not come from the memo, ``answered`` all answers by response code.
    """

    def __init__(
        self,
        clock: IReactorTime,
        recursion: Recursion,
        local: LocalNames,
        rule: Rule,
        limits: ServerLimits = ServerLimits(),
    ) -> None:
        self.memo = Memo(count=32768, size=16 << 20)
        self.queries = self.hits = self.waited = self.dropped = self.refused = 0
        self.answered: dict[int, int] = {}
        self._clock = clock
        self._recursion = recursion
        self._local = local
        self._rule = rule
        self._limits = limits
        self._prepared: S3Fifo[bytes, _Prepared] = S3Fifo(limits.prepared)
        self._waiting = 0
        self._by_client: dict[str, int] = {}
        self._emptying: object = None
        # whether a memo, which asks nobody's leave, may stand before a listener on loopback
        self.memo_for_loopback = rule.permits("127.0.0.1") and rule.permits("::1")

    @property
    def waiting(self) -> int:
        """Questions that wait for a resolution."""
        return self._waiting

    def answer_datagram(
        self, data: bytes, peer: tuple[str, int], local: tuple[str, int], now: float
    ) -> bytes | Deferred[bytes | None] | None:
        """The answer to a query over UDP."""
        held = self._prepared.find(data[2:])
        if held is not None and self._rule.permits(peer[0]):
            prepared = held.value
            if prepared.expires > now:
                held.uses += 1
                self.queries += 1
                self.hits += 1
                body = prepared.at(now)
                self._count(body[1] & 15)
                answer = data[:2] + body
                if prepared.expires - now >= _LEAST_LEFT:
                    self._remember(data, answer)
                return answer
            self._prepared.discard(data[2:])
        return self._answer(data, peer[0], now, stream=False)

    def answer(
        self, query: bytes, peer: tuple[str, int], stream: bool, private: bool = False
    ) -> bytes | Deferred[bytes | None] | None:
        """The answer to a query that came by any way."""
        return self._answer(query, peer[0], self._clock.seconds(), stream=stream)

    def stop(self) -> None:
        """Forget what is prepared."""
        self._prepared.clear()
        self._empty_memo()

    def _remember(self, query: bytes, answer: bytes) -> None:
        self.memo.put(query, answer, answer[3] & 15)
        if self._emptying is None:
            self._emptying = self._clock.callLater(_MEMO_LIFE, self._empty_memo)

    def _empty_memo(self) -> None:
        timer, self._emptying = self._emptying, None
        if timer is not None and timer.active():  # type: ignore[attr-defined]
            timer.cancel()  # type: ignore[attr-defined]
        self.memo.clear()

    def _count(self, rcode: int) -> None:
        self.answered[rcode] = self.answered.get(rcode, 0) + 1

    def _answer(self, data: bytes, client: str, now: float, *, stream: bool) -> bytes | Deferred[bytes | None] | None:
        query = parse(data, self._limits.payload)
        if query is None:
            self.dropped += 1
            return None
        self.queries += 1
        if isinstance(query, Refusal):
            self._count(query.rcode)
            return query.response
        if not self._rule.permits(client):
            self.refused += 1
            return self._say(data, query, REFUSED, (_PROHIBITED, ""))
        if query.rdclass != CLASS_IN:
            return self._say(data, query, REFUSED)
        name, rdtype = query.name, query.type
        if 128 <= rdtype <= 254 or rdtype in (0, OPT):
            return self._say(data, query, NOTIMP)
        result = self._local.find(name, rdtype, now) or self._recursion.known(name, rdtype, now)
        if result is not None:
            self.hits += 1
            return self._finished(data, query, result, now, stream)
        if not query.flags & RD:
            return self._say(data, query, REFUSED, (_NOT_AUTHORITATIVE, "recursion was not desired"))
        return self._wait(data, query, client, now, stream)

    def _wait(
        self, data: bytes, query: Query, client: str, now: float, stream: bool
    ) -> bytes | Deferred[bytes | None] | None:
        mine = self._by_client.get(client, 0)
        if self._waiting >= self._limits.clients or mine >= self._limits.per_client:
            self.dropped += 1
            return self._say(data, query, SERVFAIL, (0, "too many questions are waiting")) if stream else None
        self._waiting += 1
        self._by_client[client] = mine + 1
        self.waited += 1
        abandoned: list[object] = []  # a client that left is still counted until the resolution ends
        waiting: Deferred[bytes | None] = Deferred(abandoned.append)

        def finish(result: Result) -> None:
            self._waiting -= 1
            left = self._by_client[client] - 1
            if left:
                self._by_client[client] = left
            else:
                del self._by_client[client]
            if abandoned:
                return
            then = self._clock.seconds()
            if not stream and left >= _HOARD and then - now > self._limits.patience:
                self.dropped += 1
                waiting.callback(None)
            else:
                waiting.callback(self._finished(data, query, result, then, stream))

        self._recursion.resolve(query.name, query.type, finish)
        return waiting

    def _say(self, data: bytes, query: Query, rcode: int, error: tuple[int, str] | None = None) -> bytes:
        """An answer without records."""
        self._count(rcode)
        return self._encode(data, query, Result(rcode, error=error), 0.0, stream=False).data

    def _finished(self, data: bytes, query: Query, result: Result, now: float, stream: bool) -> bytes:
        self._count(result.rcode)
        answer, ttls = self._encode(data, query, result, now, stream)
        bare = len(data) == 12 + len(query.question) + (OPT_LENGTH if query.edns else 0)
        if ttls and bare and not answer[2] & TC >> 8:
            expires = min(entry.expires for entry in (*result.answer, *result.authority))
            if expires > now + 1:
                prepared = _Prepared(answer[2:], tuple(offset - 2 for offset in ttls), now, expires)
                self._prepared.put(data[2:], prepared, len(data) + len(answer) + 400)
        return answer

    def _encode(self, data: bytes, query: Query, result: Result, now: float, stream: bool) -> Holes:
        options: tuple[tuple[int, bytes], ...] = ()
        if result.error is not None:
            code, text = result.error
            options = ((_EXTENDED_ERROR, struct.pack("!H", code) + text.encode()),)
        payload = self._limits.payload
        return encode(
            data[:2],
            QR | RA | query.flags & (RD | CD),
            query.question,
            _rrsets(result.answer, now),
            _rrsets(result.authority, now),
            limit=65535 if stream else min(query.size, payload),
            payload=payload if query.edns else 0,
            dnssec_ok=query.dnssec,
            rcode=result.rcode,
            options=options,
        )


def _rrsets(entries: tuple[Entry, ...], now: float) -> list[RRset]:
    return [entry.rrset(now) for entry in entries]
