"""Mailbox names on the wire: modified UTF-7.

Implements: RFC 3501 section 5.1.3.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

__all__ = ["from_utf7", "to_utf7"]

_RUN: Final = re.compile(r"[^\x20-\x7e]+|&")
_SHIFT: Final = re.compile(rb"&([A-Za-z0-9+,]*)-")


def to_utf7(name: str) -> bytes:
    """A mailbox's name as it is sent."""
    return _RUN.sub(_encoded, name).encode("ascii")


def _encoded(found: re.Match[str]) -> str:
    text = found[0]
    if text == "&":
        return "&-"
    made = binascii.b2a_base64(text.encode("utf-16-be", "surrogatepass"), newline=False)
    return "&" + made.decode().rstrip("=").replace("/", ",") + "-"


def from_utf7(name: bytes) -> str:
    """The name that was sent; plain UTF-8 is accepted too. Raises ValueError."""
    if b"&" not in name:
        return name.decode()
    made: list[str] = []
    at = 0
    for found in _SHIFT.finditer(name):
        made.append(_plain(name[at : found.start()]))
        inner = found[1]
        if inner:
            raw = binascii.a2b_base64(inner.replace(b",", b"/") + b"=" * (-len(inner) % 4))
            made.append(raw[: len(raw) & ~1].decode("utf-16-be"))
        else:
            made.append("&")
        at = found.end()
    made.append(_plain(name[at:]))
    return "".join(made)


def _plain(text: bytes) -> str:
    if b"&" in text:
        raise ValueError("a shift that never ends")
    return text.decode()
