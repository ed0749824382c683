"""How an answer is found: RFC 1034 section 4.3.2 over a server's zones, written down as it goes.

With RFC 2181 (whole RRsets), RFC 2308 (SOA in negative answers), RFC 4592 (wildcards), RFC 6604 (response code at the
end of a chain), RFC 6672 (DNAME), RFC 8020 (empty non-terminals), RFC 8482 (ANY over UDP gets one RRset), RFC 9471
(glue).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from netsuite.dns.authoritative.node import CUT, RENAMED, Node
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import within
from netsuite.dns.wire.writer import RRset, Writer

__all__ = ["Search"]

_CHAIN: Final = 11
_ADDRESSES: Final = (codes.A, codes.AAAA)
_AT_ALIAS: Final = (codes.CNAME, codes.ANY, codes.RRSIG, codes.NSEC)


class Search:
    """One question's answer in the making.

    ``nearest`` gives the zone that answers for a name and type; ``minimal`` leaves out of positive answers what the
    client can do without; over a ``stream`` ANY gets all there is.
    """

    __slots__ = ("_minimal", "_nearest", "_rdtype", "_stream", "_writer")

    def __init__(
        self, writer: Writer, nearest: Callable[[bytes, int], Zone | None], rdtype: int, *, minimal: bool, stream: bool
    ) -> None:
        self._writer = writer
        self._nearest = nearest
        self._rdtype = rdtype
        self._minimal = minimal
        self._stream = stream

    def run(self, zone: Zone, question: bytes) -> int:
        """Fill in the answer, following CNAMEs and DNAMEs through our zones; the response code of the last name."""
        writer, rdtype = self._writer, self._rdtype
        shown = question[:-4]
        name = shown.lower()
        owner: bytes | None = None
        visited = {name}
        while True:
            node, above = _closest(zone, name)
            barrier = _barrier(zone, above, name)
            if barrier is not None and not (barrier.name == name and rdtype == codes.DS):
                if barrier.kind & CUT:
                    if owner is None:
                        writer.flags &= ~codes.AA
                    self._refer(zone, barrier)
                    return codes.NOERROR
                alias = self._substitute(barrier, owner, shown)
                if alias is None:
                    return codes.YXDOMAIN
                if writer.truncated or rdtype in (codes.CNAME, codes.ANY):
                    return codes.NOERROR
            else:
                if node is None:
                    node = zone.node(b"\x01*" + above) if zone.wildcards else None
                    if node is None:
                        self._deny(zone)
                        return codes.NXDOMAIN
                cname = node.rrset(codes.CNAME)
                if cname is None or rdtype in _AT_ALIAS:
                    self._give(zone, node, owner)
                    return codes.NOERROR
                if not writer.add(0, owner, cname):
                    writer.truncated = True
                    return codes.NOERROR
                alias = cname.rdatas[0]
            shown = owner = alias
            name = alias.lower()
            following = self._nearest(name, rdtype)
            if following is None or name in visited or len(visited) > _CHAIN:
                return codes.NOERROR
            visited.add(name)
            zone = following

    def _give(self, zone: Zone, node: Node, owner: bytes | None) -> None:
        """What a node has of the type, or that it has none."""
        rdtype = self._rdtype
        wanted = [rdtype]
        if rdtype == codes.ANY:
            wanted = node.types() if self._stream else node.types()[:1]
        given = [rrset for each in wanted if (rrset := node.rrset(each)) is not None]
        if not given:
            self._deny(zone)
            return
        for each in given:
            if not self._writer.add(0, owner, each):
                self._writer.truncated = True
                return
        at_apex = node.name == zone.name
        if self._minimal:
            if rdtype == codes.NS and at_apex:
                self._accompany(zone, zone.servers.targets)
            return
        if not (at_apex and rdtype in (codes.NS, codes.ANY)) and not self._writer.add(1, zone.name, zone.servers):
            return
        targets = [target for each in given for target in each.targets]
        self._accompany(zone, dict.fromkeys((*targets, *zone.servers.targets)))

    def _deny(self, zone: Zone) -> None:
        if not self._writer.add(1, zone.name, zone.negative):
            self._writer.truncated = True

    def _refer(self, zone: Zone, cut: Node) -> None:
        """The delegation, with the addresses without which it leads nowhere, and others where there is room."""
        servers = cut.rrset(codes.NS)
        assert servers is not None
        if not self._writer.add(1, cut.name, servers):
            self._writer.truncated = True
            return
        inside = [target for target in servers.targets if within(target, cut.name)]
        if not self._accompany(zone, inside):
            self._writer.truncated = True
            return
        self._accompany(zone, [target for target in servers.targets if target not in inside])

    def _accompany(self, zone: Zone, hosts: Iterable[bytes]) -> bool:
        """Add the addresses that this zone has of hosts; whether all of them had room."""
        for host in hosts:
            node = zone.node(host)
            if node is not None:
                for rdtype in _ADDRESSES:
                    rrset = node.rrset(rdtype)
                    if rrset is not None and not self._writer.add(2, host, rrset):
                        return False
        return True

    def _substitute(self, dname: Node, owner: bytes | None, shown: bytes) -> bytes | None:
        """Write a DNAME and the CNAME it means for a name, and answer that CNAME's target; None if it is too long."""
        rrset = dname.rrset(codes.DNAME)
        assert rrset is not None
        if not self._writer.add(0, dname.name, rrset):
            self._writer.truncated = True
            return shown
        alias = shown[: len(shown) - len(dname.name)] + rrset.rdatas[0]
        if len(alias) > 255:
            return None
        if not self._writer.add(0, owner, RRset(codes.CNAME, rrset.ttl, [alias])):
            self._writer.truncated = True
        return alias


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
