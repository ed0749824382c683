"""Names that are answered here and asked of nobody.

Special-use names (RFC 6761: ``localhost``, ``invalid``; RFC 7686: ``onion``), the reverse zones of addresses that mean
something only nearby (RFC 6303, RFC 7793), and questions for ANY, which get the least there is (RFC 8482).

Implements: RFC 6303 section 4; RFC 6761 section 6; RFC 8482 section 4.
"""

from __future__ import annotations

from collections.abc import Iterable

from netsuite.dns.resolver.cache import Entry
from netsuite.dns.resolver.iterator import Result
from netsuite.dns.wire.codes import AAAA, ANY, NOERROR, NS, NXDOMAIN, PTR, SOA, A
from netsuite.dns.wire.name import from_text, suffixes, within

__all__ = ["LocalNames"]

_HINFO = 13
_TTL = 10800
_ANY_TTL = 3600
_LOCALHOST = from_text("localhost")
_OWN_NAMES = {_LOCALHOST, from_text("1.0.0.127.in-addr.arpa"), from_text("1" + ".0" * 31 + ".ip6.arpa")}
_EMPTY = [
    "invalid",
    "onion",
    "home.arpa",
    "10.in-addr.arpa",
    "168.192.in-addr.arpa",
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
]
_SOA_TAIL = b"".join(number.to_bytes(4, "big") for number in (1, 3600, 1200, 604800, _TTL))


class LocalNames:
    """Answers from within; a zone that ``pinned`` says something about is left to the servers named there."""

    def __init__(self, pinned: Iterable[bytes] = ()) -> None:
        texts = [
            *_EMPTY,
            "localhost",
            *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
            *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),
            "0." * 32 + "ip6.arpa",
            "1" + ".0" * 31 + ".ip6.arpa",
        ]
        others = [zone for zone in pinned if len(zone) > 1]
        zones = (from_text(text) for text in texts)
        self._zones = {
            zone for zone in zones if not any(within(zone, other) or within(other, zone) for other in others)
        }

    def find(self, name: bytes, rdtype: int, now: float) -> Result | None:
        """The answer for a folded name, or None where others are to be asked."""
        if rdtype == ANY:
            return Result(NOERROR, (Entry(name, _HINFO, (b"\x07RFC8482\0",), now + _ANY_TTL),))
        zone = next((above for above in suffixes(name) if above in self._zones), None)
        if zone is None:
            return None
        expires = now + _TTL + 0.5
        soa = Entry(zone, SOA, (zone + from_text("nobody.invalid") + _SOA_TAIL,), expires)
        records: dict[int, bytes] = {}
        if zone == _LOCALHOST:
            records = {A: b"\x7f\0\0\1", AAAA: bytes(15) + b"\1"}
        elif name in _OWN_NAMES:
            records = {PTR: _LOCALHOST}
        if name == zone:
            records |= {SOA: soa.rdatas[0], NS: zone}
        if rdtype in records:
            return Result(NOERROR, (Entry(name, rdtype, (records[rdtype],), expires),))
        return Result(NOERROR if records else NXDOMAIN, (), (soa,))
