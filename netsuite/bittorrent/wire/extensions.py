"""The extension protocol's handshake, and the one extension spoken here: ``upload_only``.

A handshake that cannot be read tells nothing (None): nothing in it is needed. What is out of its bounds in one that can
be read is left out. Keys out of order and other peculiarities of encoders in the wild are forgiven.

Implements: BEP 10 (m, p, v, yourip, reqq), BEP 21 (upload_only: in the handshake, and as a message when it changes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from netsuite.bittorrent.wire.bencode import BencodeError, decode, encode
from netsuite.bittorrent.wire.messages import Extended

__all__ = ["UPLOAD_ONLY", "ExtensionHandshake", "upload_only"]

UPLOAD_ONLY: Final = 3
"""The number by which peers may tell us that they want nothing (any more)."""

_NAME: Final = b"upload_only"
_LONGEST_VERSION: Final = 64
_MOST_REQUESTS: Final = 1 << 16


@attrs.frozen
class ExtensionHandshake:
    """What a peer says of itself; zeros and empty where it says nothing.

    ``extensions`` maps names to the numbers by which that peer wants to hear them; ``port`` is where it listens;
    ``your_ip`` the packed address that it sees; ``requests`` how many requests it lets wait; ``upload_only`` that it
    wants nothing.
    """

    extensions: Mapping[bytes, int] = {}
    port: int = 0
    version: str = ""
    your_ip: bytes = b""
    requests: int = 0
    upload_only: bool = False

    def encode(self) -> Extended:
        """As the message of number 0."""
        fields: dict[bytes, Any] = {b"m": dict(self.extensions), b"v": self.version.encode(), b"reqq": self.requests}
        if self.port:
            fields[b"p"] = self.port
        if self.your_ip:
            fields[b"yourip"] = self.your_ip
        if self.upload_only:
            fields[_NAME] = 1
        return Extended(0, encode(fields))

    @classmethod
    def decode(cls, payload: bytes) -> ExtensionHandshake | None:
        """From the payload of message 0; None if it is no dictionary."""
        try:
            fields = decode(payload, strict=False)
        except BencodeError:
            return None
        if not isinstance(fields, dict):
            return None
        names = fields.get(b"m")
        version, your_ip = fields.get(b"v"), fields.get(b"yourip")
        return cls(
            extensions={
                name: number
                for name, number in (names.items() if isinstance(names, dict) else ())
                if isinstance(number, int) and 0 <= number < 256
            },
            port=_number(fields.get(b"p"), 65535),
            version=_printable(version) if isinstance(version, bytes) else "",
            your_ip=your_ip if isinstance(your_ip, bytes) and len(your_ip) in (4, 16) else b"",
            requests=_number(fields.get(b"reqq"), _MOST_REQUESTS),
            upload_only=_number(fields.get(_NAME), 1) == 1,
        )


def upload_only(extensions: Mapping[bytes, int], wants_nothing: bool) -> Extended | None:
    """The message that says so to a peer with these extensions; None if it does not care."""
    number = extensions.get(_NAME, 0)
    return Extended(number, b"\1" if wants_nothing else b"\0") if number else None


def _number(value: object, most: int) -> int:
    return value if isinstance(value, int) and 0 <= value <= most else 0


def _printable(version: bytes) -> str:
    text = version[:_LONGEST_VERSION].decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable())
