"""A step of a zone from one serial to the next: what goes and what comes, as transfers and the journal have it.

Serials go round: which of two is later is said by RFC 1982.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from netsuite.dns.authoritative.zone import Addition, Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import expand
from netsuite.dns.wire.records import LAYOUTS

__all__ = [
    "BadChange",
    "Change",
    "SerialRule",
    "decoded",
    "difference",
    "encoded",
    "folded",
    "later",
    "next_serial",
    "with_serial",
]

SerialRule = Literal["increment", "unixtime", "date"]

_HALF: Final = 1 << 31
_ALL: Final = 0xFFFFFFFF
_HEAD: Final = struct.Struct("!IIQHII")
_RECORD: Final = struct.Struct("!BHIH")


class BadChange(ValueError):
    """Bytes that no change was written as."""


class Change(NamedTuple):
    """What goes and what comes between two serials; both begin with the SOA record of their version.

    ``when`` is Unix time in seconds; ``source`` says to people where the change came from.
    """

    before: int
    after: int
    removals: Sequence[Addition]
    additions: Sequence[Addition]
    when: int
    source: str

    def applied(self, zone: Zone) -> Zone:
        """The zone's next version; raises ZoneError."""
        return zone.changed([(owner, rdtype, rdata) for owner, rdtype, _, rdata in self.removals], self.additions)

    def undone(self, zone: Zone) -> Zone:
        """The zone's version before it; raises ZoneError."""
        return zone.changed([(owner, rdtype, rdata) for owner, rdtype, _, rdata in self.additions], self.removals)

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return sum(len(owner) + len(rdata) + 9 for part in self[2:4] for owner, _, _, rdata in part)


def later(one: int, other: int) -> bool:
    """Whether serial ``one`` comes after ``other`` (RFC 1982 section 3.2)."""
    return 0 < (one - other & _ALL) < _HALF


def next_serial(serial: int, rule: SerialRule, now: float) -> int:
    """The serial of the next version: one more, or what the rule says if that is later; never 0."""
    wanted = 0
    if rule == "unixtime":
        wanted = int(now) & _ALL
    elif rule == "date":
        wanted = int(datetime.fromtimestamp(now, UTC).strftime("%Y%m%d00"))
    if wanted and later(wanted, serial):
        return wanted
    return (serial + 1 & _ALL) or 1


def with_serial(soa: bytes, serial: int) -> bytes:
    """SOA data with another serial."""
    return soa[:-20] + serial.to_bytes(4, "big") + soa[-16:]


def folded(rdtype: int, rdata: bytes) -> bytes:
    """Data as it compares: the names in it in lower case (RFC 2136 section 1.1.1, RFC 4034 section 6.2)."""
    layout = LAYOUTS.get(rdtype)
    if layout is None:
        return rdata
    parts = []
    at = 0
    for field in layout:
        if field == "n":
            name, end = expand(rdata, at)
            parts.append(name.lower())
            at = end
        else:
            size = rdata[at] + 1 if field == "s" else int(field)
            parts.append(rdata[at : at + size])
            at += size
    parts.append(rdata[at:])
    return b"".join(parts)


def difference(old: Zone, new: Zone, when: int, source: str) -> Change:
    """What lies between two versions of a zone, whatever made them."""
    before, after = set(old.records()), set(new.records())
    return Change(
        old.serial,
        new.serial,
        _soa_first(before - after, old),
        _soa_first(after - before, new),
        when,
        source,
    )


def _soa_first(records: Iterable[Addition], zone: Zone) -> list[Addition]:
    rest = sorted(record for record in records if record[1] != codes.SOA)
    return [(zone.name, codes.SOA, zone.soa.ttl, zone.soa.rdatas[0]), *rest]


def encoded(change: Change) -> bytes:
    """A change as the journal keeps it."""
    source = change.source.encode()[:65535]
    out = [
        _HEAD.pack(change.before, change.after, change.when, len(source), len(change.removals), len(change.additions)),
        source,
    ]
    for part in (change.removals, change.additions):
        for owner, rdtype, ttl, rdata in part:
            out += (_RECORD.pack(len(owner), rdtype, ttl, len(rdata)), owner, rdata)
    return b"".join(out)


def decoded(data: bytes) -> Iterator[Change]:
    """The changes that were written one behind the other; raises BadChange."""
    at = 0
    try:
        while at < len(data):
            before, after, when, length, removed, added = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            source = data[at - length : at].decode()
            records: list[Addition] = []
            for _ in range(removed + added):
                name, rdtype, ttl, size = _RECORD.unpack_from(data, at)
                middle = at + _RECORD.size + name
                records.append((data[middle - name : middle], rdtype, ttl, data[middle : middle + size]))
                at = middle + size
            if at > len(data):
                raise BadChange("a change is cut off")
            yield Change(before, after, records[:removed], records[removed:], when, source)
    except (struct.error, UnicodeDecodeError) as error:
        raise BadChange(str(error)) from None
