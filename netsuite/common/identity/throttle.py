"""How long to make those wait who fail: by the peer's address and by the name that is tried.

The first failures are free, since people mistype; each one after them doubles the wait, up to a few minutes. IPv6
peers count by their /64. Loopback peers have more for free: a web mail or a proxy on this machine speaks for many.

A flood of failures for one name from elsewhere does not lock its owner out: a peer from which that name was last let
in is only held to its own failures. Both tables are bounded; the least recently touched go first.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from netsuite.common.access import is_loopback

__all__ = ["LIMITS", "Limits", "Throttle"]


class Limits(NamedTuple):
    """How many failures are free, and how the waits grow (seconds)."""

    peer: int = 10
    loopback: int = 50
    name: int = 10
    first: float = 1.0
    longest: float = 300.0
    forget: float = 1800.0
    """After so many seconds without a failure all is forgotten."""
    keys: int = 16384


LIMITS: Final = Limits()


class _Failures:
    __slots__ = ("count", "last", "until")

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.until = 0.0


class Throttle:
    """The failures of late; ``now`` is any steady clock's."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, peer: str, name: str, now: float) -> float:
        """Seconds until this peer may try this name; 0 if it may. A peer that is not known is ``""``."""
        address = _prefix(peer)
        found = self._left(f"peer {address}", now) if address else 0.0
        if (address, name) not in self._welcome or not address:
            found = max(found, self._left(f"name {name}", now))
        return found

    def failed(self, peer: str, name: str, now: float) -> None:
        """Count a peer that was not let in as this name (``""`` if it gave none)."""
        address = _prefix(peer)
        limits = self._limits
        if address:
            self._count(f"peer {address}", limits.loopback if is_loopback(peer) else limits.peer, now)
        if name:
            self._count(f"name {name}", limits.name, now)

    def succeeded(self, peer: str, name: str) -> None:
        """Welcome a peer that was let in. Its failures stay counted: one good account buys no guesses at others."""
        address = _prefix(peer)
        if address:
            self._welcome[(address, name)] = None
            self._welcome.move_to_end((address, name))
            if len(self._welcome) > self._limits.keys:
                self._welcome.popitem(last=False)

    def forgive(self, name: str) -> None:
        """Start anew with a name: its password was changed."""
        self._failures.pop(f"name {name}", None)
        for pair in [pair for pair in self._welcome if pair[1] == name]:
            del self._welcome[pair]

    def __len__(self) -> int:
        return len(self._failures) + len(self._welcome)

    def _left(self, key: str, now: float) -> float:
        found = self._failures.get(key)
        return max(found.until - now, 0.0) if found is not None else 0.0

    def _count(self, key: str, free: int, now: float) -> None:
        limits = self._limits
        found = self._failures.get(key)
        if found is None or now - found.last > limits.forget:
            found = self._failures[key] = _Failures()
        self._failures.move_to_end(key)
        found.count += 1
        found.last = now
        if found.count >= free:
            found.until = now + min(limits.first * 2.0 ** min(found.count - free, 30), limits.longest)
        if len(self._failures) > limits.keys:
            self._failures.popitem(last=False)


def _prefix(peer: str) -> str:
    """What a peer is counted by; empty for what is no address (a Unix socket)."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
