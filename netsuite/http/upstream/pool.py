"""A pool of servers, as a pure state machine: who is chosen, and what is learnt from how it went.

A server is asked if its health checks say that it is up and its breaker permits it; backups only while no other
can be. After it was away, its weight grows over ``slow_start`` seconds from a tenth to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from hashlib import blake2b
from typing import Any, Final

from netsuite.http.upstream.balance import Balance, RoundRobin
from netsuite.http.upstream.breaker import Breaker, BreakerLimits, Circuit
from netsuite.http.upstream.budget import RetryBudget
from netsuite.http.upstream.health import Health

__all__ = ["Pool", "Server"]

_LEAST: Final = 0.1
"""The share of its weight that a server begins with after it was away."""

Changed = Callable[["Pool", "Server", str], None]


class Server:
    """One server of a pool. ``place`` is whatever its owner needs to reach it; ``name`` says it in words.

    ``requests`` and ``failures`` count; ``under_way`` are the requests that have no complete answer yet.
    """

    __slots__ = (
        "backup",
        "breaker",
        "failures",
        "health",
        "name",
        "place",
        "requests",
        "seed",
        "since",
        "turn",
        "under_way",
        "weight",
    )

    def __init__(
        self,
        name: str,
        place: Any = None,
        *,
        weight: float = 1.0,
        backup: bool = False,
        breaker: BreakerLimits = BreakerLimits(),
        health: Health | None = None,
    ) -> None:
        self.name = name
        self.place = place
        self.weight = weight
        self.backup = backup
        self.breaker = Breaker(breaker)
        self.health = health if health is not None else Health()
        self.seed = int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
        self.since: float | None = None  # when it came back
        self.turn = 0.0
        self.under_way = self.requests = self.failures = 0

    @property
    def state(self) -> str:
        """How it is, in a word."""
        if not self.health.up:
            return "down"
        return "up" if self.breaker.circuit is Circuit.CLOSED else self.breaker.circuit.value


class Pool:
    """Servers that stand for one another; ``changed`` is told, in words, what became of one."""

    def __init__(
        self,
        name: str,
        servers: Sequence[Server],
        balance: Balance | None = None,
        *,
        slow_start: float = 0.0,
        retries: int = 2,
        budget: RetryBudget | None = None,
        changed: Changed = lambda pool, server, what: None,
    ) -> None:
        self.name = name
        self.servers = tuple(servers)
        self.retries = retries
        self.budget = budget if budget is not None else RetryBudget(0.2)
        self.retried = self.unserved = 0
        self._balance = balance if balance is not None else RoundRobin()
        self._slow_start = slow_start
        self._changed = changed

    def choose(self, key: bytes, now: float, tried: Collection[Server] = ()) -> Server | None:
        """The server for a request that ``tried`` some already; None if no other can be asked."""
        fit = [
            server
            for server in self.servers
            if server.health.up and server.breaker.permits(now) and server not in tried
        ]
        if not fit:
            return None
        if len(fit) == 1:
            return fit[0]
        first = [server for server in fit if not server.backup]
        fit = first or fit
        return fit[self._balance.choose(fit, [self._weight(server, now) for server in fit], key)]

    def _weight(self, server: Server, now: float) -> float:
        if server.since is None:
            return server.weight
        share = (now - server.since) / self._slow_start if self._slow_start else 1.0
        if share >= 1.0:
            server.since = None
            return server.weight
        return server.weight * max(_LEAST, share)

    # -- what happens to the servers

    def begin(self, server: Server, now: float) -> None:
        """A request goes to a server; one :meth:`settle` and one :meth:`release` follow."""
        server.requests += 1
        server.under_way += 1
        server.breaker.begun(now)

    def settle(self, server: Server, well: bool | None, now: float, detail: str = "") -> None:
        """How the server answered: well, badly, or (None) not to be told, since the request was given up."""
        if well is None:
            server.breaker.unsettled(now)
        elif well:
            if server.breaker.succeeded(now):
                self._back(server, now)
                self._changed(self, server, "answers again")
        else:
            server.failures += 1
            if server.breaker.failed(now):
                wait = server.breaker.until - now
                self._changed(self, server, f"is not asked for {wait:g} s: {detail or 'it failed too often'}")

    def release(self, server: Server) -> None:
        """The exchange is over."""
        server.under_way -= 1

    def checked(self, server: Server, well: bool, now: float, detail: str = "") -> None:
        """A health check came to its end."""
        if server.health.checked(well, detail):
            if well:
                server.breaker.reset()
                self._back(server, now)
            self._changed(self, server, f"is {'up' if well else 'down'}: {detail}")

    def _back(self, server: Server, now: float) -> None:
        server.turn = 0.0
        if self._slow_start:
            server.since = now

    def available(self, now: float) -> int:
        """How many servers can be asked."""
        return sum(server.health.up and server.breaker.permits(now) for server in self.servers)
