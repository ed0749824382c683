"""A WebSocket that says back what it is told: the smallest conversation.

It is an application of our own kind, for ``[[http.mount]]``::

    [[http.mount]]
    path = "/echo"
    app = "etc/examples/echo.py:Echo"
    kind = "netsuite"
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from zope.interface import implementer

from netsuite.interfaces import HttpAnswer, IHttpApplication, IHttpRequest, IHttpServer, IWebSocket


@implementer(IHttpApplication)
class Echo:
    """Says back what it is told."""

    def __init__(self, commons: Any) -> None:
        self._offers = commons.offers

    def handle(self, request: IHttpRequest, body: AsyncIterator[bytes]) -> HttpAnswer:
        """Begin a conversation."""
        answer: HttpAnswer = self._offers.find(IHttpServer).websocket(request, body, self._talk)
        return answer

    async def _talk(self, socket: IWebSocket) -> None:
        async for message in socket:
            await socket.send(message)
