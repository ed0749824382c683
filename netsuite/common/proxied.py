"""Ports behind a balancer: its PROXY header says who the client is, before TLS and everything else.

Only trusted networks may connect to such a port, and each connection must begin with a header of either version. From
then on the announced address is the client's: for access rules, limits, logs and what is passed on.

Implements: the PROXY protocol, versions 1 and 2 (HAProxy, 2020-03-05), section 2
"""

from __future__ import annotations

import ssl
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from netsuite.common.access import Rule
from netsuite.common.adapter import host_and_port
from netsuite.common.stream import StreamFactory
from netsuite.common.tls import TlsFilter
from netsuite.sansio.connection import Channel
from netsuite.sansio.proxyheader import Announced, HeaderFault, read

__all__ = ["ProxiedFactory"]

_log = Logger()

_PATIENCE: Final = 5.0
"""Seconds in which a header must be there."""
_QUIET: Final = 60.0
"""Seconds between two log lines about connections that were refused."""


@implementer(IProtocolFactory)
class ProxiedFactory:
    """Makes a StreamFactory's adapters, under TLS if there is a context, once the header is there."""

    noisy = False

    def __init__(self, factory: StreamFactory, context: ssl.SSLContext | None, trusted: Rule) -> None:
        self.factory = factory
        self.context = context
        self._trusted = trusted
        self._quiet_until = 0.0

    def doStart(self) -> None:
        """A port uses this factory."""

    def doStop(self) -> None:
        """A port stopped using this factory."""

    def buildProtocol(self, addr: Any) -> Greeting | None:
        """Who waits for the header; None for who may not announce anybody."""
        host = host_and_port(addr)[0]
        if not self._trusted.permits(host):
            self.refused(host, "it is none of common.balancers")
            return None
        return Greeting(self)

    def refused(self, host: str, why: str) -> None:
        """A connection was not let in; told now and then."""
        self.factory.refused += 1
        now = self.factory.commons.clock.seconds()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET
            _log.warn("{name}: refused {host}: {why}", name=self.factory.name, host=host, why=why)


@implementer(IProtocol)
class Greeting:
    """Reads the header, then gives the transport to the adapter."""

    def __init__(self, proxied: ProxiedFactory) -> None:
        self._proxied = proxied
        self._received = b""
        self._timer: Any = None
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """The balancer is there."""
        self.transport = transport
        self._timer = self._proxied.factory.commons.clock.callLater(_PATIENCE, self._refuse, "it announced nobody")

    def connectionMade(self) -> None:
        """Twisted's hook; makeConnection does it all."""

    def dataReceived(self, data: bytes) -> None:
        """Some of the header, or all of it and more."""
        self._received += data
        try:
            found = read(self._received)
        except HeaderFault as fault:
            self._refuse(str(fault))
            return
        if found is not None:
            self._let_in(found)

    def connectionLost(self, reason: Failure) -> None:
        """It went without a header."""
        self._stop_timer()

    def _let_in(self, found: Announced) -> None:
        self._stop_timer()
        transport, proxied = self.transport, self._proxied
        address, channel = transport.getPeer(), None
        if found.peer is not None and found.local is not None:
            channel = Channel(found.local, found.peer)
            kind = IPv6Address if ":" in found.peer[0] else IPv4Address
            address = kind("TCP", *found.peer)
        tls = TlsFilter(proxied.context, server=True) if proxied.context is not None else None
        adapter = proxied.factory.adapter(address, tls, channel)
        if adapter is None:
            transport.abortConnection()
            return
        transport.protocol = adapter
        adapter.makeConnection(transport)
        rest = self._received[found.size :]
        if rest:
            adapter.dataReceived(rest)

    def _refuse(self, why: str) -> None:
        self._stop_timer()
        self._proxied.refused(host_and_port(self.transport.getPeer())[0], why)
        self.transport.abortConnection()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
