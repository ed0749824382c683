"""Digest fields: what the bytes of a body must hash to.

Implements: RFC 9530 sections 2, 3, 5; RFC 9651 sections 3.2, 3.3.5 (as far as digests use them)
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final

__all__ = ["Digests", "MalformedDigest"]

_MEMBER: Final = re.compile(
    rb"[ \t]*([a-z*][a-z0-9_\-.*]*)=:([A-Za-z0-9+/]*={0,2}):"
    rb"((?:[ ]*;[ ]*[a-z*][a-z0-9_\-.*]*(?:=[^,;\"]*)?)*)[ \t]*(,|\Z)"
)
_KNOWN: Final = {b"sha-256": hashlib.sha256, b"sha-512": hashlib.sha512}


class MalformedDigest(ValueError):
    """The field is no dictionary of byte sequences."""


class Digests:
    """The digests that a sender promised, and the body as far as it has come.

    Raises MalformedDigest for what is none. Algorithms other than SHA-256 and SHA-512 are ignored: the others are
    retired, or unknown (section 5).
    """

    def __init__(self, values: Iterable[bytes]) -> None:
        self._promised: list[tuple[bytes, bytes]] = []
        for value in values:
            self._promise(value)
        self._hashes = {
            name: made() for name, made in _KNOWN.items() if any(name == known for known, _ in self._promised)
        }

    def _promise(self, value: bytes) -> None:
        """Take a field's value; raises MalformedDigest."""
        at = 0
        while at < len(value):
            member = _MEMBER.match(value, at)
            if member is None or (member[4] and member.end() == len(value)):
                raise MalformedDigest("the digest field is malformed")
            if member[1] in _KNOWN:
                try:
                    self._promised.append((member[1], binascii.a2b_base64(member[2], strict_mode=True)))
                except binascii.Error:
                    raise MalformedDigest("the digest field is malformed") from None
            at = member.end()

    def feed(self, data: bytes) -> None:
        """More of the body."""
        for each in self._hashes.values():
            each.update(data)

    def kept(self) -> bool:
        """Whether the body was what was promised."""
        return all(self._hashes[name].digest() == digest for name, digest in self._promised)
