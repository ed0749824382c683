"""A query's bytes understood, or refused with the one right response code.

Implements: RFC 1035 sections 4.1.1-4.1.2; RFC 6891 sections 6.1, 6.2, 7; RFC 9619 section 4; RFC 8906 section 3.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from netsuite.dns.wire import codes
from netsuite.dns.wire.edns import opt, whole
from netsuite.dns.wire.name import BadName, skip

__all__ = ["OPT_LENGTH", "Query", "Refusal", "error", "parse"]

OPT_LENGTH: Final = 11
_SMALLEST: Final = 512


class Query(NamedTuple):
    """What a query asks.

    ``question`` is the question section as sent; ``name`` is its name in lower case; ``flags`` the header's
    second word; ``size`` what the client takes over UDP; ``edns`` whether it sent an OPT record, ``dnssec``
    whether that had the DO bit, and ``options`` its options, as sent. ``signed`` says that it ends with a TSIG record.
    """

    question: bytes
    name: bytes
    type: int
    rdclass: int
    flags: int
    size: int
    edns: bool
    dnssec: bool
    options: bytes = b""
    signed: bool = False


class Refusal(NamedTuple):
    """The response code that a query gets in place of an answer, and the answer's whole bytes."""

    rcode: int
    response: bytes


def error(data: bytes, rcode: int, *, question: bytes = b"", edns: bytes = b"") -> bytes:
    """A response without records: the query's id, opcode, RD and CD (RFC 1035 section 4.1.1), and a code."""
    return b"".join(
        (
            data[:2],
            bytes((0x80 | data[2] & 0x79, data[3] & 0x10 | rcode & 15)),
            b"\0\1" if question else b"\0\0",
            b"\0\0\0\0",
            b"\0\1" if edns else b"\0\0",
            question,
            edns,
        )
    )


def parse(data: bytes, size: int = 1232) -> Query | Refusal | None:
    """A query, what to refuse it with, or None for what gets no answer: runts and answers.

    ``size`` is what our OPT records announce.
    """
    end = len(data)
    if end < 12 or data[2] & 0x80:
        return None
    opcode = data[2] >> 3 & 15
    if opcode != codes.QUERY:
        return Refusal(codes.NOTIMP, error(data, codes.NOTIMP))
    if data[4:6] != b"\0\1":
        return Refusal(codes.FORMERR, error(data, codes.FORMERR))
    at = 12
    while at < end and (length := data[at]):
        if length > 63:
            return Refusal(codes.FORMERR, error(data, codes.FORMERR))
        at += length + 1
    at += 5
    if at > end or at - 16 > 255:
        return Refusal(codes.FORMERR, error(data, codes.FORMERR))
    question = data[12:at]
    wanted = (data[at - 4] << 8) | data[at - 3]
    rdclass = (data[at - 2] << 8) | data[at - 1]
    flags = data[2] << 8 | data[3]
    counts = data[6:12]
    if counts == b"\0\0\0\0\0\0":
        if at != end:
            return Refusal(codes.FORMERR, error(data, codes.FORMERR, question=question))
        return Query(question, question[:-4].lower(), wanted, rdclass, flags, _SMALLEST, False, False)
    facts = _records(data, at)
    if facts is None:
        return Refusal(codes.FORMERR, error(data, codes.FORMERR, question=question))
    largest, version, dnssec, options, signed = facts
    if version > 0:
        edns = opt(size, rcode=codes.BADVERS, dnssec=dnssec)
        return Refusal(codes.BADVERS, error(data, 0, question=question, edns=edns))
    if version < 0:
        return Query(question, question[:-4].lower(), wanted, rdclass, flags, _SMALLEST, False, False, b"", signed)
    name = question[:-4].lower()
    return Query(question, name, wanted, rdclass, flags, max(_SMALLEST, largest), True, dnssec, options, signed)


def _records(data: bytes, at: int) -> tuple[int, int, bool, bytes, bool] | None:
    """What the OPT record says (size, version or -1 where it is missing, DO, options), and whether there is a TSIG.

    None for malformed records.
    """
    end = len(data)
    facts = (0, -1, False, b"")
    signed = False
    before = int.from_bytes(data[6:8], "big") + int.from_bytes(data[8:10], "big")
    for i in range(before + int.from_bytes(data[10:12], "big")):
        try:
            fixed = at + 1 if at < end and not data[at] else skip(data, at)
        except BadName:
            return None
        rest = fixed + 10
        if rest > end:
            return None
        length = data[rest - 2] << 8 | data[rest - 1]
        if rest + length > end:
            return None
        if data[fixed] == 0 and data[fixed + 1] == codes.OPT:
            if i < before or facts[1] >= 0 or data[at] or not whole(data, rest, rest + length):
                return None
            size = data[fixed + 2] << 8 | data[fixed + 3]
            facts = (size, data[fixed + 5], data[fixed + 6] >= 0x80, data[rest : rest + length])
        signed = signed or (data[fixed] == 0 and data[fixed + 1] == codes.TSIG)
        at = rest + length
    return (*facts, signed) if at == end else None
