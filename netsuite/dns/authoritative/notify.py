"""NOTIFY: other servers are told that a zone has a new version (RFC 1996).

One datagram to each, sent again in growing intervals until it is answered or nobody seems to be there; a newer
version's takes the place of an older one's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from netsuite.common.commons import Runtime
from netsuite.dns.authoritative.permission import Remote
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, from_text, to_text
from netsuite.dns.wire.tsig import Key, Seal, Unsigned, Untrue

__all__ = ["Notifier", "message"]

_log = Logger()

_WAITS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)


def message(ident: int, zone: Zone) -> bytes:
    """The notification, with the new SOA as a hint (RFC 1996 section 3.7)."""
    rdata = zone.soa.rdatas[0]
    flags = codes.NOTIFY << 11 | codes.AA
    return b"".join(
        (
            ident.to_bytes(2, "big"),
            flags.to_bytes(2, "big"),
            b"\0\1\0\1\0\0\0\0",
            zone.name,
            b"\0\6\0\1\xc0\x0c\0\6\0\1",
            zone.soa.ttl.to_bytes(4, "big"),
            len(rdata).to_bytes(2, "big"),
            rdata,
        )
    )


class _Telling(DatagramProtocol):
    """One server is told of one version; ``over`` is called once, with whether it answered."""

    def __init__(self, notifier: Notifier, remote: Remote, zone: Zone, over: Any) -> None:
        self._runtime = notifier.runtime
        self._remote = remote
        self._ident = notifier.runtime.rng.getrandbits(16)
        self._over = over
        self._tries = 0
        self._timer: Any = None
        self._port: Any = None
        key = notifier.keys.get(from_text(remote.key).lower()) if remote.key is not None else None
        self._plain = message(self._ident, zone)
        self._key = key
        self._seal: Seal | None = None

    def start(self) -> None:
        """Send it for the first time."""
        interface = "::" if ":" in self._remote.host else ""
        self._port = self._runtime.reactor.listenUDP(0, self, interface=interface)
        self._send()

    def _send(self) -> None:
        if self._tries == len(_WAITS):
            self.end(False)
            return
        data = self._plain
        if self._key is not None:
            self._seal = Seal(self._key)
            data = self._seal.sign(data, int(self._runtime.clock.seconds()))
        try:
            self.transport.write(data, (self._remote.host, self._remote.port))  # type: ignore[union-attr]
        except OSError:
            pass  # no way to it now; there may be one at the next try
        self._timer = self._runtime.clock.callLater(_WAITS[self._tries], self._send)
        self._tries += 1

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """Perhaps the answer."""
        right = addr[:2] == (self._remote.host, self._remote.port) and len(data) >= 12
        if not right or data[:2] != self._plain[:2] or data[2] & 0xF8 != 0x80 | codes.NOTIFY << 3:
            return
        if self._seal is not None:
            try:
                self._seal.check_answer(data, int(self._runtime.clock.seconds()))
            except (Untrue, Unsigned, BadName):
                return
        self.end(True)

    def end(self, answered: bool | None) -> None:
        """Close the socket; None if nobody waits for the answer any more."""
        over, self._over = self._over, None
        if over is None:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._port is not None:
            self._port.stopListening()
        over(answered)


class Notifier:
    """Tells other servers; ``keys`` by name. ``told`` and ``unheard`` count."""

    def __init__(self, runtime: Runtime, keys: Mapping[bytes, Key]) -> None:
        self.runtime = runtime
        self.keys = keys
        self.told = self.unheard = 0
        self._under_way: dict[tuple[bytes, str], _Telling] = {}

    def changed(self, zone: Zone, servers: Sequence[str]) -> None:
        """A zone has a new version."""
        for text in servers:
            known = (zone.name, text)
            if (older := self._under_way.pop(known, None)) is not None:
                older.end(None)
            remote = Remote.parse(text)

            def over(answered: bool | None, known: tuple[bytes, str] = known, remote: Remote = remote) -> None:
                if answered is not None:
                    del self._under_way[known]
                if answered:
                    self.told += 1
                elif answered is not None:
                    self.unheard += 1
                    _log.warn("zone {zone}: {server} does not answer NOTIFY", zone=to_text(known[0]), server=remote)

            telling = self._under_way[known] = _Telling(self, remote, zone, over)
            telling.start()

    def stop(self) -> None:
        """Tell nobody any more."""
        under_way, self._under_way = self._under_way, {}
        for telling in under_way.values():
            telling.end(None)
