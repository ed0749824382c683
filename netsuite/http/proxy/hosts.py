"""Hosts as requests name them, brought to the one form in which rules judge them.

``127.1``, ``0x7f.1``, ``017700000001`` and ``2130706433`` are one address to those who connect, so they are one here;
so are a name with and without its last dot, in capitals or not.

Implements: RFC 3986 section 3.2.2; RFC 4291 section 2.5.5
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import unquote

from netsuite.common.access import wrapped

__all__ = ["Ip", "canonical", "faces", "literal"]

Ip = IPv4Address | IPv6Address

_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def canonical(host: str) -> str:
    """A host in its usual form: an address as it is mostly written, a name in lower case without its last dot."""
    plain = host.removeprefix("[").removesuffix("]")
    if ":" not in plain:
        plain = unquote(plain)
    plain = plain.lower().removesuffix(".")
    address = literal(plain)
    return str(address) if address is not None else plain


def literal(host: str) -> Ip | None:
    """The address that a host is, in any form that some program takes; None for a name. A zone is dropped."""
    if ":" in host:
        try:
            address = IPv6Address(host.partition("%")[0])
        except ValueError:
            return None
        return address.ipv4_mapped or address
    return _numeric(host)


def faces(address: str) -> tuple[Ip, ...]:
    """An address, and the IPv4 one that is wrapped in it, if any: a rule that names either is meant."""
    found = ip_address(address.partition("%")[0])
    inner = wrapped(found)
    return (found,) if inner is None else (found, inner)


def _numeric(host: str) -> IPv4Address | None:
    """An IPv4 address as ``inet_aton`` reads it: one to four numbers, decimal, octal or hexadecimal."""
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_value(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        return None
    address = last
    for place, number in enumerate(leading):
        address |= number << (24 - 8 * place)
    return IPv4Address(address)


def _value(part: str) -> int:
    if part[:2] in ("0x", "0X"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if len(part) > 1 and part[0] == "0" else 10)
