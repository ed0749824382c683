"""Whether the signatures of a zone hold, by dnspython's judgement."""

from __future__ import annotations

import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset

from netsuite.dns.authoritative.node import bundles
from netsuite.dns.wire import codes

__all__ = ["check_signatures", "rdata"]


def check_signatures(zone, dnskeys, now):
    """Every signature holds by one of these keys, and what it signs is there; how many there are."""
    origin = dns.name.from_wire(zone.name, 0)[0]
    keys = dns.rrset.from_rdata_list(origin, 60, [rdata(codes.DNSKEY, data) for data in dnskeys])
    count = 0
    for owner, packed in zone.nodes():
        by_type = {rdtype: (ttl, rdatas) for rdtype, ttl, rdatas in bundles(packed)}
        name = dns.name.from_wire(owner, 0)[0]
        for each in by_type.get(codes.RRSIG, (0, []))[1]:
            covered = int.from_bytes(each[:2], "big")
            assert covered in by_type, (name, covered)
            ttl = int.from_bytes(each[4:8], "big")
            rrset = dns.rrset.from_rdata_list(name, ttl, [rdata(covered, data) for data in by_type[covered][1]])
            dns.dnssec.validate_rrsig(rrset, rdata(codes.RRSIG, each), {origin: keys}, origin, now)
            count += 1
    return count


def rdata(rdtype, data):
    return dns.rdata.from_wire(1, rdtype, data, 0, len(data))
