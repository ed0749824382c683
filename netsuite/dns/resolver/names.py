r"""Domain names as bytes: uncompressed wire format, folded to lower case where they serve as keys.

A name is its labels, each after its length, ending in the empty label: ``www.example.`` is
``b"\x03www\x07example\x00"``. Such bytes are hashable, compact, and what a message holds; every step below walks
whole labels, so bytes inside a label can never be taken for a boundary.
"""

from __future__ import annotations

from collections.abc import Iterator

import dns.exception
import dns.name

__all__ = ["ROOT", "ancestors", "from_text", "is_within", "label_count", "parent", "shortened", "to_text"]

ROOT = b"\0"


def from_text(text: str) -> bytes:
    """A name in presentation form (absolute or not) as folded wire bytes; ValueError if it is none."""
    try:
        return bytes(dns.name.from_text(text).to_wire() or b"").lower()
    except dns.exception.DNSException as error:
        raise ValueError(f"{text!r} is not a domain name: {error}") from None


def to_text(name: bytes) -> str:
    """The presentation form, absolute, with escapes (RFC 1035 section 5.1)."""
    return dns.name.from_wire(name, 0)[0].to_text()


def parent(name: bytes) -> bytes:
    """The name without its first label; the root has no parent."""
    return name[name[0] + 1 :]


def ancestors(name: bytes) -> Iterator[bytes]:
    """The name itself, its parent, and so on up to the root."""
    while len(name) > 1:
        yield name
        name = name[name[0] + 1 :]
    yield ROOT


def is_within(name: bytes, zone: bytes) -> bool:
    """Whether a name is the zone's apex or lies below it."""
    excess = len(name) - len(zone)
    at = 0
    while at < excess:
        at += name[at] + 1
    return at == excess and name[at:] == zone


def label_count(name: bytes) -> int:
    """How many labels a name has; the root has none."""
    count = at = 0
    while name[at]:
        at += name[at] + 1
        count += 1
    return count


def shortened(name: bytes, labels: int) -> bytes:
    """The ancestor of a name that has that many labels, or the name itself if it has no more."""
    excess = label_count(name) - labels
    for _ in range(excess):
        name = name[name[0] + 1 :]
    return name
