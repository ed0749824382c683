"""Names and passwords in the Basic scheme.

Implements: RFC 7617 section 2; RFC 9110 sections 11.1-11.4
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

from netsuite.sansio.fields import quote

__all__ = ["Basic", "basic_challenge", "read_basic"]


class Basic(NamedTuple):
    """A name and a password, as they were typed."""

    name: str
    password: str


def read_basic(value: bytes | None) -> Basic | None:
    """The credentials in a field's value; None if it has none of this scheme, or malformed ones."""
    scheme, _, token = (value or b"").strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        text = binascii.a2b_base64(token.strip(), strict_mode=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    if not colon or any(ord(character) < 32 or ord(character) == 127 for character in text):
        return None
    return Basic(name, password)


def basic_challenge(realm: str) -> bytes:
    """The value of WWW-Authenticate that asks for them."""
    return b"Basic realm=" + quote(realm.encode("ascii", "replace")) + b', charset="UTF-8"'
