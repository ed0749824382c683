"""How many bytes a forger gets out of us for each that he sends: every kind of question, over UDP.

``python -m tests.vectors.dns_amplification`` asks a server with a zone like those of real companies, unsigned and
signed in each way, with and without EDNS, DO and cookies, and writes docs/reference/dns-amplification.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dns.edns
import dns.flags
import dns.message

from netsuite.dns.authoritative.assembly import load
from netsuite.dns.authoritative.courtesy import Courtesy
from netsuite.dns.authoritative.server import AuthoritativeServer
from netsuite.dns.authoritative.settings import DnsSettings
from netsuite.dns.authoritative.signed import ZoneSigning
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.cookies import Cookies
from netsuite.dns.wire.edns import COOKIE
from netsuite.dns.wire.name import from_text
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "dns-amplification.md"

ZONE = f"""$TTL 3600
@       SOA ns1 hostmaster 2026112101 7200 3600 1209600 300
        NS ns1
        NS ns2
        NS ns3
        NS ns4
        A 192.0.2.80
        AAAA 2001:db8::80
        MX 10 mx1
        MX 20 mx2
        TXT "v=spf1 include:_spf.mail.test include:_spf.news.test ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"
        TXT "site-verification={"a1B2" * 11}"
        TXT "domain-verification={"0123456789abcdef" * 4}"
        CAA 0 issue "ca.test"
        CAA 0 iodef "mailto:security@example.test"
        HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.80 ipv6hint=2001:db8::80
ns1     A 192.0.2.1
        AAAA 2001:db8::1
ns2     A 192.0.2.2
        AAAA 2001:db8::2
ns3     A 198.51.100.1
        AAAA 2001:db8:1::1
ns4     A 198.51.100.2
        AAAA 2001:db8:1::2
mx1     A 192.0.2.25
mx2     A 198.51.100.25
www     A 192.0.2.80
        A 192.0.2.81
        AAAA 2001:db8::80
        AAAA 2001:db8::81
shop    CNAME www
_sip._tcp SRV 10 60 5060 sip1
        SRV 10 40 5060 sip2
k1._domainkey TXT "v=DKIM1; k=rsa; p={"M" * 200}" "{"I" * 192}"
*.users A 192.0.2.90
dept    NS ns.dept
        NS ns1
        DS 12345 13 2 {"ab" * 32}
ns.dept A 192.0.2.10
old     DNAME www
"""
QUESTIONS = (
    ("A", "www", "A"), ("AAAA", "www", "AAAA"), ("CNAME and A", "shop", "A"), ("NS", "", "NS"), ("SOA", "", "SOA"),
    ("MX", "", "MX"), ("TXT", "", "TXT"), ("TXT, a key of DKIM", "k1._domainkey", "TXT"), ("CAA", "", "CAA"),
    ("HTTPS", "", "HTTPS"), ("SRV", "_sip._tcp", "SRV"), ("DNSKEY", "", "DNSKEY"), ("CDS", "", "CDS"),
    ("NSEC3PARAM", "", "NSEC3PARAM"), ("RRSIG", "", "RRSIG"), ("ANY at the zone's name", "", "ANY"),
    ("ANY", "www", "ANY"), ("wildcard", "anna.users", "A"), ("no such type", "www", "MX"),
    ("no such name", "none", "A"), ("no such name, many labels", "a.b.c.d.e.f", "A"),
    ("referral", "host.dept", "A"), ("DS", "dept", "DS"),
    ("DNAME", "a.old", "A"), ("AXFR", "", "AXFR"), ("IXFR", "", "IXFR"), ("another's name", "-", "A"),
)  # fmt: skip
KINDS = ("plain", "EDNS", "DO", "DO, client cookie", "DO, our cookie")
CHAINS = ("unsigned", "nsec", "nsec3", "compact")
CLIENT = "198.51.100.77"


class Row(NamedTuple):
    """One question of a zone: the bytes of query and answer, by kind of query."""

    chain: str
    title: str
    sizes: tuple[tuple[int, int], ...]

    def factors(self) -> list[float]:
        return [out / into for into, out in self.sizes]


def _zone(folder: Path, chain: str, commons) -> Zone:
    (folder / "zone").write_text(ZONE)
    zone = load(from_text("example.test."), folder / "zone")
    if chain == "unsigned":
        return zone
    signing = ZoneSigning(zone.name, commons.data, f"keys-{chain}", "ecdsap256sha256", chain)
    now = int(commons.clock.seconds())
    signing.open(now)
    signed = signing.toward(zone, list(zone.records()), "increment", now, "signing").applied(zone)
    signed.denier = signing.denier(now)
    return signed


def _query(name: str, rdtype: str, kind: str, cookie: bytes) -> bytes:
    full = "example.org." if name == "-" else f"{name}.example.test.".lstrip(".")
    query = dns.message.make_query(full, rdtype, use_edns=-1 if kind == "plain" else 0, payload=4096)
    query.flags &= ~dns.flags.RD
    if kind != "plain":
        options = []
        if "cookie" in kind:
            options = [dns.edns.GenericOption(COOKIE, cookie if "our" in kind else cookie[:8])]
        query.use_edns(0, dns.flags.DO if "DO" in kind else 0, 4096, options=options)
    return query.to_wire()


def rows(folder: Path, *, rate: int = 0) -> Iterator[Row]:
    """Ask everything."""
    for chain in CHAINS:
        commons = make_commons(folder / chain, Network().host("192.0.2.1"))
        table = {"listen": ["192.0.2.1:53"], "rate_limit": rate}
        settings = DnsSettings.model_validate(table, context={"base": folder})
        cookies = Cookies(bytes(16))
        server = AuthoritativeServer(settings, commons, "192.0.2.1:53", Courtesy(cookies), {})
        server.common.replace(_zone(folder, chain, commons))
        now = commons.clock.seconds()
        ours = cookies.show(b"01234567", CLIENT, now).answer[4:]
        for title, name, rdtype in QUESTIONS:
            sizes = []
            for kind in KINDS:
                query = _query(name, rdtype, kind, ours)
                answer = server.answer_datagram(query, (CLIENT, 5300), ("192.0.2.1", 53), now)
                sizes.append((len(query), len(answer or b"")))
            yield Row(chain, title, tuple(sizes))


def page(found: list[Row]) -> str:
    """The page."""
    lines = [
        "# Amplification",
        "",
        "Written by `python -m tests.vectors.dns_amplification`; do not edit.",
        "",
        "Bytes of the answer for each byte of the query, DNS messages over UDP without the headers below them, for a "
        "zone like a company's (four name servers, mail, several TXT records, a key of DKIM), unsigned and signed by "
        "us (ECDSA P-256). No answer is larger than 1,232 bytes (`dns.udp_size`); what does not fit is truncated. "
        "These are the factors of the first answers: beyond `dns.rate_limit` (200 a second for one host, unless all "
        "is on loopback) half of the answers are dropped and the others are shorter than their queries, except for "
        "clients that show a cookie of ours.",
        "",
    ]
    for chain in CHAINS:
        here = [row for row in found if row.chain == chain]
        lines += [f"## {chain}", "", f"| question | {' | '.join(KINDS)} |", f"|---{'|---:' * len(KINDS)}|"]
        lines += [f"| {row.title} | {' | '.join(f'{factor:.1f}' for factor in row.factors())} |" for row in here]
        most = [max(row.factors()[column] for row in here) for column in range(len(KINDS))]
        lines += [f"| **most** | {' | '.join(f'{factor:.1f}' for factor in most)} |", ""]
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        text = page(list(rows(Path(folder))))
    PAGE.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
