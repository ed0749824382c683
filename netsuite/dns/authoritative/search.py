"""How an answer is found: RFC 1034 section 4.3.2 over a server's zones, written down as it goes.

With RFC 2181 (whole RRsets), RFC 2308 (SOA in negative answers), RFC 4035 (signatures and proofs), RFC 4592
(wildcards), RFC 6604 (response code at the end of a chain), RFC 6672 (DNAME), RFC 8020 (empty non-terminals), RFC 8482
(ANY over UDP gets one RRset), RFC 9471 (glue).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, Final

from netsuite.dns.authoritative.denial import proof_of_no_name, proof_of_no_type, proof_of_wildcard
from netsuite.dns.authoritative.node import CUT, RENAMED, Node, rrsigs
from netsuite.dns.authoritative.spread import Spread
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import within
from netsuite.dns.wire.writer import RRset, Writer

__all__ = ["Note", "Search", "signatures_of"]

Note = Callable[[str, Zone, bytes, Any], None]
"""``note(step, zone, name, detail)``: told each step of a search, see :mod:`netsuite.dns.authoritative.explain`."""

_CHAIN: Final = 11
_ADDRESSES: Final = (codes.A, codes.AAAA)
_OF_ALIAS: Final = (codes.CNAME, codes.ANY)
_BESIDE_ALIAS: Final = (codes.RRSIG, codes.NSEC)


class Search:
    """One question's answer in the making.

    ``nearest`` gives the zone that answers for a name and type; ``minimal`` leaves out of positive answers what the
    client can do without; over a ``stream`` ANY gets all there is; ``dnssec`` adds signatures and proofs (RFC 4035
    section 3.1). ``note`` hears of each step, if somebody wants to know why the answer is what it is.
    ``spread`` says how addresses share out load; ``varied`` is set if the next answer may be another because of that.
    """

    __slots__ = (
        "_called",
        "_dnssec",
        "_minimal",
        "_nearest",
        "_note",
        "_proofs",
        "_rdtype",
        "_spread",
        "_stream",
        "_writer",
        "varied",
    )

    def __init__(
        self,
        writer: Writer,
        nearest: Callable[[bytes, int], Zone | None],
        rdtype: int,
        *,
        minimal: bool,
        stream: bool,
        dnssec: bool = False,
        note: Note | None = None,
        spread: Spread | None = None,
    ) -> None:
        self._writer = writer
        self._nearest = nearest
        self._rdtype = rdtype
        self._minimal = minimal
        self._stream = stream
        self._dnssec = dnssec
        self._note = note
        self._spread = spread
        self.varied = False
        # names whose NSEC or NSEC3 records the authority section must have, with their zones
        self._proofs: list[tuple[Zone, Node]] = []
        # the name that a wildcard stands for
        self._called: bytes | None = None

    def run(self, zone: Zone, question: bytes) -> int:
        """Fill in the answer, following CNAMEs and DNAMEs through our zones; the response code of the last name."""
        writer, rdtype, note = self._writer, self._rdtype, self._note
        shown = question[:-4]
        name = shown.lower()
        owner: bytes | None = None
        visited = {name}
        while True:
            node, above = _closest(zone, name)
            if note is not None:
                note("zone", zone, name, None)
                note("closest" if node is None else "node", zone, above, None if node is None else node.types())
            self._called = None
            barrier = _barrier(zone, above, name)
            if barrier is not None and not (barrier.name == name and rdtype == codes.DS):
                if barrier.kind & CUT:
                    if note is not None:
                        note("cut", zone, barrier.name, None)
                    if owner is None:
                        writer.flags &= ~codes.AA
                    self._refer(zone, barrier)
                    return codes.NOERROR
                alias = self._substitute(zone, barrier, owner, shown)
                if note is not None:
                    note("dname", zone, barrier.name, alias)
                if alias is None:
                    return codes.YXDOMAIN
                if writer.truncated or rdtype in (codes.CNAME, codes.ANY):
                    return codes.NOERROR
            else:
                if node is None:
                    node = zone.node(b"\x01*" + above) if zone.wildcards else None
                    if node is None:
                        return self._absent(zone, name, above)
                    if note is not None:
                        note("wildcard", zone, node.name, node.types())
                    has = rdtype in node.types() or codes.CNAME in node.types() or rdtype == codes.ANY
                    if zone.denier is None:
                        self._prove(zone, partial(proof_of_wildcard, typeless=not has), name, above)
                    self._called = name
                cname = node.rrset(codes.CNAME)
                beside = rdtype in _BESIDE_ALIAS and rdtype in node.types()
                if cname is None or beside or rdtype in _OF_ALIAS:
                    self._give(zone, node, owner)
                    return codes.NOERROR
                if not self._add(zone, 0, owner, node, cname):
                    writer.truncated = True
                    return codes.NOERROR
                alias = cname.rdatas[0]
                if note is not None:
                    note("cname", zone, node.name, alias)
            shown = owner = alias
            name = alias.lower()
            following = self._nearest(name, rdtype)
            if following is None or name in visited or len(visited) > _CHAIN:
                if note is not None:
                    note("elsewhere" if following is None else "loop", zone, name, len(visited))
                self._write_proofs()
                return codes.NOERROR
            visited.add(name)
            zone = following

    def _absent(self, zone: Zone, name: bytes, above: bytes) -> int:
        """There is no such name; to who wants proofs of a zone without a chain, one that has nothing (RFC 9824)."""
        if self._note is not None:
            self._note("absent", zone, name, above)
        if zone.denier is not None and self._dnssec and zone.signed:
            self._called = name
            self._deny(zone, None)
            return codes.NOERROR
        self._prove(zone, proof_of_no_name, name, above)
        self._deny(zone)
        return codes.NXDOMAIN

    def _give(self, zone: Zone, node: Node, owner: bytes | None) -> None:
        """What a node has of the type, or that it has none."""
        rdtype = self._rdtype
        wanted = [rdtype]
        if rdtype == codes.ANY:
            wanted = node.types() if self._stream else node.types()[:1]
        given = [rrset for each in wanted for rrset in node.rrsets(each)]
        if rdtype == codes.RRSIG and given and not self._stream:
            # RFC 8482 section 7: signatures of all types are as good to a forger as all records.
            every = given[0]
            some = [rdata for rdata in every.rdatas if rdata[:2] == every.rdatas[0][:2]]
            given = [RRset(rdtype, every.ttl, some)]
        if self._note is not None:
            found = list(dict.fromkeys(each.type for each in given))
            self._note("given" if given else "nodata", zone, node.name, found)
        if not given:
            if zone.denier is None and (not node.name.startswith(b"\x01*") or not self._proofs):
                self._prove(zone, proof_of_no_type, node.name)
            self._called = self._called or node.name
            self._deny(zone, node.types())
            return
        for each in given:
            if not self._add(zone, 0, owner, node, each):
                self._writer.truncated = True
                return
        self._write_proofs()
        at_apex = node.name == zone.name
        if self._minimal:
            if rdtype == codes.NS and at_apex:
                # Signed addresses would make it many times as large, and can be asked for.
                self._accompany(zone, zone.servers.targets, signed=False)
            return
        shown = at_apex and rdtype in (codes.NS, codes.ANY)
        if not shown and not self._add(zone, 1, zone.name, zone.apex, zone.servers):
            return
        targets = [target for each in given for target in each.targets]
        self._accompany(zone, dict.fromkeys((*targets, *zone.servers.targets)))

    def _add(self, zone: Zone, section: int, owner: bytes | None, node: Node, rrset: RRset) -> bool:
        """Add an RRset of a node, with its signatures if they are wanted."""
        given = rrset
        if self._spread is not None and section == 0:
            given = self._spread.arranged(node.name, rrset, whole=zone.signed) or rrset
            if given is not rrset:
                self.varied = True
                if self._note is not None:
                    self._note("spread", zone, node.name, (rrset, given, node.name in self._spread.weighted))
        if not self._writer.add(section, owner, given):
            return False
        if not self._dnssec or not zone.signed or rrset.type == codes.RRSIG:
            return True
        if zone.denier is not None and self._called is not None and section == 0 and node.name[:2] == b"\x01*":
            signatures: RRset | None = zone.denier.sign(self._called, rrset)
        else:
            signatures = signatures_of(node, rrset)
        if self._note is not None:
            self._note("signed" if signatures is not None else "unsigned", zone, node.name, rrset.type)
        return signatures is None or self._writer.add(section, owner, signatures)

    def _prove(self, zone: Zone, proof: Callable[..., Iterable[Node]], *names: bytes) -> None:
        if self._dnssec and zone.signed:
            self._proofs += [(zone, node) for node in proof(zone, *names)]

    def _write_proofs(self) -> None:
        """The authority section begins: what proofs were found go into it, each once."""
        written = set()
        for zone, node in self._proofs:
            rrset = node.rrset(codes.NSEC) or node.rrset(codes.NSEC3)
            if node.name in written or rrset is None:
                continue
            written.add(node.name)
            if self._note is not None:
                self._note("proof", zone, node.name, rrset.type)
            if not self._add(zone, 1, node.name, node, rrset):
                self._writer.truncated = True
                return

    def _deny(self, zone: Zone, present: Collection[int] | None = None) -> None:
        """The SOA and the proofs; ``present`` are the types that the name has, for a zone without a chain."""
        if not self._add(zone, 1, zone.name, zone.apex, zone.negative):
            self._writer.truncated = True
            return
        if zone.denier is not None and self._dnssec and zone.signed and self._called is not None:
            self._deny_on_demand(zone, self._called, present)
        self._write_proofs()

    def _deny_on_demand(self, zone: Zone, name: bytes, present: Collection[int] | None) -> None:
        if self._note is not None:
            self._note("denied", zone, name, None)
        for rrset in zone.denier.deny(zone, name, present):
            if not self._writer.add(1, name, rrset):
                self._writer.truncated = True
                return

    def _refer(self, zone: Zone, cut: Node) -> None:
        """The delegation, with the addresses without which it leads nowhere, and others where there is room."""
        servers = cut.rrset(codes.NS)
        assert servers is not None
        if not self._writer.add(1, cut.name, servers):
            self._writer.truncated = True
            return
        if self._dnssec and zone.signed:
            digests = cut.rrset(codes.DS)
            if digests is None and zone.denier is not None:
                self._deny_on_demand(zone, cut.name, (codes.NS,))
            elif digests is None:
                self._prove(zone, proof_of_no_type, cut.name)
            elif not self._add(zone, 1, cut.name, cut, digests):
                self._writer.truncated = True
                return
            self._write_proofs()
            if self._writer.truncated:
                return
        inside = [target for target in servers.targets if within(target, cut.name)]
        if not self._accompany(zone, inside):
            self._writer.truncated = True
            return
        self._accompany(zone, [target for target in servers.targets if target not in inside])

    def _accompany(self, zone: Zone, hosts: Iterable[bytes], *, signed: bool = True) -> bool:
        """Add the addresses that this zone has of hosts, not ``signed`` ones if so; whether all of them had room."""
        for host in hosts:
            node = zone.node(host)
            if node is not None:
                if not signed and self._dnssec and zone.signed and codes.RRSIG in node.types():
                    continue
                for rdtype in _ADDRESSES:
                    rrset = node.rrset(rdtype)
                    if rrset is not None and not self._add(zone, 2, host, node, rrset):
                        return False
        return True

    def _substitute(self, zone: Zone, dname: Node, owner: bytes | None, shown: bytes) -> bytes | None:
        """Write a DNAME and the CNAME it means for a name, and answer that CNAME's target; None if it is too long."""
        rrset = dname.rrset(codes.DNAME)
        assert rrset is not None
        if not self._add(zone, 0, dname.name, dname, rrset):
            self._writer.truncated = True
            return shown
        alias = shown[: len(shown) - len(dname.name)] + rrset.rdatas[0]
        if len(alias) > 255:
            return None
        if not self._writer.add(0, owner, RRset(codes.CNAME, rrset.ttl, [alias])):
            self._writer.truncated = True
        return alias


def signatures_of(node: Node, rrset: RRset) -> RRset | None:
    """The signatures over an RRset of a node, with its TTL (RFC 4034 section 3)."""
    covered = rrset.type.to_bytes(2, "big")
    found = [rdata for rdata in rrsigs(node.packed) if rdata.startswith(covered)]
    return RRset(codes.RRSIG, rrset.ttl, found) if found else None


def _closest(zone: Zone, name: bytes) -> tuple[Node | None, bytes]:
    """The node of a name if it exists, and the longest name at or above it that does."""
    node = zone.node(name)
    above = name
    if node is None:
        while zone.packed(above) is None:
            above = above[above[0] + 1 :]
    return node, above


def _barrier(zone: Zone, above: bytes, name: bytes) -> Node | None:
    """The topmost cut at or above a name, or DNAME above it, which keeps the zone from answering for it itself."""
    if not zone.cuts and not zone.renames:
        return None
    found = None
    while True:
        packed = zone.packed(above)
        if packed is not None and (packed[0] & CUT or (packed[0] & RENAMED and above != name)):
            found = above, packed
        if above == zone.name:
            return None if found is None else Node(*found)
        above = above[above[0] + 1 :]
