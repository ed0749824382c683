"""The header of the PROXY protocol: a balancer's word, before anything else, on who the client is.

:func:`read` takes what came so far, :func:`v1` and :func:`v2` write. Version 1 is a line of text, version 2 is binary
and may carry more (TLVs): here what TLS settled, the protocol of ALPN, and the name that the client asked for.

Implements: the PROXY protocol, versions 1 and 2 (HAProxy, 2020-03-05), sections 2.1, 2.2 and 2.2.5
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final, NamedTuple

__all__ = ["LOCAL_V1", "LOCAL_V2", "LONGEST", "SIGNATURE", "Announced", "HeaderFault", "read", "v1", "v2"]

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
LONGEST: Final = 4096
"""Bytes that a header may have."""

LOCAL_V1: Final = b"PROXY UNKNOWN\r\n"
LOCAL_V2: Final = SIGNATURE + b"\x20\x00\x00\x00"
"""What a balancer says that asks for itself."""

_V1_LONGEST: Final = 107
_V1: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) ([0-9]{1,5}) ([0-9]{1,5})")
_ALPN: Final = 0x01
_AUTHORITY: Final = 0x02
_SSL: Final = 0x20
_SSL_VERSION: Final = 0x21
_SSL_CIPHER: Final = 0x23

Address = tuple[str, int]


class HeaderFault(ValueError):
    """What came is no such header."""


class Announced(NamedTuple):
    """Who the client is (None: the balancer speaks for itself), whom he asked, and the bytes that the header had."""

    peer: Address | None
    local: Address | None
    size: int


def read(data: bytes | bytearray) -> Announced | None:
    """The header that ``data`` begins with, or None if more of it must come; raises HeaderFault."""
    if data[:12] == SIGNATURE[: len(data)]:
        return _read_v2(data) if len(data) >= 16 else None
    if data[:6] != b"PROXY "[: len(data)]:
        raise HeaderFault("this is no PROXY header")
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    if end < 0:
        if len(data) >= _V1_LONGEST or b"\n" in data:
            raise HeaderFault("the PROXY line does not end")
        return None
    line = bytes(data[:end])
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return Announced(None, None, end + 2)
    found = _V1.fullmatch(line)
    if found is None:
        raise HeaderFault("the PROXY line is malformed")
    family, source, goal, source_port, goal_port = found.groups()
    return Announced(
        (_literal(source, family), _port(source_port)), (_literal(goal, family), _port(goal_port)), end + 2
    )


def _literal(text: bytes, family: bytes) -> str:
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise HeaderFault("the PROXY line names no address") from None
    if address.version != int(family):
        raise HeaderFault("the PROXY line's addresses are of another family")
    return str(address)


def _port(text: bytes) -> int:
    port = int(text)
    if port > 65535 or (len(text) > 1 and text[:1] == b"0"):
        raise HeaderFault("the PROXY line names no port")
    return port


def _read_v2(data: bytes | bytearray) -> Announced | None:
    version, family, length = struct.unpack_from("!BBH", data, 12)
    size = 16 + length
    if version not in (0x20, 0x21):
        raise HeaderFault("the PROXY header's version or command is unknown")
    if size > LONGEST:
        raise HeaderFault(f"the PROXY header is longer than {LONGEST} bytes")
    if len(data) < size:
        return None
    block = bytes(data[16:size])
    wide = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16}.get(family)
    if version == 0x20 or wide is None:
        if version == 0x21 and family not in (0x00, 0x31, 0x32):
            raise HeaderFault("the PROXY header's family is unknown")
        return Announced(None, None, size)
    if len(block) < 2 * wide + 4:
        raise HeaderFault("the PROXY header is too short for its addresses")
    _check_extensions(block[2 * wide + 4 :])
    source_port, goal_port = struct.unpack_from("!HH", block, 2 * wide)
    return Announced(
        (str(ipaddress.ip_address(block[:wide])), source_port),
        (str(ipaddress.ip_address(block[wide : 2 * wide])), goal_port),
        size,
    )


def _check_extensions(rest: bytes) -> None:
    at = 0
    while at < len(rest):
        if at + 3 > len(rest):
            raise HeaderFault("the PROXY header's extensions break off")
        at += 3 + struct.unpack_from("!H", rest, at + 1)[0]
    if at != len(rest):
        raise HeaderFault("the PROXY header's extensions break off")


def _families(peer: Address, local: Address) -> tuple[int, str, str] | None:
    """4 or 6 and both addresses in that family's form; None if they are no addresses (a Unix socket)."""
    try:
        both = [ipaddress.ip_address(host.partition("%")[0]) for host in (peer[0], local[0])]
    except ValueError:
        return None
    mapped = [getattr(address, "ipv4_mapped", None) or address for address in both]
    if mapped[0].version == mapped[1].version:
        both = mapped
    else:
        both = [ipaddress.ip_address(f"::ffff:{each}") if each.version == 4 else each for each in mapped]
    return both[0].version, str(both[0]), str(both[1])


def v1(peer: Address, local: Address) -> bytes:
    """A header of version 1."""
    found = _families(peer, local)
    if found is None:
        return LOCAL_V1
    family, source, goal = found
    return f"PROXY TCP{family} {source} {goal} {peer[1]} {local[1]}\r\n".encode()


def v2(
    peer: Address,
    local: Address,
    *,
    tls: tuple[str, str] | None = None,
    alpn: str | None = None,
    server_name: str | None = None,
) -> bytes:
    """A header of version 2; ``tls`` are the version and the cipher of the client's connection."""
    extensions = b""
    if alpn:
        extensions += _extension(_ALPN, alpn.encode())
    if server_name:
        extensions += _extension(_AUTHORITY, server_name.encode())
    if tls is not None:
        # 0x01: the client came by TLS; the word behind it is not 0: he showed no certificate that was verified
        inner = _extension(_SSL_VERSION, tls[0].encode()) + _extension(_SSL_CIPHER, tls[1].encode())
        extensions += _extension(_SSL, struct.pack("!BI", 0x01, 1) + inner)
    found = _families(peer, local)
    if found is None:
        return SIGNATURE + struct.pack("!BBH", 0x21, 0x00, len(extensions)) + extensions
    family, source, goal = found
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(goal).packed
    block = addresses + struct.pack("!HH", peer[1], local[1]) + extensions
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11 if family == 4 else 0x21, len(block)) + block


def _extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value
