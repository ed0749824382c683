"""Records gathered into a zone: from a master file, or one by one as a transfer brings them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from netsuite.dns.authoritative.master import Entry, Sources, ZoneError, read
from netsuite.dns.authoritative.node import CUT, EMPTY, RENAMED, Packed, RRsets, pack, unpack
from netsuite.dns.authoritative.zone import Base, Zone, objection
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import to_text

__all__ = ["Assembly", "load"]

_OPEN: Final = 4096


class Assembly:
    """A zone in the making. ``title`` stands for the whole in errors.

    Names with one record are packed at once. Those with more are kept open while records may still come for them, a
    few thousand at a time, so that memory goes to the zone and not to its making.
    """

    def __init__(self, name: bytes, title: str = "zone") -> None:
        self.name = name.lower()
        self.title = title
        self.count = 0
        self._nodes: dict[bytes, Packed] = {}
        self._open: dict[bytes, RRsets] = {}
        self._leads: dict[tuple[int, int, int], bytes] = {}
        self.lowered: list[str] = []
        """RRsets whose records had different TTLs, which were lowered to the smallest (RFC 2181 section 5.2)."""

    def add(self, owner: bytes, rdtype: int, ttl: int, rdata: bytes, where: str = "") -> None:
        """Take one record; ZoneError says why it cannot be, beginning with ``where``."""
        self.take([(owner.lower(), rdtype, ttl, rdata, 0)], where)

    def take(self, entries: Iterable[Entry], where: str | Path) -> None:
        """Take records of one file, owners in lower case; ZoneError begins with ``where`` and the record's line."""
        place, leads, tail = self._nodes.setdefault, self._leads, self.name
        for owner, rdtype, ttl, rdata, line in entries:
            key = (rdtype, ttl, len(rdata))
            lead = leads.get(key)
            if lead is None:
                if rdtype == codes.RRSIG:
                    # None is packed by itself: its TTL is that of what it covers.
                    self._join(owner, rdtype, ttl, rdata, f"{where}:{line}" if line else str(where))
                    continue
                if why := objection(tail, tail, codes.A, rdata, {}):
                    raise ZoneError(f"{where}:{line}: {to_text(owner)} {why}")
                lead = self._lead(key)
            packed = lead + rdata
            if not owner.endswith(tail) or rdtype == codes.SOA or place(owner, packed) is not packed:
                self._join(owner, rdtype, ttl, rdata, f"{where}:{line}" if line else str(where))
            else:
                self.count += 1

    def zone(self, sources: Sources | None = None) -> Zone:
        """The zone of all that was taken; ZoneError if SOA or NS are missing. This must be the last call."""
        self._close()
        nodes, apex = self._nodes, self.name
        shallow = len(apex) + 1
        deep = [name for name in nodes if len(name) - name[0] != shallow]
        children = {apex: len(nodes) - len(deep)}
        for name in deep:
            while name != apex:
                name = name[name[0] + 1 :]
                if not name:
                    raise ZoneError(f"{self.title}: a name is outside zone {to_text(apex)}")
                known = name in nodes
                children[name] = children.get(name, 0) + 1
                if known:
                    break
                nodes[name] = EMPTY
        wildcards = sum(name.startswith(b"\1*") for name in nodes)
        kinds = [packed[0] for packed in nodes.values() if packed[0] & (CUT | RENAMED) and packed is not EMPTY]
        counts = (
            self.count,
            sum(bool(kind & CUT) for kind in kinds),
            sum(bool(kind & RENAMED) for kind in kinds),
            wildcards,
        )
        self._nodes = {}
        return Zone(apex, Base(nodes, children), counts=counts, sources=sources, title=self.title)

    def _lead(self, key: tuple[int, int, int]) -> bytes:
        """What stands before the data in the packed node of a lone record."""
        rdtype, ttl, size = key
        if len(self._leads) >= _OPEN:
            self._leads.clear()
        lead = self._leads[key] = pack({rdtype: (ttl, (bytes(size),))}, False)[: 3 + 12]
        return lead

    def _join(self, owner: bytes, rdtype: int, ttl: int, rdata: bytes, where: str) -> None:
        """Put a record with others of its name."""
        there = self._open.get(owner)
        if there is None:
            if len(self._open) >= _OPEN:
                self._close()
            there = unpack(self._nodes.get(owner, EMPTY))
        known = there.get(rdtype)
        if known is None or rdata not in known[1]:
            if why := objection(self.name, owner, rdtype, rdata, there):
                raise ZoneError(f"{where}: {to_text(owner)} {why}")
            self.count += 1
        self._open[owner] = there
        self._nodes.setdefault(owner, EMPTY)
        if known is None:
            there[rdtype] = (ttl, {rdata: None})
            return
        known[1][rdata] = None
        if ttl != known[0] and rdtype != codes.RRSIG:
            self.lowered.append(f"{where}: {to_text(owner)}: TTL {ttl} beside {known[0]} in one RRset")
            there[rdtype] = (min(ttl, known[0]), known[1])

    def _close(self) -> None:
        """Pack the names that are open."""
        for owner, there in self._open.items():
            self._nodes[owner] = pack(there, owner == self.name)
        self._open.clear()


def load(name: bytes, path: Path) -> Zone:
    """A zone from its master file; raises ZoneError in one line."""
    sources: Sources = {}
    assembly = Assembly(name, str(path))
    for where, entries in read(path, name, sources):
        assembly.take(entries, where)
    return assembly.zone(sources)
