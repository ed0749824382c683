"""Zones for tests, from text."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from netsuite.dns.authoritative.assembly import load
from netsuite.dns.wire.name import from_text

__all__ = ["SITE", "make_zone", "sections"]

SITE = """
$TTL 3600
@       SOA ns1 host 7 7200 3600 1209600 300
        NS ns1
        NS ns2.sub
        MX 10 mail
        TXT "v=spf1 -all"
ns1     A 192.0.2.1
        AAAA 2001:db8::1
mail    A 192.0.2.2
www     300 CNAME web
web     A 192.0.2.3
        A 192.0.2.4
out     CNAME www.other.test.
lost    CNAME nothing
loop1   CNAME loop2
loop2   CNAME loop1
intosub CNAME deep.sub
a.b.c   A 192.0.2.5
*.wild  A 192.0.2.6
        MX 5 mail
there.wild TXT "here"
*.alias CNAME web
sub     NS ns2.sub
        NS ns.sibling
        NS ns1
        NS ns.elsewhere.test.
        DS 12345 8 2 0123456789012345678901234567890123456789012345678901234567890123
ns2.sub A 192.0.2.7
sibling NS ns.sibling
ns.sibling A 192.0.2.8
old     DNAME new
host.new A 192.0.2.9
long    DNAME {long}
srv     SRV 1 1 80 web
""".format(long=".".join(["x" * 60] * 3))


def make_zone(tmp_path, text, name="example.test."):
    path = tmp_path / (name.strip(".") or "root")
    path.write_text(text)
    return load(from_text(name), path)


def sections(response):
    """A response as words: rcode, flags, and the three sections as sorted lines."""
    message = dns.message.from_wire(response)
    flags = " ".join(sorted(dns.flags.to_text(message.flags).split()))

    def lines(rrsets):
        return sorted(
            f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
            for rrset in rrsets
            for rdata in rrset
        )

    return (
        dns.rcode.to_text(message.rcode()),
        flags,
        lines(message.answer),
        lines(message.authority),
        lines(message.additional),
    )
