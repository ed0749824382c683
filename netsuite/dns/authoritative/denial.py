"""Proofs of what is not there, from the NSEC or NSEC3 records that a signed zone has.

RFC 4035 section 3.1.3 (NSEC), RFC 5155 section 7.2 (NSEC3), RFC 9276 (iterations cost us, too: beyond a bound a zone's
NSEC3 records are not used, and its denials go without proof).
"""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from netsuite.dns.authoritative.node import Node, types
from netsuite.dns.authoritative.zone import Zone
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import within

__all__ = [
    "MOST_ITERATIONS",
    "Hashes",
    "Names",
    "chain",
    "hashed",
    "proof_of_no_name",
    "proof_of_no_type",
    "proof_of_wildcard",
]

MOST_ITERATIONS: Final = 100
_STRETCH: Final = 4096
_HEX32: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghijklmnopqrstuv")


@lru_cache(16384)
def hashed(name: bytes, salt: bytes, iterations: int) -> bytes:
    """The label, in lower case, that a name in lower case has in a chain of NSEC3 (RFC 5155 section 5)."""
    digest = hashlib.sha1(name + salt, usedforsecurity=False).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt, usedforsecurity=False).digest()
    return base64.b32encode(digest).translate(_HEX32)


def proof_of_no_type(zone: Zone, name: bytes) -> Iterator[Node]:
    """A name exists (or what a wildcard makes of it does), without the type: the names whose NSEC or NSEC3 say so."""
    links = chain(zone)
    return iter(()) if links is None else links.no_type(name)


def proof_of_no_name(zone: Zone, name: bytes, above: bytes) -> Iterator[Node]:
    """A name does not exist, nor does a wildcard for it; ``above`` is the closest name that does."""
    links = chain(zone)
    return iter(()) if links is None else links.no_name(name, above)


def proof_of_wildcard(zone: Zone, name: bytes, above: bytes, *, typeless: bool) -> Iterator[Node]:
    """A wildcard below ``above`` was used for a name: that itself does not exist; ``typeless``: nor has it the type."""
    links = chain(zone)
    return iter(()) if links is None else links.wildcard(name, above, typeless=typeless)


def _once(*nodes: Node | None) -> Iterator[Node]:
    seen = set()
    for node in nodes:
        if node is not None and node.name not in seen:
            seen.add(node.name)
            yield node


def _next_closer(name: bytes, above: bytes) -> bytes:
    """The name one label below ``above`` on the way to a name (RFC 5155 section 1.3)."""
    while name[name[0] + 1 :] != above:
        name = name[name[0] + 1 :]
    return name


class Names:
    """The NSEC chain of one version of a zone."""

    __slots__ = ("_unused", "_zone")

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        # what denies wildcards, by the names above them: few, and asked for with every name that is not there
        self._unused: dict[bytes, Node | None] = {}

    def no_type(self, name: bytes) -> Iterator[Node]:
        """See :func:`proof_of_no_type`."""
        return _once(self.match(name) or self.cover(name))

    def no_name(self, name: bytes, above: bytes) -> Iterator[Node]:
        """See :func:`proof_of_no_name`."""
        return _once(self.cover(name), self._wildcard(above))

    def wildcard(self, name: bytes, above: bytes, *, typeless: bool) -> Iterator[Node]:
        """See :func:`proof_of_wildcard`."""
        wildcard = b"\x01*" + above
        return _once(self.cover(name), (self.match(wildcard) or self.cover(wildcard)) if typeless else None)

    def _wildcard(self, above: bytes) -> Node | None:
        if above not in self._unused:
            if len(self._unused) >= _STRETCH:
                self._unused.clear()
            self._unused[above] = self.cover(b"\x01*" + above)
        return self._unused[above]

    def match(self, name: bytes) -> Node | None:
        """The NSEC record of a name; empty non-terminals have none."""
        packed = self._zone.packed(name)
        return Node(name, packed) if packed is not None and codes.NSEC in types(packed) else None

    def cover(self, name: bytes) -> Node | None:
        """The NSEC record that spans a name, looked for beyond glue and empty non-terminals, which have none."""
        for _ in range(_STRETCH):
            name = self._zone.before(name)
            match = self.match(name)
            if match is not None:
                return match
        return None


class Hashes:
    """The NSEC3 chain of one version of a zone."""

    __slots__ = ("_iterations", "_order", "_salt", "_zone")

    def __init__(self, zone: Zone, salt: bytes, iterations: int) -> None:
        self._zone = zone
        self._salt = salt
        self._iterations = iterations
        self._order = zone.hashes()

    def no_type(self, name: bytes) -> Iterator[Node]:
        """See :func:`proof_of_no_type`."""
        match = self.match(name)
        # Without one: a delegation that opt-out left out of the chain (RFC 5155 section 7.2.4).
        return _once(*(self.closest(name) if match is None else (match,)))

    def no_name(self, name: bytes, above: bytes) -> Iterator[Node]:
        """See :func:`proof_of_no_name`.

        The wildcard is denied below the closest name that the chain has: opt-out may have left out nearer ones.
        """
        while self.match(above) is None and above != self._zone.name:
            above = above[above[0] + 1 :]
        return _once(*self.closest(name, above), self.cover(b"\x01*" + above))

    def wildcard(self, name: bytes, above: bytes, *, typeless: bool) -> Iterator[Node]:
        """See :func:`proof_of_wildcard`."""
        if typeless:
            return _once(*self.closest(name, above), self.match(b"\x01*" + above))
        return _once(self.cover(_next_closer(name, above)))

    def _owner(self, name: bytes) -> bytes:
        label = hashed(name, self._salt, self._iterations)
        return bytes((len(label),)) + label + self._zone.name

    def match(self, name: bytes) -> Node | None:
        """The NSEC3 record of a name."""
        owner = self._owner(name)
        packed = self._zone.packed(owner)
        return Node(owner, packed) if packed is not None and codes.NSEC3 in types(packed) else None

    def cover(self, name: bytes) -> Node | None:
        """The NSEC3 record whose span a name's hash falls into."""
        order = self._order
        if not order:
            return None
        owner = order[bisect_right(order, self._owner(name)) - 1]
        return self._zone.node(owner)

    def closest(self, name: bytes, above: bytes | None = None) -> tuple[Node | None, Node | None]:
        """The closest encloser's record, and the one that covers the next closer name (RFC 5155 section 7.2.1).

        ``above`` is the closest name that exists, if that is not ``name`` itself: names below it are not hashed, so a
        question costs no more for having many labels (CVE-2023-50868).
        """
        closer = name
        if above is not None:
            closer = _next_closer(name, above)
            name = above
        while within(name, self._zone.name):
            match = self.match(name)
            if match is not None:
                return match, None if closer == name else self.cover(closer)
            closer = name
            name = name[name[0] + 1 :]
        return None, None


def chain(zone: Zone) -> Names | Hashes | None:
    """What a version of a zone proves by; None if that costs too much."""
    parameters = zone.apex.rrset(codes.NSEC3PARAM)
    if parameters is None:
        return Names(zone)
    rdata = parameters.rdatas[0]
    iterations = int.from_bytes(rdata[2:4], "big")
    return Hashes(zone, rdata[5:], iterations) if iterations <= MOST_ITERATIONS else None
