"""Text out of headers and bodies, for searching: encoded words, charsets, transfer encodings.

Whatever is wrong with the encoding, some text comes out.

Implements: RFC 2047 sections 2, 4 and 6.2; RFC 2231 section 5; RFC 2045 sections 6.7 and 6.8.
"""

from __future__ import annotations

import binascii
import codecs
import re
import unicodedata
from typing import Final

from netsuite.mail.mime.header import first, unfolded
from netsuite.mail.mime.parameters import parameter
from netsuite.mail.mime.scan import Part

__all__ = ["body_texts", "decoded_text", "decoded_words", "folded", "known_charset"]

_WORD: Final = re.compile(rb"=\?([^?\s]{1,64})\?([BbQq])\?([^?\s]*)\?=")
_HEX: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")
_UNFIT: Final = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7"))
MOST_TEXT: Final = 16 << 20
"""Bytes of a part that are looked at."""


def known_charset(name: bytes) -> str | None:
    """Python's name of a charset that can be decoded; None for any other."""
    try:
        info = codecs.lookup(name.decode("ascii"))
    except (LookupError, UnicodeDecodeError, ValueError):
        return None
    if not getattr(info, "_is_text_encoding", True) or info.name.replace("-", "_") in _UNFIT:
        return None
    return info.name


def decoded_text(data: bytes, charset: bytes | None) -> str:
    """Bytes as text: by the charset if it is known, else by UTF-8, else by Latin-1."""
    name = known_charset(charset) if charset else None
    if name is not None and name not in ("ascii", "utf-8"):
        return data.decode(name, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace") if name == "utf-8" else data.decode("latin-1")


def decoded_words(value: bytes) -> str:
    """A header's value with its encoded words decoded."""
    if b"=?" not in value:
        return decoded_text(value, None)
    made: list[str] = []
    at = 0
    held: tuple[bytes, bytes] | None = None  # charset and bytes of words that follow one another
    for found in _WORD.finditer(value):
        between = value[at : found.start()]
        charset = found[1].partition(b"*")[0].lower()
        octets = _word(found[2], found[3])
        if held is not None and not between.strip():
            if held[0] == charset:
                held = (charset, held[1] + octets)
                at = found.end()
                continue
            made.append(decoded_text(held[1], held[0]))
        else:
            if held is not None:
                made.append(decoded_text(held[1], held[0]))
            made.append(decoded_text(between, None))
        held = (charset, octets)
        at = found.end()
    if held is not None:
        made.append(decoded_text(held[1], held[0]))
    made.append(decoded_text(value[at:], None))
    return "".join(made)


def _word(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"Bb":
        return _base64(text)
    return _HEX.sub(lambda found: bytes.fromhex(found[1].decode()), text.replace(b"_", b" "))


def _base64(data: bytes) -> bytes:
    clean = _NOT_BASE64.sub(b"", data)
    if len(clean) % 4 == 1:
        clean = clean[:-1]
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def folded(text: str) -> str:
    """Text as it is compared: without regard to case and to how an accented letter is composed (RFC 5051)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKD", text.casefold())


def body_texts(data: bytes, root: Part) -> list[str]:
    """The texts of a message's body: every text part decoded, and the headers of messages within."""
    made = []
    for part in root.walk():
        if part.message is not None:
            made += [f"{f.name.decode()}: {decoded_words(unfolded(data, f))}" for f in part.message.fields]
        elif part.kind.startswith(b"text/") and not part.children:
            raw = data[part.body : min(part.end, part.body + MOST_TEXT)]
            encoding = (first(data, part.fields, b"content-transfer-encoding") or b"").lower()
            if encoding == b"base64":
                raw = _base64(raw)
            elif encoding == b"quoted-printable":
                raw = binascii.a2b_qp(raw)
            made.append(decoded_text(raw, parameter(part.parameters, b"charset")))
    return made
