"""Ports for protocols over QUIC: datagrams to connections, which a :class:`StreamAdapter` drives like any other.

A :class:`QuicListener` has the face of a StreamListener. It finds a datagram's connection by the id that the client
was given, makes one for a first packet, and says which versions it speaks to those who speak none of them. While many
handshakes are under way, newcomers must first prove their address (Retry), so that forged ones cost no memory.

Known weakness: on a wildcard address the datagrams of a connection leave from the address that the kernel picks, which
need not be the one that was asked; clients drop what comes from any other. Only Retry and the list of versions leave
from the address that was asked. A host with several addresses had better listen on each.

Implements: RFC 9000 sections 5.1, 5.2, 6.1, 8.1.2 and 14.1; RFC 8999
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.retry import QuicRetryTokenHandler
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.python.failure import Failure

from netsuite.common.adapter import StreamAdapter
from netsuite.common.commons import Commons
from netsuite.common.datagram import Place
from netsuite.common.listen import DatagramListener
from netsuite.common.quic import QuicLimits, QuicMachine, configuration, credentials
from netsuite.common.quiclibrary import Credentials, choose_certificate
from netsuite.common.stream import StreamFactory
from netsuite.sansio.connection import TlsFacts

__all__ = ["MachineOf", "QuicListener"]

MachineOf = Callable[[QuicConnection], QuicMachine]
"""Makes the machine of a connection."""

_HANDSHAKES: Final = 64
"""Handshakes under way from which on newcomers must prove their address."""
_ID_LENGTH: Final = 8


class QuicListener:
    """A UDP port for a protocol over QUIC; it listens as StreamListener does, with the certificates of the site.

    ``protocol`` is the ALPN name, ``machine`` makes a connection's machine, ``factory`` its adapter: limits, access
    rules and counts are those of the protocol's other ports.
    """

    secure = True

    def __init__(
        self,
        text: str,
        factory: StreamFactory,
        commons: Commons,
        setting: str,
        protocol: str,
        machine: MachineOf,
        limits: QuicLimits = QuicLimits(),
    ) -> None:
        self._factory = factory
        self._commons = commons
        self._protocol = protocol
        self._machine = machine
        self._limits = limits
        self._connections: dict[bytes, _Transport] = {}
        self._retry = QuicRetryTokenHandler()
        self._known: dict[bytes, Credentials] = {}
        self._settings: QuicConfiguration | None = None
        self._listener = DatagramListener(text, self._arrived, commons, setting)
        self.spec = self._listener.spec
        self.handshakes = 0

    @property
    def host(self) -> str:
        """Where it listens."""
        return self._listener.host

    @property
    def port(self) -> int:
        """The port, the real one once open."""
        return self._listener.port

    def follow(self, other: Any) -> None:
        """Take the port that another listener got, if both were told 0."""
        self._listener.follow(other)

    def open(self) -> None:
        """Bind, without reading yet; StartError if that cannot be."""
        self._settings = configuration(self._protocol, self._commons.certificates.choose(None), self._limits)
        self._listener.open()

    def accept(self) -> None:
        """Answer from now on."""
        self._listener.accept()

    def close(self) -> Awaitable[None]:
        """Take no new connections; the port stays until those that stand have ended."""
        self._settings = None
        if not self._connections:
            return self._listener.close()
        return succeed(None)

    # -- datagrams

    def _arrived(self, data: bytes, peer: Place, local: Place, now: float) -> bytes | None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=_ID_LENGTH)
        except ValueError:
            return None
        found = self._connections.get(header.destination_cid)
        if found is None:
            settings = self._settings
            if settings is None or header.version is None or len(data) < SMALLEST_MAX_DATAGRAM_SIZE:
                return None
            if header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
                return None
            if header.version not in settings.supported_versions:
                return encode_quic_version_negotiation(
                    source_cid=header.destination_cid,
                    destination_cid=header.source_cid,
                    supported_versions=settings.supported_versions,
                )
            if header.packet_type != QuicPacketType.INITIAL:
                return None
            original, retried = header.destination_cid, None
            if self.handshakes >= _HANDSHAKES or header.token:
                proven = self._proven(header, peer, now)
                if proven is None:
                    return self._ask_again(header, peer, now) if not header.token else None
                original, retried = proven, header.destination_cid
            found = self._newcomer(settings, header.destination_cid, original, retried, peer, local)
            if found is None:
                return None
        found.arrived(data, peer)
        return None

    def _proven(self, header: QuicHeader, peer: Place, now: float) -> bytes | None:
        """The id that a client chose first, if it brings back the token that was sent to its address."""
        if not header.token:
            return None
        try:
            return self._retry.validate_token(
                address=peer, destination_cid=header.destination_cid, token=header.token, now=now
            )
        except ValueError:
            return None

    def _ask_again(self, header: QuicHeader, peer: Place, now: float) -> bytes:
        here = self._commons.rng.randbytes(_ID_LENGTH)
        token = self._retry.create_token(
            address=peer,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=here,
            now=now,
        )
        assert header.version is not None
        return encode_quic_retry(
            version=header.version,
            source_cid=here,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )

    def _newcomer(
        self,
        settings: QuicConfiguration,
        first: bytes,
        original: bytes,
        retried: bytes | None,
        peer: Place,
        local: Place,
    ) -> _Transport | None:
        quic = QuicConnection(
            configuration=settings,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        choose_certificate(quic, self._shown)
        machine = self._machine(quic)
        adapter = self._factory.adapter(_address(peer), None, connection=lambda channel: machine)
        if adapter is None:
            return None
        transport = _Transport(self, machine, adapter, peer, local)
        machine.identified = transport.identified
        machine.secured = transport.secured
        self.handshakes += 1
        transport.identified(first, True)
        transport.identified(quic.host_cid, True)
        adapter.makeConnection(transport)
        return transport

    def _shown(self, name: str | None) -> Credentials:
        leaf = self._commons.certificates.choose(name)
        if leaf.fingerprint not in self._known:
            self._known[leaf.fingerprint] = credentials(leaf)
        return self._known[leaf.fingerprint]

    def send(self, data: bytes, peer: Place) -> None:
        """One datagram out."""
        port = self._listener.datagrams
        if port is not None:
            port.transmit(data, peer, [])

    def bound(self, cid: bytes, transport: _Transport) -> None:
        """A connection is found under this id."""
        self._connections[cid] = transport

    def freed(self, cid: bytes) -> None:
        """It is found there no more."""
        self._connections.pop(cid, None)
        if not self._connections and self._settings is None:
            Deferred.fromCoroutine(self._listener.close())


class _Transport:
    """What an adapter takes for its transport: every chunk is a datagram."""

    def __init__(
        self, listener: QuicListener, machine: QuicMachine, adapter: StreamAdapter, peer: Place, local: Place
    ) -> None:
        self._listener = listener
        self._machine = machine
        self._adapter = adapter
        self._local = local
        self._peer = peer
        self._ids: set[bytes] = set()
        self._lost = False
        self._shaking = True
        machine.peer = peer

    # -- from the port

    def arrived(self, data: bytes, peer: Place) -> None:
        """A datagram for this connection."""
        if self._lost:
            return
        self._machine.peer = peer
        self._adapter.dataReceived(data)

    def identified(self, cid: bytes, here: bool) -> None:
        """The machine has a new id, or gave one up."""
        if here:
            self._ids.add(cid)
            self._listener.bound(cid, self)
        else:
            self._ids.discard(cid)
            self._listener.freed(cid)

    def secured(self, facts: TlsFacts) -> None:
        """The handshake is complete."""
        self._shaken()
        self._adapter.channel = self._adapter.channel._replace(tls=facts)

    def _shaken(self) -> None:
        if self._shaking:
            self._shaking = False
            self._listener.handshakes -= 1

    # -- ITransport, as far as adapters use it

    def getHost(self) -> IPv4Address | IPv6Address:
        """Our address."""
        return _address(self._local)

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The client's address when it came."""
        return _address(self._peer)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Datagrams do not queue here: QUIC's own windows hold answers back."""

    def unregisterProducer(self) -> None:
        """See registerProducer."""

    def write(self, data: bytes) -> None:
        """Send a datagram."""
        if data:
            self._listener.send(data, self._machine.peer)

    def writeSequence(self, chunks: Sequence[bytes]) -> None:
        """Send datagrams."""
        for chunk in chunks:
            self._listener.send(chunk, self._machine.peer)

    def pauseProducing(self) -> None:
        """Reading never stops: QUIC's windows hold bodies back, and acknowledgements must come in."""

    def resumeProducing(self) -> None:
        """See pauseProducing."""

    def loseConnection(self) -> None:
        """The machine has ended, or is to."""
        self._end(ConnectionDone())

    def loseWriteConnection(self) -> None:
        """Streams end one by one; a connection has no half."""

    def abortConnection(self) -> None:
        """End at once."""
        self._end(ConnectionAborted())

    def _end(self, reason: Exception) -> None:
        if self._lost:
            return
        self._lost = True
        self._shaken()
        machine = self._machine
        if not machine.closing:
            machine.shut(machine.no_error, "the connection is given up")
        self.writeSequence(machine.outgoing())
        for cid in list(self._ids):
            self.identified(cid, False)
        self._adapter.connectionLost(Failure(reason))


def _address(place: Place) -> IPv4Address | IPv6Address:
    return (IPv6Address if ":" in place[0] else IPv4Address)("UDP", place[0], place[1])
