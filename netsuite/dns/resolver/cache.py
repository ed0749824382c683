"""What has been learnt: RRsets, proofs of absence, delegations and failures, within a budget of bytes.

Trust (RFC 2181 section 5.4.1) is kept by two means. What ranks below an answer, the NS records and glue of referrals,
is held apart, as :class:`Delegation` values that lead to servers and are never given to clients; what arrives beside a
positive answer (its authority and additional sections) is not held at all. Among answers, an authoritative one is
never replaced by one that is not while it lives.

A delegation comes from the zone above only, never from the servers that it names, and lives at most as long as the one
that it was reached by: a name that its parent has withdrawn cannot keep itself alive (ghost and phoenix domains).

Every ``expires`` is absolute time in seconds; an entry is never given out after it.

Implements: RFC 2181 section 5; RFC 2308 sections 5, 7; RFC 8020 section 2; RFC 9520 section 3.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netsuite.dns.resolver.message import RRset
from netsuite.dns.wire.codes import AAAA, CNAME, NOERROR, NXDOMAIN, SOA, YXDOMAIN, A
from netsuite.dns.wire.name import suffixes
from netsuite.sansio.s3fifo import S3Fifo

__all__ = ["Cache", "Delegation", "Entry", "Failure", "Lifetimes", "Server", "Trust", "host_text", "synthesise"]

_ENTRY_BYTES = 420
_RECORD_BYTES = 48
_NO_TYPE = 0

Server = tuple[str, int]
"""Address and port of a name server."""


class Trust(enum.IntEnum):
    """How far an answer is believed."""

    ANSWER = 1
    AUTHORITATIVE = 2


class Lifetimes(NamedTuple):
    """Bounds on what servers say about how long things hold, in seconds (RFC 2308 section 5, RFC 9520 section 3.2)."""

    most: int = 86400
    most_negative: int = 10800
    failure: int = 5


class Entry:
    """An RRset, or the knowledge that there is none (``rdatas`` empty, ``rcode`` NOERROR or NXDOMAIN).

    ``companion`` is what must go with it: the SOA of an absence, the DNAME that a CNAME was made from.
    """

    __slots__ = ("companion", "expires", "name", "rcode", "rdatas", "trust", "type")

    def __init__(
        self,
        name: bytes,
        rdtype: int,
        rdatas: tuple[bytes, ...],
        expires: float,
        trust: Trust = Trust.AUTHORITATIVE,
        rcode: int = NOERROR,
        companion: Entry | None = None,
    ) -> None:
        self.name = name
        self.type = rdtype
        self.rdatas = rdatas
        self.expires = expires
        self.trust = trust
        self.rcode = rcode
        self.companion = companion

    def rrset(self, now: float) -> RRset:
        """The RRset with what is left of its TTL."""
        return RRset(self.name, self.type, max(0, int(self.expires - now + 0.5)), self.rdatas)

    def size(self) -> int:
        """About how many bytes it takes."""
        own = _ENTRY_BYTES + len(self.name) + sum(map(len, self.rdatas)) + _RECORD_BYTES * len(self.rdatas)
        return own + (self.companion.size() if self.companion else 0)


class Failure(NamedTuple):
    """That a question could not be answered, and why (an extended error of RFC 8914)."""

    expires: float
    code: int
    text: str


class Delegation:
    """A zone cut: whom to ask about names within ``zone``.

    ``names`` are the NS names, ``glue`` the addresses that the parent gave for some of them, ``fixed`` servers that the
    operator named instead; ``recursive`` ones are asked to do the work (forwarding).
    """

    __slots__ = ("expires", "fixed", "glue", "names", "recursive", "zone")

    def __init__(
        self,
        zone: bytes,
        names: Sequence[bytes] = (),
        glue: Mapping[bytes, Sequence[str]] | None = None,
        expires: float = float("inf"),
        *,
        fixed: Sequence[Server] = (),
        recursive: bool = False,
    ) -> None:
        self.zone = zone
        self.names = tuple(names)
        self.glue = {name: tuple(hosts) for name, hosts in (glue or {}).items()}
        self.expires = expires
        self.fixed = tuple(fixed)
        self.recursive = recursive

    def size(self) -> int:
        """About how many bytes it takes."""
        hosts = sum(map(len, self.glue.values()))
        return _ENTRY_BYTES + 3 * len(self.zone) + sum(map(len, self.names)) + 120 * len(self.names) + 70 * hosts


def synthesise(name: bytes, dname: Entry) -> Entry:
    """The CNAME that a DNAME makes of a name below it; an absence with YXDOMAIN if it gets too long (RFC 6672 2.2)."""
    target = name[: len(name) - len(dname.name)] + dname.rdatas[0]
    if len(target) > 255:
        return Entry(name, CNAME, (), dname.expires, dname.trust, YXDOMAIN, dname)
    return Entry(name, CNAME, (target,), dname.expires, dname.trust, companion=dname)


class Cache:
    """Answers, absences, delegations and failures by name; ``budget`` in bytes.

    A sixteenth each goes to delegations and to failures.
    """

    def __init__(self, budget: int, lifetimes: Lifetimes = Lifetimes()) -> None:
        self.lifetimes = lifetimes
        self._entries: S3Fifo[tuple[bytes, int], Entry] = S3Fifo(budget - budget // 16 - budget // 16)
        self._failures: S3Fifo[tuple[bytes, int], Failure] = S3Fifo(budget // 16)
        self._delegations: S3Fifo[bytes, Delegation] = S3Fifo(budget // 16)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held(self) -> int:
        """How many bytes it holds, by its own estimate."""
        return self._entries.bytes + self._delegations.bytes + self._failures.bytes

    @property
    def evictions(self) -> int:
        """How many entries went for want of room."""
        return self._entries.evictions

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._failures.clear()
        self._delegations.clear()

    def _live(self, name: bytes, rdtype: int, now: float) -> Entry | None:
        held = self._entries.find((name, rdtype))
        if held is None:
            return None
        entry = held.value
        if entry.expires <= now:
            self._entries.discard((name, rdtype))
            return None
        held.uses += 1
        return entry

    def lookup(self, name: bytes, rdtype: int, now: float) -> Entry | None:
        """What is known for a name (folded) and type: the RRset, its absence, or the CNAME to go on with.

        A name above that does not exist settles all below it (RFC 8020). A DNAME above settles nothing: while answers
        are not validated, one forged datagram would redirect a whole subtree.
        """
        entry = self._live(name, rdtype, now)
        if entry is None and rdtype != CNAME:
            entry = self._live(name, CNAME, now)
            if entry is not None and not entry.rdatas and entry.rcode == NOERROR:
                entry = None  # that there is no CNAME says nothing about other types
        if entry is not None:
            return entry
        for above in suffixes(name):
            entry = self._live(above, _NO_TYPE, now)
            if entry is not None:
                return entry
        return None

    def store(self, entry: Entry, now: float) -> Entry:
        """Hold an answer or an absence, unless something live and better is known; what is to be believed now."""
        key = (entry.name, entry.type if entry.rcode != NXDOMAIN else _NO_TYPE)
        held = self._live(*key, now)
        if held is not None and held.trust > entry.trust:
            return held
        if entry.expires > now:
            self._entries.put(key, entry, entry.size())
            if entry.rdatas:
                self._entries.discard((entry.name, _NO_TYPE))
        return entry

    def positive(self, rrset: RRset, now: float, trust: Trust) -> Entry:
        """An entry for an RRset, its TTL bounded; not stored yet."""
        ttl = min(rrset.ttl, self.lifetimes.most)
        return Entry(rrset.name, rrset.type, rrset.rdatas, now + ttl, trust)

    def absence(self, name: bytes, rdtype: int, rcode: int, soa: RRset | None, now: float, trust: Trust) -> Entry:
        """An entry for a proven absence (RFC 2308 section 5); without SOA it holds for no time."""
        if soa is None:
            return Entry(name, rdtype, (), now, trust, rcode)
        minimum = int.from_bytes(soa.rdatas[0][-4:], "big")
        expires = now + min(soa.ttl, minimum, self.lifetimes.most_negative)
        companion = Entry(soa.name, SOA, soa.rdatas[:1], expires, trust)
        return Entry(name, rdtype, (), expires, trust, rcode, companion)

    def addresses(self, name: bytes, now: float) -> tuple[list[str], bool]:
        """Addresses known by answers for a name server's name, and whether A and AAAA are both settled."""
        hosts: list[str] = []
        settled = 0
        for rdtype in (A, AAAA):
            entry = self._live(name, rdtype, now)
            if entry is not None:
                settled += 1
                hosts += map(host_text, entry.rdatas)
        return hosts, settled == 2

    def fail(self, name: bytes, rdtype: int, code: int, text: str, now: float) -> Failure:
        """Remember for a short while that a question cannot be answered (RFC 9520)."""
        failure = Failure(now + self.lifetimes.failure, code, text)
        self._failures.put((name, rdtype), failure, _ENTRY_BYTES + len(name))
        return failure

    def failure(self, name: bytes, rdtype: int, now: float) -> Failure | None:
        """The failure that is remembered for a question."""
        held = self._failures.find((name, rdtype))
        if held is None:
            return None
        failure = held.value
        if failure.expires <= now:
            self._failures.discard((name, rdtype))
            return None
        return failure

    def delegate(self, delegation: Delegation, above: Delegation, ttl: int, now: float) -> None:
        """Hold a delegation that was learnt from the servers of the one ``above``, no longer than that one lives."""
        delegation.expires = min(now + min(ttl, self.lifetimes.most), above.expires)
        if delegation.expires > now:
            self._delegations.put(delegation.zone, delegation, delegation.size())

    def delegation(self, zone: bytes, now: float) -> Delegation | None:
        """The live delegation of exactly this zone."""
        held = self._delegations.find(zone)
        if held is None:
            return None
        delegation = held.value
        if delegation.expires <= now:
            self._delegations.discard(zone)
            return None
        held.uses += 1
        return delegation


def host_text(rdata: bytes) -> str:
    """The textual address of A or AAAA rdata."""
    if len(rdata) == 4:
        return ".".join(map(str, rdata))
    return str(ipaddress.IPv6Address(rdata))
