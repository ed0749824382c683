"""A zone as data: every name with its records, in versions that share what they have in common.

A :class:`Zone` never changes. :meth:`Zone.changed` makes the next version at the cost of what changes, not of the
zone's size: names lie packed (:mod:`netsuite.dns.authoritative.node`) in ``base``, which versions share, and what has
changed since in ``overlay``, which is small and wins. An overlay that has grown is folded into a new base.

Names are wire form in lower case; those between a record and the zone's own name exist too, without records.
What lies below a cut (glue) or a DNAME is found here like the rest: the answer algorithm knows by the names above.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from typing import Any, Final

from netsuite.dns.authoritative.base import Base, is_hash
from netsuite.dns.authoritative.master import Sources, ZoneError, is_current
from netsuite.dns.authoritative.node import CUT, EMPTY, GONE, RENAMED, Node, Packed, RRsets, bundles, pack, unpack
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import canonical, to_text, within
from netsuite.dns.wire.writer import RRset

__all__ = ["Addition", "Base", "Removal", "Zone", "ZoneError", "objection"]

Removal = tuple[bytes, int, bytes]
"""A record that goes: owner, type, data."""
Addition = tuple[bytes, int, int, bytes]
"""A record that comes: owner, type, TTL, data. The TTL becomes that of the whole RRset (RFC 2181 section 5.2), and of
the RRSIGs that cover it; that of an RRSIG says nothing."""

# What may stand beside a CNAME (RFC 4034 section 3, RFC 4035 section 2.5).
_BESIDE_CNAME: Final = frozenset({codes.CNAME, codes.RRSIG, codes.NSEC})
_SINGLE: Final = {codes.SOA: "SOA", codes.CNAME: "CNAME", codes.DNAME: "DNAME"}
_LARGEST_RDATA: Final = 65535 - 12 - 255 - 4 - 12 - 11
_FOLD: Final = 16384
_SETTLED: Final = 2048
"""Changed names that may stay in an overlay for good: copying them for each version costs little."""
_MOVES: Final = 4096
"""Nodes that are moved into the base at a time."""


class Zone:
    """One version of a zone.

    ``base`` and ``overlay`` map names to packed nodes; the overlay wins, and says GONE of names that are there no more.
    ``serial``, ``soa`` and ``servers`` (the NS RRset) are the version's, ``negative`` is the SOA as negative answers
    carry it, ``signed`` says whether the SOA's name has RRSIGs. ``count`` is the number of records; ``cuts``,
    ``renames`` and ``wildcards`` of delegations, DNAMEs, and names that begin with ``*``.
    ``sources`` are the files it was read from.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_changed_order",
        "_children",
        "_hashes",
        "apex",
        "base",
        "count",
        "cuts",
        "denier",
        "name",
        "negative",
        "overlay",
        "renames",
        "serial",
        "servers",
        "signed",
        "soa",
        "sources",
        "wildcards",
    )

    def __init__(
        self,
        name: bytes,
        base: Base,
        *,
        counts: tuple[int, int, int, int],
        overlay: dict[bytes, Packed] | None = None,
        children: dict[bytes, int] | None = None,
        sources: Sources | None = None,
        title: str = "",
    ) -> None:
        self.name = name
        self._base = base
        self.base = base.nodes
        self.overlay = overlay or {}
        self._children = children or {}
        self._changed_order: list[bytes] | None = None
        self._hashes: list[bytes] | None = None
        self.denier: Any = None
        """What denies on demand, for a zone that is signed without a chain (:class:`~.signing.Denier`)."""
        self.sources = sources or {}
        self.count, self.cuts, self.renames, self.wildcards = counts
        self.apex = Node(name, self.packed(name) or EMPTY)
        shown = to_text(name)
        soa, servers = self.apex.rrset(codes.SOA), self.apex.rrset(codes.NS)
        if soa is None or servers is None:
            raise ZoneError(f"{title}: zone {shown} has no {'SOA' if soa is None else 'NS'} record at {shown}")
        self.soa, self.servers = soa, servers
        rdata = self.soa.rdatas[0]
        self.serial = int.from_bytes(rdata[-20:-16], "big")
        # RFC 2308 section 5: the smaller of the SOA's TTL and its last field.
        self.signed = codes.RRSIG in self.apex.types()
        self.negative = RRset(codes.SOA, min(self.soa.ttl, int.from_bytes(rdata[-4:], "big")), [rdata])
        base.versions.add(self)

    def __len__(self) -> int:
        """How many names there are, those without records included."""
        return len(self.base) + sum((packed is not GONE) - (name in self.base) for name, packed in self.overlay.items())

    def is_current(self) -> bool:
        """Whether its files are still as they were when it was read."""
        return is_current(self.sources)

    # Reading

    def packed(self, name: bytes) -> Packed | None:
        """The packed node of a name in lower case; None if the name does not exist."""
        found = self.overlay.get(name) or self.base.get(name)
        return None if found is GONE else found

    def node(self, name: bytes) -> Node | None:
        """The node of a name in lower case, unpacked; None if the name does not exist."""
        packed = self.packed(name)
        return None if packed is None else Node(name, packed)

    def nodes(self) -> Iterator[tuple[bytes, Packed]]:
        """All names with their packed nodes, in no order, at no cost before the first."""
        overlay = self.overlay
        with self._base.lock:
            self._base.readers.append(None)
        try:
            yield from ((name, packed) for name, packed in self.base.items() if name not in overlay)
        finally:
            self._base.readers.pop()
        yield from ((name, packed) for name, packed in overlay.items() if packed is not GONE)

    def records(self) -> Iterator[Addition]:
        """All records, the SOA first, RRsets together, names in no order: what a transfer sends."""
        yield self.name, codes.SOA, self.soa.ttl, self.soa.rdatas[0]
        for name, packed in self.nodes():
            for rdtype, ttl, rdatas in bundles(packed):
                if rdtype != codes.SOA:
                    for rdata in rdatas:
                        yield name, rdtype, ttl, rdata

    def names(self) -> Iterator[bytes]:
        """All names in canonical order (RFC 4034 section 6.1), empty non-terminals included."""
        overlay, base = self.overlay, self.base
        if not overlay and self._base.is_arranged:
            return iter(self._base.order)
        kept = (name for name in self._base.order if name in base and name not in overlay)
        return merge(kept, self._present(), key=canonical)

    def before(self, name: bytes) -> bytes:
        """The name that precedes another, present or not, in canonical order; before the zone's own comes the last."""
        return self._neighbour(name, -1)

    def after(self, name: bytes) -> bytes:
        """The name that follows another, present or not, in canonical order; after the last comes the zone's own."""
        return self._neighbour(name, 1)

    def hashes(self) -> list[bytes]:
        """The names with NSEC3 records, in the order of their hashes (RFC 5155 section 7.1)."""
        if self._hashes is None:
            found = self._base.hashes(self.name)
            overlay, base = self.overlay, self.base
            if overlay or not self._base.is_arranged:
                kept = (name for name in found if name in base and name not in overlay)
                fresh = sorted(name for name, packed in overlay.items() if is_hash(name, packed, self.name))
                found = list(merge(kept, fresh))
            self._hashes = found
        return self._hashes

    def is_above(self, name: bytes) -> bool:
        """Whether names exist below a name."""
        return self._below(self._children, name) > 0

    def _present(self) -> list[bytes]:
        """The names in the overlay that exist, in canonical order."""
        if self._changed_order is None:
            self._changed_order = sorted((n for n, packed in self.overlay.items() if packed is not GONE), key=canonical)
        return self._changed_order

    def _neighbour(self, name: bytes, step: int) -> bytes:
        key = canonical(name)
        order, base, overlay, present = self._base.order, self.base, self.overlay, self._present()
        at = self._base.place(key)
        if step < 0 or (at < len(order) and order[at] == name):
            at += step
        while 0 <= at < len(order) and (order[at] in overlay or order[at] not in base):
            at += step
        place = bisect_left(present, key, key=canonical)
        if step < 0 or (place < len(present) and present[place] == name):
            place += step
        found = [names[i] for names, i in ((order, at), (present, place)) if 0 <= i < len(names)]
        if len(found) == 1:
            return found[0]
        if found:
            return max(found, key=canonical) if step < 0 else min(found, key=canonical)
        if step > 0:
            return self.name
        last = [each for each in (present[-1:], self._last()) if each]
        return max((each[0] for each in last), key=canonical)

    def _last(self) -> list[bytes]:
        for name in reversed(self._base.order):
            if name in self.base and name not in self.overlay:
                return [name]
        return []

    # The next version

    def changed(
        self, removals: Iterable[Removal], additions: Iterable[Addition], sources: Sources | None = None
    ) -> Zone:
        """The next version: without some records, then with others; the serial is what the SOA among them says.

        Raises ZoneError if a removal is not there or the result could not be served; this version stays as it is.
        ``sources`` are the new version's files, by default this one's.
        """
        touched: dict[bytes, RRsets] = {}

        def rrsets(owner: bytes) -> RRsets:
            found = touched.get(owner)
            if found is None:
                found = touched[owner] = unpack(self.packed(owner) or EMPTY)
            return found

        count = self.count
        for owner, rdtype, rdata in removals:
            owner = owner.lower()
            there = rrsets(owner)
            if rdtype not in there or rdata not in there[rdtype][1]:
                raise ZoneError(f"{to_text(owner)} has no such record of type {rdtype} to remove")
            del there[rdtype][1][rdata]
            count -= 1
            if not there[rdtype][1]:
                del there[rdtype]
        for owner, rdtype, ttl, rdata in additions:
            owner = owner.lower()
            there = rrsets(owner)
            known = there.get(rdtype, (0, {}))[1]
            if rdata not in known:
                if why := objection(self.name, owner, rdtype, rdata, there):
                    raise ZoneError(f"{to_text(owner)} {why}")
                count += 1
                known[rdata] = None
            there[rdtype] = (ttl, known)
        work = _Change(self)
        for owner, there in touched.items():
            work.put(owner, pack(there, owner == self.name))
        base, overlay, children = self._base, work.overlay, work.children
        if len(overlay) > max(_FOLD, len(base.nodes) // 8):
            base, overlay, children = work.folded(base)
        return Zone(
            self.name,
            base,
            counts=(count, work.cuts, work.renames, work.wildcards),
            overlay=overlay,
            children=children,
            sources=self.sources if sources is None else sources,
            title="a change",
        )

    @property
    def is_settled(self) -> bool:
        """Whether :meth:`settle` has nothing to do."""
        return len(self.overlay) <= _SETTLED or self._base.redundant

    def settle(self) -> bool:
        """Move a part of what has changed into the base, and bring its order up to date; whether all of that is done.

        Versions that are still read stay as they are: what they do not all have alike waits. Takes a few milliseconds
        at most, and is to be called again after a while until there is nothing more to do.
        """
        base = self._base
        if self.is_settled:
            return True
        others = [version for version in base.versions if version is not self]
        if base._arranging is None:
            with base.lock:
                if base.readers or self._moved(others) == _MOVES:
                    return False
        if not base.arrange(self.name):
            return False
        for name, count in self._children.items():
            if all(other._children.get(name) == count for other in others):
                base.children[name] = count
        base.redundant = True
        return True

    def lightened(self) -> Zone:
        """The same version, without what the base has too since :meth:`settle` is done."""
        work = _Change(self)
        made = Zone(
            self.name,
            self._base,
            counts=(self.count, self.cuts, self.renames, self.wildcards),
            overlay=work.overlay,
            children=work.children,
            sources=self.sources,
        )
        made.denier = self.denier
        return made

    def _moved(self, others: Sequence[Zone]) -> int:
        """Move some nodes that other versions have alike into the base; how many."""
        base = self._base
        have = base.nodes.get
        moved = 0
        for name, packed in self.overlay.items():
            if have(name, GONE) is packed or any(other.overlay.get(name) is not packed for other in others):
                continue
            base.move(name, packed)
            moved += 1
            if moved == _MOVES:
                break
        return moved

    def _below(self, changed: Mapping[bytes, int], name: bytes) -> int:
        found = changed.get(name)
        return self._base.children.get(name, 0) if found is None else found


class _Change:
    """An overlay in the making, and what is counted with it."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        base = zone._base
        if base.redundant:
            have, below = base.nodes.get, base.children.get
            self.overlay = {name: packed for name, packed in zone.overlay.items() if have(name, GONE) is not packed}
            self.children = {name: count for name, count in zone._children.items() if below(name, 0) != count}
            base.redundant = False
        else:
            self.overlay = dict(zone.overlay)
            self.children = dict(zone._children)
        self.cuts, self.renames, self.wildcards = zone.cuts, zone.renames, zone.wildcards

    def put(self, name: bytes, packed: Packed) -> None:
        """Give a name its new node; names come into being above it, and go where nothing is left."""
        old = self._current(name)
        if packed is EMPTY and not self._zone._below(self.children, name):
            packed = GONE
        self._set(name, packed)
        before, after = 0 if old is None else old[0], 0 if packed is GONE else packed[0]
        self.cuts += bool(after & CUT) - bool(before & CUT)
        self.renames += bool(after & RENAMED) - bool(before & RENAMED)
        if (old is None) != (packed is GONE):
            self._count(name, 1 if old is None else -1)

    def _current(self, name: bytes) -> Packed | None:
        found = self.overlay.get(name) or self._zone.base.get(name)
        return None if found is GONE else found

    def _set(self, name: bytes, packed: Packed) -> None:
        if packed is GONE and name not in self._zone.base:
            self.overlay.pop(name, None)
        else:
            self.overlay[name] = packed

    def _count(self, name: bytes, step: int) -> None:
        """A name has come or gone: the one above it has a child more or less, and may come or go with it."""
        while name != self._zone.name:
            if name[:2] == b"\1*":
                self.wildcards += step
            name = name[name[0] + 1 :]
            left = self.children[name] = self._zone._below(self.children, name) + step
            above = self._current(name)
            if step > 0 and above is None:
                self._set(name, EMPTY)
            elif step < 0 and not left and above is not None and above[0] & 0x80:
                self._set(name, GONE)
            else:
                return

    def folded(self, base: Base) -> tuple[Base, dict[bytes, Packed], dict[bytes, int]]:
        """A base of its own, with nothing to lay over it."""
        nodes = {**base.nodes, **self.overlay}
        for name, packed in self.overlay.items():
            if packed is GONE:
                del nodes[name]
        children = {name: count for name, count in {**base.children, **self.children}.items() if count}
        return Base(nodes, children), {}, {}


def objection(zone: bytes, owner: bytes, rdtype: int, rdata: bytes, there: Mapping[int, object]) -> str | None:
    """Why a record that is new to its RRset cannot be at a name beside the types that are ``there``; None if it can."""
    if not within(owner, zone):
        return f"is outside zone {to_text(zone)}"
    if len(rdata) > _LARGEST_RDATA:
        return "has a record that fits no message"
    if rdtype == codes.SOA and owner != zone:
        return "has a SOA record, which only the zone's own name has"
    if rdtype in there and rdtype in _SINGLE:
        return f"has a second {_SINGLE[rdtype]} record"
    if rdtype == codes.CNAME:
        if not _BESIDE_CNAME.issuperset(there):
            return "has a CNAME record beside other records"
    elif codes.CNAME in there and rdtype not in _BESIDE_CNAME:
        return "has a CNAME record beside other records"
    if owner != zone and (
        (rdtype == codes.DNAME and codes.NS in there) or (rdtype == codes.NS and codes.DNAME in there)
    ):
        return "has a DNAME record beside NS records"
    return None
