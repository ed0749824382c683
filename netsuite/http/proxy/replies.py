"""What the proxy says to its clients, and notes in its log: answers as they were made, and pages of its own.

Implements: RFC 9110 section 15; RFC 9209 section 2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from netsuite.common.job import run
from netsuite.common.passing import Counted
from netsuite.common.stream import StreamAdapter
from netsuite.http.accesslog import said
from netsuite.http.cache.stored import Field
from netsuite.http.proxy.troubles import Trouble, proxy_status
from netsuite.http.wire.messages import REASONS, Request, Response
from netsuite.sansio.dates import format_date

__all__ = ["Replies"]


class Replies:
    """Makes responses; ``record`` is told of each, ``broke`` of bodies that could not be closed.

    ``refusals`` counts.
    """

    def __init__(
        self,
        record: Callable[..., None],
        seconds: Callable[[], float],
        broke: Callable[[BaseException], None],
    ) -> None:
        self._record = record
        self._seconds = seconds
        self._broke = broke
        self.refusals = 0

    def refusal(
        self,
        request: Request,
        adapter: StreamAdapter,
        status: int,
        detail: str,
        error: str = "",
        headers: Sequence[Field] = (),
    ) -> Response:
        """The proxy will not do it; ``error`` is a word of Proxy-Status."""
        self.refusals += 1
        told = [proxy_status(Trouble(status, error, detail))] if error else []
        return self.page(request, adapter, status, detail, [*headers, *told])

    def page(
        self, request: Request, adapter: StreamAdapter, status: int, detail: str, headers: Sequence[Field]
    ) -> Response:
        """A page of the proxy's own."""
        title = f"{status} {REASONS.get(status, b'').decode()}"
        text = (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n'
            f"<h1>{title}</h1>\n<p>{escape(detail)}</p>\n</html>\n"
        )
        stamped = [(b"date", format_date(self._seconds())), (b"content-type", b"text/html; charset=utf-8"), *headers]
        return self.finished(request, adapter, status, stamped, text.encode())

    def made(self, request: Request, adapter: StreamAdapter, made: Response) -> Response:
        """An answer that was made from what is stored."""
        return self.finished(request, adapter, made.status, made.headers, made.source or made.body)

    def finished(
        self, request: Request, adapter: StreamAdapter, status: int, headers: list[Field], content: Any
    ) -> Response:
        """The response, noted in the log; ``content`` is its body or a source of it."""
        line, referer, agent = said(request)
        client, record = adapter.channel.peer[0], self._record
        if isinstance(content, bytes):
            record(client, line, status, len(content), referer, agent)
            return Response(status, headers, content, stream=request.stream)
        if request.method == b"HEAD" or status in (204, 304):
            record(client, line, status, 0, referer, agent)
            run(content.aclose(), lambda _: None, self._broke)
            return Response(status, headers, stream=request.stream)
        source = Counted(content, lambda size: record(client, line, status, size, referer, agent))
        return Response(status, headers, source=source, stream=request.stream)
