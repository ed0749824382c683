"""The upper-case clients: send a line, await the raised one.

``python -m netsuite.upper tcp 127.0.0.1:12000`` and ``... udp 127.0.0.1:12000`` do it for every line of standard input.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IUDPTransport
from twisted.internet.protocol import DatagramProtocol

from netsuite.common.body import Body
from netsuite.common.commons import Runtime
from netsuite.common.stream import StreamAdapter, StreamFactory, connect_stream
from netsuite.upper.wire import Line, LineConnection

__all__ = ["NoAnswer", "TcpClient", "UdpClient"]


class NoAnswer(Exception):
    """The server did not answer; the text says why."""


class TcpClient:
    """Raises lines over one TCP connection, answers in the order of the questions."""

    def __init__(self, runtime: Runtime) -> None:
        self._waiting: deque[Deferred[bytes]] = deque()
        self._adapter: StreamAdapter | None = None
        self._factory = StreamFactory(
            runtime,
            "upper client",
            lambda channel: LineConnection(runtime.clock.seconds(), answers=False),
            self._answered,
            gone=self._gone,
        )

    async def connect(self, host: str, port: int) -> None:
        """Open the connection; raises ConnectFailed."""
        self._adapter = await connect_stream(self._factory, host, port)

    async def ask(self, text: bytes) -> bytes:
        """The raised line; raises NoAnswer if the connection ends first."""
        if self._adapter is None or self._adapter.closed:
            raise NoAnswer("there is no connection")
        answer: Deferred[bytes] = Deferred()
        self._waiting.append(answer)
        self._adapter.send(Line(text))
        return await answer

    def close(self) -> None:
        """End the connection."""
        if self._adapter is not None:
            self._adapter.close("done")

    def _answered(self, line: Line, body: Body, adapter: StreamAdapter) -> None:
        if self._waiting:
            self._waiting.popleft().callback(line.text)

    def _gone(self, adapter: StreamAdapter, reason: str) -> None:
        while self._waiting:
            self._waiting.popleft().errback(NoAnswer(reason))


class UdpClient(DatagramProtocol):
    """Raises lines over UDP, one at a time: asks again after ``patience`` seconds, gives up after ``tries``.

    Only a datagram from the server that was asked counts; which question it answers, UDP cannot say.
    """

    transport: IUDPTransport

    def __init__(self, runtime: Runtime, host: str, port: int, *, patience: float = 1.0, tries: int = 3) -> None:
        self._clock = runtime.clock
        self._server = (host, port)
        self._patience = patience
        self._tries = tries
        self._answer: Deferred[bytes] | None = None
        self._port: Any = runtime.reactor.listenUDP(0, self, interface="::" if ":" in host else "")

    async def ask(self, text: bytes) -> bytes:
        """The raised text; raises NoAnswer when nothing comes back."""
        for _ in range(self._tries):
            answer: Deferred[bytes] = Deferred()
            self._answer = answer
            self.transport.write(text, self._server)
            timer = self._clock.callLater(self._patience, answer.errback, NoAnswer("the server is silent"))
            try:
                return await answer
            except NoAnswer:
                continue
            finally:
                self._answer = None
                if timer.active():
                    timer.cancel()
        raise NoAnswer(f"no answer from {self._server[0]}:{self._server[1]} after {self._tries} tries")

    def close(self) -> Any:
        """Close the socket; a Deferred."""
        return self._port.stopListening()

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """A datagram came."""
        answer = self._answer
        if tuple(addr[:2]) == self._server and answer is not None and not answer.called:
            answer.callback(data)
