"""Requests sent to the servers of a pool: to the one that is chosen, and to the next where that is safe.

A request goes out another time if nothing of it has left, or if it is idempotent and without a streamed body; in both
cases only while nothing of an answer has been passed on, its pool's budget lasts, and a server is left that was not
tried. Whoever is slow to answer is not helped by asking others too: a time-out is final.

Implements: RFC 9110 section 9.2.2; RFC 9112 section 9.3.1
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from netsuite.common.passing import Passing
from netsuite.http.client import Fetched, FetchFailed, HttpClient, Interim, Origin, idempotent
from netsuite.http.upstream.origins import OriginPool, Place
from netsuite.http.upstream.pool import Server
from netsuite.http.wire.messages import Request, Response

__all__ = ["Dispatch"]

_GATEWAY_ERRORS: Final = frozenset((502, 503, 504))
_THEIR_FAULT: Final = frozenset(("connect", "connect-timeout", "tls", "timeout", "closed"))
_REPEATABLE: Final = frozenset(("connect", "connect-timeout", "tls", "closed"))


class Dispatch:
    """Sends by ``client``; ``seconds`` tells the time."""

    def __init__(self, client: HttpClient, seconds: Callable[[], float]) -> None:
        self._client = client
        self._seconds = seconds

    async def fetch(
        self,
        request: Request,
        upstream: OriginPool,
        key: bytes,
        *,
        prelude: bytes = b"",
        interim: Interim | None = None,
    ) -> Fetched:
        """The response of one of the servers; raises as :meth:`HttpClient.fetch`, ``unavailable`` if there is none.

        Where the pool does not pass on the client's Host, the first field, which is Host, is made the server's own.
        """
        pool = upstream.pool
        pool.budget.request()
        held = None
        if request.source is not None:
            held = request.source = _Held(request.source)
        passed = _Passed(interim) if interim is not None else None
        headers = request.headers
        tried: tuple[Server, ...] = ()
        failed: FetchFailed | None = None
        answered = False
        try:
            while True:
                now = self._seconds()
                server = pool.choose(key, now, tried)
                if server is None:
                    if failed is not None:
                        raise failed
                    pool.unserved += 1
                    raise FetchFailed("unavailable", f"no server of {pool.name} can be asked", unsent=True)
                if failed is not None:
                    pool.retried += 1
                if server.place.fields:
                    request.headers = [*headers, *server.place.fields]
                try:
                    fetched = await self._ask(request, upstream, server, prelude, passed)
                    answered = True
                    return fetched
                except FetchFailed as problem:
                    failed = problem
                tried = (*tried, server)
                if (
                    failed.kind not in _REPEATABLE
                    or not (idempotent(request) or (failed.unsent and (held is None or not held.begun)))
                    or (passed is not None and passed.any)
                    or len(tried) > pool.retries
                    or not pool.budget.retry(self._seconds())
                ):
                    raise failed
        finally:
            if held is not None:
                await held.settle(answered)

    async def _ask(
        self, request: Request, upstream: OriginPool, server: Server, prelude: bytes, passed: _Passed | None
    ) -> Fetched:
        pool = upstream.pool
        where: Place = server.place
        if not upstream.pass_host:
            request.headers[0] = (b"host", where.authority)
            request.authority = where.authority
        origin: Origin = where.origin
        if prelude:
            origin = origin._replace(prelude=prelude)
        pool.begin(server, self._seconds())
        well: bool | None = None
        detail = ""
        over: Callable[[], None] | None = partial(pool.release, server)
        try:
            fetched = await self._client.fetch(request, origin, interim=passed, done=over)
            over = None
            status = fetched.response.status
            well = status not in _GATEWAY_ERRORS
            if not well:
                detail = f"it answered {status}"
            return fetched
        except FetchFailed as problem:
            detail = str(problem)
            if problem.kind in _THEIR_FAULT and not (problem.kind == "timeout" and problem.unsent):
                well = False
            raise
        finally:
            if over is not None:
                over()
            pool.settle(server, well, self._seconds(), detail)


class _Passed:
    """Interim responses on their way to the client."""

    __slots__ = ("_pass", "any")

    def __init__(self, passing: Interim) -> None:
        self._pass = passing
        self.any = False

    def __call__(self, response: Response) -> None:
        if response.status != 100:
            self.any = True
        self._pass(response)


class _Held(Passing):
    """A source that outlives an attempt in which nothing of it was read."""

    __slots__ = ("_closed", "_last", "begun")

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self._last = self._closed = False
        self.begun = False

    async def __anext__(self) -> bytes:
        self.begun = True
        chunk: bytes = await self._source.__anext__()
        return chunk

    async def aclose(self) -> None:
        """An attempt is over: so is the source, if it was read from or this was the last attempt."""
        if self.begun or self._last:
            await self._close()

    async def settle(self, answered: bool) -> None:
        """No further attempt is made; if it was answered, whoever still reads the source closes it."""
        self._last = True
        if not answered and not self.begun:
            await self._close()

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            await super().aclose()
