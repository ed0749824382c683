"""Active health checks: each server is asked in its interval, over connections of their own."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from netsuite.http.client import FetchFailed, HttpClient
from netsuite.http.upstream.announcing import announcement
from netsuite.http.upstream.origins import OriginPool, Place
from netsuite.http.upstream.pool import Server
from netsuite.http.upstream.settings import HealthSettings
from netsuite.http.wire.messages import Request
from netsuite.interfaces import LookupFailed

__all__ = ["Checks"]

_JITTER: Final = 0.1
_AGENT: Final = (b"user-agent", b"netsuite-health")


class Checks:
    """Looks after the servers of all pools that say so; ``client`` should serve nobody else."""

    def __init__(self, client: HttpClient, clock: IReactorTime, rng: Random, pools: Sequence[OriginPool]) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._pools = [each for each in pools if each.settings is not None and each.settings.health is not None]
        self._timers: dict[Server, Any] = {}
        self._running: set[Deferred[Any]] = set()
        self._stopped = True

    def start(self) -> None:
        """Check every server at once, and then in its interval."""
        self._stopped = False
        for upstream in self._pools:
            for server in upstream.pool.servers:
                self._check(upstream, server)

    def stop(self) -> None:
        """Check no more."""
        self._stopped = True
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self._timers.clear()
        for running in list(self._running):
            running.cancel()
        self._client.close()

    def _check(self, upstream: OriginPool, server: Server) -> None:
        how = upstream.settings.health if upstream.settings is not None else None
        if how is None:
            return
        running = Deferred.fromCoroutine(self._asked(upstream, server, how))
        self._running.add(running)
        running.addTimeout(how.timeout, self._clock, lambda _, seconds: (False, f"no answer in {seconds:g} s"))

        def over(found: Any) -> None:
            self._running.discard(running)
            if self._stopped:
                return
            well, detail = found if isinstance(found, tuple) else (False, str(getattr(found, "value", found)))
            upstream.pool.checked(server, well, self._clock.seconds(), detail)
            wait = how.interval * (1 + _JITTER * (2 * self._rng.random() - 1))
            self._timers[server] = self._clock.callLater(wait, self._check, upstream, server)

        running.addBoth(over)

    async def _asked(self, upstream: OriginPool, server: Server, how: HealthSettings) -> tuple[bool, str]:
        where: Place = server.place
        origin = where.origin._replace(prelude=announcement(upstream.send_proxy, None))
        try:
            if how.path is None:
                await self._client.reach(origin)
                return True, "a connection can be made"
            host = how.host.encode() if how.host is not None else where.authority
            headers = [(b"host", host), _AGENT, (b"accept", b"*/*"), (b"connection", b"close")]
            fetched = await self._client.fetch(Request(b"GET", how.path.encode(), headers, authority=host), origin)
            await fetched.body.aclose()
        except (FetchFailed, LookupFailed) as failed:
            return False, str(failed)
        status = fetched.response.status
        return status in how.statuses, f"status {status}"
