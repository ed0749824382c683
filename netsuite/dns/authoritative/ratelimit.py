"""Response rate limiting: so that forged queries do not make us shout at somebody else.

Answers over UDP are counted for the client's address and for the networks around it, which is what a forger would have
us flood: one host gets the rate, wider networks what their many clients need, since a flood may be spread over a
whole network. Beyond a rate every second answer is dropped and the others shrink to a question with TC set: no larger
than the query, and a client that really asked comes back over TCP, where addresses cannot be forged. A client that
shows one of our cookies is not counted: its address is its own.
"""

from __future__ import annotations

import socket
from typing import Final

from netsuite.common.access import Access, RateLimit
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, skip

__all__ = ["ResponseRate", "truncated"]

_NETWORKS4: Final = ((32, 1), (24, 32), (20, 256), (18, 768))
_NETWORKS6: Final = ((128, 1), (64, 2), (56, 3), (48, 4), (32, 64))
"""How long the prefix of a network is, and how many times the rate all of it may have (as in Knot DNS)."""


class ResponseRate:
    """The limit of one address: ``rate`` answers a second for a host; ``limited`` counts answers cut or dropped."""

    __slots__ = ("_limits", "limited", "rate")

    def __init__(self, access: Access, rate: float) -> None:
        self.rate = rate
        self._limits: dict[socket.AddressFamily, tuple[tuple[int, RateLimit], ...]] = {
            family: tuple((bits - prefix, access.rate(rate * times)) for prefix, times in networks)
            for family, bits, networks in ((socket.AF_INET, 32, _NETWORKS4), (socket.AF_INET6, 128, _NETWORKS6))
        }
        self.limited = 0

    def is_held(self, host: str) -> bool:
        """Whether the next answer to a host would be cut or dropped; counts nothing."""
        family, address = _number(host)
        return any(limit.wait(address >> shift) > 0 for shift, limit in self._limits[family])

    def shape(self, query: bytes, response: bytes, host: str) -> bytes | None:
        """The response, its truncated form, or None, as the client's networks have had few or many of late."""
        family, address = _number(host)
        for shift, limit in self._limits[family]:
            if not limit.permits(address >> shift):
                self.limited += 1
                return truncated(query, response) if self.limited & 1 else None
        return response


def _number(host: str) -> tuple[socket.AddressFamily, int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, int.from_bytes(socket.inet_pton(family, host.partition("%")[0]), "big")


def truncated(query: bytes, response: bytes) -> bytes:
    """Header and question of a response, with TC set."""
    try:
        question = query[12 : skip(query, 12) + 4]
    except BadName:
        question = b""
    return b"".join(
        (
            response[:2],
            bytes((response[2] | codes.TC >> 8, response[3])),
            b"\0\1" if question else b"\0\0",
            bytes(6),
            question,
        )
    )
