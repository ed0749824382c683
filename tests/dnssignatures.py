"""Whether the signatures of a zone hold, by dnspython's judgement, and live as long as what they cover."""

from __future__ import annotations

import dns.dnssec
import dns.name
import dns.rdata
import dns.rrset

from netsuite.dns.authoritative.node import unpack
from netsuite.dns.wire import codes

__all__ = ["MANY_TTLS", "check_signatures", "check_ttls", "rdata"]

MANY_TTLS = """@ 3600 SOA ns1 host 1 3600 1 604800 30
@ 86400 NS ns1
@ 600 MX 10 www
ns1 86400 A 127.0.0.1
www 300 A 192.0.2.1
www 60 TXT old
*.wild 5 A 192.0.2.2
sub 7200 NS ns.sub
sub 900 DS 1 13 2 abababababababababababababababababababababababababababababababab
ns.sub 1200 A 192.0.2.3
"""
"""A zone, to be signed, whose names have records of several TTLs."""


def check_signatures(zone, dnskeys, now):
    """Every signature holds by one of these keys, and what it signs is there with its TTL; how many there are."""
    origin = dns.name.from_wire(zone.name, 0)[0]
    keys = dns.rrset.from_rdata_list(origin, 60, [rdata(codes.DNSKEY, data) for data in dnskeys])
    for owner, packed in zone.nodes():
        by_type = unpack(packed)
        name = dns.name.from_wire(owner, 0)[0]
        for each in by_type.get(codes.RRSIG, (0, {}))[1]:
            covered = int.from_bytes(each[:2], "big")
            assert covered in by_type, (name, covered)
            ttl, datas = by_type[covered]
            assert ttl == int.from_bytes(each[4:8], "big"), (name, covered)
            rrset = dns.rrset.from_rdata_list(name, ttl, [rdata(covered, data) for data in datas])
            dns.dnssec.validate_rrsig(rrset, rdata(codes.RRSIG, each), {origin: keys}, origin, now)
    return check_ttls(zone.records())


def check_ttls(records):
    """Every signature has the TTL of what it covers (RFC 4034 section 3); how many there are."""
    records = list(records)
    ttls = {(owner, rdtype): ttl for owner, rdtype, ttl, _ in records if rdtype != codes.RRSIG}
    signatures = [record for record in records if record[1] == codes.RRSIG]
    for owner, _, ttl, data in signatures:
        assert ttl == ttls[owner, int.from_bytes(data[:2], "big")], (owner, data[:2])
    return len(signatures)


def rdata(rdtype, data):
    return dns.rdata.from_wire(1, rdtype, data, 0, len(data))
