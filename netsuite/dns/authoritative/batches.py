"""Batches of datagrams answered straight from the zones, whoever asks: rules, rates and options included.

:mod:`~netsuite.dns.authoritative.prompt` answers what a query asks; what depends on who asks it is added here: whether
he may, how often, and what is said to his options. The same client shows the same options in every query, his cookie
among them, so what is said to them is kept for a while by address and options, and a query with a cookie costs
little more than one without.

Queries and answers are without their first two bytes, the id. What is declined here is answered the careful way, which
says the same.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from netsuite.common.access import Rule
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.ratelimit import ResponseRate
from netsuite.dns.wire.edns import whole

__all__ = ["Batches"]

_STANDING: Final = 16384
_HOSTS: Final = 8192
_SMALLEST: Final = 510
"""What every client takes over UDP, without the id."""


class _Standing(NamedTuple):
    """What is said to some options of a client until a Unix time: the end of the OPT record, behind its TTL.

    ``proven`` says that a cookie showed whose the address is; empty ``said`` that nothing can be said in general.
    """

    until: float
    said: bytes
    proven: bool


class Batches:
    """The prompt answers of one server to datagrams; ``rcodes`` counts what ``prompt`` answers.

    ``rule`` says who may ask and ``rate`` how often, None for everybody and without limit; ``seconds`` is Unix time.
    """

    __slots__ = (
        "_courtesy",
        "_hosts",
        "_mostly",
        "_prompt",
        "_rate",
        "_rcodes",
        "_rule",
        "_seconds",
        "_size",
        "_standing",
    )

    def __init__(
        self,
        prompt: Callable[[Sequence[bytes]], list[bytes | None]],
        rcodes: list[int],
        courtesy: Courtesy,
        seconds: Callable[[], float],
        *,
        udp_size: int,
        rule: Rule | None = None,
        rate: ResponseRate | None = None,
    ) -> None:
        self._prompt = prompt
        self._rcodes = rcodes
        self._courtesy = courtesy
        self._seconds = seconds
        self._size = udp_size
        self._rule = rule
        self._rate = rate
        self._standing: dict[tuple[bytes, bytes], _Standing] = {}
        self._hosts: dict[bytes, bool] = {}
        # Whether most queries of late had options.
        self._mostly = False

    def answers(self, queries: Sequence[bytes], hosts: Sequence[memoryview]) -> Sequence[bytes | None]:
        """The responses to queries from addresses as the kernel writes them; empty for silence, None to decline.

        Without ``hosts`` whatever depends on who asks is declined.
        """
        if self._rule is None and self._rate is None:
            return self._answers(queries, hosts)[0]
        if not hosts:
            return [None] * len(queries)
        if self._rule is not None and not all(map(self._permits, hosts[: len(queries)])):
            return self._permitted(queries, hosts)
        return self._shaped(queries, hosts)

    def _answers(
        self, queries: Sequence[bytes], hosts: Sequence[memoryview]
    ) -> tuple[list[bytes | None], dict[int, bool]]:
        """Answers at any rate, and which of the clients have shown that their address is theirs."""
        proven: dict[int, bool] = {}
        if not hosts:
            return self._prompt(queries), proven
        if self._mostly:
            made: list[bytes | None] = [None] * len(queries)
            self._mostly = self._courteous(queries, hosts, range(len(queries)), made, proven)
            rest = [i for i, answer in enumerate(made) if answer is None]
            if rest:
                for i, answer in zip(rest, self._prompt([queries[i] for i in rest]), strict=True):
                    made[i] = answer
            return made, proven
        made = self._prompt(queries)
        if None in made:
            rest = [i for i, answer in enumerate(made) if answer is None]
            self._mostly = self._courteous(queries, hosts, rest, made, proven) and 2 * len(rest) > len(queries)
        return made, proven

    def _courteous(
        self,
        queries: Sequence[bytes],
        hosts: Sequence[memoryview],
        places: Iterable[int],
        made: list[bytes | None],
        proven: dict[int, bool],
    ) -> bool:
        """Answer those of some queries that have options, as if they had none, and say what is said to those."""
        plain, tails, at = [], [], []
        for i in places:
            query = queries[i]
            # Behind the name: type, class, the OPT record's name, type, size, and TTL.
            end = query.find(b"\0", 10) + 14
            tail = query[end:]
            if len(tail) > 2:
                plain.append(query[:end] + b"\0\0")
                tails.append(tail)
                at.append(i)
        if not at:
            return False
        now = self._seconds()
        known = self._standing.get
        rcodes = self._rcodes
        for i, answer, tail in zip(at, self._prompt(plain), tails, strict=True):
            if answer is None:
                continue
            host = hosts[i].tobytes()
            standing = known((host, tail))
            if standing is None or standing.until <= now:
                standing = self._stand(host, tail, now)
            out = answer[:-2] + standing.said
            if not standing.said or (len(out) > _SMALLEST and len(out) > self._limit(queries[i], tail)):
                # The careful way counts it.
                rcodes[answer[1] & 15] -= 1
                continue
            made[i] = out
            if standing.proven:
                proven[i] = True
        return True

    def _stand(self, host: bytes, tail: bytes, now: float) -> _Standing:
        """What is said to options, which follow their length in ``tail``."""
        standing = _Standing(now + 1, b"", False)
        if tail[0] << 8 | tail[1] == len(tail) - 2 and whole(tail, 2, len(tail)):
            said = self._courtesy.standing(tail[2:], _text(host), now)
            if said is not None:
                options, proven, until = said
                standing = _Standing(until, len(options).to_bytes(2, "big") + options, proven)
        if len(self._standing) >= _STANDING:
            self._standing.clear()
        self._standing[host, tail] = standing
        return standing

    def _limit(self, query: bytes, tail: bytes) -> int:
        at = len(query) - len(tail) - 6
        return min(max(query[at] << 8 | query[at + 1], 512), self._size) - 2

    # Who may, and how often

    def _permits(self, host: memoryview) -> bool:
        raw = host.tobytes()
        known = self._hosts.get(raw)
        if known is None:
            if len(self._hosts) >= _HOSTS:
                self._hosts.clear()
            assert self._rule is not None
            known = self._hosts[raw] = self._rule.permits(_text(raw))
        return known

    def _permitted(self, queries: Sequence[bytes], hosts: Sequence[memoryview]) -> Sequence[bytes | None]:
        """Those who may ask are answered."""
        made: list[bytes | None] = [None] * len(queries)
        at = [i for i in range(len(queries)) if self._permits(hosts[i])]
        for i, answer in zip(at, self._shaped([queries[i] for i in at], [hosts[i] for i in at]), strict=True):
            made[i] = answer
        return made

    def _shaped(self, queries: Sequence[bytes], hosts: Sequence[memoryview]) -> list[bytes | None]:
        """Those who ask too often are not."""
        made, proven = self._answers(queries, hosts)
        if self._rate is not None:
            now = self._seconds()
            for i, answer in enumerate(made):
                if answer is not None and i not in proven and not self._rate.permits(hosts[i].tobytes(), now):
                    made[i] = self._rate.shrunk(b"\0\0" + queries[i], b"\0\0" + answer)[2:]
        return made


def _text(host: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(host) == 4 else socket.AF_INET6, host)
