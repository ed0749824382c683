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

from netsuite.common.access import Access
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, skip
from netsuite.sansio.tokenbucket import TokenBuckets

__all__ = ["ResponseRate", "packed", "truncated"]

_NETWORKS4: Final = ((32, 1), (24, 32), (20, 256), (18, 768))
_NETWORKS6: Final = ((128, 1), (64, 2), (56, 3), (48, 4), (32, 64))
"""How long the prefix of a network is, and how many times the rate all of it may have (as in Knot DNS)."""


class ResponseRate:
    """The limit of one address: ``rate`` answers a second for a host; ``limited`` counts answers cut or dropped.

    Clients are addresses as the wire has them: 4 bytes or 16.
    """

    __slots__ = ("_limits4", "_limits6", "_seconds", "limited", "rate")

    def __init__(self, access: Access, rate: float) -> None:
        self.rate = rate
        self._seconds = access.clock.seconds
        self._limits4, self._limits6 = (
            tuple((bits - prefix, TokenBuckets(rate * times, max(rate * times, 1.0))) for prefix, times in networks)
            for bits, networks in ((32, _NETWORKS4), (128, _NETWORKS6))
        )
        self.limited = 0

    def is_held(self, host: str) -> bool:
        """Whether the next answer to a host would be cut or dropped; counts nothing."""
        raw = packed(host)
        address, now = int.from_bytes(raw, "big"), self._seconds()
        limits = self._limits4 if len(raw) == 4 else self._limits6
        return any(buckets.wait(address >> shift, now) > 0 for shift, buckets in limits)

    def permits(self, host: bytes, now: float) -> bool:
        """Whether a client may have an answer more at a time of the site's clock; it is counted."""
        address = int.from_bytes(host, "big")
        for shift, buckets in self._limits4 if len(host) == 4 else self._limits6:
            if not buckets.take(address >> shift, now):
                return False
        return True

    def shrunk(self, query: bytes, response: bytes) -> bytes:
        """What is sent in place of a response to who had too many: its truncated form, or every other time nothing."""
        self.limited += 1
        return truncated(query, response) if self.limited & 1 else b""

    def shape(self, query: bytes, response: bytes, host: str) -> bytes | None:
        """The response, its truncated form, or None, as the client's networks have had few or many of late."""
        return response if self.permits(packed(host), self._seconds()) else self.shrunk(query, response) or None


def packed(host: str) -> bytes:
    """An address as the wire has it, from its text."""
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])


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
