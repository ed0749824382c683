"""Ports that fail at the start or never; how their addresses are written is :mod:`netsuite.common.listenspec`.

A listener binds *and* listens in :meth:`StreamListener.open` (only listening shows that a port is taken),
raises StartError in one line if it cannot, and holds clients in the kernel's queue until ``accept``.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import UNIXServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet, IReactorSocket
from twisted.python.failure import Failure

from netsuite.common.commons import Commons
from netsuite.common.datagram import (
    Answer,
    DatagramLimits,
    DatagramPort,
    Fast,
    Memo,
    PromptAnswers,
    datagram_port,
)
from netsuite.common.door import door_port
from netsuite.common.errors import StartError
from netsuite.common.listenspec import ListenSpec, parse
from netsuite.common.proxied import ProxiedFactory
from netsuite.common.sharing import BACKLOG, Transport, open_socket
from netsuite.common.stream import StreamFactory

if TYPE_CHECKING:
    from netsuite.common.quicport import MachineOf, QuicListener

__all__ = ["DatagramListener", "ListenSpec", "QuicForm", "StreamListener", "parse", "stream_listener"]

QuicForm = Callable[[], "tuple[str, MachineOf]"]
"""A protocol's name under QUIC, and what makes its machines; ImportError where aioquic is missing."""


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Listener:
    """What both kinds of listener share: the text, and saying in one line why it cannot be."""

    kind: Transport

    def __init__(self, text: str, commons: Commons, setting: str) -> None:
        self.text = text
        self.commons = commons
        self.setting = setting
        try:
            self.spec = parse(text)
        except ValueError as error:
            raise StartError(f"{setting}: {error}") from None
        self.host = self.spec.host
        self.port = self.spec.port
        self.secure = self.spec.secure
        self._table = setting.partition(".")[0]

    def follow(self, other: _Listener | QuicListener) -> None:
        """Take the port that the other one got, if both were told 0: one number for UDP and TCP."""
        if self.spec.form == "address" and self.spec.port == 0:
            self.spec = self.spec._replace(port=other.port)

    def _refusal(self, error: Any) -> StartError:
        """The start's last word about this listener."""
        where = _where(self.host, self.port) if self.spec.form == "address" else self.text
        option = "--" + self.setting.rpartition(".")[2].replace("_", "-")
        choose = f"choose another address with {option} or {self.setting}"
        number = getattr(error, "errno", None)
        if isinstance(error, socket.gaierror):
            return StartError(f"{where}: the host has no address ({error.strerror}); {choose}")
        if number == errno.EADDRINUSE:
            return StartError(f"{where} is already in use; {choose}")
        if number in (errno.EACCES, errno.EPERM):
            why = "ports below 1024 need privileges" if 0 < self.port < 1024 else os.strerror(number)
            return StartError(f"{where} is not permitted ({why}); {choose}")
        if number == errno.EADDRNOTAVAIL:
            return StartError(f"{where} is not an address of this machine; {choose}")
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        return StartError(f"{where} cannot be listened on ({reason}); {choose}")

    def _socket(self) -> socket.socket:
        """The bound socket for an address or an inherited name; raises OSError or StartError."""
        spec, sharing = self.spec, self.commons.sharing
        if spec.form == "inherited":
            handed = sharing.named(spec.host, self._table)
            if handed is None:
                raise StartError(f"{self.text}: no socket of that name was handed to this process; see {self.setting}")
            wanted = socket.SOCK_STREAM if self.kind == "tcp" else socket.SOCK_DGRAM
            if handed.type != wanted:
                handed.close()
                raise StartError(f"{self.text}: the socket of that name is not for {self.kind}; see {self.setting}")
            handed.setblocking(False)
            return handed
        if sharing.shares(self._table):
            shared = sharing.socket(self.kind, spec.host, spec.port)
            if shared is not None:
                return shared
        return open_socket(self.kind, spec.host, spec.port, shared=spec.shared)

    def _bind(self) -> socket.socket:
        try:
            return self._socket()
        except OSError as error:
            raise self._refusal(error) from error

    def _settle(self, address: Any) -> None:
        """Take note of where it really listens (a port 0 became one)."""
        if isinstance(address, tuple):
            self.host, self.port = address[0], address[1]
        elif isinstance(address, str):
            self.host, self.port = address, 0


class StreamListener(_Listener):
    """A port for a stream protocol. ``setting`` is the key that names its address, such as ``http.listen``."""

    kind = "tcp"

    def __init__(
        self,
        text: str,
        factory: StreamFactory,
        commons: Commons,
        setting: str,
        *,
        alpn: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text, commons, setting)
        if self.spec.quic:
            raise StartError(f"{setting}: {text!r}: there is no QUIC here; write secure:HOST:PORT")
        self.factory = factory
        self.alpn = alpn
        self._port: Any = None
        self._accepts = False

    def open(self) -> None:
        """Bind and listen, without accepting yet; StartError if that cannot be."""
        factory: Any = self.factory
        if self.spec.form in ("unix", "endpoint") and self.commons.sharing.index:
            return  # there is one such socket, and the parent accepts from it
        context = None
        if self.secure:
            context = self.commons.certificates.server_context(self.alpn or tuple(self.factory.alpn))
        if self.spec.proxied:
            factory = ProxiedFactory(self.factory, context, self.commons.access.balancers)
        elif context is not None:
            factory = factory.secured(context)
        form = self.spec.form
        if form == "unix":
            self._port = self._listen_unix(factory)
        elif form == "endpoint":
            self._port = self._endpoint(lambda: serverFromString(self.commons.reactor, self.spec.text).listen(factory))
        else:
            self._port = self._adopt(factory)
        self._port.stopReading()
        address = self._port.getHost()
        name = getattr(address, "name", None)
        self._settle(os.fsdecode(name) if name is not None else (address.host, address.port))

    def accept(self) -> None:
        """Let clients in."""
        if self._port is not None:
            self._port.startReading()
            self._accepts = True

    def close(self) -> Awaitable[None]:
        """Listen no more; those who are in stay."""
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        if self._accepts and isinstance(port, tcp.Port):
            # who waits in the kernel's queue takes himself for connected, and closing would reset him
            port.numberAccepts = BACKLOG
            port.doRead()
        closed: Deferred[None] = Deferred()
        stopped = port.stopListening()
        if stopped is None:
            return succeed(None)
        stopped.addBoth(lambda _: closed.callback(None))
        return closed

    def _adopt(self, factory: Any) -> Any:
        reactor = self.commons.reactor
        if not IReactorSocket.providedBy(reactor):
            return self._endpoint(
                lambda: succeed(reactor.listenTCP(self.spec.port, factory, BACKLOG, interface=self.spec.host))
            )
        with self._bind() as bound:
            if self.factory.door is not None and factory is self.factory:
                return door_port(reactor, bound, factory)
            return reactor.adoptStreamPort(bound.fileno(), bound.family, factory)

    def _listen_unix(self, factory: Any) -> Any:
        spec = self.spec
        endpoint = UNIXServerEndpoint(self.commons.reactor, spec.host, BACKLOG, spec.mode, wantPID=True)
        # between Twisted's bind and its chmod nobody else may connect either
        before = os.umask(0o177)
        try:
            return self._endpoint(lambda: endpoint.listen(factory))
        finally:
            os.umask(before)

    def _endpoint(self, listen: Callable[[], Deferred[Any]]) -> Any:
        """What an endpoint's Deferred holds; it must hold it at once."""
        try:
            listening = listen()
        except CannotListenError as error:
            raise self._refusal(error.socketError) from error
        except Exception as error:
            raise self._refusal(error) from error
        held: list[Any] = []
        listening.addBoth(held.append)
        if not held:
            listening.cancel()
            raise StartError(f"{self.text} does not listen at once; choose another kind of address for {self.setting}")
        if isinstance(held[0], Failure):
            problem = held[0].value
            raise self._refusal(problem.socketError if isinstance(problem, CannotListenError) else problem) from problem
        return held[0]


def stream_listener(
    text: str,
    factory: StreamFactory,
    commons: Commons,
    setting: str,
    *,
    alpn: tuple[str, ...] = (),
    quic: QuicForm | None = None,
) -> StreamListener | QuicListener:
    """A port for a protocol that has a form for QUIC as well: ``quic:`` asks for that."""
    listener = _Listener(text, commons, setting)
    if quic is None or not listener.spec.quic:
        return StreamListener(text, factory, commons, setting, alpn=alpn)
    try:
        from netsuite.common.quicport import QuicListener as Listener

        protocol, machine = quic()
    except ImportError:
        raise StartError(f"{setting}: {text!r} needs aioquic: pip install 'netsuite[quic]'") from None
    return Listener(text, factory, commons, setting, protocol, machine)


class DatagramListener(_Listener):
    """A UDP port; its keywords are those of :func:`netsuite.common.datagram.datagram_port`."""

    kind = "udp"

    def __init__(
        self,
        text: str,
        answer: Answer,
        commons: Commons,
        setting: str,
        *,
        memo: Memo | None = None,
        fast: Fast | None = None,
        prompt: PromptAnswers | None = None,
        limits: DatagramLimits = DatagramLimits(),
    ) -> None:
        super().__init__(text, commons, setting)
        if self.secure is not self.spec.quic or self.spec.proxied or self.spec.form in ("unix", "endpoint"):
            raise StartError(
                f"{setting}: {text!r} has no datagrams; write HOST:PORT, shared:HOST:PORT or inherited:NAME"
            )
        self._answer = answer
        self._memo = memo
        self._fast = fast
        self._prompt = prompt
        self._limits = limits
        self.datagrams: DatagramPort | None = None
        """The port with its counters, once open."""

    def open(self) -> None:
        """Bind, without reading yet; StartError if that cannot be."""
        reactor = self.commons.reactor
        where: Any = self._bind() if IReactorFDSet.providedBy(reactor) else (self.spec.host, self.spec.port)
        self.datagrams = datagram_port(
            reactor,
            where,
            self._answer,
            memo=self._memo,
            fast=self._fast,
            prompt=self._prompt,
            limits=self._limits,
        )
        try:
            self.datagrams.bind()
        except OSError as error:
            raise self._refusal(error) from error
        self._settle(self.datagrams.local)

    def accept(self) -> None:
        """Answer from now on."""
        if self.datagrams is not None:
            self.datagrams.startListening()
            self._settle(self.datagrams.local)

    async def close(self, deadline: float = 0.0) -> None:
        """Read no more; close when all answers that are awaited have left, or at the deadline (clock time)."""
        if self.datagrams is None:
            return
        datagrams, self.datagrams = self.datagrams, None
        datagrams.pause()
        left = deadline - self.commons.clock.seconds()
        if left > 0:
            settled = datagrams.settled()
            settled.addTimeout(left, self.commons.clock, lambda *_: None)
            await settled
        await datagrams.stopListening()
