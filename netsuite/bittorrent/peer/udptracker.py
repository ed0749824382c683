"""UDP trackers as a peer asks them: one socket a family for all torrents.

A question is repeated after 15 seconds, and given up after 30 more, so that another tracker can be asked; the waits
until it is asked again are the announcer's, and double as well. A connection id serves all torrents for a minute, and
is asked for once however many wait for it. A tracker that refuses an id that it gave before (it was started anew) is
asked for another. Only what comes from the address that was asked, with the number of the question, is an answer.

Implements: BEP 15 (connection ids, time-outs, both families)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure

from netsuite.bittorrent.peer.announcer import AnnounceFailed, plain
from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import Announce, AnnounceReply
from netsuite.common.commons import Runtime

__all__ = ["UdpTrackers"]

Place = tuple[str, int]

PATIENCE: Final = 15.0
TRIES: Final = 2
CONNECTED: Final = 60.0
"""Seconds for which a connection id may be used."""
_LARGEST: Final = 65536


class _Silent(Exception):
    """No answer in time."""


class _Ear(DatagramProtocol):
    """Hears what comes to one socket."""

    noisy = False

    def __init__(self, heard: Callable[[bytes, Any], None]) -> None:
        self._heard = heard

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """A datagram came, from anyone."""
        self._heard(datagram, addr)


class UdpTrackers:
    """Asks UDP trackers by their address; opens its sockets when they are first needed.

    ``sent`` counts datagrams, ``strays`` those that came and answered nothing that was asked.
    """

    def __init__(self, runtime: Runtime, *, patience: float = PATIENCE, tries: int = TRIES) -> None:
        self._reactor = runtime.reactor
        self._clock = runtime.clock
        self._rng = runtime.rng
        self._patience = patience
        self._tries = tries
        self._ports: dict[bool, Any] = {}
        self._asked: dict[int, tuple[Place, Deferred[bytes]]] = {}
        self._known: dict[Place, tuple[int, float]] = {}
        self._connecting: dict[Place, list[Deferred[int]]] = {}
        self.sent = self.strays = 0

    async def announce(self, place: Place, announce: Announce, target: str = "") -> AnnounceReply:
        """A tracker's answer; ``target`` is its URL's path and query (BEP 41). Raises AnnounceFailed."""
        tries, renewed, garbled = 0, False, ""
        while tries < self._tries:
            patience = self._patience * 2**tries
            before = self._id(place)
            try:
                connection = before if before is not None else await self._connected(place, patience)
                message = partial(_announce_request, connection, announce, target)
                data = await self._ask(place, message, patience)
            except _Silent:
                tries += 1
                continue
            reply = udp.read_announce_reply(data, ":" in place[0])
            if isinstance(reply, AnnounceReply):
                return reply
            self._known.pop(place, None)
            if int.from_bytes(data[:4], "big") != udp.ERROR:
                # that is not the tracker's word: a datagram may be cut, or be anybody's
                tries += 1
                garbled = reply.reason
                continue
            if before is None or renewed:
                raise AnnounceFailed(plain(reply.reason))
            renewed = True
        raise AnnounceFailed(plain(garbled) if garbled else f"{_text(place)} does not answer")

    async def close(self) -> None:
        """Give up what is asked, and close the sockets."""
        for _, answer in list(self._asked.values()):
            answer.cancel()
        ports, self._ports = self._ports, {}
        for port in ports.values():
            await port.stopListening()

    # -- connection ids

    def _id(self, place: Place) -> int | None:
        known = self._known.get(place)
        return known[0] if known is not None and self._clock.seconds() < known[1] else None

    async def _connected(self, place: Place, patience: float) -> int:
        """A fresh connection id; whoever comes while it is being asked for waits for the same."""
        gate: Deferred[int] = Deferred()
        waiting = self._connecting.setdefault(place, [])
        waiting.append(gate)
        if len(waiting) == 1:
            Deferred.fromCoroutine(self._connect(place, patience)).addBoth(self._settled, place)
        return await gate

    def _settled(self, result: int | Failure, place: Place) -> None:
        for gate in self._connecting.pop(place):
            if not gate.called:
                gate.callback(result)

    async def _connect(self, place: Place, patience: float) -> int:
        reply = udp.read_connect_reply(await self._ask(place, udp.connect_request, patience))
        if not isinstance(reply, int):
            raise AnnounceFailed(plain(reply.reason))
        self._known = {at: known for at, known in self._known.items() if known[1] > self._clock.seconds()}
        self._known[place] = reply, self._clock.seconds() + CONNECTED
        return reply

    # -- datagrams

    async def _ask(self, place: Place, message: Callable[[int], bytes], patience: float) -> bytes:
        """The datagram that answers a question; raises _Silent, or AnnounceFailed if it cannot be sent."""
        number = self._rng.getrandbits(32)
        while number in self._asked:
            number = self._rng.getrandbits(32)
        answer: Deferred[bytes] = Deferred()
        self._asked[number] = place, answer
        timer = self._clock.callLater(patience, answer.errback, _Silent())
        try:
            self._socket(":" in place[0]).write(message(number), place)
            self.sent += 1
            return await answer
        except BlockingIOError:  # the kernel has no room: lost, as on the way
            return await answer
        except (OSError, CannotListenError) as error:
            raise AnnounceFailed(
                f"{_text(place)} cannot be asked: {getattr(error, 'strerror', None) or error}"
            ) from None
        finally:
            del self._asked[number]
            if timer.active():
                timer.cancel()

    def _socket(self, ipv6: bool) -> Any:
        port = self._ports.get(ipv6)
        if port is None:
            listen, ear = self._reactor.listenUDP, _Ear(self._heard)
            port = self._ports[ipv6] = listen(0, ear, interface="::" if ipv6 else "", maxPacketSize=_LARGEST)
        return port

    def _heard(self, data: bytes, addr: Any) -> None:
        """An answer, or a stray."""
        asked = self._asked.get(int.from_bytes(data[4:8], "big")) if len(data) >= 8 else None
        if asked is None or asked[0] != tuple(addr[:2]) or asked[1].called:
            self.strays += 1
            return
        asked[1].callback(data)


def _announce_request(connection: int, announce: Announce, target: str, number: int) -> bytes:
    return udp.announce_request(connection, number, announce, target)


def _text(place: Place) -> str:
    return f"[{place[0]}]:{place[1]}" if ":" in place[0] else f"{place[0]}:{place[1]}"
