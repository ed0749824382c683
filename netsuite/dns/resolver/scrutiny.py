"""What of a reply may be believed, given which zone's servers were asked and what about.

Only records that lie within the zone asked count (bailiwick); an answer is followed along its CNAMEs and DNAMEs as long
as it stays there; NS records are believed only in a referral, one that leads downwards towards the name asked for, and
addresses only as glue of such a referral. Everything else in the reply is dropped here, and so is never stored.

Implements: RFC 1034 section 4.3.2; RFC 5452 section 6; RFC 6604 section 3; RFC 6672 section 2.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from netsuite.dns.resolver.cache import Trust, host_text
from netsuite.dns.resolver.message import Reply, RRset
from netsuite.dns.wire.codes import AA, AAAA, CNAME, DNAME, FORMERR, NOERROR, NOTIMP, NS, NXDOMAIN, RA, SOA, YXDOMAIN, A
from netsuite.dns.wire.name import suffixes, within

__all__ = ["Cut", "Kind", "Verdict", "judge"]

MOST_RECORDS = 256
"""Records of one RRset beyond which a reply is refused."""
_MOST_ALIASES = 16
_MOST_SERVERS = 13
_MOST_ADDRESSES = 4


class Kind(enum.Enum):
    """What a reply is."""

    ANSWER = "an answer: records, aliases that lead elsewhere, or a proven absence"
    REFERRAL = "a referral to servers nearer to the name"
    LAME = "the server does not serve the zone"
    BROKEN = "the server cannot or will not answer"
    UNREADABLE = "the server did not understand the question's form"


class Cut(NamedTuple):
    """A referral: the zone, its NS names and the glue that may be used, by name."""

    zone: bytes
    ttl: int
    names: tuple[bytes, ...]
    glue: dict[bytes, list[str]]


class Verdict(NamedTuple):
    """What a reply says, reduced to what may be believed.

    ``rrsets`` are the answer's, in the order of the chain, ``last`` the name where it ends; ``absent`` is set if that
    name is proven to lack the type (rcode NOERROR) or to be missing (NXDOMAIN), by the ``soa``.
    """

    kind: Kind
    rrsets: tuple[RRset, ...] = ()
    last: bytes = b""
    absent: bool = False
    rcode: int = NOERROR
    soa: RRset | None = None
    cut: Cut | None = None
    trust: Trust = Trust.AUTHORITATIVE
    second_hand: bool = False

    @property
    def doubtful(self) -> bool:
        """Whether others should rather be believed: an absence with nothing to prove it, or a cache's answer."""
        return (self.absent and self.soa is None and not self.rrsets and self.rcode == NOERROR) or self.second_hand


def judge(reply: Reply, zone: bytes, name: bytes, rdtype: int, *, recursive: bool = False) -> Verdict:
    """Read a reply of one of ``zone``'s servers to the question (``name`` folded, ``rdtype``).

    ``recursive`` servers were asked to do the whole work, so their answers need not be authoritative.
    """
    trust = Trust.AUTHORITATIVE if reply.flags & AA else Trust.ANSWER
    verdict = _read(reply, zone, name, rdtype, recursive)
    # who has answers that are not its own is a cache, not the zone's server
    second_hand = verdict.kind is Kind.ANSWER and not recursive and reply.flags & (AA | RA) == RA
    return verdict._replace(trust=trust, second_hand=second_hand)


def _read(reply: Reply, zone: bytes, name: bytes, rdtype: int, recursive: bool) -> Verdict:
    rcode = reply.rcode
    if rcode not in (NOERROR, NXDOMAIN, YXDOMAIN):
        return Verdict(Kind.UNREADABLE if rcode in (FORMERR, NOTIMP) else Kind.BROKEN, rcode=rcode)
    believed = {}
    for rrset in reply.answer:
        if len(rrset.rdatas) > MOST_RECORDS:
            return Verdict(Kind.BROKEN)
        if within(rrset.name, zone):
            believed[rrset.name, rrset.type] = rrset
    chain: list[RRset] = []
    last = name
    for _ in range(_MOST_ALIASES):
        found = believed.get((last, rdtype))
        if found is not None:
            if rcode == YXDOMAIN:
                return Verdict(Kind.BROKEN, rcode=rcode)
            chain.append(found)
            return Verdict(Kind.ANSWER, tuple(chain), last)
        # a DNAME first: the CNAME that a server makes of it is made again here, so that it is certainly right
        above = ((up, DNAME) for up in suffixes(last)[1:])
        dname = next((believed[key] for key in above if key in believed), None)
        alias = dname or believed.get((last, CNAME))
        if alias is None:
            break
        if len(alias.rdatas) > 1:
            return Verdict(Kind.BROKEN)
        chain.append(alias)
        target = alias.rdatas[0].lower()
        if dname is not None:
            target = last[: len(last) - len(dname.name)] + target
            if len(target) > 255:
                return Verdict(Kind.ANSWER, tuple(chain), last, absent=True, rcode=YXDOMAIN)
        last = target
        if not within(last, zone):
            return Verdict(Kind.ANSWER, tuple(chain), last)
    soa = next((s for s in reply.authority if s.type == SOA and within(last, s.name) and within(s.name, zone)), None)
    if rcode == YXDOMAIN:
        return Verdict(Kind.BROKEN, rcode=rcode)
    if rcode == NXDOMAIN or soa is not None:
        return Verdict(Kind.ANSWER, tuple(chain), last, absent=True, rcode=rcode, soa=soa)
    if chain:
        return Verdict(Kind.ANSWER, tuple(chain), last)
    if recursive:
        referred = any(rrset.type == NS for rrset in reply.authority)
        return Verdict(Kind.LAME) if referred else Verdict(Kind.ANSWER, (), last, absent=True)
    cut = _referral(reply, zone, name)
    if cut is not None:
        return Verdict(Kind.REFERRAL, cut=cut)
    upwards = any(rrset.type == NS and not within(rrset.name, zone) for rrset in reply.authority)
    if reply.flags & AA and not upwards:
        return Verdict(Kind.ANSWER, (), last, absent=True)
    return Verdict(Kind.LAME)


def _referral(reply: Reply, zone: bytes, name: bytes) -> Cut | None:
    """The delegation in the authority section that leads downwards to the name (RFC 1034 section 4.3.2)."""
    for rrset in reply.authority:
        if rrset.type != NS or rrset.name == zone or not within(rrset.name, zone) or not within(name, rrset.name):
            continue
        glue: dict[bytes, list[str]] = {}
        wanted = {rdata.lower() for rdata in rrset.rdatas}
        for extra in reply.additional:
            if extra.type in (A, AAAA) and extra.name in wanted and within(extra.name, zone):
                glue.setdefault(extra.name, []).extend(map(host_text, extra.rdatas[:_MOST_ADDRESSES]))
        names = sorted(wanted, key=lambda server: (server not in glue, server))[:_MOST_SERVERS]
        return Cut(rrset.name, rrset.ttl, tuple(names), {server: glue[server] for server in names if server in glue})
    return None
