"""DNS cookies: a client that shows one of ours has its address from nobody else (RFC 7873, RFC 9018).

A server cookie is a version, a time, and a hash of both, the client's own cookie and its address, under a secret. So
nothing is stored about clients, and every server that shares the secret knows the others' cookies.
"""

from __future__ import annotations

import socket
from typing import Final, NamedTuple

from netsuite.dns.wire import edns
from netsuite.sansio.siphash import siphash

__all__ = ["SECRET_LENGTH", "Cookies", "Shown"]

SECRET_LENGTH: Final = 16
_HEAD: Final = b"\x01\0\0\0"
_OLDEST: Final = 3600
_AHEAD: Final = 300
_RENEW: Final = 1800
_TOLD: Final = 30
_KEPT: Final = 8192


class Shown(NamedTuple):
    """What a client showed: whether it is a cookie of ours for its address, and the option that its answer carries.

    Both hold until a Unix time: whoever shows the same may be told the same.
    """

    valid: bool
    answer: bytes
    until: float


class Cookies:
    """Makes and knows cookies.

    ``secrets`` are 16 bytes each: cookies are made with the first and known by all of them, so that a secret can be
    changed on many servers without a moment in which they distrust one another (RFC 9018 section 5).
    """

    __slots__ = ("_hashes", "_secrets")

    def __init__(self, *secrets: bytes) -> None:
        if not secrets or any(len(secret) != SECRET_LENGTH for secret in secrets):
            raise ValueError("a cookie secret has 16 bytes")
        self._secrets = secrets
        self._hashes: dict[tuple[bytes, bytes], bytes] = {}

    def show(self, cookie: bytes, host: str, now: float) -> Shown | None:
        """Judge a COOKIE option's data at a Unix time; None if no such option may exist (the answer is FORMERR)."""
        length = len(cookie)
        if length != 8 and not 16 <= length <= 40:
            return None
        address = _packed(host)
        clock = int(now) & 0xFFFFFFFF
        if length == 24 and cookie[8:12] == _HEAD:
            age = _difference(clock, int.from_bytes(cookie[12:16], "big"))
            if -_AHEAD <= age <= _OLDEST:
                for number, secret in enumerate(self._secrets):
                    if self._hash(secret, cookie[:16], address) == cookie[16:]:
                        if number == 0 and age <= _RENEW:
                            return Shown(True, edns.option(edns.COOKIE, cookie), now + _RENEW - age)
                        left = min(_TOLD, _OLDEST - age)
                        return Shown(True, self._fresh(cookie[:8], address, clock), now + left)
        return Shown(False, self._fresh(cookie[:8], address, clock), now + _TOLD)

    def _fresh(self, client: bytes, address: bytes, clock: int) -> bytes:
        stem = client + _HEAD + clock.to_bytes(4, "big")
        return edns.option(edns.COOKIE, stem + self._hash(self._secrets[0], stem, address))

    def _hash(self, secret: bytes, stem: bytes, address: bytes) -> bytes:
        key = (secret, stem + address)
        found = self._hashes.get(key)
        if found is None:
            if len(self._hashes) >= _KEPT:
                self._hashes.clear()
            found = self._hashes[key] = siphash(secret, key[1])
        return found


def _difference(later: int, earlier: int) -> int:
    """Seconds between two moments in serial arithmetic (RFC 1982), which outlives the year 2106."""
    return (later - earlier + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _packed(host: str) -> bytes:
    """An address as hashed; the path of a Unix socket, whose clients have none, as it is."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except OSError:
        return host.encode()
