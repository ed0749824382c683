"""Where resolution begins: the root's servers, as the IANA publishes them or as a file says."""

from __future__ import annotations

from pathlib import Path

import dns.exception
import dns.rdatatype
import dns.zonefile

from netsuite.common.errors import StartError
from netsuite.dns.wire.name import from_text

__all__ = ["BUILT_IN", "read"]

Hints = dict[bytes, tuple[str, ...]]
"""Addresses of servers by name."""

_SERVERS = {
    "a": ("198.41.0.4", "2001:503:ba3e::2:30"),
    "b": ("170.247.170.2", "2801:1b8:10::b"),
    "c": ("192.33.4.12", "2001:500:2::c"),
    "d": ("199.7.91.13", "2001:500:2d::d"),
    "e": ("192.203.230.10", "2001:500:a8::e"),
    "f": ("192.5.5.241", "2001:500:2f::f"),
    "g": ("192.112.36.4", "2001:500:12::d0d"),
    "h": ("198.97.190.53", "2001:500:1::53"),
    "i": ("192.36.148.17", "2001:7fe::53"),
    "j": ("192.58.128.30", "2001:503:c27::2:30"),
    "k": ("193.0.14.129", "2001:7fd::1"),
    "l": ("199.7.83.42", "2001:500:9f::42"),
    "m": ("202.12.27.33", "2001:dc3::35"),
}

BUILT_IN: Hints = {from_text(f"{letter}.root-servers.net"): hosts for letter, hosts in _SERVERS.items()}


def read(path: Path) -> Hints:
    """The hints of a master file: NS records of the root, and A and AAAA records of their names."""
    try:
        rrsets = dns.zonefile.read_rrsets(path.read_text(), rdclass=None, default_ttl=3600)
    except OSError as error:
        raise StartError(f"{path} cannot be read ({error.strerror}); see resolver.root_hints") from None
    except (dns.exception.DNSException, UnicodeDecodeError) as error:
        raise StartError(f"{path} is not a file of root hints ({error}); see resolver.root_hints") from None
    servers = [
        str(rdata.target).lower()
        for rrset in rrsets
        if rrset.rdtype == dns.rdatatype.NS and str(rrset.name) == "."
        for rdata in rrset
    ]
    hosts: dict[str, list[str]] = {}
    for rrset in rrsets:
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            hosts.setdefault(str(rrset.name).lower(), []).extend(str(rdata.address) for rdata in rrset)
    hints = {from_text(name): tuple(hosts[name]) for name in servers if name in hosts}
    if not hints:
        raise StartError(f"{path} names no root server with an address; see resolver.root_hints")
    return hints
