"""The HTTP server: one site of applications behind one stream factory.

:class:`HttpServer` finds the application for a request, gives its answer a Date and a Server field, counts, logs, and
keeps answers that their application calls :class:`Memorable` on the hot path. How messages are
framed, and what is refused before any application sees it, is the business of
:mod:`netsuite.http.wire`; bodies, backpressure, deadlines and drains that of :mod:`netsuite.common.stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from html import escape
from typing import Any, Final, NamedTuple

from zope.interface import classImplements

from netsuite.common.access import ConcurrencyLimit, Rule
from netsuite.common.body import Body
from netsuite.common.commons import Commons
from netsuite.common.passing import Counted
from netsuite.common.stream import StreamAdapter, StreamFactory, StreamLimits
from netsuite.http.accesslog import LOGGED, combined, said
from netsuite.http.doorstep import Doorstep
from netsuite.http.hosts import HostTable
from netsuite.http.hotpath import HotPath, Prepared, StandingAnswer, teachable
from netsuite.http.versions import SERVER, Versions
from netsuite.http.wire.framing import Http1Limits
from netsuite.http.wire.messages import REASONS, Fields, Request, Response
from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest, IImmediateHttpApplication
from netsuite.sansio.connection import Channel
from netsuite.sansio.dates import format_date

__all__ = ["HttpServer", "Memorable", "error_page"]

classImplements(Request, IHttpRequest)

_BODILESS: Final = frozenset([204, 304])
_UPGRADES: Final = frozenset([b"websocket"])


class Memorable(NamedTuple):
    """An HttpAnswer that stands for as long as ``valid`` says so, for every request of the same bytes.

    ``headers`` must not name the Content-Length. ``valid`` is asked about once a second while the answer is in demand.
    """

    status: int
    headers: Fields
    body: bytes
    valid: Callable[[], bool]


def error_page(status: int, detail: str = "") -> HttpAnswer:
    """A small page that says what went wrong."""
    title = f"{status} {REASONS.get(status, b'').decode()}".strip()
    text = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
        f"<h1>{title}</h1>\n<p>{escape(detail) if detail else 'That is all there is to say.'}</p>\n</html>\n"
    )
    return status, [(b"content-type", b"text/html; charset=utf-8")], text.encode()


class HttpServer:
    """Applications under paths, behind :attr:`factory`.

    ``immediate`` is the application whose answers may be given at the door: the only one, mounted on ``/``.
    ``hosts``, where not empty, are the only host names that are answered (others get 421; see
    :class:`~netsuite.http.hosts.HostTable` for stars). ``requests`` counts what
    applications were asked, ``statuses`` the responses by hundred; ``hot.hits`` what the hot path answered.
    ``alternative`` may be set to what clients under TLS are told in Alt-Svc (RFC 7838).
    """

    def __init__(
        self,
        commons: Commons,
        name: str,
        *,
        hosts: Iterable[str] = (),
        http1: Http1Limits = Http1Limits(),
        limits: StreamLimits = StreamLimits(),
        rule: Rule | None = None,
        concurrency: ConcurrencyLimit | None = None,
        memory: int = 32 << 20,
        immediate: IImmediateHttpApplication | None = None,
    ) -> None:
        self._seconds = commons.clock.seconds
        self._hosts = HostTable(dict.fromkeys(hosts, True))
        self._mounts: list[tuple[bytes, bytes, IHttpApplication]] = []
        self._record = commons.journal.kind(name, LOGGED, combined)
        self.hot = HotPath(self._seconds, memory, self._hot_answered)
        self.requests = 0
        self.statuses = [0] * 6
        self.doorstep = (
            Doorstep(immediate, self._seconds, self._record, self.statuses) if immediate is not None else None
        )
        self.versions = versions = Versions(self._seconds, http1, self.hot, _UPGRADES)
        self.alternative = b""
        self.factory = StreamFactory(
            commons,
            name,
            versions.http1,
            self._answer,
            shortcut=self.hot.shortcut,
            limits=limits,
            rule=rule,
            concurrency=concurrency,
            door=self.doorstep.answer if self.doorstep is not None else None,
            alpn=versions.alpn,
        )

    def mount(self, path: str, app: IHttpApplication) -> None:
        """Answer every request whose path is ``path`` or lies below it; the longest mount wins."""
        prefix = path.rstrip("/").encode()
        self._mounts = [mount for mount in self._mounts if mount[0] != prefix]
        self._mounts.append((prefix, prefix + b"/", app))
        self._mounts.sort(key=lambda mount: len(mount[0]), reverse=True)

    # -- the way of a request

    def _answer(self, request: Request, body: Body, adapter: StreamAdapter) -> Any:
        self.requests += 1
        app = self._application(request)
        if app is None:
            return self._response(request, self._nobody(request), adapter)
        if self.doorstep is not None:
            self.doorstep.learn(request)
        answer = app.handle(request, body)
        if isinstance(answer, tuple):
            return self._response(request, answer, adapter)
        return self._later(request, answer, adapter)

    async def _later(self, request: Request, answer: Coroutine[Any, Any, Any], adapter: StreamAdapter) -> Response:
        response = self._response(request, await answer, adapter)
        return response if isinstance(response, Response) else await response

    def _application(self, request: Request) -> IHttpApplication | None:
        if self._hosts and not self._hosts.find(request.authority):
            return None
        path = request.path
        for exact, below, app in self._mounts:
            if path.startswith(below) or path == exact or (path == b"*" and not exact):
                return app
        return None

    def _nobody(self, request: Request) -> HttpAnswer:
        if self._hosts and not self._hosts.find(request.authority):
            return error_page(421, "This server does not answer for that host.")
        if request.method == b"CONNECT":
            return error_page(405, "This server is no proxy.")
        return error_page(404, "There is nothing here.")

    def _response(
        self, request: Request, answer: Any, adapter: StreamAdapter
    ) -> Response | Coroutine[Any, Any, Response]:
        status, headers, content = answer[:3]
        self.statuses[status // 100] += 1
        if self.alternative and adapter.channel.tls is not None and request.version < (3, 0):
            headers = [*headers, (b"alt-svc", self.alternative)]
        stamped = [(b"date", format_date(self._seconds())), SERVER, *headers]
        client, record = adapter.channel.peer[0], self._record
        line, referer, agent = said(request)
        if isinstance(content, bytes):
            size = 0 if request.method == b"HEAD" or status in _BODILESS else len(content)
            record(client, line, status, size, referer, agent)
            if type(answer) is Memorable and teachable(request):
                length = None if status in _BODILESS else len(content)
                prepared = StandingAnswer(status, [SERVER, *headers], content[:size], length, answer.valid)
                self.hot.teach(request, prepared, adapter.channel, (line, referer, agent))
            return Response(status, stamped, content, stream=request.stream)
        source = Counted(content, lambda size: record(client, line, status, size, referer, agent))
        if request.method == b"HEAD":
            return self._headless(Response(status, stamped, stream=request.stream), source)
        return Response(status, stamped, source=source, stream=request.stream)

    async def _headless(self, response: Response, source: Counted) -> Response:
        """The answer to HEAD: what would have been sent is closed unread."""
        await source.aclose()
        return response

    def _hot_answered(self, note: tuple[str, str, str], prepared: Prepared, channel: Channel) -> None:
        self.statuses[prepared.status // 100] += 1
        self._record(channel.peer[0], note[0], prepared.status, prepared.size, note[1], note[2])
