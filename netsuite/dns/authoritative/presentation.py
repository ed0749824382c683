"""Record data from their presentation form: the types that zones are full of; dnspython makes the rest.

A line's data are some fields and a last word. The fields before it recur (``MX 10``, or all of a signature but
itself), so what they mean is worth keeping; the last word is what differs from line to line.
"""

from __future__ import annotations

import binascii
import calendar
import re
import socket
from collections.abc import Callable, Sequence
from typing import Final

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype

from netsuite.dns.wire import codes

__all__ = ["Unknown", "fields", "last_word", "rdata_from_text", "strings", "type_number", "whole"]

_DIGITS: Final = re.compile(rb"\d{1,10}")
_TIME: Final = re.compile(rb"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)")
_BARE: Final = re.compile(r'"([^"\\]*)"|([^"\\;()\s]+)')

Name = Callable[[bytes], bytes]
"""A name's wire form from its text, completed by the origin; raises BadName."""


class Unknown(ValueError):
    """A word that is no record type, or of a type that no zone has; its text says so."""


def _address4(word: bytes, name: Name) -> bytes:
    return socket.inet_pton(socket.AF_INET, word.decode("ascii"))


def _address6(word: bytes, name: Name) -> bytes:
    return socket.inet_pton(socket.AF_INET6, word.decode("ascii"))


def _name(word: bytes, name: Name) -> bytes:
    return name(word)


def _hex(word: bytes, name: Name) -> bytes:
    return bytes.fromhex(word.decode("ascii"))


def _base64(word: bytes, name: Name) -> bytes:
    return binascii.a2b_base64(word, strict_mode=True)


_TEXTS: Final = frozenset({codes.TXT, codes.SPF})
# By type: the sizes of its fields before the last word ("t": a type, "s": a time, "n": a name), and what makes that.
_LAYOUTS: Final[dict[int, tuple[tuple[int | str, ...], Callable[[bytes, Name], bytes]]]] = {
    codes.A: ((), _address4),
    codes.AAAA: ((), _address6),
    codes.NS: ((), _name),
    codes.CNAME: ((), _name),
    codes.PTR: ((), _name),
    codes.DNAME: ((), _name),
    codes.MX: ((2,), _name),
    codes.SRV: ((2, 2, 2), _name),
    codes.DS: ((2, 1, 1), _hex),
    codes.CDS: ((2, 1, 1), _hex),
    codes.DNSKEY: ((2, 1, 1), _base64),
    codes.CDNSKEY: ((2, 1, 1), _base64),
    codes.TLSA: ((1, 1, 1), _hex),
    codes.SSHFP: ((1, 1), _hex),
    codes.RRSIG: (("t", 1, 1, 4, "s", "s", 2, "n"), _base64),
}


def last_word(rdtype: int) -> Callable[[bytes, Name], bytes] | None:
    """What makes a type's last word; None if the type is not made here."""
    layout = _LAYOUTS.get(rdtype)
    return None if layout is None else layout[1]


def fields(rdtype: int, words: Sequence[bytes], name: Name) -> bytes | None:
    """The wire form of the fields before the last word; None if they are not written in the plainest way."""
    sizes = _LAYOUTS[rdtype][0]
    if len(words) != len(sizes):
        return None
    out = []
    for size, word in zip(sizes, words, strict=True):
        if size == "n":
            out.append(name(word))
        elif size == "t":
            out.append(type_number(word.decode("ascii")).to_bytes(2, "big"))
        elif size == "s" and (match := _TIME.fullmatch(word)):
            year, month, day, hour, minute, second = map(int, match.groups())
            seconds = calendar.timegm((year, month, day, hour, minute, second)) & 0xFFFFFFFF
            out.append(seconds.to_bytes(4, "big"))
        elif isinstance(size, int) and _DIGITS.fullmatch(word) and int(word) < 1 << 8 * size:
            out.append(int(word).to_bytes(size, "big"))
        else:
            return None
    return b"".join(out)


def whole(rdtype: int, words: Sequence[str], name: Name) -> bytes | None:
    """All data of a type from their words; None if it is for dnspython. What is broken raises ValueError or OSError."""
    if rdtype in _TEXTS:
        return strings(words)
    layout = _LAYOUTS.get(rdtype)
    if layout is None or not words or words[0] == "\\#":
        return None
    sizes, make = layout
    plain = [word.encode("utf-8") for word in words]
    if make in (_hex, _base64):
        plain[len(sizes) :] = [b"".join(plain[len(sizes) :])]
    prefix = fields(rdtype, plain[:-1], name)
    return None if prefix is None or not plain[-1] else prefix + make(plain[-1], name)


def strings(words: Sequence[str]) -> bytes | None:
    """Character-strings (TXT); None if one has escapes, is longer than 255 bytes, or is otherwise for dnspython."""
    out = []
    for word in words:
        match = _BARE.fullmatch(word)
        if match is None:
            return None
        data = (match[1] if match[1] is not None else match[2]).encode("utf-8")
        if len(data) > 255:
            return None
        out.append(bytes((len(data),)) + data)
    return b"".join(out) or None


def rdata_from_text(rdtype: int, text: str, origin: bytes) -> bytes:
    """The wire form of any type's data by dnspython; what bad text raises is not one family."""
    name = dns.name.from_wire(origin, 0)[0]
    made = dns.rdata.from_text("IN", dns.rdatatype.RdataType.make(rdtype), text, name, False)
    return bytes(made.to_wire() or b"")


_TYPES: dict[str, int] = {}


def type_number(word: str) -> int:
    """The number of a type as text has it, TYPE65280 too; raises Unknown."""
    number = _TYPES.get(word)
    if number is None:
        try:
            number = int(dns.rdatatype.from_text(word))
        except (dns.exception.DNSException, ValueError):
            raise Unknown(f"{word!r} is no record type") from None
        if number == codes.OPT or 128 <= number <= 255 or number == 0:
            raise Unknown(f"{word} records have no place in a zone")
        if len(_TYPES) < 1024:
            _TYPES[word] = number
    return number
