"""A zone as data: each name with its RRsets in wire form, and what stands in its way (a cut, a DNAME).

A :class:`Zone` never changes once it is made; a reload makes another.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from netsuite.dns.authoritative.master import Record, Sources, ZoneError, read, version
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import parent, to_text, within
from netsuite.dns.wire.writer import RRset

__all__ = ["Node", "Zone", "ZoneError", "load"]

# What may stand beside a CNAME (RFC 4034 section 3, RFC 4035 section 2.5).
_BESIDE_CNAME: Final = frozenset({codes.CNAME, codes.RRSIG, codes.NSEC})
_LARGEST_RDATA: Final = 65535 - 12 - 255 - 4 - 12 - 11


class Node:
    """One name of a zone. Empty non-terminals have no RRsets (RFC 4592 section 2.2.2).

    ``cut`` is the delegation that the name belongs to (its own, or one above it) and ``dname`` the node above
    whose DNAME hides it; both None for what the zone answers itself.
    """

    __slots__ = ("cut", "dname", "name", "rrsets")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.rrsets: dict[int, RRset] = {}
        self.cut: Node | None = None
        self.dname: Node | None = None


class Zone:
    """What a zone holds: ``nodes`` by name in lower case, ``negative`` the SOA as negative answers carry it.

    ``sources`` are the files it was read from; errors about the whole name ``title``.
    """

    __slots__ = ("apex", "count", "name", "negative", "nodes", "serial", "soa", "sources")

    def __init__(self, name: bytes, records: Iterable[Record], title: str, sources: Sources) -> None:
        self.sources = sources
        self.name = name.lower()
        self.apex = Node(self.name)
        self.nodes: dict[bytes, Node] = {self.name: self.apex}
        self.count = 0
        collected: dict[tuple[bytes, int], tuple[int, dict[bytes, None], str]] = {}
        for record in records:
            self._collect(collected, record)
        for (owner, rdtype), (ttl, rdatas, where) in collected.items():
            self._place(owner, RRset(rdtype, ttl, list(rdatas)), where)
        shown = to_text(self.name)
        if codes.SOA not in self.apex.rrsets:
            raise ZoneError(f"{title}: zone {shown} has no SOA record at {shown}")
        if codes.NS not in self.apex.rrsets:
            raise ZoneError(f"{title}: zone {shown} has no NS record at {shown}")
        self.soa = self.apex.rrsets[codes.SOA]
        rdata = self.soa.rdatas[0]
        self.serial = int.from_bytes(rdata[-20:-16], "big")
        # RFC 2308 section 5: the smaller of the SOA's TTL and its last field.
        self.negative = RRset(codes.SOA, min(self.soa.ttl, int.from_bytes(rdata[-4:], "big")), [rdata])
        self._shade()

    def is_current(self) -> bool:
        """Whether its files are still as they were when it was read."""
        try:
            return all(version(path) == seen for path, seen in self.sources.items())
        except OSError:
            return False

    def _collect(self, collected: dict[tuple[bytes, int], tuple[int, dict[bytes, None], str]], record: Record) -> None:
        owner = record.owner.lower()
        rdtype = record.type
        if not within(owner, self.name):
            raise ZoneError(f"{record.where}: {to_text(owner)} is outside zone {to_text(self.name)}")
        if len(record.rdata) > _LARGEST_RDATA:
            raise ZoneError(f"{record.where}: {to_text(owner)} has a record that fits no message")
        self.count += 1
        known = collected.get((owner, rdtype))
        if known is None:
            collected[owner, rdtype] = (record.ttl, {record.rdata: None}, record.where)
            if rdtype == codes.SOA and owner != self.name:
                raise ZoneError(
                    f"{record.where}: {to_text(owner)} has a SOA record, which only the zone's own name has"
                )
            return
        if rdtype in (codes.SOA, codes.CNAME, codes.DNAME) and record.rdata not in known[1]:
            what = {codes.SOA: "SOA", codes.CNAME: "CNAME", codes.DNAME: "DNAME"}[rdtype]
            raise ZoneError(f"{record.where}: {to_text(owner)} has a second {what} record")
        known[1][record.rdata] = None
        if record.ttl < known[0]:
            # RFC 2181 section 5.2: one TTL for the set; the lowest is safe.
            collected[owner, rdtype] = (record.ttl, known[1], known[2])

    def _place(self, owner: bytes, rrset: RRset, where: str) -> None:
        node = self._node(owner)
        types = {rrset.type, *node.rrsets}
        if codes.CNAME in types and not types <= _BESIDE_CNAME:
            raise ZoneError(f"{where}: {to_text(owner)} has a CNAME record beside other records")
        if codes.DNAME in types and codes.NS in types and owner != self.name:
            raise ZoneError(f"{where}: {to_text(owner)} has a DNAME record beside NS records")
        node.rrsets[rrset.type] = rrset

    def _node(self, owner: bytes) -> Node:
        """The node of a name; those between it and the zone's apex are made too."""
        node = self.nodes.get(owner)
        if node is None:
            node = self.nodes[owner] = Node(owner)
            self._node(parent(owner))
        return node

    def _shade(self) -> None:
        """Tell every node which cut or DNAME stands above it, parents first."""
        for name in sorted(self.nodes, key=len):
            node = self.nodes[name]
            if node is self.apex:
                continue
            above = self.nodes[parent(name)]
            node.dname = above if codes.DNAME in above.rrsets else above.dname
            node.cut = above.cut
            if node.cut is None and node.dname is None and codes.NS in node.rrsets:
                node.cut = node


def load(name: bytes, path: Path) -> Zone:
    """A zone from its master file; raises ZoneError in one line."""
    sources: Sources = {}
    return Zone(name, read(path, name, sources), str(path), sources)
