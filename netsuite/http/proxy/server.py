"""The caching proxy at work: what is stored is answered at once, the rest is fetched, once for all who ask meanwhile.

A request is decided by :mod:`netsuite.http.proxy.decision`; what has to be fetched becomes a
:class:`~netsuite.http.proxy.flight.Flight`, from which its asker and whoever joins read while it arrives. Where the
origin fails, a stored response may stand in; else the client is told what failed, in the words of RFC 9209.

Implements: RFC 9110 sections 7.6, 9.3.6 and 15.2; RFC 9111 sections 3, 4 and 5.1; RFC 9209; RFC 9211; RFC 5861
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from html import escape
from typing import Any, Final

from netsuite.common.access import ConcurrencyLimit, Rule, is_internal
from netsuite.common.body import Body, BodyFailed
from netsuite.common.commons import Commons
from netsuite.common.job import run
from netsuite.common.stream import StreamAdapter, StreamFactory
from netsuite.http.accesslog import LOGGED, combined, said
from netsuite.http.client import ClientLimits, Fetched, HttpClient
from netsuite.http.hotpath import HotPath, Prepared, teachable
from netsuite.http.proxy.answers import answer, is_not_modified, ranges_of
from netsuite.http.proxy.cache import Cache
from netsuite.http.proxy.decision import Action, Decision, Failure, fresh_until, may_serve_stale
from netsuite.http.proxy.flight import Flight, Landing
from netsuite.http.proxy.hits import StoredAnswer, hit_marks, is_plain
from netsuite.http.proxy.hops import end_to_end, forwarded_element, loops, via_element
from netsuite.http.proxy.settings import ProxySettings
from netsuite.http.proxy.store import Key, Store
from netsuite.http.proxy.stored import Field, StoredResponse
from netsuite.http.proxy.stored import Request as Asked
from netsuite.http.proxy.stored import Response as Arrived
from netsuite.http.proxy.targets import Refused, ReverseTargets, Target, forward_target, tunnel_target
from netsuite.http.proxy.troubles import Forbidden, Trouble, trouble
from netsuite.http.proxy.uncacheable import Uncacheable
from netsuite.http.proxy.variants import NEVER, secondary_key
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.http1 import ServerConnection
from netsuite.http.wire.messages import REASONS, Request, Response
from netsuite.http.wire.ranges import content_range
from netsuite.sansio.connection import Channel
from netsuite.sansio.dates import format_date

__all__ = ["ProxyServer"]

_WINDOW: Final = 1 << 20
"""Bytes that are held of a response that is not stored, between its fetch and its slowest reader."""

_ATTEMPTS: Final = 3
_CONDITIONAL: Final = frozenset({b"if-none-match", b"if-modified-since", b"if-range", b"range"})
_ERRORS: Final = frozenset({500, 502, 503, 504})

Resolve = Callable[[str], Awaitable[list[str]]]


class ProxyServer:
    """A forward proxy, or with ``settings.origin`` a reverse one; ``resolve`` finds addresses of hosts.

    ``pseudonym`` is its name in Via: another proxy must not have the same. ``guarded`` refuses internal
    targets; ``on_network`` says that others than this machine may reach it.
    """

    def __init__(
        self,
        settings: ProxySettings,
        commons: Commons,
        resolve: Resolve,
        *,
        pseudonym: bytes,
        guarded: bool,
        on_network: bool,
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
    ) -> None:
        self._settings = settings
        self._clock = commons.clock
        self._seconds = commons.clock.seconds
        self._resolve = resolve
        self._pseudonym = pseudonym
        self._guarded = guarded
        self._on_network = on_network
        self._reverse = (
            ReverseTargets(settings.origin, pass_host=settings.pass_host) if settings.origin is not None else None
        )
        self._flights: dict[Key, Flight] = {}
        self.cache = Cache(Store(settings.cache_bytes, settings.object_limit))
        self.uncacheable = Uncacheable()
        self.client = HttpClient(
            commons,
            self._addresses,
            tls=lambda: commons.certificates.client_context(settings.verify),
            limits=ClientLimits(
                connections=settings.origin_connections,
                connect_time=settings.connect_time,
                answer_time=settings.answer_time,
                body_time=settings.body_time,
                tunnel_time=settings.tunnel_time,
            ),
        )
        self._http1 = Http1Limits(idle_time=settings.idle_time, tunnel_time=settings.tunnel_time)
        self._record = commons.journal.kind("proxy", LOGGED, combined)
        self.hot = HotPath(self._seconds, settings.cache_bytes // 4, self._hot_answered)
        self.factory = StreamFactory(
            commons,
            "proxy",
            self._connection,
            self._answer,
            shortcut=self.hot.shortcut,
            rule=rule,
            concurrency=concurrency,
        )
        self.requests = self.hits = self.stale_hits = self.misses = self.validations = self.passes = 0
        self.collapsed = self.refusals = self.troubles = self.tunnels = 0

    def purge(self, key: Key) -> int:
        """Forget every variant of a target; how many there were."""
        return self.cache.store.purge(key)

    # -- the way of a request

    def _connection(self, channel: Channel) -> ServerConnection:
        return ServerConnection(channel, self._http1, now=self._seconds(), standing=_standing)

    def _answer(self, request: Request, body: Body, adapter: StreamAdapter) -> Any:
        self.requests += 1
        if request.method == b"CONNECT":
            return self._tunnel(request, body, adapter)
        target = forward_target(request) if self._reverse is None else self._reverse(request)
        if isinstance(target, Refused):
            return self._refusal(request, adapter, target.status, target.detail)
        if loops(request.headers, self._pseudonym):
            return self._refusal(request, adapter, 508, "This request has passed here before.")
        hops = request.header(b"max-forwards") if request.method == b"OPTIONS" else None
        if hops == b"0":
            return self._finished(request, adapter, 200, [(b"allow", b"GET, HEAD, POST, PUT, DELETE, OPTIONS")], b"")
        asked = Asked(request.method, request.headers)
        now = self._seconds()
        decision = self.cache.decide(target.key, asked, now)
        action = decision.action
        if action is Action.HIT:
            self.hits += 1
            return self._from_store(request, adapter, asked, decision, now)
        if action is Action.STALE_HIT:
            self.stale_hits += 1
            self._validate_behind(request, target, asked, decision)
            return self._from_store(request, adapter, asked, decision, now)
        if action is Action.TIMEOUT:
            self.misses += 1
            return self._refusal(request, adapter, 504, "Nothing that is stored may answer this request.")
        return self._fetched(request, body, adapter, target, asked, decision)

    def _from_store(
        self, request: Request, adapter: StreamAdapter, asked: Asked, decision: Decision, now: float
    ) -> Response:
        stored = decision.stored
        assert stored is not None
        made = answer(request.method, asked.fields, stored, now, hit_marks(stored, now))
        if (
            made.status == stored.status
            and decision.action is Action.HIT
            and now < fresh_until(stored)
            and is_plain(asked)
            and teachable(request)
        ):
            self.hot.teach(request, StoredAnswer(stored), adapter.channel, said(request))
        return self._finished(request, adapter, made.status, made.headers, made.body)

    async def _fetched(
        self,
        request: Request,
        body: Body,
        adapter: StreamAdapter,
        target: Target,
        asked: Asked,
        decision: Decision,
    ) -> Response:
        """The answer to a request that the store cannot answer: by its own fetch, or by one that is under way."""
        key = target.key
        shared = request.method == b"GET" and decision.action is not Action.FORWARD and not asked.authorized
        for attempt in range(_ATTEMPTS):
            flight = self._flights.get(key) if shared and not attempt else None
            own = flight is None or not flight.joinable or flight.waiters >= self._settings.collapse_limit
            if flight is None or own:
                flight = self._depart(request, body, adapter, target, asked, decision, shared and not attempt)
            landing = await flight.landed(own, None if own else self._settings.collapse_time)
            if landing is Landing.READ and (own or flight.response.vary_fits(asked)):
                self.collapsed += not own
                return self._from_flight(request, adapter, flight, asked, decision, own)
            if landing is Landing.TAKE:
                return self._handed(request, adapter, flight, decision)
            if landing is Landing.STORED and own:
                self.validations += 1
                now = self._seconds()
                mark = b"netsuite; fwd=%b; fwd-status=304; stored" % decision.forward.encode()
                stored = flight.response
                marks = [(b"age", b"%d" % stored.age(now)), (b"cache-status", mark)]
                made = answer(request.method, asked.fields, stored, now, marks)
                return self._finished(request, adapter, made.status, made.headers, made.body)
            if landing is Landing.FAILED:
                return self._without_origin(request, adapter, asked, decision, flight.trouble)
            # somebody else's fetch brought what is not for us: look again, then ask ourselves
            decision = self.cache.decide(key, asked, self._seconds())
            if decision.action in (Action.HIT, Action.STALE_HIT):
                self.hits += 1
                return self._from_store(request, adapter, asked, decision, self._seconds())
        return self._refusal(request, adapter, 503, "The response changes faster than it can be fetched.")

    # -- fetches

    def _depart(
        self,
        request: Request,
        body: Body | None,
        adapter: StreamAdapter | None,
        target: Target,
        asked: Asked,
        decision: Decision,
        shared: bool,
    ) -> Flight:
        """Begin a fetch; others may join it if it is ``shared`` and the target's answers usually are."""
        key = target.key
        flight = Flight(self._clock, _WINDOW)
        flight.joinable = shared and key not in self._flights and not self.uncacheable.knows(key, self._seconds())
        if flight.joinable:
            self._flights[key] = flight
        fetching = self._fetch(flight, request, body, adapter, target, asked, decision)
        job = run(fetching, lambda _: None, lambda problem: self._fell(flight, problem))
        flight.cancelled_by(job.cancel)
        return flight

    async def _fetch(
        self,
        flight: Flight,
        request: Request,
        body: Body | None,
        adapter: StreamAdapter | None,
        target: Target,
        asked: Asked,
        decision: Decision,
    ) -> None:
        try:
            validators: Sequence[Field] = decision.validators
            while True:
                generation = self.cache.store.generation(target.key)
                began = self._seconds()
                upstream = self._upstream(request, body, target, decision, validators)
                fetched = await self.client.fetch(upstream, target.origin, interim=_interim(request, adapter))
                arrived = self._arrived(fetched, began)
                if arrived.status != 304 or not validators:
                    break
                await fetched.body.aclose()
                fresh = self.cache.validated(target.key, asked, decision.stored, arrived, generation)
                if fresh is not None:
                    flight.response = fresh
                    flight.settle()
                    return
                # it speaks of what is not here any more: ask for the whole
                validators = ()
            await self._land(flight, target, asked, decision, arrived, fetched, generation)
        finally:
            if self._flights.get(target.key) is flight:
                del self._flights[target.key]

    async def _land(
        self,
        flight: Flight,
        target: Target,
        asked: Asked,
        decision: Decision,
        arrived: _Arrival,
        fetched: Fetched,
        generation: int,
    ) -> None:
        key, stored = target.key, decision.stored
        if (
            stored is not None
            and arrived.status in _ERRORS
            and may_serve_stale(asked, stored, self._seconds(), Failure.ERROR)
        ):
            await fetched.body.aclose()
            flight.fail(Trouble(arrived.status, "", "the origin answered with an error"))
            return
        if asked.method == b"HEAD":
            self.cache.head_seen(key, asked, arrived)
        self.cache.invalidate(key, asked.method, arrived.status, arrived.lines)
        if asked.method not in (b"GET", b"HEAD"):
            generation = self.cache.store.generation(key)
        length = arrived.length
        limit = self.cache.store.object_limit
        keep = decision.action is not Action.FORWARD or asked.method == b"POST"
        keep = keep and self.cache.may_store(key, asked, arrived) and (length is None or length <= limit)
        if not keep:
            if asked.method == b"GET" and decision.action is not Action.FORWARD:
                self.uncacheable.add(key, self._seconds())
            if not flight.hand_over(arrived, fetched.body):
                await fetched.body.aclose()
            return
        self.uncacheable.discard(key)
        arrived.selection = secondary_key(arrived.vary, asked.fields)
        arrived.stored = True
        flight.share(arrived, length, arrived.fresh and arrived.vary != NEVER and not asked.authorized)
        try:
            async for chunk in fetched.body:
                flight.add(chunk)
                if flight.keeping and flight.arrived > limit:
                    flight.narrow()
                if not flight.keeping:
                    if not flight.attended:
                        raise BodyFailed("nobody reads it, and it is too large to be stored")
                    await flight.room()
        except BodyFailed as failed:
            flight.break_off(str(failed))
            return
        except BaseException:
            flight.break_off("the fetch was given up")
            raise
        finally:
            await fetched.body.aclose()
        content = flight.content() if flight.keeping else None
        if content is not None:
            self.cache.keep(key, asked, arrived, content, generation)
        flight.end(fetched.body.trailers, content)

    def _fell(self, flight: Flight, problem: BaseException) -> None:
        """A fetch ended in an exception."""
        known = trouble(problem)
        if known is None:
            self.factory.broke(problem)
            known = Trouble(500, "proxy_internal_error", "the proxy made a mistake")
        if flight.landing is None:
            flight.fail(known)
        else:
            flight.break_off(known.detail)

    def _validate_behind(self, request: Request, target: Target, asked: Asked, decision: Decision) -> None:
        """Bring a stale response up to date while its client is answered from it (RFC 5861 section 3)."""
        if target.key not in self._flights:
            self._depart(request, None, None, target, asked, decision, True)

    def _upstream(
        self, request: Request, body: Body | None, target: Target, decision: Decision, validators: Sequence[Field]
    ) -> Request:
        """The request to the origin: this hop's fields gone, the proxy's own added."""
        dropped = {b"host", b"expect"}
        if decision.action is not Action.FORWARD:
            dropped |= _CONDITIONAL
        headers = [field for field in end_to_end(request.headers) if field[0] not in dropped]
        headers.insert(0, (b"host", target.authority))
        headers.append((b"via", via_element(request.version, self._pseudonym)))
        if self._reverse is not None:
            peer, host = request.peer[0], request.authority
            headers.append((b"x-forwarded-for", peer.encode("ascii", "replace")))
            headers.append((b"x-forwarded-proto", request.scheme.encode()))
            headers.append((b"x-forwarded-host", host))
            headers.append((b"forwarded", forwarded_element(peer, host, request.scheme)))
        hops = request.header(b"max-forwards")
        if hops is not None and hops.isdigit() and request.method == b"OPTIONS":
            headers = [field for field in headers if field[0] != b"max-forwards"]
            headers.append((b"max-forwards", b"%d" % max(0, int(hops) - 1)))
        headers += validators
        source = body if body is not None and request.has_body else None
        return Request(request.method, target.path, headers, authority=target.authority, source=source)

    def _arrived(self, fetched: Fetched, began: float) -> _Arrival:
        response = fetched.response
        lines = end_to_end(response.headers)
        lines.append((b"via", via_element(response.version, self._pseudonym)))
        return _Arrival(response.status, lines, began, self._seconds())

    # -- answers

    def _from_flight(
        self, request: Request, adapter: StreamAdapter, flight: Flight, asked: Asked, decision: Decision, own: bool
    ) -> Response:
        arrived: _Arrival = flight.response
        now = self._seconds()
        self.misses += own
        mark = b"netsuite; fwd=%b; fwd-status=%d; stored%b" % (
            decision.forward.encode(),
            arrived.status,
            b"" if own else b"; collapsed",
        )
        headers = [*arrived.lines, (b"cache-status", mark)]
        reader = flight.reader()
        seen = StoredResponse(arrived, b"", ())
        if is_not_modified(request.method, asked.fields, seen, now):
            run(reader.aclose(), lambda _: None, self.factory.broke)
            made = answer(request.method, asked.fields, seen, now, [(b"cache-status", mark)])
            return self._finished(request, adapter, 304, made.headers, b"")
        status = arrived.status
        if flight.length is not None:
            spans = ranges_of(request.method, asked.fields, seen, flight.length, now)
            if spans is not None and len(spans) == 1:
                first, stop = spans[0]
                reader.span(first, stop)
                status = 206
                headers = [field for field in headers if field[0] not in (b"content-length", b"content-range")]
                headers.append((b"content-range", content_range(spans[0], flight.length)))
                headers.append((b"content-length", b"%d" % (stop - first)))
            elif spans is not None and not spans:
                run(reader.aclose(), lambda _: None, self.factory.broke)
                headers = [(b"content-range", content_range(None, flight.length)), (b"cache-status", mark)]
                return self._finished(request, adapter, 416, headers, b"")
        return self._finished(request, adapter, status, headers, reader)

    def _handed(self, request: Request, adapter: StreamAdapter, flight: Flight, decision: Decision) -> Response:
        """What is for this client alone, as it comes."""
        arrived: _Arrival = flight.response
        self.passes += 1
        reason = decision.forward or "request"
        mark = b"netsuite; fwd=%b; fwd-status=%d" % (reason.encode(), arrived.status)
        return self._finished(request, adapter, arrived.status, [*arrived.lines, (b"cache-status", mark)], flight.body)

    def _without_origin(
        self, request: Request, adapter: StreamAdapter, asked: Asked, decision: Decision, failed: Trouble
    ) -> Response:
        """A stored response in place of the origin's, where it may; else what failed."""
        stored, now = decision.stored, self._seconds()
        failure = Failure.UNREACHABLE if failed.error else Failure.ERROR
        if stored is not None and failed.status != 403 and may_serve_stale(asked, stored, now, failure):
            self.stale_hits += 1
            marks = hit_marks(stored, now, b"; detail=%b" % (b"origin-error" if not failed.error else b"no-origin"))
            made = answer(request.method, asked.fields, stored, now, marks)
            return self._finished(request, adapter, made.status, made.headers, made.body)
        self.troubles += 1
        status = b'netsuite; error=%b; details="%b"' % (failed.error.encode(), _quotable(failed.detail))
        headers = [(b"proxy-status", status), (b"cache-status", b"netsuite; fwd=%b" % decision.forward.encode())]
        return self._page(
            request, adapter, failed.status, f"The origin's answer cannot be had: {failed.detail}.", headers
        )

    def _refusal(self, request: Request, adapter: StreamAdapter, status: int, detail: str) -> Response:
        self.refusals += 1
        return self._page(request, adapter, status, detail, [])

    def _page(
        self, request: Request, adapter: StreamAdapter, status: int, detail: str, headers: list[Field]
    ) -> Response:
        title = f"{status} {REASONS.get(status, b'').decode()}"
        text = (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
            f"<h1>{title}</h1>\n<p>{escape(detail)}</p>\n</html>\n"
        )
        headers = [(b"date", format_date(self._seconds())), (b"content-type", b"text/html; charset=utf-8"), *headers]
        return self._finished(request, adapter, status, headers, text.encode())

    def _finished(
        self, request: Request, adapter: StreamAdapter, status: int, headers: list[Field], content: Any
    ) -> Response:
        """The response, noted in the log."""
        line, referer, agent = said(request)
        client, record = adapter.channel.peer[0], self._record
        if isinstance(content, bytes):
            record(client, line, status, len(content), referer, agent)
            return Response(status, headers, content, stream=request.stream)
        if request.method == b"HEAD" or status in (204, 304):
            record(client, line, status, 0, referer, agent)
            run(content.aclose(), lambda _: None, self.factory.broke)
            return Response(status, headers, stream=request.stream)
        source = _Counted(content, lambda size: record(client, line, status, size, referer, agent))
        return Response(status, headers, source=source, stream=request.stream)

    def _hot_answered(self, note: tuple[str, str, str], prepared: Prepared, channel: Channel) -> None:
        self._record(channel.peer[0], note[0], prepared.status, prepared.size, note[1], note[2])

    # -- tunnels and addresses

    async def _tunnel(self, request: Request, body: Body, adapter: StreamAdapter) -> Response:
        found = tunnel_target(request)
        if self._reverse is not None:
            return self._refusal(request, adapter, 405, "This server is no forward proxy.")
        if isinstance(found, Refused):
            return self._refusal(request, adapter, found.status, found.detail)
        host, port = found
        ports = self._settings.connect_ports
        if port not in ports if ports is not None else self._on_network and port != 443:
            return self._refusal(request, adapter, 403, f"Tunnels to port {port} are not allowed here.")
        try:
            out = await self.client.tunnel(host, port, body)
        except Exception as problem:
            failed = trouble(problem)
            if failed is None:
                raise
            self.troubles += 1
            status = b'netsuite; error=%b; details="%b"' % (failed.error.encode(), _quotable(failed.detail))
            return self._page(request, adapter, failed.status, failed.detail, [(b"proxy-status", status)])
        self.tunnels += 1
        return self._finished(request, adapter, 200, [], out)

    async def _addresses(self, host: str) -> list[str]:
        """The addresses that may be connected to; raises Forbidden if there are others only."""
        found = await self._resolve(host)
        if self._guarded and self._reverse is None:
            allowed = [address for address in found if not is_internal(address)]
            if found and not allowed:
                raise Forbidden(f"{host} leads to an internal address")
            return allowed
        return found


class _Arrival(Arrived):
    """A response from an origin; ``selection`` is set where others may read it."""

    __slots__ = ("selection", "stored")

    def __init__(self, status: int, lines: Sequence[Field], request_time: float, response_time: float) -> None:
        super().__init__(status, lines, request_time, response_time)
        self.selection: tuple[bytes | None, ...] = ()
        self.stored = False

    @property
    def length(self) -> int | None:
        """The announced size of its body."""
        lengths = self.fields.get(b"content-length", ())
        return int(lengths[0]) if lengths and lengths[0].isdigit() else None

    def vary_fits(self, asked: Asked) -> bool:
        """Whether another request would have selected it."""
        return secondary_key(self.vary, asked.fields) == self.selection


class _Counted:
    """A source that counts what it gives, and tells when it is closed."""

    __slots__ = ("_done", "_size", "_source")

    def __init__(self, source: Any, done: Callable[[int], None]) -> None:
        self._source = source
        self._done: Callable[[int], None] | None = done
        self._size = 0

    def __aiter__(self) -> _Counted:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes = await self._source.__anext__()
        self._size += len(chunk)
        return chunk

    @property
    def trailers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The source's trailers."""
        found: tuple[tuple[bytes, bytes], ...] = getattr(self._source, "trailers", ())
        return found

    async def aclose(self) -> None:
        """Close the source, and tell how much it gave."""
        done, self._done = self._done, None
        if done is not None:
            done(self._size)
        await self._source.aclose()


def _interim(request: Request, adapter: StreamAdapter | None) -> Callable[[Response], None] | None:
    """Passes 1xx responses on to the asker, but for 100, which is each hop's own business."""
    if adapter is None:
        return None

    def passed(response: Response) -> None:
        connection = adapter.connection
        if response.status != 100 and connection is not None and not adapter.closed:
            adapter.send(Response(response.status, end_to_end(response.headers), stream=request.stream))

    return passed


def _standing(now: float) -> bytes:
    """The fields of what the machine says by itself."""
    return b"Date: %b\r\nServer: netsuite\r\n" % format_date(now)


def _quotable(text: str) -> bytes:
    """A sentence as the inside of a Structured Field's string."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"').encode()
