"""What a set of zones answers to a query: bytes in, bytes out, no clock and no sockets.

RFC 1034 section 4.3.2 over compiled zones, with RFC 2181 (whole RRsets), RFC 2308 (SOA in negative
answers), RFC 4592 (wildcards), RFC 6604 (response code at the end of a chain), RFC 6672 (DNAME), RFC
6891 (EDNS), RFC 8020 (empty non-terminals), RFC 8482 (ANY over UDP gets one RRset), RFC 9471 (glue).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netsuite.dns.authoritative.zone import Node, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import NOT_AUTHORITATIVE, extended_error, opt, padded
from netsuite.dns.wire.name import ROOT, labels, parent, within
from netsuite.dns.wire.query import Query, Refusal, error, parse
from netsuite.dns.wire.writer import RRset, Writer

__all__ = ["Answers"]

_CHAIN: Final = 11
_STREAM_LIMIT: Final = 65535
_ADDRESSES: Final = (codes.A, codes.AAAA)
_AT_ALIAS: Final = (codes.CNAME, codes.ANY, codes.RRSIG, codes.NSEC)
_TRANSFERS: Final = (codes.AXFR, codes.IXFR)
_NOT_OURS: Final = extended_error(NOT_AUTHORITATIVE)


class Answers:
    """Zones by name, and the answers they give.

    ``udp_size`` is the largest answer sent over UDP (and what our OPT records announce); ``minimal`` leaves out
    of positive answers what the client can do without (RFC 6604 and referrals apart). ``rcodes`` counts what
    was answered here.
    """

    __slots__ = ("_dnssec_opt", "_opt", "minimal", "rcodes", "udp_size", "zones")

    def __init__(self, zones: Iterable[Zone] = (), *, minimal: bool = True, udp_size: int = 1232) -> None:
        self.zones: dict[bytes, Zone] = {zone.name: zone for zone in zones}
        self.minimal = minimal
        self.udp_size = udp_size
        self.rcodes = [0] * 24
        self._opt = opt(udp_size)
        self._dnssec_opt = opt(udp_size, dnssec=True)

    def answer(self, data: bytes, stream: bool = False) -> bytes | None:
        """The response to a query, None for what gets none; ``stream`` lifts UDP's size limit."""
        query = parse(data, self.udp_size)
        if query is None:
            return None
        if isinstance(query, Refusal):
            self.rcodes[query.rcode] += 1
            return query.response
        return self.respond(data, query, stream)

    def respond(self, data: bytes, query: Query, stream: bool = False, options: bytes = b"", block: int = 0) -> bytes:
        """The response to a query that is read already.

        ``options`` go into its OPT record; with ``block``, padding fills it up to a multiple of so many bytes.
        """
        if not query.edns:
            edns = b""
        elif options:
            edns = opt(self.udp_size, dnssec=query.dnssec, options=options)
        else:
            edns = self._dnssec_opt if query.dnssec else self._opt
        zone = None
        if query.rdclass == codes.CLASS_IN and query.type not in _TRANSFERS:
            zone = self._zone(query.name, query.type)
        if zone is None:
            self.rcodes[codes.REFUSED] += 1
            if edns:
                edns = opt(self.udp_size, dnssec=query.dnssec, options=options + _NOT_OURS)
            response = error(data, codes.REFUSED, question=query.question, edns=edns)
        else:
            limit = _STREAM_LIMIT if stream else min(query.size, self.udp_size)
            # CD is a validator's business: authoritative answers leave it clear, as other servers do.
            flags = codes.QR | codes.AA | (query.flags & codes.RD)
            writer = Writer(data[:2], query.question, flags, limit, len(edns))
            rcode = self._resolve(writer, zone, query, stream)
            writer.flags |= rcode
            self.rcodes[rcode] += 1
            response = writer.finish(edns)
        return padded(response, len(response) - len(edns), block) if block and edns else response

    def version(self, query: Query) -> bytes:
        """What the ZONEVERSION option says of the zone that answers (RFC 9660): labels of its name, its serial."""
        zone = self._zone(query.name, query.type)
        if zone is None:
            return b""
        return bytes((len(labels(zone.name)), 0)) + zone.serial.to_bytes(4, "big")

    def _zone(self, name: bytes, rdtype: int) -> Zone | None:
        """The nearest zone above a name; DS at a zone's own name is its parent's to answer, where we have it."""
        zone = self._nearest(name)
        if rdtype == codes.DS and zone is not None and zone.name == name and name != ROOT:
            return self._nearest(parent(name)) or zone
        return zone

    def _nearest(self, name: bytes) -> Zone | None:
        zones = self.zones
        while True:
            zone = zones.get(name)
            if zone is not None or name == ROOT:
                return zone
            name = name[name[0] + 1 :]

    def _resolve(self, writer: Writer, zone: Zone, query: Query, stream: bool) -> int:
        """Fill in the answer, following CNAMEs and DNAMEs through our zones; the response code of the last name."""
        name = query.name
        rdtype = query.type
        shown = query.question[:-4]
        owner: bytes | None = None
        visited = {name}
        while True:
            nodes = zone.nodes
            node = nodes.get(name)
            exact = node is not None
            above = name
            while node is None:
                above = above[above[0] + 1 :]
                node = nodes.get(above)
            cut = node.cut
            if cut is not None and not (exact and cut is node and rdtype == codes.DS):
                if owner is None:
                    writer.flags &= ~codes.AA
                self._refer(writer, zone, cut)
                return codes.NOERROR
            dname = node.dname or (node if not exact and codes.DNAME in node.rrsets else None)
            if dname is not None:
                alias = self._substitute(writer, dname, owner, shown)
                if alias is None:
                    return codes.YXDOMAIN
                if writer.truncated or rdtype in (codes.CNAME, codes.ANY):
                    return codes.NOERROR
            else:
                if not exact:
                    wild = nodes.get(b"\x01*" + above)
                    if wild is None:
                        self._deny(writer, zone)
                        return codes.NXDOMAIN
                    node = wild
                cname = node.rrsets.get(codes.CNAME)
                if cname is None or rdtype in _AT_ALIAS:
                    self._give(writer, zone, node, owner, rdtype, stream)
                    return codes.NOERROR
                if not writer.add(0, owner, cname):
                    writer.truncated = True
                    return codes.NOERROR
                alias = cname.rdatas[0]
            shown = owner = alias
            name = alias.lower()
            following = self._nearest(name)
            if following is None or name in visited or len(visited) > _CHAIN:
                return codes.NOERROR
            visited.add(name)
            zone = self._zone(name, rdtype) or following

    def _give(self, writer: Writer, zone: Zone, node: Node, owner: bytes | None, rdtype: int, stream: bool) -> None:
        """What a node has of a type, or that it has none."""
        rrset = node.rrsets.get(rdtype)
        if rdtype == codes.ANY and node.rrsets:
            given = list(node.rrsets.values()) if stream else [next(iter(node.rrsets.values()))]
        elif rrset is not None:
            given = [rrset]
        else:
            self._deny(writer, zone)
            return
        for each in given:
            if not writer.add(0, owner, each):
                writer.truncated = True
                return
        at_apex = node is zone.apex
        apex_ns = zone.apex.rrsets[codes.NS]
        if self.minimal:
            if rdtype == codes.NS and at_apex:
                self._accompany(writer, zone, apex_ns.targets)
            return
        if not (at_apex and rdtype in (codes.NS, codes.ANY)) and not writer.add(1, zone.name, apex_ns):
            return
        targets = [target for each in given for target in each.targets]
        self._accompany(writer, zone, dict.fromkeys((*targets, *apex_ns.targets)))

    def _deny(self, writer: Writer, zone: Zone) -> None:
        if not writer.add(1, zone.name, zone.negative):
            writer.truncated = True

    def _refer(self, writer: Writer, zone: Zone, cut: Node) -> None:
        """The delegation, with the addresses without which it leads nowhere, and others where there is room."""
        servers = cut.rrsets[codes.NS]
        if not writer.add(1, cut.name, servers):
            writer.truncated = True
            return
        inside = [target for target in servers.targets if within(target, cut.name)]
        if not self._accompany(writer, zone, inside):
            writer.truncated = True
            return
        self._accompany(writer, zone, [target for target in servers.targets if target not in inside])

    def _accompany(self, writer: Writer, zone: Zone, hosts: Iterable[bytes]) -> bool:
        """Add the addresses that this zone has of hosts; whether all of them had room."""
        for host in hosts:
            node = zone.nodes.get(host)
            if node is not None:
                for rdtype in _ADDRESSES:
                    rrset = node.rrsets.get(rdtype)
                    if rrset is not None and not writer.add(2, host, rrset):
                        return False
        return True

    def _substitute(self, writer: Writer, dname: Node, owner: bytes | None, shown: bytes) -> bytes | None:
        """Write a DNAME and the CNAME it means for a name, and answer that CNAME's target; None if it is too long."""
        rrset = dname.rrsets[codes.DNAME]
        if not writer.add(0, dname.name, rrset):
            writer.truncated = True
            return shown
        alias = shown[: len(shown) - len(dname.name)] + rrset.rdatas[0]
        if len(alias) > 255:
            return None
        if not writer.add(0, owner, RRset(codes.CNAME, rrset.ttl, [alias])):
            writer.truncated = True
        return alias
