"""Answers straight from packed zones: one lookup, a few slices, no parsing.

Most queries are alike in all but id and name: the bytes before the name and behind it are few in kind, and what each
kind means (flags, type, EDNS, size) is found out once, the careful way, and kept as a shape. With the shape known, the
answer for a name that the zone has, by itself, by an alias or by a wildcard, has nothing of that type for, or does not
have, is put together from the nodes as they lie there, with signatures and proofs where they are wanted; so is a chain
of aliases within the zone, a DNAME among them. Referrals and what is said of the zone itself (SOA, NS) are kept.
Whatever is not that plain (chains into other zones, denials on demand, lack of room) is declined: the careful way
answers the same, only slower.

Queries and answers are without their first two bytes, the id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from netsuite.dns.authoritative.denial import Hashes, Names, chain
from netsuite.dns.authoritative.evidence import Evidence, evidence, pointer, shortened, signatures
from netsuite.dns.authoritative.node import ALIAS, CUT, EMPTY, GONE, RENAMED, Node, Packed, stretch
from netsuite.dns.authoritative.referral import referral
from netsuite.dns.authoritative.search import Search
from netsuite.dns.authoritative.shape import CAREFULLY, NO_SHAPE, Shape, Shapes
from netsuite.dns.authoritative.spread import Spread
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import within
from netsuite.dns.wire.writer import Writer

__all__ = ["Prompt"]

_REFERRALS: Final = 16384
_HINDERED: Final = CUT | RENAMED
_CNAME: Final = codes.CNAME.to_bytes(2, "big")
_DNAME: Final = codes.DNAME.to_bytes(2, "big")
_OF_ZONE: Final = frozenset({codes.NS.to_bytes(2, "big"), codes.SOA.to_bytes(2, "big")})
_SIGNED: Final = codes.RRSIG.to_bytes(2, "big")
_FIXED: Final = 12
_CHAIN: Final = 8
_FARTHEST: Final = 0x3FFF
_COMPLETE: Final = -1
"""How a chain of aliases ends that needs no more said; else it is a response code, and the SOA is missing."""


class _NoLinks:
    """The chain of a zone that proves nothing, for that costs too much."""

    def no_type(self, name: bytes) -> Iterable[Node]:
        """Nothing."""
        return ()

    def no_name(self, name: bytes, above: bytes) -> Iterable[Node]:
        """Nothing."""
        return ()

    def wildcard(self, name: bytes, above: bytes, *, typeless: bool) -> Iterable[Node]:
        """Nothing."""
        return ()


_NO_LINKS: Final = _NoLinks()
_NO_WHOLE: Final[dict[Packed, tuple[bytes, bytes]]] = {}


class Prompt:
    """The prompt answers of one server; ``rcodes`` counts them; over a ``stream`` size is no matter.

    :meth:`serve` must hear of every change of zones. ``spread`` turns sets of addresses.
    """

    __slots__ = (
        "_chains",
        "_evidence",
        "_last",
        "_negatives",
        "_of_zone",
        "_referrals",
        "_shapes",
        "_sole",
        "_spread",
        "_stream",
        "_whole",
        "_zones",
        "rcodes",
    )

    def __init__(self, rcodes: list[int], *, udp_size: int, stream: bool = False, spread: Spread | None = None) -> None:
        self.rcodes = rcodes
        self._stream = stream
        self._spread = spread
        self._shapes = Shapes(udp_size=udp_size, stream=stream)
        self._last = NO_SHAPE
        self._zones: Mapping[bytes, Zone] = {}
        self._sole: Zone | None = None
        self._negatives: dict[bytes, dict[int, bytes]] = {}
        # Names of one length below one cut get the same records.
        self._referrals: dict[tuple[bytes, int, bool], tuple[bytes, int, int]] = {}
        # What zones say of themselves, by zone and shape: the header behind the id, and what follows the question.
        self._of_zone: dict[tuple[bytes, bytes, bytes], tuple[bytes, bytes]] = {}
        self._chains: dict[bytes, Names | Hashes | None] = {}
        self._evidence: dict[tuple[bytes, ...], Evidence] = {}
        # By type and node: RRsets with their signatures, and the count, where nothing depends on the name.
        self._whole: dict[bytes, dict[Packed, tuple[bytes, bytes]]] = {}

    def serve(self, zones: Mapping[bytes, Zone]) -> None:
        """Answer from these zones, as they are now."""
        self._zones = zones
        self._sole = next(iter(zones.values())) if len(zones) == 1 else None
        self._negatives.clear()
        self._referrals.clear()
        self._of_zone.clear()
        self._chains.clear()
        self._evidence.clear()
        self._whole.clear()

    def answers(self, queries: Iterable[bytes]) -> list[bytes | None]:
        """The responses to queries, all without id; None for what is not that plain."""
        out: list[bytes | None] = []
        give = out.append
        zone = sole = self._sole
        find, negatives, apex, plain, flat, signed = self._access(zone)
        shape = self._last
        head, tail, opened, limit, found, absent, edns = shape[:7]
        one = shape.one if plain and not (signed and shape.dnssec) else CAREFULLY
        apart = none = 0
        for query in queries:
            # These answer what they were given where nothing is to remove, and cost half of asking first.
            question = query.removeprefix(head)
            written = question.removesuffix(tail)
            if written is question or question is query:
                # Queries come in runs of one shape; here another begins.
                other = self._shapes.recognise(query)
                if not other.limit:
                    give(None)
                    apart += 1
                    continue
                shape = other
                head, tail, opened, limit, found, absent, edns = shape[:7]
                one = shape.one if plain and not (signed and shape.dnssec) else CAREFULLY
                question = query.removeprefix(head)
                written = question.removesuffix(tail)
            name = written.lower()
            if sole is None:
                zone = self._zone(name)
                find, negatives, apex, plain, flat, signed = self._access(zone)
                one = shape.one if plain and not (signed and shape.dnssec) else CAREFULLY
            if opened:
                question = question.removesuffix(opened)
            packed = find(name)
            if packed is not None:
                records = packed.removeprefix(one)
                if records is not packed:
                    answer = b"".join((found, question, records, edns))
                    if len(answer) <= limit:
                        give(answer)
                        continue
                if plain and shape.dnssec and signed:
                    whole = self._whole.get(shape.rdtype, _NO_WHOLE).get(packed)
                    if whole is not None:
                        answer = b"".join((shape.some, whole[0], shape.counts, question, whole[1], edns))
                        if len(answer) <= limit:
                            give(answer)
                            continue
            elif flat and not (signed and shape.dnssec) and name and 0 < name[0] < 64 and name[name[0] + 1 :] == apex:
                negative = negatives.get(len(name))
                if negative is not None:
                    answer = b"".join((absent, question, negative, edns))
                    if len(answer) <= limit:
                        give(answer)
                        none += 1
                        continue
            give(None if zone is None else self._look(question, shape, zone, name, packed))
            apart += 1
        self._last = shape
        self.rcodes[codes.NOERROR] += len(out) - apart - none
        self.rcodes[codes.NXDOMAIN] += none
        return out

    def _access(
        self, zone: Zone | None
    ) -> tuple[Callable[[bytes], Packed | None], Mapping[int, bytes], bytes, bool, bool, bool]:
        """The way to a zone's nodes, its negative answers, its name.

        And whether nothing hides names, nothing hides them or stands for any, and it is signed.
        """
        if zone is None:
            return _nothing, {}, b"", False, False, False
        plain = not zone.cuts and not zone.renames
        base, overlay = zone.base.get, zone.overlay.get
        find = (lambda name: overlay(name) or base(name)) if zone.overlay else base
        return find, self._negatives.get(zone.name, {}), zone.name, plain, plain and not zone.wildcards, zone.signed

    def _look(self, question: bytes, shape: Shape, zone: Zone, name: bytes, packed: Packed | None) -> bytes | None:
        """The answer from any node, or without one."""
        dnssec = shape.dnssec and zone.signed
        existing = name
        if packed is None or packed is GONE:
            existing = _encloser(zone, name)
            packed = None
            if not existing:
                return None
        if zone.cuts or zone.renames:
            barrier = _barrier(zone, existing)
            if barrier is not None and barrier[1][0] & CUT:
                return self._refer(question, shape, zone, name, *barrier)
            if barrier is not None:
                return self._rename(question, shape, zone, name, *barrier)
        starred = packed is None
        if packed is None:
            packed = zone.packed(b"\1*" + existing) if zone.wildcards else None
            if packed is None:
                if dnssec and zone.denier is not None:
                    return None
                proof = self._links(zone).no_name(name, existing) if dnssec else None
                return self._without(question, shape.absent, shape, zone, name, proof)
            if packed[0] & _HINDERED:
                return None
        place = stretch(packed, shape.rdtype)
        alias = stretch(packed, _CNAME) if place is None and packed[0] & ALIAS and shape.aliased else None
        proven: Iterable[Node] = ()
        if dnssec and zone.denier is not None and (starred or (place is None and alias is None)):
            return None
        if dnssec and starred:
            proven = self._links(zone).wildcard(name, existing, typeless=place is None and alias is None)
        if place is None and alias is None:
            if dnssec and not starred:
                proven = self._links(zone).no_type(name)
            elif dnssec:
                proven = tuple(proven) or self._links(zone).no_type(b"\1*" + existing)
            return self._without(question, shape.none, shape, zone, name, proven if dnssec else None)
        if alias is not None:
            made = self._follow(shape, zone, name, packed, alias[1], dnssec=dnssec)
            if made is None:
                return None
            records, total, end = made
            if end != _COMPLETE:
                return self._ended(question, shape, zone, name, made)
            count = total.to_bytes(2, "big")
        else:
            if shape.careful and shape.rdtype in _OF_ZONE and name == zone.name:
                return self._say_of_zone(question, shape, zone)
            if shape.careful or place is None:
                return None
            count, at, stop = place
            records = packed[at:stop]
            turned = self._spread is not None and shape.size > 0 and len(records) > shape.size
            if turned:
                other = self._turned(name, shape, records)
                if other is None:
                    return None
                records = other
            if shape.named >= 0:
                records = shortened(records, shape.named, zone, pointer(zone, len(name)))
            if dnssec and shape.rdtype != _SIGNED:
                added, more = signatures(packed, shape.rdtype, packed[at + 6 : at + 10])
                records += added
                count = (int.from_bytes(count, "big") + more).to_bytes(2, "big")
                if shape.named < 0 and not turned:
                    kept = self._whole.setdefault(shape.rdtype, {})
                    if len(kept) >= _REFERRALS:
                        kept.clear()
                    kept[packed] = count, records
        if dnssec and starred:
            found = self._composed(zone, tuple(proven), soa=False)
            authority = pointer(zone, len(name)).join(found.pieces)
            counts = found.records.to_bytes(2, "big") + shape.counts[2:]
            out = b"".join((shape.some, count, counts, question, records, authority, shape.edns))
        else:
            out = b"".join((shape.some, count, shape.counts, question, records, shape.edns))
        if len(out) > shape.limit:
            return None
        self.rcodes[codes.NOERROR] += 1
        return out

    def _turned(self, name: bytes, shape: Shape, records: Packed) -> Packed | None:
        """A set of addresses, begun with the one whose turn it is; None where weights decide."""
        spread = self._spread
        assert spread is not None
        if name in spread.weighted:
            return None
        first = shape.size * spread.turn(name, shape.rdtype[1], len(records) // shape.size)
        return records[first:] + records[:first]

    def _say_of_zone(self, question: bytes, shape: Shape, zone: Zone) -> bytes | None:
        """The SOA or NS records of a zone, as the careful way says it once."""
        key = zone.name, shape.head, shape.tail
        known = self._of_zone.get(key)
        if known is None:
            flags = int.from_bytes(shape.some[:2], "big")
            writer = Writer(b"\0\0", question, flags, shape.limit + 2, len(shape.edns))
            rdtype = int.from_bytes(shape.rdtype, "big")
            search = Search(
                writer,
                lambda *_: zone,
                rdtype,
                minimal=True,
                stream=self._stream,
                dnssec=shape.dnssec,
                spread=self._spread,
            )
            search.run(zone, question)
            if search.varied or writer.truncated:
                return None
            made = writer.finish(shape.edns)
            if len(self._of_zone) >= _REFERRALS:
                self._of_zone.clear()
            known = self._of_zone[key] = made[2:12], made[12 + len(question) :]
        self.rcodes[codes.NOERROR] += 1
        return b"".join((known[0], question, known[1]))

    def _follow(
        self, shape: Shape, zone: Zone, name: bytes, packed: Packed, at: int, *, dnssec: bool
    ) -> tuple[bytes, int, int] | None:
        """An alias and what the name that it stands for has of the type, their count, and how that ends."""
        whole = at + _FIXED + (packed[at + 10] << 8 | packed[at + 11])
        target = packed[at + _FIXED : whole].lower()
        out = [shortened(packed[at:whole], 0, zone, pointer(zone, len(name)))]
        count = 1
        if dnssec:
            added, more = signatures(packed, _CNAME, packed[at + 6 : at + 10])
            out.append(added)
            count += more
        return self._chain(shape, zone, name, out, count, target, 12 + len(name) + 4 + _FIXED, dnssec=dnssec)

    def _rename(
        self, question: bytes, shape: Shape, zone: Zone, name: bytes, above: bytes, packed: Packed
    ) -> bytes | None:
        """The answer for a name below a DNAME (RFC 6672 section 3): that, the alias it makes, and what follows."""
        dnssec = shape.dnssec and zone.signed
        found = stretch(packed, _DNAME)
        if found is None or name == above or len(above) == 1 or shape.rdtype == _CNAME:
            return None
        at, stop = found[1:]
        prefix = question[: len(name) - len(above)]
        alias = prefix + packed[at + _FIXED : stop]
        if len(alias) > 255:
            return None
        owner = (0xC000 | 12 + len(prefix)).to_bytes(2, "big")
        out = [owner, packed[at + 2 : stop]]
        count = 2
        if dnssec:
            added, more = signatures(packed, _DNAME, packed[at + 6 : at + 10])
            out += _owned(added, owner)
            count += more
        place = 12 + len(name) + 4 + sum(map(len, out)) + _FIXED
        made = b"\xc0\x0c\0\5\0\1" + packed[at + 6 : at + 10] + len(alias).to_bytes(2, "big") + alias
        out.append(shortened(made, 0, zone, pointer(zone, len(name))))
        chain = self._chain(shape, zone, name, out, count, alias.lower(), place, dnssec=dnssec)
        if chain is None:
            return None
        if chain[2] != _COMPLETE:
            return self._ended(question, shape, zone, name, chain)
        answer = b"".join((shape.some, chain[1].to_bytes(2, "big"), shape.counts, question, chain[0], shape.edns))
        if len(answer) > shape.limit:
            return None
        self.rcodes[codes.NOERROR] += 1
        return answer

    def _chain(
        self,
        shape: Shape,
        zone: Zone,
        name: bytes,
        out: list[bytes],
        count: int,
        target: bytes,
        place: int,
        *,
        dnssec: bool,
    ) -> tuple[bytes, int, int] | None:
        """Go on from an alias whose target stands at a place of the message: records, their count, and how it ends.

        None if the careful way must go on.
        """
        point = pointer(zone, len(name))
        hindered = zone.cuts or zone.renames
        visited = {name}
        while True:
            following = self._sole
            if following is None or not within(target, following.name):
                following = self._zone(target)
            if following is None:
                return b"".join(out), count, _COMPLETE
            if following is not zone or target in visited or len(visited) > _CHAIN:
                return None
            visited.add(target)
            node = zone.packed(target)
            if hindered and _barrier(zone, target if node is not None else _encloser(zone, target)) is not None:
                return None
            if node is None:
                return None if dnssec or zone.wildcards else (b"".join(out), count, codes.NXDOMAIN)
            # The alias's data is the first place where the name stands; a lone pointer is no name to point to.
            owner = point if target == zone.name else (0xC000 | place).to_bytes(2, "big")
            found = stretch(node, shape.rdtype)
            alias = stretch(node, _CNAME) if found is None and node[0] & ALIAS and shape.aliased else None
            if alias is not None:
                at, stop = alias[1:]
                place = 12 + len(name) + 4 + sum(map(len, out)) + len(owner) + _FIXED - 2
                if place > _FARTHEST:
                    return None
                out += (owner, shortened(node[at:stop], 0, zone, point)[2:])
                count += 1
                if dnssec:
                    added, more = signatures(node, _CNAME, node[at + 6 : at + 10])
                    out += _owned(added, owner)
                    count += more
                target = node[at + _FIXED : stop].lower()
                continue
            if found is None:
                return None if dnssec else (b"".join(out), count, codes.NOERROR)
            if shape.careful:
                return None
            records = node[found[1] : found[2]]
            if self._spread is not None and shape.size > 0 and len(records) > shape.size:
                other = self._turned(target, shape, records)
                if other is None:
                    return None
                records = other
            if shape.named >= 0:
                records = shortened(records, shape.named, zone, point)
            count += int.from_bytes(found[0], "big")
            if dnssec and shape.rdtype != _SIGNED:
                added, more = signatures(node, shape.rdtype, node[found[1] + 6 : found[1] + 10])
                records += added
                count += more
            out += _owned(records, owner)
            return b"".join(out), count, _COMPLETE

    def _ended(
        self, question: bytes, shape: Shape, zone: Zone, name: bytes, made: tuple[bytes, int, int]
    ) -> bytes | None:
        """The answer where a chain leads to nothing of the type, or to a name that is not there."""
        records, count, rcode = made
        head = (shape.absent if rcode else shape.none)[:4] + count.to_bytes(2, "big") + b"\0\1" + shape.counts[2:]
        negative = self._negatives.get(zone.name, {}).get(len(name)) or self._deny(zone, len(name))
        out = b"".join((head, question, records, negative, shape.edns))
        if len(out) > shape.limit:
            return None
        self.rcodes[rcode] += 1
        return out

    def _refer(
        self, question: bytes, shape: Shape, zone: Zone, name: bytes, cut: bytes, packed: Packed
    ) -> bytes | None:
        """The answer for a name at or below a cut."""
        dnssec = shape.dnssec and zone.signed
        if dnssec and zone.denier is not None:
            return None
        key = cut, len(name), dnssec
        known = self._referrals.get(key)
        if known is None:
            if len(self._referrals) >= _REFERRALS:
                self._referrals.clear()
            make = self._signed_referral if dnssec else referral
            known = self._referrals[key] = make(zone, cut, packed, len(name))
        records, count, given = known
        counts = b"\0\0" + count.to_bytes(2, "big") + (given + bool(shape.edns)).to_bytes(2, "big")
        out = b"".join((shape.refer, counts, question, records, shape.edns))
        if len(out) > shape.limit:
            return None
        self.rcodes[codes.NOERROR] += 1
        return out

    def _signed_referral(self, zone: Zone, cut: bytes, _: Packed, length: int) -> tuple[bytes, int, int]:
        """What the careful way says of a delegation, to a name that compresses nothing below the cut."""
        question = _filler(length - len(cut)) + cut + b"\0\1\0\1"
        writer = Writer(b"\0\0", question, 0, 65535, 0)
        Search(writer, lambda *_: zone, codes.A, minimal=True, stream=False, dnssec=True).run(zone, question)
        made = writer.finish()
        return made[12 + len(question) :], int.from_bytes(made[8:10], "big"), int.from_bytes(made[10:12], "big")

    def _links(self, zone: Zone) -> Names | Hashes | _NoLinks:
        """The chain that a zone proves by."""
        if zone.name not in self._chains:
            self._chains[zone.name] = chain(zone)
        return self._chains[zone.name] or _NO_LINKS

    def _composed(self, zone: Zone, nodes: tuple[Node, ...], *, soa: bool) -> Evidence:
        key = (zone.name, b"\0" if soa else b"", *[node.name for node in nodes])
        found = self._evidence.get(key)
        if found is None:
            if len(self._evidence) >= _REFERRALS:
                self._evidence.clear()
            found = self._evidence[key] = evidence(zone, nodes, soa=soa)
        return found

    def _without(
        self, question: bytes, head: bytes, shape: Shape, zone: Zone, name: bytes, proof: Iterable[Node] | None
    ) -> bytes | None:
        """An answer without records; with a proof, if one is wanted."""
        length = len(name)
        if proof is None:
            negative = self._negatives.get(zone.name, {}).get(length) or self._deny(zone, length)
        else:
            found = self._composed(zone, tuple(proof), soa=True)
            head = b"".join((head[:6], found.records.to_bytes(2, "big"), head[8:]))
            negative = pointer(zone, length).join(found.pieces)
        out = head + question + negative + shape.edns
        if len(out) > shape.limit:
            return None
        self.rcodes[head[1] & 15] += 1
        return out

    def _deny(self, zone: Zone, length: int) -> bytes:
        """The SOA of negative answers, behind a question for a name of a length: the zone's own lies at its end."""
        question = _filler(length - len(zone.name)) + zone.name + b"\0\1\0\1"
        writer = Writer(b"\0\0", question, 0, 65535, 0)
        writer.add(1, zone.name, zone.negative)
        found = self._negatives.setdefault(zone.name, {})[length] = writer.finish()[12 + len(question) :]
        return found

    def _zone(self, name: bytes) -> Zone | None:
        """The nearest zone at or above a name."""
        zones = self._zones
        while name:
            zone = zones.get(name)
            if zone is not None:
                return zone
            name = name[name[0] + 1 :]
        return None


def _nothing(name: bytes) -> None:
    return None


def _owned(records: bytes, owner: bytes) -> list[bytes]:
    """Records of a node with another owner, in pieces."""
    out: list[bytes] = []
    at, end = 0, len(records)
    while at < end:
        after = at + _FIXED + (records[at + 10] << 8 | records[at + 11])
        out += (owner, records[at + 2 : after])
        at = after
    return out


def _encloser(zone: Zone, name: bytes) -> bytes:
    """The longest name above one that exists; empty if it is in no such zone, or no name at all."""
    if len(name) > 255:
        return b""
    above = name
    while True:
        if len(above) < 2 or not 0 < above[0] < 64:
            return b""
        above = above[above[0] + 1 :]
        if zone.packed(above) is not None:
            return above


def _barrier(zone: Zone, name: bytes) -> tuple[bytes, Packed] | None:
    """The topmost cut or DNAME at or above a name that exists, with its node."""
    found = None
    while True:
        packed = zone.packed(name)
        if packed is not None and packed is not EMPTY and packed[0] & _HINDERED:
            found = name, packed
        if name == zone.name:
            return found
        name = name[name[0] + 1 :]


def _filler(missing: int) -> bytes:
    """Labels of zero bytes, so many bytes in all."""
    return b"".join(bytes((size - 1,)) + b"\0" * (size - 1) for size in _labels(missing))


def _labels(missing: int) -> list[int]:
    """Sizes of labels, length bytes included, that make up so many bytes; no label is empty."""
    sizes = []
    while missing > 64:
        sizes.append(min(64, missing - 2))
        missing -= sizes[-1]
    return [*sizes, missing] if missing else sizes
