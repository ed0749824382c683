"""Response rate limiting: so that forged queries do not make us shout at somebody else.

Answers over UDP are counted for the client's network (IPv4 /24, IPv6 /56), which is what a forger would have
us flood. Beyond the rate every second answer is dropped and the others shrink to a question with TC
set: no larger than the query, and a client that really asked comes back over TCP, where addresses
cannot be forged.
"""

from __future__ import annotations

import socket
from typing import Final

from netsuite.common.access import RateLimit
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, skip

__all__ = ["ResponseRate"]

_PREFIX6: Final = 7


class ResponseRate:
    """The limit of one address; ``limited`` counts what was not answered in full."""

    __slots__ = ("_limit", "limited")

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self.limited = 0

    def shape(self, query: bytes, response: bytes, host: str) -> bytes | None:
        """The response, its truncated form, or None, as the client's network has had few or many of late."""
        if self._limit.permits(_network(host)):
            return response
        self.limited += 1
        if self.limited & 1:
            return _truncated(query, response)
        return None


def _network(host: str) -> str | bytes:
    if ":" in host:
        return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:_PREFIX6]
    return host.rpartition(".")[0]


def _truncated(query: bytes, response: bytes) -> bytes:
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
