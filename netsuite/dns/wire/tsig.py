"""TSIG: messages signed with a shared key, at their end by a record over all that stands before it.

:func:`take` finds the record in a message that came; :class:`Seal` is one conversation under one key: it checks the
query or signs it, and then signs or checks each message of the answer, every one chained to the one before.

Implements: RFC 8945 sections 4, 5.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final, NamedTuple

from netsuite.dns.wire import codes
from netsuite.dns.wire.name import BadName, expand, from_text, skip

__all__ = [
    "ALGORITHMS",
    "BADKEY",
    "BADSIG",
    "BADTIME",
    "FUDGE",
    "Key",
    "Seal",
    "Signature",
    "Unsigned",
    "Untrue",
    "bare",
    "overhead",
    "refusal",
    "take",
]

FUDGE: Final = 300
BADSIG: Final = 16
BADKEY: Final = 17
BADTIME: Final = 18
UNSIGNED_RUN: Final = 99
"""Messages that may follow one another unsigned in an answer of many (RFC 8945 section 5.3.1)."""

ALGORITHMS: Final = {
    from_text(name + "."): (name, digest)
    for name, digest in (
        ("hmac-sha256", hashlib.sha256),
        ("hmac-sha512", hashlib.sha512),
        ("hmac-sha384", hashlib.sha384),
        ("hmac-sha224", hashlib.sha224),
        ("hmac-sha1", hashlib.sha1),
        ("hmac-md5.sig-alg.reg.int", hashlib.md5),
    )
}
"""What a key may be used with, by its name on the wire: the name for people, the hash."""

_FIXED: Final = struct.Struct("!HHIH")
_TIMES: Final = struct.Struct("!HIH")


class Key(NamedTuple):
    """A shared key: its name and its algorithm's as lower-case names in wire form, and the secret."""

    name: bytes
    algorithm: bytes
    secret: bytes

    def mac(self, *parts: bytes) -> bytes:
        """The code over bytes."""
        return hmac.digest(self.secret, b"".join(parts), ALGORITHMS[self.algorithm][1])


class Signature(NamedTuple):
    """A message's TSIG record: ``start`` is where it begins."""

    name: bytes
    algorithm: bytes
    time: int
    fudge: int
    mac: bytes
    original_id: bytes
    error: int
    other: bytes
    start: int


class Untrue(Exception):
    """A signature does not hold; ``error`` is TSIG's own code for why (BADKEY, BADSIG, BADTIME), 0 for FORMERR."""

    def __init__(self, error: int, words: str) -> None:
        super().__init__(words)
        self.error = error


class Unsigned(Exception):
    """A message that had to be signed is not."""


def take(data: bytes) -> Signature | None:
    """The TSIG record of a message; None without one. Raises BadName for one that is malformed or misplaced."""
    try:
        counts = struct.unpack_from("!4H", data, 4)
        at = 12
        for _ in range(counts[0]):
            at = skip(data, at) + 4
        total = sum(counts[1:])
        for index in range(total):
            start = at
            at = skip(data, at)
            rdtype, rdclass, _, length = _FIXED.unpack_from(data, at)
            at += 10 + length
            if rdtype == codes.TSIG:
                if index != total - 1 or not counts[3] or rdclass != codes.CLASS_ANY:
                    raise BadName("a TSIG record is not the last")
                return _read(data, start, at)
        return None
    except (struct.error, IndexError):
        raise BadName("a message is cut off") from None


def _read(data: bytes, start: int, end: int) -> Signature:
    name, at = expand(data, start)
    algorithm, at = expand(data, at + 10)
    high, low, fudge = _TIMES.unpack_from(data, at)
    size = int.from_bytes(data[at + 8 : at + 10], "big")
    at += 10
    mac = data[at : at + size]
    at += size
    original_id, error, length = data[at : at + 2], *struct.unpack_from("!HH", data, at + 2)
    other = data[at + 6 : at + 6 + length]
    if at + 6 + length != end or end != len(data):
        raise BadName("a TSIG record is malformed")
    return Signature(name.lower(), algorithm.lower(), high << 32 | low, fudge, mac, original_id, error, other, start)


def bare(data: bytes, signature: Signature) -> bytes:
    """The message as it was before it was signed."""
    count = int.from_bytes(data[10:12], "big") - 1
    return signature.original_id + data[2:10] + count.to_bytes(2, "big") + data[12 : signature.start]


def _variables(key_name: bytes, algorithm: bytes, time: int, fudge: int, error: int, other: bytes) -> bytes:
    return b"".join(
        (
            key_name,
            b"\0\xff\0\0\0\0",
            algorithm,
            _TIMES.pack(time >> 32, time & 0xFFFFFFFF, fudge),
            struct.pack("!HH", error, len(other)),
            other,
        )
    )


def _record(
    name: bytes, algorithm: bytes, time: int, fudge: int, mac: bytes, ident: bytes, error: int, other: bytes
) -> bytes:
    rdata = b"".join(
        (
            algorithm,
            _TIMES.pack(time >> 32, time & 0xFFFFFFFF, fudge),
            len(mac).to_bytes(2, "big"),
            mac,
            ident,
            struct.pack("!HH", error, len(other)),
            other,
        )
    )
    return name + _FIXED.pack(codes.TSIG, codes.CLASS_ANY, 0, len(rdata)) + rdata


def _with(data: bytes, record: bytes) -> bytes:
    count = int.from_bytes(data[10:12], "big") + 1
    return data[:10] + count.to_bytes(2, "big") + data[12:] + record


def overhead(key: Key) -> int:
    """How many bytes a signature adds to a message."""
    return len(key.name) + len(key.algorithm) + 26 + ALGORITHMS[key.algorithm][1]().digest_size + 6


def refusal(data: bytes, signature: Signature, error: int) -> bytes:
    """A response made to say that its query's key or code is not known: TSIG's error, signed by nobody (5.2)."""
    name, algorithm = signature.name, signature.algorithm
    return _with(data, _record(name, algorithm, signature.time, signature.fudge, b"", data[:2], error, b""))


class Seal:
    """One exchange under one key: a query and the messages of its answer, whichever end of it we are.

    All times are Unix time in whole seconds.
    """

    __slots__ = ("_first", "_key", "_prior", "_skipped")

    def __init__(self, key: Key) -> None:
        self._key = key
        self._prior = b""
        self._first = True
        self._skipped: list[bytes] = []

    @property
    def key(self) -> Key:
        """The key."""
        return self._key

    def sign(self, data: bytes, now: int, *, error: int = 0, other: bytes = b"") -> bytes:
        """A message with its record: the query, or the next message of the answer."""
        key = self._key
        if self._first:
            variables = _variables(key.name, key.algorithm, now, FUDGE, error, other)
        else:
            variables = _TIMES.pack(now >> 32, now & 0xFFFFFFFF, FUDGE)
        mac = key.mac(self._prior, data, variables)
        self._chain(mac)
        return _with(data, _record(key.name, key.algorithm, now, FUDGE, mac, data[:2], error, other))

    def check_query(self, data: bytes, signature: Signature, now: int) -> None:
        """Check the query that came; raises Untrue. At BADTIME the answer is signed all the same."""
        self._check(data, signature, b"", now)
        self._chain(signature.mac)

    def check_answer(self, data: bytes, now: int) -> bool:
        """Check the next message of the answer; whether it was signed itself, or waits for one that is.

        Raises Untrue, or Unsigned for a first message without a signature and for too many after it.
        """
        signature = take(data)
        if signature is None:
            if self._first or len(self._skipped) >= UNSIGNED_RUN:
                raise Unsigned("an answer is not signed")
            self._skipped.append(data)
            return False
        if signature.error:
            raise Untrue(signature.error, f"the other end says TSIG error {signature.error}")
        self._check(data, signature, b"".join(self._skipped), now)
        self._skipped.clear()
        self._first = False
        self._prior = len(signature.mac).to_bytes(2, "big") + signature.mac
        return True

    @property
    def pending(self) -> int:
        """Messages of the answer that no signature covers yet; the last one must be signed."""
        return len(self._skipped)

    def _chain(self, mac: bytes) -> None:
        """After the query's code, answers begin; within them, only the times are signed along."""
        self._first = not self._prior
        self._prior = len(mac).to_bytes(2, "big") + mac

    def _check(self, data: bytes, signature: Signature, before: bytes, now: int) -> None:
        key = self._key
        if signature.name != key.name or signature.algorithm != key.algorithm:
            raise Untrue(BADKEY, "signed with another key")
        if self._first:
            variables = _variables(
                key.name, key.algorithm, signature.time, signature.fudge, signature.error, signature.other
            )
        else:
            variables = _TIMES.pack(signature.time >> 32, signature.time & 0xFFFFFFFF, signature.fudge)
        mac = key.mac(self._prior, before, bare(data, signature), variables)
        size = len(signature.mac)
        if not max(10, len(mac) // 2) <= size <= len(mac):
            raise Untrue(0, f"a code of {size} bytes")
        if not hmac.compare_digest(mac[:size], signature.mac):
            raise Untrue(BADSIG, "the code is wrong")
        if abs(now - signature.time) > signature.fudge:
            self._chain(signature.mac)
            raise Untrue(BADTIME, "signed at another time")
