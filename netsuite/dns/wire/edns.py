"""The options of EDNS: their numbers, what a query's OPT record carries, and what an answer's is given.

Implements: RFC 5001; RFC 6891 section 6; RFC 7314; RFC 7828; RFC 7830; RFC 7873 section 4; RFC 8467 section 4.1;
RFC 8914 section 2; RFC 9660 section 2.
"""

from __future__ import annotations

from typing import Final

__all__ = ["extended_error", "find", "opt", "option", "padded", "whole"]

NSID: Final = 3
EXPIRE: Final = 9
COOKIE: Final = 10
KEEPALIVE: Final = 11
PADDING: Final = 12
EXTENDED_ERROR: Final = 15
ZONEVERSION: Final = 19

NOT_READY: Final = 14
PROHIBITED: Final = 18
NOT_AUTHORITATIVE: Final = 20
NOT_SUPPORTED: Final = 21
INVALID_DATA: Final = 24
"""Codes of extended errors (RFC 8914 section 4)."""

_MOST: Final = 32


def opt(size: int, *, rcode: int = 0, dnssec: bool = False, options: bytes = b"") -> bytes:
    """An OPT record: the largest UDP message we take, the upper bits of the response code, DO as asked, and options."""
    length = len(options)
    return b"\0\0\x29%c%c%c\0%c\0%c%c%b" % (
        size >> 8,
        size & 0xFF,
        rcode >> 4,
        0x80 if dnssec else 0,
        length >> 8,
        length & 0xFF,
        options,
    )


def option(code: int, data: bytes = b"") -> bytes:
    """One option, as it stands in an OPT record."""
    return code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def extended_error(code: int, text: str = "") -> bytes:
    """The option that says more than the response code does (RFC 8914); ``text`` is for people."""
    return option(EXTENDED_ERROR, code.to_bytes(2, "big") + text.encode())


def padded(message: bytes, at: int, block: int) -> bytes:
    """A message whose last record, at ``at``, is OPT, grown to a multiple of ``block`` bytes (RFC 7830, RFC 8467)."""
    missing = -(len(message) + 4) % block
    if len(message) + 4 + missing > 65535:
        return message
    options = message[at + 11 :] + option(PADDING, bytes(missing))
    return message[: at + 9] + len(options).to_bytes(2, "big") + options


def whole(data: bytes, at: int, end: int) -> bool:
    """Whether options fill their record exactly (RFC 6891 section 6.1.2), and are no more than anyone needs."""
    count = 0
    while at < end:
        if at + 4 > end or count == _MOST:
            return False
        at += 4 + (data[at + 2] << 8 | data[at + 3])
        count += 1
    return at == end


def find(options: bytes) -> dict[int, bytes]:
    """A query's options by number, the first of each; they must be :func:`whole`."""
    found: dict[int, bytes] = {}
    at, end = 0, len(options)
    while at < end:
        data = at + 4
        at = data + (options[data - 2] << 8 | options[data - 1])
        found.setdefault(options[data - 4] << 8 | options[data - 3], options[data:at])
    return found
