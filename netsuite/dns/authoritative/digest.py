"""The digest of a zone: whether all of it is there, byte for byte, and nothing else (ZONEMD).

Scheme SIMPLE with SHA-384 and SHA-512: one hash over all records in canonical order and form, the zone's own ZONEMD
records and their signatures left out (RFC 8976 section 3).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator
from typing import Any, Final

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from netsuite.dns.authoritative.node import bundles
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes

__all__ = ["SHA384", "SHA512", "complaint", "digest", "zonemd"]

SHA384: Final = 1
SHA512: Final = 2
_SIMPLE: Final = 1
_ZONEMD: Final = codes.ZONEMD.to_bytes(2, "big")
_HASHES: Final = {SHA384: hashlib.sha384, SHA512: hashlib.sha512}
# RFC 4034 section 6.2: names in these are lower case. By type, how many bytes come before the name that ends the data.
_NAMES_LAST: Final = {codes.NS: 0, codes.CNAME: 0, codes.PTR: 0, codes.DNAME: 0, codes.MX: 2, codes.SRV: 6}
_WITH_NAMES: Final = frozenset({codes.SOA, 3, 4, 7, 8, 9, 14, 17, 18, 21, 24, 26, 30, 35, 36, 38, codes.RRSIG})


def digest(zone: Zone, algorithm: int = SHA384) -> bytes:
    """The digest of a zone. For a million names it takes some seconds, for the order most of all."""
    made: Any = _HASHES[algorithm]()
    for record in _records(zone):
        made.update(record)
    return bytes(made.digest())


def zonemd(zone: Zone, algorithm: int = SHA384) -> bytes:
    """The data of the ZONEMD record that a zone should have."""
    return zone.serial.to_bytes(4, "big") + bytes((_SIMPLE, algorithm)) + digest(zone, algorithm)


def complaint(zone: Zone) -> str | None:
    """What is wrong with a zone by its ZONEMD records; None if one of them fits, or there are none (section 4)."""
    rrset = zone.apex.rrset(codes.ZONEMD)
    if rrset is None:
        return None
    why = "of no scheme and algorithm that we know"
    for rdata in rrset.rdatas:
        if int.from_bytes(rdata[:4], "big") != zone.serial:
            why = f"for serial {int.from_bytes(rdata[:4], 'big')}, not {zone.serial}"
        elif rdata[4] == _SIMPLE and rdata[5] in _HASHES:
            if hmac.compare_digest(rdata[6:], digest(zone, rdata[5])):
                return None
            why = "not that of these records"
    return f"the digest (ZONEMD) is {why}"


def _records(zone: Zone) -> Iterator[bytes]:
    """All records that count, in canonical order and form."""
    for name in zone.names():
        packed = zone.packed(name)
        assert packed is not None
        found = {
            (rdtype, _canonical(rdtype, rdata), ttl) for rdtype, ttl, rdatas in bundles(packed) for rdata in rdatas
        }
        for rdtype, rdata, ttl in sorted(found):
            if name == zone.name and (rdtype == codes.ZONEMD or (rdtype == codes.RRSIG and rdata[:2] == _ZONEMD)):
                continue
            yield name + struct.pack("!HHIH", rdtype, codes.CLASS_IN, ttl, len(rdata)) + rdata


def _canonical(rdtype: int, rdata: bytes) -> bytes:
    before = _NAMES_LAST.get(rdtype)
    if before is not None:
        return rdata[:before] + rdata[before:].lower()
    if rdtype in _WITH_NAMES:
        parsed = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), rdata, 0, len(rdata))
        return bytes(parsed.to_digestable())
    return rdata
