"""Who may do how much, from where.

Rules are lists of addresses (``192.0.2.7``), networks (``2001:db8::/32``) and the words
``loopback``, ``private`` and ``any``; a peer on a Unix socket counts as loopback. Rates are token
buckets by key, concurrency is counted by address, and every table is bounded.

*Internal* addresses are those that a request from outside must not make us reach (loopback,
private, link-local, multicast, reserved, and IPv4 addresses of these sorts wrapped in IPv6).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from twisted.internet.interfaces import IReactorTime

from netsuite.common.errors import StartError
from netsuite.common.listenspec import parse
from netsuite.sansio.tokenbucket import TokenBuckets

__all__ = [
    "Access",
    "ConcurrencyLimit",
    "RateLimit",
    "Rule",
    "guards_private",
    "is_address",
    "is_internal",
    "is_loopback",
    "networks",
    "wrapped",
]

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WORDS: Final[dict[str, tuple[Network, ...]]] = {
    "loopback": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
    "private": tuple(
        ip_network(text)
        for text in (
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
        )
    ),
    "any": (ip_network("0.0.0.0/0"), ip_network("::/0")),
}  # fmt: skip
_WRAPPED: Final = tuple(ip_network(text) for text in ("64:ff9b::/96", "::/96", "::ffff:0:0:0/96"))
"""Where the last 32 bits are an IPv4 address: NAT64 (RFC 6052), IPv4-compatible, IPv4-translated (RFC 2765)."""
_LOCAL: Final = tuple(ip_network(text) for text in ("192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10"))
"""Not everyone's, although some Pythons say so: protocol assignments (RFC 6890), local NAT64 (RFC 8215), site-local."""
_MEMO: Final = 8192


def _address(host: str) -> Ip:
    """An address from its text, zone dropped and IPv4 unwrapped; what is no address is a Unix socket's: loopback."""
    if not host or host[0] == "/" or host[0] == "\0":
        return IPv6Address(1)
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(_MEMO)
def is_loopback(host: str) -> bool:
    """Whether an address is one of this machine's loopback addresses; False for what is no address."""
    try:
        return _address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether a host is an address already, not a name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_internal(host: str) -> bool:
    """Whether an address lies where a stranger's request must not lead us; True for what is no address."""
    try:
        address = _address(host)
    except ValueError:
        return True
    address = wrapped(address) or address
    return not address.is_global or address.is_multicast or any(address in net for net in _LOCAL)


def wrapped(address: Ip) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address of a kind of tunnel or translation stands for; None if it is none."""
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in net for net in _WRAPPED) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that addresses, networks and words stand for; raises StartError for what is none of these."""
    found: list[Network] = []
    for text in texts:
        if text in _WORDS:
            found.extend(_WORDS[text])
            continue
        try:
            found.append(ip_network(text))
        except ValueError as error:
            words = ", ".join(_WORDS)
            raise StartError(
                f"{text!r} is not an access rule ({error}): write an address, a network like 192.0.2.0/24, or {words}"
            ) from None
    return tuple(found)


class Rule:
    """Who is let in: in ``allow`` and not in ``deny``. Answers are remembered, so asking again is one look-up."""

    __slots__ = ("_allow", "_deny", "_known")

    def __init__(self, allow: Sequence[str], deny: Sequence[str] = ()) -> None:
        self._allow = networks(allow)
        self._deny = networks(deny)
        self._known: dict[str, bool] = {}

    def permits(self, host: str) -> bool:
        """Whether a peer at this address is let in; what is no address never is."""
        known = self._known.get(host)
        return self._decide(host) if known is None else known

    def _decide(self, host: str) -> bool:
        try:
            address = _address(host)
        except ValueError:
            return False
        answer = any(address in net for net in self._allow) and not any(address in net for net in self._deny)
        if len(self._known) >= _MEMO:
            self._known.clear()
        self._known[host] = answer
        return answer


class ConcurrencyLimit:
    """How many may be in at once: in all, and from one address; 0 means without limit."""

    __slots__ = ("_addresses", "count", "per_address", "total")

    def __init__(self, total: int, per_address: int = 0) -> None:
        self.total = total
        self.per_address = per_address
        self.count = 0
        self._addresses: dict[str, int] = {}

    def enter(self, host: str) -> bool:
        """Let one in, if there is room; each True wants one :meth:`leave`."""
        if self.total and self.count >= self.total:
            return False
        here = self._addresses.get(host, 0)
        if self.per_address and here >= self.per_address:
            return False
        self._addresses[host] = here + 1
        self.count += 1
        return True

    def leave(self, host: str) -> None:
        """One that was let in has left."""
        here = self._addresses[host]
        if here == 1:
            del self._addresses[host]
        else:
            self._addresses[host] = here - 1
        self.count -= 1


class RateLimit:
    """So many a second for each key, in bursts of up to ``burst``; a rate of 0 is without limit.

    At most ``keys`` keys are remembered.
    """

    __slots__ = ("_buckets", "_seconds")

    def __init__(self, rate: float, burst: float, clock: IReactorTime, keys: int = 65536) -> None:
        self._buckets = TokenBuckets(rate, max(burst, 1.0), keys) if rate > 0 else None
        self._seconds = clock.seconds

    def permits(self, key: Hashable, cost: float = 1.0) -> bool:
        """Take ``cost`` from a key's bucket, if that much is in it."""
        return self._buckets is None or self._buckets.take(key, self._seconds(), cost)

    def wait(self, key: Hashable, cost: float = 1.0) -> float:
        """Seconds until that would be permitted."""
        return 0.0 if self._buckets is None else self._buckets.wait(key, self._seconds(), cost)


def _on_loopback(text: str) -> bool:
    spec = parse(text)
    if spec.proxied:
        return False
    if spec.form == "unix":
        return True
    if spec.form == "address":
        return is_loopback(spec.host)
    interface = re.search(r":interface=((?:[^:\\]|\\.)+)", spec.text)
    return interface is not None and is_loopback(interface[1].replace("\\", ""))


def guards_private(listens: Sequence[str]) -> bool:
    """The ``auto`` of guards against internal targets: on, unless all listeners are on loopback.

    An inherited socket, an endpoint that does not name its interface, and what stands behind a balancer may be reached
    by anyone.
    """
    return not all(_on_loopback(text) for text in listens)


class Access:
    """Makes rules and limits that share the site's clock; part of the commons.

    ``balancers`` are those whose word on who the client is counts, at ``proxied:`` addresses.
    """

    def __init__(self, clock: IReactorTime, balancers: Sequence[str] = ("loopback",)) -> None:
        self.clock = clock
        self.balancers = Rule(balancers)

    def rule(self, allow: Sequence[str], deny: Sequence[str] = ()) -> Rule:
        """A rule; StartError if one of the texts is none."""
        return Rule(allow, deny)

    def rate(self, rate: float, burst: float | None = None, keys: int = 65536) -> RateLimit:
        """A rate limit; ``burst`` is one second's worth if it is not given."""
        return RateLimit(rate, max(rate, 1.0) if burst is None else burst, self.clock, keys)

    def concurrency(self, total: int, per_address: int = 0) -> ConcurrencyLimit:
        """A limit of how many may be in at once."""
        return ConcurrencyLimit(total, per_address)

    def guards_private(self, listens: Sequence[str]) -> bool:
        """Whether a service that listens there must refuse internal targets (see :func:`guards_private`)."""
        return guards_private(listens)
