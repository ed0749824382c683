"""Our ``secure:`` and ``shared:`` for anyone's Twisted server, as endpoint strings.

::

    twistd web --listen secure:8443:interface=127.0.0.1:data=./netsuite-data --path site
    twistd web --listen shared:8080 --path site

Both bind 127.0.0.1 unless ``interface`` says otherwise. ``secure:`` shows certificates of the local authority
in the folder ``data`` for the ``names`` (separated by commas); they are renewed while it serves.
Our own servers do not come this way (:mod:`netsuite.common.listen`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort, IOpenSSLServerConnectionCreator, IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netsuite.common.certificates import SITE_NAMES, Certificates
from netsuite.common.datadir import DataDirectory
from netsuite.common.sharing import open_socket

__all__ = ["SecureEndpoint", "SharedEndpoint"]


@implementer(IStreamServerEndpoint)
class SharedEndpoint:
    """A TCP port that other processes may bind as well (SO_REUSEPORT)."""

    def __init__(self, reactor: Any, port: int, interface: str = "127.0.0.1") -> None:
        self._reactor = reactor
        self._where = interface, port

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """Listen at once, or fail with OSError."""

        def adopt() -> Any:
            with open_socket("tcp", *self._where, shared=True) as bound:
                return self._reactor.adoptStreamPort(bound.fileno(), bound.family, protocolFactory)

        return execute(adopt)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    """Makes pyOpenSSL connections that show our store's certificates."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._contexts: dict[tuple[Path, bytes], SSL.Context] = {}

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        context = self._context(None)
        context.set_tlsext_servername_callback(self._named)
        return SSL.Connection(context, None)

    def _named(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if name is not None:
            connection.set_context(self._context(name.decode("ascii", "replace")))

    def _context(self, name: str | None) -> SSL.Context:
        chosen = self._certificates.choose(name)
        key = chosen.chain, chosen.fingerprint
        context = self._contexts.get(key)
        if context is None:
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            context.set_min_proto_version(SSL.TLS1_2_VERSION)
            context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
            context.use_certificate_chain_file(str(chosen.chain))
            context.use_privatekey_file(str(chosen.key))
            self._contexts = {known: made for known, made in self._contexts.items() if known[0] != chosen.chain}
            self._contexts[key] = context
        return context


class _Secured(TLSMemoryBIOFactory):
    """Keeps the certificates fresh while its port listens."""

    noisy = False

    def __init__(self, certificates: Certificates, factory: Any) -> None:
        super().__init__(_Creator(certificates), False, factory)
        self._certificates = certificates

    def doStart(self) -> None:
        self._certificates.start()
        super().doStart()  # type: ignore[no-untyped-call]

    def doStop(self) -> None:
        self._certificates.stop()
        super().doStop()  # type: ignore[no-untyped-call]


@implementer(IStreamServerEndpoint)
class SecureEndpoint:
    """A TCP port with TLS by the certificates of a data directory."""

    def __init__(
        self,
        reactor: Any,
        port: int,
        interface: str = "127.0.0.1",
        data: str = "netsuite-data",
        names: Sequence[str] = SITE_NAMES,
    ) -> None:
        self._reactor = reactor
        self._where = interface, port
        self._certificates = Certificates(DataDirectory(Path(data).absolute()), reactor, names=names)

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """Listen at once, or fail with OSError or StartError."""

        def adopt() -> Any:
            self._certificates.choose(None)
            secured = _Secured(self._certificates, protocolFactory)
            with open_socket("tcp", *self._where) as bound:
                return self._reactor.adoptStreamPort(bound.fileno(), bound.family, secured)

        return execute(adopt)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is no port")
    return int(text)


def shared(reactor: Any, port: str, interface: str = "127.0.0.1") -> SharedEndpoint:
    """``shared:PORT[:interface=ADDRESS]``."""
    return SharedEndpoint(reactor, _port(port), interface)


def secure(
    reactor: Any, port: str, interface: str = "127.0.0.1", data: str = "netsuite-data", names: str = ""
) -> SecureEndpoint:
    """``secure:PORT[:interface=ADDRESS][:data=FOLDER][:names=NAME,NAME]``."""
    return SecureEndpoint(reactor, _port(port), interface, data, names.split(",") if names else SITE_NAMES)
