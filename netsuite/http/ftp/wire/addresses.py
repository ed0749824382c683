"""Where data connections go, as FTP writes it, and paths as clients name them.

Implements: RFC 959 section 4.1.2 (PORT, PASV); RFC 2428 sections 2, 3
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

__all__ = ["pasv_reply", "quoted", "read_eprt", "read_port", "resolved"]

_PORT: Final = re.compile(rb"([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3})")
_EPRT: Final = re.compile(rb"([\x21-\x7e])([12])\1([0-9A-Fa-f.:]{2,45})\1([0-9]{1,5})\1")


def read_port(argument: bytes) -> tuple[str, int] | None:
    """The address in a PORT; None if it is none."""
    found = _PORT.fullmatch(argument.strip())
    if found is None:
        return None
    numbers = [int(each) for each in found.groups()]
    if max(numbers) > 255:
        return None
    return ".".join(map(str, numbers[:4])), numbers[4] * 256 + numbers[5]


def read_eprt(argument: bytes) -> tuple[str, int] | None:
    """The address in an EPRT; None if it is none, or not of the family that it names."""
    found = _EPRT.fullmatch(argument.strip())
    if found is None:
        return None
    try:
        address = ip_address(found[3].decode())
    except ValueError:
        return None
    if address.version != (4 if found[2] == b"1" else 6) or int(found[4]) > 65535:
        return None
    return str(address), int(found[4])


def pasv_reply(host: str, port: int) -> str:
    """An IPv4 address as the reply to PASV tells it."""
    return f"entering passive mode ({host.replace('.', ',')},{port >> 8},{port & 255})"


def resolved(folder: list[bytes], path: bytes) -> list[bytes]:
    """Where a path leads from a folder: the names from the root on; ``..`` stops at the root."""
    names = [] if path.startswith(b"/") else list(folder)
    for name in path.split(b"/"):
        if name == b"..":
            del names[-1:]
        elif name not in (b"", b"."):
            names.append(name)
    return names


def quoted(names: list[bytes]) -> str:
    """A path as PWD and MKD tell it."""
    path = b"/" + b"/".join(names)
    return '"' + path.decode("utf-8", "surrogateescape").replace('"', '""') + '"'
