"""A response put together: records from compiled RRsets, names compressed, cut at whole RRsets.

Implements: RFC 1035 section 4.1.4; RFC 2181 sections 5, 9; RFC 3597 section 4; RFC 6891 section 6.2.5.
"""

from __future__ import annotations

from typing import Final

from netsuite.dns.wire import codes
from netsuite.dns.wire.name import expand

__all__ = ["RRset", "Writer"]

_QNAME: Final = b"\xc0\x0c"
# Where names lie in rdata that may be compressed (RFC 3597 section 4): bytes before them, and how many.
_NAMED: Final = {codes.NS: (0, 1), codes.CNAME: (0, 1), codes.PTR: (0, 1), codes.MX: (2, 1), codes.SOA: (0, 2)}
# Types whose (uncompressed) name is looked up for the additional section.
_POINTING: Final = {codes.NS: 0, codes.MX: 2, codes.SRV: 6}


# Known names are kept as offset and, above its 14 bits, how many pointers follow one another from there. Readers
# bound such chains (dnspython at 16), so we stop at eight.
_DEEPEST: Final = 8 << 14


class RRset:
    """Records of one name and type, ready to be written.

    ``tails`` is each record behind its owner's name; ``at_question`` all of them with a pointer to the
    question in place of it, or None where they hold names to compress; ``targets`` (lower case) are
    the hosts whose addresses belong into the additional section.
    """

    __slots__ = ("at_question", "parts", "rdatas", "tails", "targets", "ttl", "type")

    def __init__(self, rdtype: int, ttl: int, rdatas: list[bytes]) -> None:
        self.type = rdtype
        self.ttl = ttl
        self.rdatas = rdatas
        fixed = b"%c%c\0\1" % (rdtype >> 8, rdtype & 0xFF) + ttl.to_bytes(4, "big")
        self.tails = [fixed + len(rdata).to_bytes(2, "big") + rdata for rdata in rdatas]
        self.targets: tuple[bytes, ...] = ()
        if rdtype in _POINTING:
            skipped = _POINTING[rdtype]
            self.targets = tuple(dict.fromkeys(expand(rdata, skipped)[0].lower() for rdata in rdatas))
        self.at_question: bytes | None = None
        self.parts: list[tuple[bytes, list[bytes], bytes]] = []
        named = _NAMED.get(rdtype)
        if named is None:
            self.at_question = b"".join([_QNAME + tail for tail in self.tails])
            return
        before, count = named
        for rdata in rdatas:
            names = []
            at = before
            for _ in range(count):
                name, at = expand(rdata, at)
                names.append(name)
            self.parts.append((rdata[:before], names, rdata[at:]))


class Writer:
    """One response in the making. Records go in by section, in order; ``limit`` is the most bytes it may have."""

    __slots__ = ("_counts", "_limit", "_names", "_out", "_reserved", "flags", "truncated")

    def __init__(self, query_id: bytes, question: bytes, flags: int, limit: int, reserved: int) -> None:
        self._out = bytearray(12)
        self._out[:2] = query_id
        self._out += question
        self.flags = flags
        self.truncated = False
        self._counts = [0, 0, 0]
        self._limit = limit - reserved
        self._names: dict[bytes, int] | None = None

    def add(self, section: int, owner: bytes | None, rrset: RRset) -> bool:
        """Add an RRset whole (section 0, 1, 2 for answer, authority, additional) or, for want of room, not at all.

        The owner is a name, or None for the question's.
        """
        out = self._out
        start = len(out)
        if owner is None and rrset.at_question is not None:
            if start + len(rrset.at_question) > self._limit:
                return False
            out += rrset.at_question
        elif rrset.at_question is not None:
            for tail in rrset.tails:
                self._name(owner)
                out += tail
        else:
            for tail, (before, names, after) in zip(rrset.tails, rrset.parts, strict=True):
                self._name(owner)
                out += tail[:8]
                size_at = len(out)
                out += b"\0\0"
                out += before
                for name in names:
                    self._name(name)
                out += after
                size = len(out) - size_at - 2
                out[size_at] = size >> 8
                out[size_at + 1] = size & 0xFF
                if len(out) > self._limit:
                    break
        if len(out) > self._limit:
            self._undo(start)
            return False
        self._counts[section] += len(rrset.tails)
        return True

    def finish(self, edns: bytes = b"") -> bytes:
        """The whole message, with its OPT record last."""
        out = self._out
        out[2:4] = (self.flags | codes.TC if self.truncated else self.flags).to_bytes(2, "big")
        answers, authority, additional = self._counts
        if edns:
            additional += 1
            out += edns
        out[4:12] = b"\0\1%c%c%c%c%c%c" % (
            answers >> 8,
            answers & 0xFF,
            authority >> 8,
            authority & 0xFF,
            additional >> 8,
            additional & 0xFF,
        )
        return bytes(out)

    def _name(self, name: bytes | None) -> None:
        """Write a name, its known tail as a pointer; None is the question's."""
        out = self._out
        if name is None:
            out += _QNAME
            return
        known = self._names
        folded = name.lower()
        if known is None:
            known = self._names = {}
            at = 12
            question = bytes(out[12:268]).lower()
            stop = 0
            while question[stop]:
                stop += question[stop] + 1
            while length := question[at - 12]:
                known[question[at - 12 : stop + 1]] = at
                at += length + 1
        start = len(out)
        at = 0
        added: list[bytes] = []
        while length := folded[at]:
            suffix = folded[at:]
            pointer = known.get(suffix)
            if pointer is not None and pointer < _DEEPEST:
                out += name[:at]
                out += (0xC000 | pointer & 0x3FFF).to_bytes(2, "big")
                deeper = (pointer & ~0x3FFF) + 0x4000
                for suffix in added:
                    known[suffix] |= deeper
                return
            if start + at < 0x4000:
                known[suffix] = start + at
                added.append(suffix)
            at += length + 1
        out += name

    def _undo(self, start: int) -> None:
        del self._out[start:]
        if self._names is not None:
            self._names = {name: at for name, at in self._names.items() if at & 0x3FFF < start}
