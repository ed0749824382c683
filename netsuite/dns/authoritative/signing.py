"""Signatures of a zone, and its chain of NSEC: worked out for what a change touches, and nothing else.

:func:`completed` makes of a change of a zone's data the change of the signed zone: signatures of what came, the links
of the chain that are other than before, and no more. A zone's first signing is the same with every name touched. With
``compact`` there is no chain: denials are signed as they are asked for (RFC 9824), see :class:`Denier`.

RFC 4034 sections 3, 4, 6; RFC 4035 section 2; RFC 9077 (the TTL of NSEC).
"""

from __future__ import annotations

import base64
import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Literal

from netsuite.dns.authoritative.change import Change, folded
from netsuite.dns.authoritative.denial import hashed
from netsuite.dns.authoritative.keys import ALGORITHMS, SigningKey
from netsuite.dns.authoritative.node import CUT, RENAMED, bundles, rrsigs, types
from netsuite.dns.authoritative.zone import Addition, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import labels, within
from netsuite.dns.wire.writer import RRset

__all__ = ["MADE", "Denier", "Signer", "bitmap", "completed", "due"]

MADE: Final = frozenset({codes.RRSIG, codes.NSEC, codes.NSEC3, codes.NSEC3PARAM})
"""Types of records that only signing makes."""
_HOUR: Final = 3600
_DAY: Final = 86400
VALIDITY: Final = 14 * _DAY
REFRESH: Final = 7 * _DAY
"""Signatures hold so long, and are made anew when they have no more than so long to live."""
_AT_CUT: Final = frozenset({codes.DS})
_SHOWN_AT_CUT: Final = frozenset({codes.NS, codes.DS})
NXNAME: Final = 128
_PARAMETERS: Final = b"\x01\0\0\0\0"

Chain = Literal["nsec", "nsec3", "nsec3-opt-out", "compact"]
"""How a zone denies: by a chain of names, of hashed names (also without the unsigned delegations), or on demand."""

Bundles = dict[int, tuple[int, list[bytes]]]
Made = dict[tuple[int, bytes], int]
"""What signing makes, or has made, at a name: by type and data, the TTL."""


def bitmap(present: Iterable[int]) -> bytes:
    """Types as NSEC lists them (RFC 4034 section 4.1.2)."""
    windows: dict[int, bytearray] = {}
    for rdtype in sorted(present):
        window = windows.setdefault(rdtype >> 8, bytearray(32))
        window[(rdtype & 255) >> 3] |= 0x80 >> (rdtype & 7)
    out = []
    for number, window in sorted(windows.items()):
        bits = bytes(window).rstrip(b"\0")
        out.append(bytes((number, len(bits))) + bits)
    return b"".join(out)


class Signer:
    """Signs RRsets of one zone with its active keys."""

    def __init__(self, zone: bytes, keys: Sequence[SigningKey], chain: Chain = "nsec") -> None:
        self.zone = zone
        self.chain = chain
        self._keys = [(key, key.tag, ALGORITHMS[key.algorithm]) for key in keys if key.state == "active"]
        self.tags = frozenset(tag for _, tag, _ in self._keys)

    def signatures(self, owner: bytes, rdtype: int, ttl: int, rdatas: Sequence[bytes], now: int) -> list[bytes]:
        """The data of the RRSIG records over an RRset (RFC 4034 section 3.1.8.1)."""
        count = len(labels(owner)) - owner.startswith(b"\x01*")
        head = owner + struct.pack("!HHI", rdtype, codes.CLASS_IN, ttl)
        body = b"".join(
            [head + len(rdata).to_bytes(2, "big") + rdata for rdata in sorted(folded(rdtype, each) for each in rdatas)]
        )
        # Whoever refreshes many signatures at once would have to do so again and again: spread their ends by a day.
        spread = (len(owner) * 7919 + owner[-min(len(owner), 8)] * 104729 + rdtype * 1299709) % _DAY
        out = []
        for key, tag, algorithm in self._keys:
            fixed = struct.pack(
                "!HBBIIIH", rdtype, algorithm, count, ttl, now + VALIDITY - spread & 0xFFFFFFFF, now - _HOUR, tag
            )
            out.append(fixed + self.zone + key.sign(fixed + self.zone + body))
        return out


def negative_ttl(zone: Zone) -> int:
    """The TTL of NSEC: that of negative answers (RFC 9077)."""
    return zone.negative.ttl


def hidden(zone: Zone, name: bytes) -> bool:
    """Whether a name is below a delegation or a DNAME, and so not the zone's to speak for."""
    while name != zone.name:
        name = name[name[0] + 1 :]
        packed = zone.packed(name)
        if packed is not None and packed[0] & 0x80 == 0 and (packed[0] & RENAMED or packed[0] & CUT):
            return True
    return False


def _real(zone: Zone, name: bytes) -> Bundles:
    """A name's own RRsets, without what signing made."""
    packed = zone.packed(name)
    if packed is None:
        return {}
    return {rdtype: (ttl, rdatas) for rdtype, ttl, rdatas in bundles(packed) if rdtype not in MADE}


def _in_chain(zone: Zone, name: bytes) -> bool:
    packed = zone.packed(name)
    return packed is not None and any(rdtype not in MADE for rdtype in types(packed)) and not hidden(zone, name)


def _following(zone: Zone, name: bytes) -> bytes:
    name = zone.after(name)
    while not _in_chain(zone, name):
        name = zone.after(name)
    return name


def _preceding(zone: Zone, name: bytes) -> bytes:
    name = zone.before(name)
    while not _in_chain(zone, name):
        name = zone.before(name)
    return name


def completed(zone: Zone, change: Change, signer: Signer, now: int, *, renew: Collection[bytes] = ()) -> Change:
    """The change with all that signing adds to it; ``renew`` are names whose signatures are made anew besides.

    ``zone`` is signed, or was never; ``change`` concerns its own data only, and its serial is the new one.
    """
    plain = change.applied(zone)
    touched: dict[bytes, set[int]] = {}
    for part in (change.removals, change.additions):
        for owner, rdtype, _, _ in part:
            touched.setdefault(owner, set()).add(rdtype)
    names = set(touched) | set(renew)
    for owner in touched:
        if touched[owner] & {codes.NS, codes.DNAME}:
            names.update(_below(plain, owner))
    if signer.chain == "nsec":
        names.update([_preceding(plain, owner) for owner in names])
    removals, additions = list(change.removals), list(change.additions)
    for owner in sorted(names):
        if _is_hash(plain, owner):
            continue  # a link of the chain, not a name of the zone
        old = _made_at(zone, owner)
        fresh = owner in renew
        new = dict(_made(plain, owner, old, touched.get(owner, set()), signer, now, fresh=fresh))
        removals += _without(owner, old, new)
        additions += _without(owner, new, old)
    if signer.chain in ("nsec3", "nsec3-opt-out"):
        gone, come = hashed_links(plain, names, signer, now, frozenset(renew))
        removals += gone
        additions += come
    return change._replace(removals=removals, additions=additions)


def hashed_links(
    zone: Zone, names: Collection[bytes], signer: Signer, now: int, renew: Collection[bytes]
) -> tuple[list[Addition], list[Addition]]:
    """What goes and comes of the chain of NSEC3 (RFC 5155 section 7.1) when these names of a zone were touched.

    No salt and no iterations (RFC 9276 section 3.1). ``zone`` has the names as they shall be, and the chain as it was.
    """
    opt_out = signer.chain == "nsec3-opt-out"
    considered: set[bytes] = set()
    affected = {name for name in renew if _is_hash(zone, name)}
    for name in names:
        while name not in considered and within(name, zone.name):
            considered.add(name)
            name = name[name[0] + 1 :]
    wanted: dict[bytes, bytes | None] = {}
    for name in considered:
        if _is_hash(zone, name):
            continue
        label = hashed(name, b"", 0)
        wanted[bytes((len(label),)) + label + zone.name] = _hashed_types(zone, name, opt_out=opt_out)
    order = list(zone.hashes())
    present = set(order)
    for owner, shown in wanted.items():
        if shown is None and owner in present:
            del order[bisect_left(order, owner)]
        elif shown is not None and owner not in present:
            insort(order, owner)
    # Links change where they are wanted otherwise, and before whatever came or went.
    for owner, shown in wanted.items():
        at = bisect_left(order, owner)
        if shown is not None:
            affected.add(owner)
        if order and (shown is None) == (owner in present):
            affected.add(order[at - 1])
    gone: list[Addition] = []
    come: list[Addition] = []
    ttl = negative_ttl(zone)
    head = b"\x01" + bytes((opt_out,)) + b"\0\0\0"
    for owner in sorted({*affected, *wanted}):
        old = _made_at(zone, owner)
        new: Made = {}
        shown = wanted.get(owner)
        if owner in affected:
            if shown is None:
                (kept,) = (rdata for rdtype, rdata in old if rdtype == codes.NSEC3)
                shown = kept[6 + kept[5] :]
            following = order[bisect_right(order, owner) % len(order)]
            link = head + b"\x14" + _raw(following) + shown
            fresh = old.get((codes.NSEC3, link)) != ttl or owner in renew
            new[codes.NSEC3, link] = ttl
            signatures = [] if fresh else [rdata for rdtype, rdata in old if rdtype == codes.RRSIG]
            if {rdata[16] << 8 | rdata[17] for rdata in signatures} != signer.tags:
                signatures = signer.signatures(owner, codes.NSEC3, ttl, [link], now)
            new.update({(codes.RRSIG, rdata): ttl for rdata in signatures})
        gone += _without(owner, old, new)
        come += _without(owner, new, old)
    return gone, come


def _is_hash(zone: Zone, name: bytes) -> bool:
    """Whether a name is there for its NSEC3 record alone."""
    packed = zone.packed(name)
    return packed is not None and name[0] == 32 and codes.NSEC3 in types(packed)


def _without(owner: bytes, one: Made, other: Made) -> list[Addition]:
    """What a name has by one account that it has not, or with another TTL, by another."""
    return [(owner, rdtype, ttl, rdata) for (rdtype, rdata), ttl in one.items() if other.get((rdtype, rdata)) != ttl]


def _made_at(zone: Zone, owner: bytes) -> Made:
    packed = zone.packed(owner)
    if packed is None:
        return {}
    return {(rdtype, rdata): ttl for rdtype, ttl, rdatas in bundles(packed) if rdtype in MADE for rdata in rdatas}


def _raw(owner: bytes) -> bytes:
    """The hash that an owner's first label has in base32."""
    return base64.b32hexdecode(owner[1:33].upper())


def _hashed_types(zone: Zone, name: bytes, *, opt_out: bool) -> bytes | None:
    """What a name's NSEC3 record says of its types; None for a name that has no such record."""
    if hidden(zone, name):
        return None
    real = _real(zone, name)
    if not real:
        return b"" if _leads_on(zone, name, opt_out=opt_out) else None
    if codes.NS in real and name != zone.name:
        if codes.DS in real:
            return bitmap((codes.NS, codes.DS, codes.RRSIG))
        return None if opt_out else bitmap((codes.NS,))
    parameters = (codes.NSEC3PARAM,) if name == zone.name else ()
    return bitmap((*real, codes.RRSIG, *parameters))


def _leads_on(zone: Zone, name: bytes, *, opt_out: bool) -> bool:
    """Whether below an empty name there is one that has an NSEC3 record."""
    if zone.packed(name) is None:
        return False
    for below in _below(zone, name):
        real = _real(zone, below)
        if real and not hidden(zone, below) and not (opt_out and codes.NS in real and codes.DS not in real):
            return True
    return False


def _below(zone: Zone, name: bytes) -> Iterator[bytes]:
    found = zone.after(name)
    while found != zone.name and within(found, name):
        yield found
        found = zone.after(found)


def _made(
    zone: Zone,
    owner: bytes,
    old: Made,
    touched: set[int],
    signer: Signer,
    now: int,
    *,
    fresh: bool,
) -> Iterator[tuple[tuple[int, bytes], int]]:
    """What signing makes at a name: (type, data) and TTL. Signatures that still hold are kept."""
    real = _real(zone, owner)
    if not real or hidden(zone, owner):
        return
    cut = codes.NS in real and owner != zone.name
    signed = {rdtype: found for rdtype, found in real.items() if not cut or rdtype in _AT_CUT}
    if owner == zone.name and signer.chain in ("nsec3", "nsec3-opt-out"):
        yield (codes.NSEC3PARAM, _PARAMETERS), 0
        signed[codes.NSEC3PARAM] = (0, [_PARAMETERS])
    if signer.chain == "nsec":
        shown = _SHOWN_AT_CUT & real.keys() if cut else real.keys()
        link = _following(zone, owner) + bitmap({*shown, codes.RRSIG, codes.NSEC})
        ttl = negative_ttl(zone)
        yield (codes.NSEC, link), ttl
        signed[codes.NSEC] = (ttl, [link])
        if old.get((codes.NSEC, link)) != ttl:
            touched = {*touched, codes.NSEC}
    for rdtype, (ttl, rdatas) in signed.items():
        kept = []
        if rdtype not in touched and not fresh:
            covered = rdtype.to_bytes(2, "big")
            kept = [rdata for kind, rdata in old if kind == codes.RRSIG and rdata.startswith(covered)]
            if {rdata[16] << 8 | rdata[17] for rdata in kept} != signer.tags:
                kept = []
        for rdata in kept or signer.signatures(owner, rdtype, ttl, rdatas, now):
            yield (codes.RRSIG, rdata), ttl


def due(zone: Zone, signer: Signer, now: int, most: int) -> tuple[list[bytes], int]:
    """Names whose signatures must be made anew now, at most so many, and when the next ones must (Unix time)."""
    found: list[bytes] = []
    following = now + REFRESH
    for name, packed in zone.nodes():
        signatures = rrsigs(packed)
        if not signatures:
            continue
        ends = min(int.from_bytes(rdata[8:12], "big") for rdata in signatures)
        stale = {rdata[16] << 8 | rdata[17] for rdata in signatures} != signer.tags
        if stale or ends <= now + REFRESH:
            found.append(name)
        else:
            following = min(following, ends - REFRESH)
        if len(found) >= most:
            return found, now
    return found, following


class Denier:
    """Denies by NSEC records made for the very question, and signed for it (RFC 9824 section 3)."""

    def __init__(self, signer: Signer, now: int) -> None:
        self._signer = signer
        self._now = now
        self._known: dict[tuple[bytes, bytes, int], tuple[RRset, RRset]] = {}

    def deny(self, zone: Zone, owner: bytes, present: Collection[int] | None) -> tuple[RRset, RRset]:
        """The NSEC record at a name and its signatures; ``present`` are its types, None if there is no such name."""
        kinds = {NXNAME} if present is None else set(present)
        rdata = b"\x01\0" + owner + bitmap({*kinds, codes.RRSIG, codes.NSEC})
        ttl = negative_ttl(zone)
        known = (owner, rdata, ttl)
        found = self._known.get(known)
        if found is None:
            if len(self._known) >= 8192:
                self._known.clear()
            signatures = self._signer.signatures(owner, codes.NSEC, ttl, [rdata], self._now)
            found = self._known[known] = RRset(codes.NSEC, ttl, [rdata]), RRset(codes.RRSIG, ttl, signatures)
        return found

    def sign(self, owner: bytes, rrset: RRset) -> RRset:
        """The signatures over what a wildcard makes for a name, as if it were there (RFC 9824 section 3.2)."""
        signatures = self._signer.signatures(owner, rrset.type, rrset.ttl, rrset.rdatas, self._now)
        return RRset(codes.RRSIG, rrset.ttl, signatures)
