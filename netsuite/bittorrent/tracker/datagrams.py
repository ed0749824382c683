"""The tracker over UDP: each datagram is answered by itself, and nothing is remembered of who asked.

A connection id is a keyed hash (BLAKE2s) over the address that asked and the two minutes in which it did; those of the
two minutes before are still good. So nobody gets more than 16 bytes for 16 unless he has shown that he receives what is
sent to his address.

One :class:`Datagrams` serves the sockets of one address family. What it knows by heart (the right id of an address) is
a memo that may be dropped at any time.

Implements: BEP 15, BEP 21 (as event 4), BEP 41 (options are passed over)
"""

from __future__ import annotations

import socket
from hashlib import blake2s
from struct import Struct
from typing import Final

from netsuite.bittorrent.tracker.desk import NO_ROOM, NOT_SERVED, TOO_OFTEN, Desk
from netsuite.bittorrent.tracker.swarm import DOWNLOADER, LEAVING, PARTIAL, SEED, WIDTHS
from netsuite.bittorrent.wire import udp
from netsuite.bittorrent.wire.announce import Event, Tally

__all__ = ["CONNECTED", "Datagrams"]

CONNECTED: Final = 120
"""Seconds of a connection id's window; it is good for this window and the next."""

_REQUEST: Final = Struct(">8sI4s20s20s8x8s8xI4x4si2s")
"""An announce as it is looked at: id, action, transaction, info-hash, peer id, left, event, key, numwant, port."""
_UNPACK: Final = _REQUEST.unpack_from
_REPLY: Final = Struct(">I4sIII")
_CONNECT: Final = udp.MAGIC.to_bytes(8, "big") + bytes(4)
# plain numbers: members of an enumeration compare slowly
_ANNOUNCE: Final = udp.ANNOUNCE
_COMPLETED: Final = int(Event.COMPLETED)
_STOPPED: Final = int(Event.STOPPED)
_PAUSED: Final = int(Event.PAUSED)
_NOTHING_LEFT: Final = bytes(8)
_MEMO: Final = 65536
_WINDOW: Final = 1452
"""Bytes of an answer at most: IPv6 and UDP heads beside them fill a packet of 1,500."""
_UNKNOWN: Final = b"stale id"
"""What fits behind eight bytes of an error where the source is not proven: no more goes out than came in."""
_NO_PORT: Final = bytes(2)


class Datagrams:
    """Answers for one family (0: IPv4, 1: IPv6). ``announces``, ``scrapes``, ``connects`` and ``errors`` count."""

    def __init__(self, desk: Desk, family: int, secret: bytes, now: float) -> None:
        self._desk = desk
        self._family = family
        self._secret = secret
        self._at, self._end = (8, 24) if family else (4, 8)
        most = (_WINDOW - 20) // WIDTHS[family]
        self._most, self._usual = desk.wanted(most, most), desk.wanted(-1, most)
        self._known: dict[bytes, bytes] = {}
        self._window = -1
        self._now = now
        self.announces = self.scrapes = self.connects = self.errors = 0
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass: called at least once a second."""
        self._now = now
        window = int(now) // CONNECTED
        if window != self._window:
            self._window = window
            self._known.clear()

    def answer(self, data: bytes, peer: tuple[str, int], local: tuple[str, int], now: float) -> bytes | None:
        """The answer to a datagram, or None; as a DatagramListener wants it."""
        self.tick(now)
        packed = socket.inet_pton(socket.AF_INET6 if self._family else socket.AF_INET, peer[0].partition("%")[0])
        return self.fast(data, bytes(self._at) + packed)

    def fast(self, data: bytes, name: bytes) -> bytes | None:
        """The same for an address as the kernel writes it."""
        source = name[self._at : self._end]
        if len(data) < 98 or data[11] != _ANNOUNCE:
            return self._other(data, source)
        ident, action, transaction, info_hash, peer_id, left, event, key, wanted, port = _UNPACK(data)
        if self._known.get(source) != ident and not self._proven(source, ident):
            return self._error(transaction, _UNKNOWN)
        if action != _ANNOUNCE:
            return None
        desk = self._desk
        if desk.rate is not None and not desk.permits(source):
            return self._error(transaction, TOO_OFTEN.reason.encode())
        if event == _STOPPED:
            sort = LEAVING
        elif left == _NOTHING_LEFT:
            sort = SEED
        else:
            sort = PARTIAL if event == _PAUSED else DOWNLOADER
        if port == _NO_PORT and sort != LEAVING:
            return self._error(transaction, b"port must be between 1 and 65535")
        self.announces += 1
        swarms = desk.swarms
        if swarms.find(info_hash) is None and not desk.torrents.serves(info_hash):
            return self._error(transaction, NOT_SERVED.reason.encode())
        family = self._family
        known = swarms.announce(info_hash, family, source + port, peer_id + key, sort, event == _COMPLETED)
        if known is None:
            if sort != LEAVING:
                return self._error(transaction, NO_ROOM.reason.encode())
            return _REPLY.pack(_ANNOUNCE, transaction, desk.interval(), 0, 0)
        swarm, place = known
        downloaders, seeds, partial = swarm.counts
        count = self._usual if wanted < 0 else min(wanted, self._most)
        return _REPLY.pack(_ANNOUNCE, transaction, desk.interval(), downloaders + partial, seeds) + swarms.sample(
            swarm, family, sort, place, count
        )

    def _other(self, data: bytes, source: bytes) -> bytes | None:
        """Whatever is no announce."""
        if len(data) < 16:
            return None
        if data.startswith(_CONNECT):
            if not self._desk.rule.permits(_text(source)):
                return None
            self.connects += 1
            return bytes(4) + data[12:16] + self._id(source, self._window)
        action = int.from_bytes(data[8:12], "big")
        if action != udp.SCRAPE and action != _ANNOUNCE:
            return None
        transaction = data[12:16]
        if self._known.get(source) != data[:8] and not self._proven(source, data[:8]):
            return self._error(transaction, _UNKNOWN)
        if action == _ANNOUNCE:
            return self._error(transaction, b"the announce is too short")
        if not self._desk.permits(source):
            return self._error(transaction, TOO_OFTEN.reason.encode())
        hashes = min((len(data) - 16) // 20, udp.MOST_SCRAPED)
        if not hashes:
            return self._error(transaction, b"the scrape names no torrent")
        self.scrapes += 1
        find = self._desk.swarms.find
        tallies = []
        for at in range(16, 16 + 20 * hashes, 20):
            swarm = find(data[at : at + 20])
            tallies.append(_NOBODY if swarm is None else swarm.tally())
        return udp.scrape_reply(int.from_bytes(transaction, "big"), tallies)

    def _error(self, transaction: bytes, message: bytes) -> bytes:
        self.errors += 1
        return udp.error_reply(int.from_bytes(transaction, "big"), message)

    # -- connection ids

    def _id(self, source: bytes, window: int) -> bytes:
        return blake2s(source + window.to_bytes(8, "big"), digest_size=8, key=self._secret).digest()

    def _proven(self, source: bytes, ident: bytes) -> bool:
        """Whether an id was given to this address of late."""
        if ident != self._id(source, self._window) and ident != self._id(source, self._window - 1):
            return False
        if not self._desk.rule.permits(_text(source)):
            return False
        if len(self._known) >= _MEMO:
            self._known.clear()
        self._known[source] = ident
        return True


_NOBODY: Final = Tally(0, 0, 0)


def _text(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
